import GlueCore

/// The canonical encoding: one value, one encoding, in the order of the bytes. The end of the bytes ends the value, so a text needs
/// no count.
///
/// ```
/// 00                        null
/// 01, 02                    false, true
/// 18 - n, n bytes           an integer below 0, n = 1 … 8 bytes, big-endian, of its two's complement
/// 18                        0
/// 18 + n, n bytes           an integer above 0, n = 1 … 8 bytes, big-endian
/// 28, 8 bytes               a number: IEEE 754, big-endian, all bits inverted if negative, else only the sign
/// 30, bytes                 a text, UTF-8
/// 38, bytes                 bytes
/// 40, (count, value) …      a list: before each value its bytes, as a varint
/// ```
///
/// The integers are those of the tuple layer of FoundationDB. NaN is 7ff8 0000 0000 0000.
extension ModelValue {
  private enum Tag {
    static let null: UInt8 = 0x00
    static let no: UInt8 = 0x01
    static let yes: UInt8 = 0x02
    static let zero: UInt8 = 0x18
    static let double: UInt8 = 0x28
    static let string: UInt8 = 0x30
    static let bytes: UInt8 = 0x38
    static let list: UInt8 = 0x40
  }

  /// How many bytes ``encoded()`` has.
  public var encodedBytes: Int {
    switch self {
    case .null, .bool: 1
    case .int(let value): 1 + Self.size(of: value)
    case .double: 9
    case .string(let text): 1 + text.utf8.count
    case .bytes(let bytes): 1 + bytes.count
    case .list(let values):
      values.reduce(1) { sum, value in
        let size = value.encodedBytes
        return sum + WireWriter.varintBytes(UInt64(size)) + size
      }
    }
  }

  /// The canonical encoding.
  public func encoded() -> [UInt8] {
    let size = encodedBytes
    return Array(unsafeUninitializedCapacity: size) { buffer, count in
      var writer = WireWriter(UnsafeMutableRawBufferPointer(buffer))
      write(to: &writer)
      count = writer.count
    }
  }

  func write(to writer: inout WireWriter) {
    switch self {
    case .null: writer.u8(Tag.null)
    case .bool(let value): writer.u8(value ? Tag.yes : Tag.no)
    case .int(let value):
      let size = Self.size(of: value)
      writer.u8(value < 0 ? Tag.zero - UInt8(size) : Tag.zero + UInt8(size))
      for index in (0..<size).reversed() { writer.u8(UInt8(truncatingIfNeeded: value >> (8 * Int64(index)))) }
    case .double(let value):
      let bits = value.isNaN ? Double.nan.bitPattern : value.bitPattern
      writer.u8(Tag.double)
      writer.u64((bits >> 63 == 1 ? ~bits : bits | 1 << 63).byteSwapped)
    case .string(var text):
      writer.u8(Tag.string)
      text.withUTF8 { writer.bytes(UnsafeRawBufferPointer($0)) }
    case .bytes(let bytes):
      writer.u8(Tag.bytes)
      writer.bytes(bytes)
    case .list(let values):
      writer.u8(Tag.list)
      for value in values {
        writer.varint(count: value.encodedBytes)
        value.write(to: &writer)
      }
    }
  }

  /// The bytes that hold an integer beside its tag, which tells the sign.
  private static func size(of value: Int64) -> Int {
    // -256 … -1 have one byte as 1 … 255 do, since the sign is in the tag.
    (64 - (value < 0 ? ~value : value).leadingZeroBitCount + 7) / 8 + (value == -1 ? 1 : 0)
  }

  /// The value of an encoding.
  ///
  /// - Throws: ``WireError`` if the bytes are no canonical encoding, or lists are nested too deep.
  public init(encoded bytes: UnsafeRawBufferPointer) throws(WireError) {
    try self.init(bytes, depth: 0)
  }

  private init(_ bytes: UnsafeRawBufferPointer, depth: Int) throws(WireError) {
    var reader = WireReader(bytes)
    let tag = try reader.u8()
    switch tag {
    case Tag.null: self = .null
    case Tag.no: self = .bool(false)
    case Tag.yes: self = .bool(true)
    case (Tag.zero - 8)...(Tag.zero + 8):
      let isNegative = tag < Tag.zero
      let size = isNegative ? Int(Tag.zero - tag) : Int(tag - Tag.zero)
      var value: UInt64 = isNegative ? .max : 0
      for _ in 0..<size { value = value << 8 | UInt64(try reader.u8()) }
      let number = Int64(bitPattern: value)
      guard (number < 0) == isNegative, Self.size(of: number) == size else { throw .invalidValue(.modelValue) }
      self = .int(number)
    case Tag.double:
      let ordered = try reader.u64().byteSwapped
      let value = Double(bitPattern: ordered >> 63 == 1 ? ordered & ~(1 << 63) : ~ordered)
      guard !value.isNaN || value.bitPattern == Double.nan.bitPattern else { throw .invalidValue(.modelValue) }
      self = .double(value)
    case Tag.string:
      guard let text = String(validating: reader.rest(), as: UTF8.self) else { throw .invalidUTF8(.modelValue) }
      self = .string(text)
    case Tag.bytes: self = .bytes(Array(reader.rest()))
    case Tag.list:
      guard depth < Self.depthLimit else { throw .tooLong(.modelValue, limit: Self.depthLimit) }
      var values: [ModelValue] = []
      while !reader.isAtEnd { values.append(try ModelValue(reader.countedCanonicalBytes(), depth: depth + 1)) }
      self = .list(values)
    default: throw .invalidValue(.modelValue)
    }
    guard reader.isAtEnd else { throw .invalidValue(.modelValue) }
  }

  /// How deep lists are nested: 0 for what is no list.
  var depth: Int {
    guard case .list(let values) = self else { return 0 }
    return 1 + (values.lazy.map(\.depth).max() ?? 0)
  }
}

extension WireReader {
  /// A varint in the fewest bytes, which is what a canonical encoding needs.
  mutating func canonicalVarint(_ field: WireField) throws(WireError) -> UInt64 {
    let start = offset
    let value = try varint()
    guard offset - start == WireWriter.varintBytes(value) else { throw .invalidValue(field) }
    return value
  }

  /// A canonical varint byte count and that many bytes, in place.
  mutating func countedCanonicalBytes() throws(WireError) -> UnsafeRawBufferPointer {
    let count = try canonicalVarint(.modelValue)
    guard count <= UInt64(remaining) else { throw .truncated }
    return try bytes(Int(truncatingIfNeeded: count))
  }
}
