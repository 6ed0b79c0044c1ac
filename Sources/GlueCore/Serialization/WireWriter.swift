/// Writes wire values into a buffer, front to back.
///
/// A write that does not fit puts the writer into the failed state, in which it writes nothing more. An encoder is thus a
/// straight line that asks ``hasFailed`` once, at its end. Nothing traps and nothing is written beyond the buffer.
public struct WireWriter {
  private let buffer: UnsafeMutableRawBufferPointer
  /// Bytes written.
  public private(set) var count = 0
  /// Whether something did not fit, or could not be expressed.
  public private(set) var hasFailed = false

  /// Begins at the first byte. The buffer must outlive the writer.
  @inline(__always) public init(_ buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }

  /// Bytes of room in all.
  @inline(__always) public var capacity: Int { buffer.count }
  /// Bytes of room left.
  @inline(__always) public var remaining: Int { buffer.count - count }
  /// What has been written, in place.
  @inline(__always) public var written: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: buffer[0..<count])
  }

  /// Puts the writer into the failed state.
  @inline(__always) public mutating func fail() { hasFailed = true }

  /// Leaves the failed state. What was written before the failing frame stands.
  @inline(__always) public mutating func clearFailure() { hasFailed = false }

  /// The offset of the next `size` bytes, which are counted as written; nil if they do not fit.
  @inline(__always)
  private mutating func claim(_ size: Int) -> Int? {
    guard !hasFailed, size >= 0, size <= remaining else {
      hasFailed = true
      return nil
    }
    let offset = count
    count += size
    return offset
  }

  @inline(__always)
  private mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
    guard let offset = claim(MemoryLayout<T>.size) else { return }
    buffer.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }

  /// One byte.
  @inline(__always) public mutating func u8(_ value: UInt8) { integer(value) }
  /// Two bytes, little-endian.
  @inline(__always) public mutating func u16(_ value: UInt16) { integer(value) }
  /// Four bytes, little-endian.
  @inline(__always) public mutating func u32(_ value: UInt32) { integer(value) }
  /// Eight bytes, little-endian.
  @inline(__always) public mutating func u64(_ value: UInt64) { integer(value) }

  /// A number as unsigned LEB128, in the fewest bytes.
  @inline(__always)
  public mutating func varint(_ value: UInt64) {
    if value < 0x80 { return u8(UInt8(truncatingIfNeeded: value)) }
    longVarint(value)
  }

  private mutating func longVarint(_ value: UInt64) {
    let size = Self.varintBytes(value)
    if value <= Varint.maximum, !hasFailed, remaining >= 8 {
      // What is written beyond its end is written again, or not counted.
      let follow = Varint.continuationBits & ((1 << UInt64(8 * (size - 1))) - 1)
      buffer.storeBytes(of: (Varint.spread(value) | follow).littleEndian, toByteOffset: count, as: UInt64.self)
      count += size
      return
    }
    guard let start = claim(size) else { return }
    var rest = value
    for offset in start..<(start + size - 1) {
      buffer[offset] = UInt8(truncatingIfNeeded: rest) | 0x80
      rest >>= 7
    }
    buffer[start + size - 1] = UInt8(truncatingIfNeeded: rest)
  }

  /// A length or count as a varint; a negative one fails.
  @inline(__always)
  public mutating func varint(count: Int) {
    guard count >= 0 else { return fail() }
    varint(UInt64(count))
  }

  /// How many bytes ``varint(_:)-(UInt64)`` writes: 1 … 10.
  @inline(__always)
  public static func varintBytes(_ value: UInt64) -> Int {
    (70 - (value | 1).leadingZeroBitCount) / 7
  }

  /// Bytes without a count.
  @inline(__always)
  public mutating func bytes(_ source: UnsafeRawBufferPointer) {
    guard let offset = claim(source.count), source.count > 0 else { return }
    UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<(offset + source.count)]).copyMemory(from: source)
  }

  /// Bytes without a count.
  public mutating func bytes(_ source: [UInt8]) {
    source.withUnsafeBytes { bytes($0) }
  }

  /// A varint byte count and the bytes.
  public mutating func countedBytes(_ source: [UInt8]) {
    varint(count: source.count)
    bytes(source)
  }

  /// A text: a varint byte count and UTF-8.
  public mutating func text(_ text: String) {
    var text = text
    text.withUTF8 { utf8 in
      varint(count: utf8.count)
      bytes(UnsafeRawBufferPointer(utf8))
    }
  }

  /// So many zero bytes.
  public mutating func zeros(_ size: Int) {
    guard let offset = claim(size), size > 0 else { return }
    for byte in UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<(offset + size)]).indices {
      buffer[offset + byte] = 0
    }
  }
}

extension WireWriter {
  /// What the closure writes, as an array. Empty if it fails; `bound` is at least what it writes.
  package static func encode(atMost bound: Int, _ body: (inout WireWriter) -> Void) -> [UInt8] {
    Array(unsafeUninitializedCapacity: bound) { buffer, count in
      var writer = WireWriter(UnsafeMutableRawBufferPointer(buffer))
      body(&writer)
      count = writer.hasFailed ? 0 : writer.count
    }
  }
}

// MARK: Frames

extension WireWriter {
  /// A frame whose body the closure writes. If it does not fit, the writer goes back to where the frame began and stays
  /// in the failed state. Returns whether the frame was written.
  @inline(__always) @discardableResult
  public mutating func frame(_ type: FrameType, _ body: (inout WireWriter) -> Void) -> Bool {
    let start = beginFrame(type)
    body(&self)
    return endFrame(start)
  }

  /// A frame with that body; as ``frame(_:_:)-((FrameType),_)``.
  @inline(__always) @discardableResult
  public mutating func frame(_ type: FrameType, _ body: some FrameBody) -> Bool {
    let start = beginFrame(type)
    body.write(to: &self)
    return endFrame(start)
  }

  /// Begins a frame; its body is what is written until ``endFrame(_:)``, which takes the result.
  @inline(__always)
  public mutating func beginFrame(_ type: FrameType) -> Int {
    let start = count
    u8(type.rawValue)
    u16(0)
    return start
  }

  /// Ends the frame that began at `start` by writing its length. If something in it failed or it is longer than 65,535
  /// bytes, the writer goes back to where the frame began and stays in the failed state. Returns whether the frame was
  /// written.
  @inline(__always) @discardableResult
  public mutating func endFrame(_ start: Int) -> Bool {
    let length = count - start - WireLimits.frameHeaderBytes
    guard !hasFailed, start >= 0, length >= 0, length <= Int(UInt16.max) else {
      hasFailed = true
      count = min(count, max(start, 0))
      return false
    }
    buffer.storeBytes(of: UInt16(truncatingIfNeeded: length).littleEndian, toByteOffset: start + 1, as: UInt16.self)
    return true
  }

  /// Adds a PAD frame that brings the datagram to `size` bytes. Where one or two bytes are missing the datagram gets
  /// longer than that by two or one, since the smallest frame has three.
  public mutating func pad(to size: Int) {
    guard !hasFailed, size > count else { return }
    frame(.pad) { $0.zeros(max(0, size - $0.count)) }
  }
}
