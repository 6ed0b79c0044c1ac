// Textual addresses. Strict: nothing before or after the address, no octal, no shortened IPv4.

extension IPAddress: CustomStringConvertible {
  /// Parses an address such as `192.168.1.4`, `fe80::1` or `::ffff:192.168.1.4`.
  ///
  /// Spaces, brackets, a scope (`%eth0`), a port, and IPv4 numbers with leading zeros are refused.
  ///
  /// - Throws: ``AddressError`` that says what is expected.
  public init(_ text: some StringProtocol) throws(AddressError) {
    let bytes = Array(text.utf8)
    if bytes.contains(UInt8(ascii: ":")) {
      if bytes.contains(UInt8(ascii: "%")) {
        throw AddressError(text: String(text), reason: "a scope (\"%\" and an interface) is not expected here")
      }
      guard let address = IPAddress(v6Text: bytes[...]) else {
        throw AddressError(
          text: String(text),
          reason: "expected eight groups of hexadecimal digits with colons between them, for example fd00::1:2")
      }
      self = address
    } else {
      guard let number = UInt32(v4Text: bytes[...]) else {
        throw AddressError(
          text: String(text),
          reason: "expected four numbers from 0 to 255 with dots between them, for example 192.168.1.4")
      }
      self = IPAddress(v4: number)
    }
  }

  /// The address as people write it; IPv6 as RFC 5952 recommends.
  public var description: String {
    switch family {
    case .v4: UInt32(truncatingIfNeeded: low).dottedQuad
    case .v6: v6Description
    }
  }

  private var v6Description: String {
    if high == 0, low >> 32 == 0xFFFF { return "::ffff:" + UInt32(truncatingIfNeeded: low).dottedQuad }
    let groups = (0..<8).map { index in
      UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index % 4)))
    }
    // The longest run of two or more zero groups, the first of equals, becomes "::".
    var longest = 0..<0
    var start = 0
    for index in 0...8 where index == 8 || groups[index] != 0 {
      if index - start >= 2, index - start > longest.count { longest = start..<index }
      start = index + 1
    }
    func text(_ groups: ArraySlice<UInt16>) -> String {
      groups.map { String($0, radix: 16) }.joined(separator: ":")
    }
    if longest.isEmpty { return text(groups[...]) }
    return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
  }

  /// Parses an IPv6 address without brackets or scope; `nil` if it is none.
  init?(v6Text bytes: ArraySlice<UInt8>) {
    // RFC 4291, 2.2: up to eight groups, one "::" for at least one group of zeros, and the last two groups may be IPv4.
    var groups: [UInt16] = []
    var gap: Int?
    var rest = bytes
    if rest.starts(with: [UInt8(ascii: ":"), UInt8(ascii: ":")]) {
      gap = 0
      rest = rest.dropFirst(2)
    }
    while !rest.isEmpty {
      let end = rest.firstIndex(of: UInt8(ascii: ":")) ?? rest.endIndex
      let part = rest[..<end]
      if part.contains(UInt8(ascii: ".")) {
        guard end == rest.endIndex, let number = UInt32(v4Text: part) else { return nil }
        groups.append(UInt16(number >> 16))
        groups.append(UInt16(number & 0xFFFF))
        rest = []
      } else {
        guard part.count <= 4, let group = UInt16(digits: part, radix: 16) else { return nil }
        groups.append(group)
        rest = rest[end...].dropFirst()
        if end < bytes.endIndex, rest.isEmpty { return nil }  // ends with one colon
        if rest.first == UInt8(ascii: ":") {
          guard gap == nil else { return nil }
          gap = groups.count
          rest = rest.dropFirst()
        }
      }
      guard groups.count <= 8 else { return nil }
    }
    if let gap {
      guard groups.count <= 7 else { return nil }
      groups.insert(contentsOf: Array(repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    self.init(
      v6High: groups[..<4].reduce(0) { $0 << 16 | UInt64($1) },
      low: groups[4...].reduce(0) { $0 << 16 | UInt64($1) })
  }
}

extension UInt32 {
  /// Parses `a.b.c.d`; `nil` if it is anything else.
  init?(v4Text bytes: ArraySlice<UInt8>) {
    let parts = bytes.split(separator: UInt8(ascii: "."), maxSplits: 4, omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var number: UInt32 = 0
    for part in parts {
      // "010" is 8 to some systems and 10 to others: refused.
      guard part.count <= 3, part.count == 1 || part.first != UInt8(ascii: "0"),
        let octet = UInt8(digits: part, radix: 10)
      else { return nil }
      number = number << 8 | UInt32(octet)
    }
    self = number
  }

  fileprivate var dottedQuad: String {
    "\(self >> 24).\(self >> 16 & 0xFF).\(self >> 8 & 0xFF).\(self & 0xFF)"
  }
}

extension FixedWidthInteger where Self: UnsignedInteger {
  /// Parses digits only: unlike the standard library's initializer it takes no sign.
  init?(digits: ArraySlice<UInt8>, radix: Self) {
    guard !digits.isEmpty else { return nil }
    var value: Self = 0
    for byte in digits {
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: return nil
      }
      guard digit < radix else { return nil }
      let (product, overflowed) = value.multipliedReportingOverflow(by: radix)
      let (sum, carried) = product.addingReportingOverflow(Self(digit))
      guard !overflowed, !carried else { return nil }
      value = sum
    }
    self = value
  }
}
