/// Reads wire values from bytes, front to back. Every read is checked; none traps and none allocates, except
/// ``text(_:limit:)``.
///
/// The buffer must outlive the reader and everything that points into it. After an error the reader's place is
/// undefined, but still within the buffer.
public struct WireReader {
  private let buffer: UnsafeRawBufferPointer
  /// Bytes read so far.
  public private(set) var offset: Int

  /// Begins at the first byte.
  @inline(__always) public init(_ buffer: UnsafeRawBufferPointer) {
    self.buffer = buffer
    offset = 0
  }

  /// Bytes not yet read.
  @inline(__always) public var remaining: Int { buffer.count - offset }
  /// Whether everything has been read.
  @inline(__always) public var isAtEnd: Bool { offset == buffer.count }

  @inline(__always)
  private mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) throws(WireError) -> T {
    guard remaining >= MemoryLayout<T>.size else { throw .truncated }
    let value = buffer.loadUnaligned(fromByteOffset: offset, as: T.self)
    offset += MemoryLayout<T>.size
    return T(littleEndian: value)
  }

  /// The little-endian number that begins `distance` bytes further on; nil if it does not end within the buffer.
  @inline(__always)
  func peek<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type, at distance: Int) -> T? {
    guard distance >= 0, remaining - distance >= MemoryLayout<T>.size else { return nil }
    return T(littleEndian: buffer.loadUnaligned(fromByteOffset: offset + distance, as: T.self))
  }

  /// Goes on by so many bytes. False, and nothing done, if there are fewer.
  @inline(__always)
  mutating func skip(_ count: Int) -> Bool {
    guard count >= 0, count <= remaining else { return false }
    offset += count
    return true
  }

  /// So many bytes in place, behind so many others. Nil, and nothing done, if there are fewer.
  @inline(__always)
  mutating func skip(_ distance: Int, thenTake count: Int) -> UnsafeRawBufferPointer? {
    guard distance >= 0, count >= 0, count <= remaining - distance else { return nil }
    let start = offset + distance
    offset = start + count
    return UnsafeRawBufferPointer(rebasing: buffer[start..<(start + count)])
  }

  /// One byte.
  @inline(__always) public mutating func u8() throws(WireError) -> UInt8 { try integer(UInt8.self) }
  /// Two bytes, little-endian.
  @inline(__always) public mutating func u16() throws(WireError) -> UInt16 { try integer(UInt16.self) }
  /// Four bytes, little-endian.
  @inline(__always) public mutating func u32() throws(WireError) -> UInt32 { try integer(UInt32.self) }
  /// Eight bytes, little-endian.
  @inline(__always) public mutating func u64() throws(WireError) -> UInt64 { try integer(UInt64.self) }

  /// An unsigned LEB128 number of at most 64 bits and 10 bytes.
  @inline(__always)
  public mutating func varint() throws(WireError) -> UInt64 {
    if remaining >= 1 {
      let first = buffer[offset]
      if first < 0x80 {
        offset += 1
        return UInt64(first)
      }
      if remaining >= 2 {
        let second = buffer[offset + 1]
        if second < 0x80 {
          offset += 2
          return UInt64(first & 0x7F) | UInt64(second) << 7
        }
      }
    }
    return try longVarint()
  }

  @inline(never)
  private mutating func longVarint() throws(WireError) -> UInt64 {
    // Up to eight bytes at once: a third of the instructions of one after the other.
    if let word = peek(UInt64.self, at: 0) {
      let ends = ~word & Varint.continuationBits
      if ends != 0 {
        offset += (ends.trailingZeroBitCount + 1) / 8
        return Varint.joined(word & (ends ^ (ends &- 1)))
      }
    }
    var value: UInt64 = 0
    for group in 0..<10 {
      let byte = try u8()
      // The tenth group has room for bit 63 only, and nothing may follow it.
      if group == 9, byte > 1 { throw .varintOverflow }
      value |= UInt64(byte & 0x7F) << (UInt64(group) * 7)
      if byte < 0x80 { return value }
    }
    throw .varintOverflow
  }

  /// So many bytes, in place.
  @inline(__always)
  public mutating func bytes(_ count: Int) throws(WireError) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= remaining else { throw .truncated }
    let slice = UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + count)])
    offset += count
    return slice
  }

  /// A varint byte count and that many bytes, in place.
  @inline(__always)
  public mutating func countedBytes() throws(WireError) -> UnsafeRawBufferPointer {
    let count = try varint()
    guard count <= UInt64(remaining) else { throw .truncated }
    return try bytes(Int(truncatingIfNeeded: count))
  }

  /// A text: a varint byte count and that much UTF-8. `limit` is in bytes.
  public mutating func text(_ field: WireField, limit: Int = WireLimits.nameBytes) throws(WireError) -> String {
    let count = try varint()
    guard count <= UInt64(limit) else { throw .tooLong(field, limit: limit) }
    let utf8 = try bytes(Int(truncatingIfNeeded: count))
    guard let text = String(validating: utf8, as: UTF8.self) else { throw .invalidUTF8(field) }
    return text
  }

  /// A text of 1 … 256 bytes.
  public mutating func name(_ field: WireField) throws(WireError) -> String {
    let text = try text(field)
    guard !text.isEmpty else { throw .invalidValue(field) }
    return text
  }

  /// An endpoint ID, which is never 0.
  public mutating func endpointID() throws(WireError) -> EndpointID {
    let number = try u64()
    guard number != 0 else { throw .invalidValue(.endpointID) }
    return EndpointID(number)
  }

  /// An incarnation, which is never 0.
  public mutating func incarnation() throws(WireError) -> Incarnation {
    let number = try u64()
    guard number != 0 else { throw .invalidValue(.incarnation) }
    return Incarnation(number)
  }

  /// A position or sequence number: at most ``WireLimits/position``, so that the sum of any two does not overflow.
  @inline(__always)
  public mutating func position(_ field: WireField = .position) throws(WireError) -> UInt64 {
    let number = try varint()
    guard number <= WireLimits.position else { throw .invalidValue(field) }
    return number
  }

  /// Everything not yet read, in place.
  @inline(__always)
  public mutating func rest() -> UnsafeRawBufferPointer {
    let slice = UnsafeRawBufferPointer(rebasing: buffer[offset..<buffer.count])
    offset = buffer.count
    return slice
  }
}
