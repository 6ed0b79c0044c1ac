import GlueCore

/// What a datagram says on its face, for those who watch the wire.
package struct WireView {
  /// Whether it belongs to a session.
  package private(set) var isSession = false
  /// Whether it is a reset.
  package private(set) var isReset = false
  /// Whether it is for all members of a group; the connection field is its sender's tag then.
  package private(set) var isGroup = false
  /// The connection field of a short header.
  package private(set) var connection: UInt32 = 0
  /// Who sent it, if it has a long header.
  package private(set) var sender: (id: EndpointID, incarnation: Incarnation)?
  /// The types of its frames.
  package private(set) var types: [FrameType] = []
  /// Its DATA frames: header, number of units, bytes.
  package private(set) var data: [(header: DataHeader, units: UInt64, bytes: Int)] = []

  /// The datagrams within it that are passed on, and hashes of them; not resets, which are all alike.
  package private(set) var relays: [(header: RelayHeader, digest: UInt64)] = []

  /// Reads a datagram as far as it makes sense.
  package init(_ bytes: [UInt8]) {
    self = bytes.withUnsafeBytes { WireView($0) }
  }

  /// Reads a datagram as far as it makes sense.
  package init(_ bytes: UnsafeRawBufferPointer) {
    var reader = WireReader(bytes)
    guard let header = try? DatagramHeader.read(from: &reader) else { return }
    switch header {
    case .reset(let connection):
      isReset = true
      self.connection = connection
      return
    case .short(let header):
      isSession = true
      isGroup = header.isGroup
      connection = header.connection
    case .long(let header):
      sender = (header.sender, header.incarnation)
    }
    var frames = FrameReader(reader)
    while let frame = try? frames.next() {
      guard let type = frame.known else { continue }
      types.append(type)
      var body = WireReader(frame.body)
      if type == .relay, let header = try? RelayHeader(from: &body), body.remaining > WireLimits.resetBytes {
        relays.append((header, payloadDigest(body.rest(), attributes: UnsafeRawBufferPointer(start: nil, count: 0))))
      }
      guard type == .data else { continue }
      guard let header = try? DataHeader(from: &body) else { continue }
      var units = UnitReader(body.rest())
      var count: UInt64 = 0
      while let unit = try? units.next() { count += unit.fragments }
      data.append((header, count, frame.body.count))
    }
  }
}
