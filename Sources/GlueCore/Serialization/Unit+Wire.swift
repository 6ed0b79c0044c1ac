extension Unit {
  /// Writes everything of a unit but its bytes, which must follow. The `lifetime` flag is set by the lifetime.
  ///
  /// ```
  /// +-------+--------+-----------+---------------------+-------------------+---------
  /// | flags | length | time      | lifetime            | total             | bytes …
  /// | u8    | varint | if first  | if first and given  | if first not last |
  /// +-------+--------+-----------+---------------------+-------------------+---------
  /// ```
  ///
  /// - Parameters:
  ///   - length: bytes of body in this unit.
  ///   - timeMicroseconds: of the publication, after the stream's epoch; ignored unless first.
  ///   - lifetimeMicroseconds: from publication to expiry; ignored unless first.
  ///   - totalBytes: of the whole body; ignored unless first and not last.
  @inline(__always)
  public static func writeHeader(
    to writer: inout WireWriter, flags: Flags, length: Int, timeMicroseconds: UInt64, lifetimeMicroseconds: UInt64?,
    totalBytes: UInt64
  ) {
    let isFirst = flags.contains(.first)
    var bits = flags.rawValue & ~Flags.lifetime.rawValue
    if isFirst, lifetimeMicroseconds != nil { bits |= Flags.lifetime.rawValue }
    writer.u8(bits)
    writer.varint(count: length)
    guard isFirst else { return }
    writer.varint(timeMicroseconds)
    if let lifetimeMicroseconds { writer.varint(lifetimeMicroseconds) }
    if !flags.contains(.last) { writer.varint(totalBytes) }
  }

  /// How many bytes
  /// ``writeHeader(to:flags:length:timeMicroseconds:lifetimeMicroseconds:totalBytes:)`` writes for this unit with a body of so many bytes.
  @inline(__always)
  public func headerBytes(length: Int) -> Int {
    var bytes = 1 + WireWriter.varintBytes(UInt64(max(0, length)))
    guard flags.contains(.first) else { return bytes }
    bytes += WireWriter.varintBytes(timeMicroseconds)
    if let lifetimeMicroseconds { bytes += WireWriter.varintBytes(lifetimeMicroseconds) }
    if !flags.contains(.last) { bytes += WireWriter.varintBytes(totalBytes) }
    return bytes
  }

  /// Writes the unit with its bytes.
  public func write(to writer: inout WireWriter) {
    Self.writeHeader(
      to: &writer, flags: flags, length: body.count, timeMicroseconds: timeMicroseconds,
      lifetimeMicroseconds: lifetimeMicroseconds, totalBytes: totalBytes)
    writer.bytes(body)
  }
}

/// Walks the units of a DATA frame without allocation. What spans units of several frames (whether lengths add up to the
/// total) is for the reassembly to check.
public struct UnitReader {
  private var reader: WireReader

  /// Walks the bytes that follow a DATA frame's fields.
  @inline(__always) public init(_ units: UnsafeRawBufferPointer) { reader = WireReader(units) }
  /// Walks what the reader has not read yet.
  @inline(__always) public init(_ reader: WireReader) { self.reader = reader }

  /// The next unit, whose bytes stay where they are; nil at the end.
  @inline(__always)
  public mutating func next() throws(WireError) -> Unit? {
    guard !reader.isAtEnd else { return nil }
    let flags = Unit.Flags(rawValue: try reader.u8())
    guard flags.isSubset(of: .known) else { throw .invalidValue(.unitFlags) }
    let length = try reader.varint()
    // A length beyond the frame is found out here, before it is converted.
    guard length <= UInt64(reader.remaining) else { throw .truncated }
    var time: UInt64 = 0
    var lifetime: UInt64?
    var total: UInt64 = 0
    if flags.contains(.first) {
      time = try reader.varint()
      if flags.contains(.lifetime) { lifetime = try reader.varint() }
      total = flags.contains(.last) ? length : try reader.varint()
      guard length <= total else { throw .invalidValue(.total) }
    }
    // Or nobody could tell how many fragments these are.
    guard flags.contains(.last) || (length > 0 && length % UInt64(Unit.fragmentBytes) == 0) else {
      throw .invalidValue(.unitLength)
    }
    let body = try reader.bytes(Int(truncatingIfNeeded: length))
    return Unit(
      flags: flags, timeMicroseconds: time, lifetimeMicroseconds: lifetime, totalBytes: total, body: body)
  }
}

extension UnitReader {
  /// The next unit if it is a whole message without lifetime and attributes, as most are: when it was published, and its body. Nil, and nothing
  /// is read, if it is another one, or near the end of the frame: then ``next()`` takes it, and finds errors. It takes a third of the
  /// instructions of that.
  @inline(__always)
  mutating func nextPlain() -> (time: UInt64, body: UnsafeRawBufferPointer)? {
    guard let word = reader.peek(UInt64.self, at: 0), word & 0xFF == UInt64(Unit.Flags.plain.rawValue) else {
      return nil
    }
    var length = word >> 8 & 0xFF
    var distance = 2
    if length >= 0x80 {
      let high = word >> 16 & 0xFF
      guard high < 0x80 else { return nil }
      length = length & 0x7F | high << 7
      distance = 3
    }
    guard let time = reader.peek(UInt64.self, at: distance) else { return nil }
    let ends = ~time & Varint.continuationBits
    guard ends != 0 else { return nil }
    distance += (ends.trailingZeroBitCount + 1) / 8
    guard let body = reader.skip(distance, thenTake: Int(length)) else { return nil }
    return (Varint.joined(time & (ends ^ (ends &- 1))), body)
  }

  /// How many fragments there are. Throws if any unit is invalid.
  static func fragments(_ units: UnsafeRawBufferPointer) throws(WireError) -> UInt64 {
    var reader = UnitReader(units)
    var count: UInt64 = 0
    while let unit = try reader.next() { count += unit.fragments }
    return count
  }
}
