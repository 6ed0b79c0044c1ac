/// RELAY: a datagram between two endpoints that do not hear each other, passed on by those between them
/// (docs/protocol.md §5.8). The datagram itself, to the end of the frame, follows these fields.
///
/// ```
/// 0           1               9         13           21        25     29
/// +-----------+---------------+---------+------------+---------+------+------------
/// | hops left | destination   | its tag | origin     | its tag | held | datagram …
/// +-----------+---------------+---------+------------+---------+------+------------
/// ```
public struct RelayHeader: Equatable, Sendable {
  /// How often it may still be passed on, at most ``WireLimits/relayHops``.
  public var hopsLeft: UInt8
  /// For whom it is.
  public var destination: RelayedEndpoint
  /// Who sent it.
  public var origin: RelayedEndpoint
  /// Microseconds that it lay with those who passed it on, from its arrival there until it left; at most so many as fit.
  public var heldMicroseconds: UInt32

  /// All fields.
  public init(
    hopsLeft: UInt8, destination: RelayedEndpoint, origin: RelayedEndpoint, heldMicroseconds: UInt32 = 0
  ) {
    self.hopsLeft = hopsLeft
    self.destination = destination
    self.origin = origin
    self.heldMicroseconds = heldMicroseconds
  }

  /// Adds a time that it lay somewhere.
  mutating func hold(for span: Nanoseconds) {
    heldMicroseconds = UInt32(clamping: UInt64(heldMicroseconds) + min(span.wholeMicroseconds, UInt64(UInt32.max)))
  }

  /// Bytes that ``write(to:)`` writes.
  static let byteCount = 29
  /// What stands before the inner datagram: the outer datagram's header, the frame's, and these fields.
  static let prefixBytes = WireLimits.shortHeaderBytes + WireLimits.frameHeaderBytes + byteCount
}

extension RelayHeader: FrameBody {
  /// Reads the fields and leaves the reader at the datagram.
  public init(from reader: inout WireReader) throws(WireError) {
    hopsLeft = try reader.u8()
    guard hopsLeft <= WireLimits.relayHops else { throw .invalidValue(.hops) }
    destination = RelayedEndpoint(id: try reader.endpointID(), tag: try reader.u32())
    origin = RelayedEndpoint(id: try reader.endpointID(), tag: try reader.u32())
    heldMicroseconds = try reader.u32()
  }

  /// Writes the fields before the datagram.
  public func write(to writer: inout WireWriter) {
    writer.u8(hopsLeft)
    writer.u64(destination.id.rawValue)
    writer.u32(destination.tag)
    writer.u64(origin.id.rawValue)
    writer.u32(origin.tag)
    writer.u32(heldMicroseconds)
  }
}

/// An endpoint as RELAY names it.
public struct RelayedEndpoint: Hashable, Sendable {
  /// The endpoint ID.
  public var id: EndpointID
  /// The low 32 bits of the incarnation: one life must not get what was meant for another.
  public var tag: UInt32

  /// All fields.
  public init(id: EndpointID, tag: UInt32) {
    self.id = id
    self.tag = tag
  }

  /// One life of an endpoint.
  init(_ id: EndpointID, _ incarnation: Incarnation) { self.init(id: id, tag: incarnation.groupTag) }
}
