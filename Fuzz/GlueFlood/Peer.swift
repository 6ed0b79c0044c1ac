import ArgumentParser
import Foundation
import GlueAddress
import GlueCore
import GlueNetwork

/// A peer gone wrong: an endpoint that meets the others as it should, and then sends frames of its own making at full speed.
struct Peer: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Becomes a peer of all endpoints; then gaps, requests and fragments without end.")

  @OptionGroup var options: AttackOptions
  @Option(help: "The topic on which it publishes.")
  var topic = "flood/t"
  @Option(help: "The network's key, in hexadecimal.")
  var key: String?

  func run() throws {
    var attacker = try HostileEndpoint(interface: options.interface, topic: topic, key: key)
    try attacker.meet(options.endpoints)
    print("{\"peers\":\(attacker.machine.peers.count)}")
    fflush(nil)
    let sent = try attacker.attack(for: options.seconds)
    print("{\"datagrams\":\(sent),\"peersAtTheEnd\":\(attacker.machine.peers.count)}")
  }
}

private struct HostileEndpoint {
  private static let group = SocketAddress(ip: IPAddress(v4: 0xEFC0_8901), port: 27_320)

  let machine: EndpointMachine
  private let publication: PublicationID
  private let socket: DatagramSocket
  private let groupSocket: DatagramSocket
  private let received = ReceiveBatch()
  private let batch = SendBatch(capacityBytes: 512 << 10, maximumDatagrams: 256)
  private var random = SystemRandomNumberGenerator()

  init(interface name: String, topic: String, key: String?) throws {
    let interface = try NetworkInterface.named(name)
    var options = DatagramSocket.Options()
    options.multicastInterface = interface
    socket = try DatagramSocket(binding: SocketAddress(ip: .anyV4, port: 0), options: options)
    groupSocket = try DatagramSocket(binding: Self.group, options: .sharedPort)
    try groupSocket.join(group: Self.group.ip, on: interface)
    var configuration = EndpointConfiguration(id: EndpointID(random.next() | 1), name: "hostile")
    configuration.discovery.targets = [Self.group]
    configuration.transport.maximumDatagramBytes = 1_472
    if let key {
      let bytes = stride(from: 0, to: key.utf8.count, by: 2).compactMap { offset in
        UInt8(key.dropFirst(offset).prefix(2), radix: 16)
      }
      guard let key = NetworkKey(bytes) else { throw ValidationError("--key is not 32 bytes in hexadecimal") }
      configuration.keys = [key]
    }
    machine = EndpointMachine(
      configuration: configuration, incarnation: Incarnation(random.next() | 1), keySalt: random.next(),
      seed: random.next(), now: Self.now, wallMicroseconds: MonotonicClock.wallNanoseconds() / 1_000)
    publication = try machine.advertise(topic, options: PublicationOptions(), at: Self.now)
    machine.start(at: Self.now)
  }

  private static var now: Timestamp { Timestamp(nanoseconds: MonotonicClock.nowNanoseconds()) }

  /// Behaves until so many peers are there.
  mutating func meet(_ count: Int) throws {
    while machine.peers.count < count {
      try turn()
      usleep(500)
    }
  }

  /// Takes what has come and sends what is due, as any endpoint.
  private mutating func turn() throws {
    for socket in [socket, groupSocket] {
      while try socket.receive(into: received) > 0 {
        for index in 0..<received.count {
          machine.receive(
            received[index].bytes, from: received[index].source, arrival: socket === groupSocket ? .group : .unicast,
            at: Self.now, receivedAt: Self.now)
        }
      }
    }
    if let due = machine.nextWakeup, due <= Self.now { machine.advance(to: Self.now) }
    var deliveries: [Delivery] = []
    machine.takeDeliveries(into: &deliveries)
    while machine.nextEvent() != nil {}
    batch.removeAll()
    while !batch.isFull(forDatagramOf: 1_472),
      let datagram = machine.nextDatagram(into: batch.nextBuffer, at: Self.now)
    {
      batch.append(byteCount: datagram.byteCount, to: datagram.destination)
    }
    _ = socket.send(batch)
  }

  mutating func attack(for seconds: Double) throws -> Int {
    let end = Self.now + .milliseconds(UInt64(seconds * 1_000))
    var count = 0
    while Self.now < end {
      try turn()
      batch.removeAll()
      for peer in machine.peers {
        for _ in 0..<32 where !batch.isFull(forDatagramOf: 1_472) {
          let stream = Bool.random() ? 1 : publication.rawValue
          guard let (destination, bytes) = machine.forgedDatagram(to: peer.id, { fill(&$0, stream: stream) }) else {
            continue
          }
          batch.nextBuffer.copyBytes(from: bytes)
          batch.append(byteCount: bytes.count, to: destination)
        }
      }
      count += batch.count
      _ = socket.send(batch)
    }
    return count
  }

  /// Fills a datagram with frames that all have to be looked at.
  private mutating func fill(_ writer: inout WireWriter, stream: UInt64) {
    let base = UInt64.random(in: 0..<1 << UInt64.random(in: 8..<50))
    switch Int.random(in: 0..<5) {
    case 0:  // every second position
      for index in 0..<60 as Range<UInt64> { unit(&writer, stream, base + 2 * index, total: nil) }
    case 1:  // the beginnings of messages that never end, of 456 bytes
      for index in 0..<2 as Range<UInt64> { unit(&writer, stream, base + 2 * index, total: 16 << 20) }
    case 2:  // gaps of any size
      for _ in 0..<50 {
        let position = UInt64.random(in: 0..<1 << 60)
        let length = UInt64.random(in: 1..<1 << UInt64.random(in: 1..<60))
        writer.frame(
          .gap, Gap(stream: stream, position: position, count: length, nextSequence: position, reason: .evicted))
      }
    case 3:  // heartbeats of what was never published
      for index in 0..<80 as Range<UInt64> {
        writer.frame(.heartbeat, Heartbeat(stream: stream, first: 0, end: base + index))
      }
    default:  // requests for what was never sent
      for _ in 0..<8 {
        let ranges = (0..<60 as Range<UInt64>).map { base + 2 * $0..<base + 2 * $0 + 1 }
        writer.frame(
          .status,
          Status(stream: UInt64.random(in: 0..<4), next: 0, windowBytes: .max >> 1, missing: ranges))
      }
    }
  }

  private func unit(_ writer: inout WireWriter, _ stream: UInt64, _ position: UInt64, total: UInt64?) {
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
