import GlueAddress

@testable import GlueCore

/// Endpoints that are not peers of a machine, and what they send to it.
final class Strangers {
  let machine: EndpointMachine
  var events: [EndpointEvent] = []
  var sent: [(to: SocketAddress, bytes: [UInt8])] = []
  private let key: NetworkKey?
  private let now = Timestamp(nanoseconds: 1_000_000_000)
  private var number: UInt64 = 0
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_507, alignment: 16)

  init(keyed: Bool, _ change: (inout EndpointConfiguration) -> Void) {
    key = keyed ? NetworkKey([UInt8](repeating: 7, count: NetworkKey.byteCount)) : nil
    var configuration = EndpointConfiguration(id: EndpointID(1), name: "machine")
    if let key { configuration.keys = [key] }
    change(&configuration)
    machine = EndpointMachine(
      configuration: configuration, incarnation: Incarnation(1), seed: 1, now: now, wallMicroseconds: 0)
    machine.start(at: now)
    drain()
  }

  deinit { buffer.deallocate() }

  func drain() {
    sent = []
    while let datagram = machine.nextDatagram(into: buffer, at: now) {
      sent.append((datagram.destination, [UInt8](buffer[..<datagram.byteCount])))
    }
    while let event = machine.nextEvent() { events.append(event) }
  }

  private func receive(_ bytes: [UInt8], from place: UInt64, arrival: Arrival = .unicast) {
    bytes.withUnsafeBytes {
      machine.receive($0, from: address(Int(place)), arrival: arrival, at: now, receivedAt: now)
    }
  }

  /// A datagram outside sessions. In a network with a key it is sealed with nothing.
  private func datagram(from id: UInt64, _ frames: (inout WireWriter) -> Void) -> [UInt8] {
    number += 1
    let seal = key.map { LongHeader.Seal(suite: LongHeader.Seal.aesGCM, keyEpoch: $0.epoch, salt: id) }
    let header = LongHeader(
      networkTag: key?.tag(networkID: 1) ?? 1, sender: EndpointID(id), incarnation: Incarnation(id),
      packetNumber: number, seal: seal)
    return WireWriter.encode(atMost: WireLimits.baseDatagramBytes) { writer in
      header.write(to: &writer)
      frames(&writer)
      writer.pad(to: 160)
    }
  }

  func announce(_ id: UInt64, at place: UInt64, arrival: Arrival = .unicast) {
    receive(datagram(from: id) { $0.frame(.announce, Announcement(name: "\(id)")) }, from: place, arrival: arrival)
  }

  /// Announces, and answers the challenge.
  func prove(_ id: UInt64) {
    announce(id, at: id)
    drain()
    guard let challenge = sent.first(where: { $0.to == address(Int(id)) })?.bytes else { return }
    let token = challenge.withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: WireLimits.longHeaderBytes + 3, as: UInt64.self))
    }
    receive(
      datagram(from: id) { $0.frame(.answer, Answer(token: token, incarnation: Incarnation(1))) }, from: id)
  }

  func useUnknownSession() {
    receive(
      WireWriter.encode(atMost: 20) { ShortHeader(connection: 4_711, packetNumber: 1).write(to: &$0) }, from: 10)
  }
}

/// The first machine of a pair gone wrong: puts frames of its own making into datagrams of the session.
final class HostilePeer {
  let pair: Pair
  /// Streams that the other machine reads.
  let streams: [UInt64]
  private var number: UInt32 = 100_000

  init(in pair: Pair, topics: Int) throws {
    self.pair = pair
    _ = try pair.machines[1].subscribe("#", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    streams = try (0..<topics).map {
      try pair.machines[0].advertise("t\($0)", options: PublicationOptions(), at: pair.now).rawValue
    }
    pair.settle()
  }

  var victim: EndpointMachine { pair.machines[1] }
  var session: Session { victim.sessions.values[0] }

  func send(_ frames: (inout WireWriter) -> Void) {
    sendOneOfMany(frames)
    pair.drain(1)
  }

  /// One of several datagrams that the victim takes before it answers.
  func sendOneOfMany(_ frames: (inout WireWriter) -> Void) {
    number += 1
    let bytes = WireWriter.encode(atMost: WireLimits.datagramBytes) { writer in
      ShortHeader(connection: 101, packetNumber: number).write(to: &writer)
      frames(&writer)
    }
    bytes.withUnsafeBytes {
      victim.receive($0, from: pair.addresses[0], arrival: .unicast, at: pair.now, receivedAt: pair.now)
    }
  }

  /// One unit, which is a whole message, or the first of one with so many bytes in all.
  static func write(_ position: UInt64, of stream: UInt64, total: UInt64? = nil, to writer: inout WireWriter) {
    let start = writer.beginFrame(.data)
    DataHeader(stream: stream, position: position, lag: 0, ageMicroseconds: 0).write(to: &writer)
    let length = total == nil ? 1 : Unit.fragmentBytes
    Unit.writeHeader(
      to: &writer, flags: total == nil ? [.first, .last] : .first, length: length, timeMicroseconds: 0,
      lifetimeMicroseconds: nil, totalBytes: total ?? 1)
    writer.zeros(length)
    _ = writer.endFrame(start)
  }
}
