/// The body of a frame, or something with the same manners: reads itself from bytes and writes itself into them.
public protocol FrameBody {
  /// Reads the known fields and leaves what follows them.
  init(from reader: inout WireReader) throws(WireError)
  /// Writes the body without the frame's header.
  func write(to writer: inout WireWriter)
}

/// A frame as it lies in a datagram (docs/protocol.md §3).
///
/// ```
/// 0      1              3
/// +------+------+-------+----------
/// | type | length (LE)  | body …
/// +------+------+-------+----------
/// ```
public struct RawFrame {
  /// The type's number.
  public let type: UInt8
  /// The body, in place.
  public let body: UnsafeRawBufferPointer

  /// The type; nil if unknown.
  @inline(__always) public var known: FrameType? { FrameType(rawValue: type) }
  /// Whether a receiver that does not know the type must ignore the rest of the datagram.
  @inline(__always) public var mustUnderstand: Bool { type >= 0x80 }

  /// The body as a value. Bytes beyond the known fields are skipped.
  @inline(__always)
  public func decode<Body: FrameBody>(_: Body.Type = Body.self) throws(WireError) -> Body {
    var reader = WireReader(body)
    return try Body(from: &reader)
  }
}

/// Walks the frames of a datagram's body without allocation.
public struct FrameReader {
  private var reader: WireReader

  /// Walks what follows the header.
  @inline(__always) public init(_ body: UnsafeRawBufferPointer) { reader = WireReader(body) }
  /// Walks what the reader has not read yet.
  @inline(__always) public init(_ reader: WireReader) { self.reader = reader }

  /// The next frame; nil at the end. Throws if a frame runs beyond the datagram; the frames before it stand.
  @inline(__always)
  public mutating func next() throws(WireError) -> RawFrame? {
    guard !reader.isAtEnd else { return nil }
    let type = try reader.u8()
    let length = try reader.u16()
    return RawFrame(type: type, body: try reader.bytes(Int(length)))
  }
}

extension FrameType {
  /// The form of header under which a frame is valid.
  public enum HeaderForm: Sendable {
    /// The long one, outside sessions.
    case long
    /// The short one, within sessions.
    case short
    /// Both.
    case any
  }

  /// The form of header under which the frame is valid; under the other it is ignored and counted.
  public var headerForm: HeaderForm {
    switch self {
    case .pad: .any
    case .announce, .challenge, .answer, .welcome, .clash: .long
    case .bye, .ack, .groupAck, .mtuProbe, .mtuReply, .relay, .data, .status, .heartbeat, .gap: .short
    }
  }
}
