extension SocketAddress: CustomStringConvertible {
  /// Parses an address and port such as `127.0.0.1:27320`, `[::1]:80` or `[fe80::1%3]:80`.
  ///
  /// - Parameters:
  ///   - text: The address. An IPv6 address stands in brackets.
  ///   - interfaceIndex: Gives the index of an interface named in a scope such as `%eth0`, or `nil` if there is none.
  ///     By default only numeric scopes are understood.
  /// - Throws: ``AddressError`` that says what is expected.
  public init(
    _ text: some StringProtocol, interfaceIndex: (_ name: String) -> UInt32? = { _ in nil }
  ) throws(AddressError) {
    func failure(_ reason: String) -> AddressError { AddressError(text: String(text), reason: reason) }

    let bytes = Array(text.utf8)
    let host: ArraySlice<UInt8>
    let rest: ArraySlice<UInt8>
    let isBracketed = bytes.first == UInt8(ascii: "[")
    if isBracketed {
      guard let end = bytes.firstIndex(of: UInt8(ascii: "]")) else {
        throw failure("expected \"]\" after the IPv6 address, for example [::1]:80")
      }
      host = bytes[1..<end]
      rest = bytes[(end + 1)...]
    } else {
      let end = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.endIndex
      host = bytes[..<end]
      rest = bytes[end...]
      if rest.dropFirst().contains(UInt8(ascii: ":")) {
        throw failure("expected an IPv6 address to stand in brackets, for example [::1]:80")
      }
    }
    if !isBracketed, Self.isHostName(host) {
      throw failure(
        "host names are not looked up, expected an IP address and a port, for example 192.168.1.4:80 or [fd00::1:2]:80")
    }
    guard rest.first == UInt8(ascii: ":") else {
      throw failure("expected \":\" and a port after the address, for example 192.168.1.4:80")
    }
    guard rest.count <= 6, let port = UInt16(digits: rest.dropFirst(), radix: 10) else {
      throw failure("expected a port from 0 to 65535 after the last \":\"")
    }
    guard isBracketed else {
      guard let number = UInt32(v4Text: host) else {
        throw failure("expected four numbers from 0 to 255 and a port, for example 192.168.1.4:80")
      }
      self.init(ip: IPAddress(v4: number), port: port)
      return
    }
    let percent = host.firstIndex(of: UInt8(ascii: "%")) ?? host.endIndex
    guard let ip = IPAddress(v6Text: host[..<percent]) else {
      throw failure("expected an IPv6 address between the brackets, for example [fd00::1:2]:80")
    }
    var scope: UInt32 = 0
    if percent < host.endIndex {
      let name = host[(percent + 1)...]
      guard let index = UInt32(digits: name, radix: 10) ?? interfaceIndex(String(decoding: name, as: UTF8.self)) else {
        throw failure("expected an interface of this host after \"%\", by name or index, for example [fe80::1%2]:80")
      }
      scope = index
    }
    self.init(ip: ip, port: port, scope: scope)
  }

  /// Whether text is made of letters, digits, hyphens and dots, with at least one letter.
  private static func isHostName(_ text: ArraySlice<UInt8>) -> Bool {
    func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) }
    return text.contains(where: isLetter)
      && text.allSatisfy {
        isLetter($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || [UInt8(ascii: "-"), UInt8(ascii: ".")].contains($0)
      }
  }

  /// The address as people write it: `127.0.0.1:80`, `[::1]:80`, `[fe80::1%3]:80`.
  public var description: String {
    switch ip.family {
    case .v4: "\(ip):\(port)"
    case .v6: scope == 0 ? "[\(ip)]:\(port)" : "[\(ip)%\(scope)]:\(port)"
    }
  }
}
