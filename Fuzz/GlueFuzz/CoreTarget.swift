import GlueAddress
import GlueCore

/// Three endpoint machines on one segment, driven by a script of operations: calls of the API, the passing of time, and a
/// network that drops, repeats, reorders, damages and forges datagrams. Every input is a script; nothing may trap, loop for
/// ever or hold more memory than its limits allow.
public struct CoreTarget: FuzzTarget {
  /// The name on the command line.
  public static let name = "core"

  private let corpus: Corpus

  /// Begins from a corpus, from which forged datagrams are made.
  public init(corpus: Corpus) { self.corpus = corpus }

  /// A script: an even mix of all operations, mostly long enough for sessions to come up and data to flow.
  public mutating func makeInput(_ input: inout [UInt8], using generator: inout SplitMix64) {
    for _ in 0..<(32 + generator.below(600)) { input.append(generator.byte()) }
  }

  /// Runs the script.
  public mutating func execute(_ input: UnsafeRawBufferPointer) -> String? {
    let world = World(script: Script(input), corpus: corpus)
    return world.run()
  }
}

private final class World {
  private static let group = SocketAddress(ip: IPAddress(v4: 0xEFC0_8901), port: 27_320)
  private static let filters = ["a", "a/b", "a/+", "#", "+/b", "$x", "a/#", "bad+", ""]
  private static let topics = ["a", "a/b", "c/b", "$x", "a/b/c", "+", ""]
  private static let types: [String?] = [nil, "T", "U"]
  /// More datagrams than any one input may cause.
  private static let datagramsPerInput = 20_000
  /// Buffers may hold this in all machines: their limits below, and slack for what a single call adds.
  private static let bufferLimit = 16 << 20

  private struct Packet {
    var from: SocketAddress
    var to: Int
    var isGroup: Bool
    var bytes: [UInt8]
  }

  private var script: Script
  private let corpus: Corpus
  private var machines: [EndpointMachine] = []
  private var now = Timestamp(nanoseconds: 1_000_000_000)
  private var packets: [Packet] = []
  private var last: [UInt8] = []
  private var publications: [[PublicationID]] = [[], [], []]
  private var subscriptions: [[SubscriptionID]] = [[], [], []]
  private var streams: [StreamInfo] = []
  private var checksum: UInt8 = 0
  private var problem: String?
  private var starts: UInt64 = 0
  private var keys: [NetworkKey] = []
  private static let allKeys = [1, 2].compactMap { NetworkKey([UInt8](repeating: $0, count: NetworkKey.byteCount)) }
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_507, alignment: 16)

  init(script: Script, corpus: Corpus) {
    self.script = script
    self.corpus = corpus
    // A quarter of the networks has a key.
    if self.script.byte() & 3 == 0 { keys = Self.allKeys }
    for index in 0..<3 { machines.append(makeMachine(index)) }
  }

  deinit { buffer.deallocate() }

  private func makeMachine(_ index: Int) -> EndpointMachine {
    starts += 1
    var configuration = EndpointConfiguration(id: EndpointID(UInt64(index + 1)), name: "endpoint-\(index)")
    configuration.keys = keys
    configuration.discovery.targets = [Self.group]
    configuration.transport.maximumDatagramBytes = 1_472
    configuration.transport.sendBufferBytes = 200_000
    configuration.transport.streamWindowBytes = 100_000
    configuration.transport.reassemblyBytes = 300_000
    configuration.transport.maximumGaps = 32
    configuration.topics.maximumMessageBytes = 150_000
    configuration.topics.streamsPerPeer = 4
    configuration.topics.subscriptionsPerPeer = 4
    return EndpointMachine(
      configuration: configuration, incarnation: Incarnation(starts << 8 | UInt64(index + 1)), keySalt: starts,
      seed: starts, now: now, wallMicroseconds: 0)
  }

  private func address(_ index: Int) -> SocketAddress {
    SocketAddress(ip: IPAddress(v4: 0x0A00_0001 + UInt32(index)), port: 7_000)
  }

  func run() -> String? {
    for index in machines.indices {
      machines[index].start(at: now)
      drain(index)
    }
    // Most scripts should find a network that is up: half of them begin with one.
    if script.byte() < 128 { settle(rounds: 60) }
    while !script.isAtEnd, problem == nil { step() }
    return problem
  }

  private func step() {
    let index = script.byte() % machines.count
    let machine = machines[index]
    switch script.byte() % 21 {
    case 0:
      let topic = Self.topics[script.byte() % Self.topics.count]
      let reliability: Reliability = script.byte() % 4 == 0 ? .bestEffort : .reliable
      let options = PublicationOptions(type: Self.types[script.byte() % 3], reliability: reliability)
      if let id = try? machine.advertise(topic, options: options, at: now) { publications[index].append(id) }
    case 1:
      let filter = Self.filters[script.byte() % Self.filters.count]
      let options = SubscriptionOptions(type: Self.types[script.byte() % 3], holdsBackPublisher: script.byte() % 3 == 0)
      if let id = try? machine.subscribe(filter, options: options, at: now) { subscriptions[index].append(id) }
    case 2:
      guard !subscriptions[index].isEmpty else { break }
      machine.unsubscribe(subscriptions[index].remove(at: script.byte() % subscriptions[index].count), at: now)
    case 3:
      guard !publications[index].isEmpty else { break }
      machine.withdraw(publications[index].remove(at: script.byte() % publications[index].count), at: now)
    case 4, 5, 6: publish(index)
    case 7:
      _ = [UInt8](repeating: 1, count: script.word()).withUnsafeBytes {
        try? machine.send($0, to: EndpointID(UInt64(script.byte() % 4)), at: now)
      }
    case 8:
      guard !streams.isEmpty else { break }
      machine.consumed(script.word() * 16, of: streams[script.byte() % streams.count], at: now)
    case 9:
      machine.stop(at: now)
      drain(index)
      restart(index)
    case 10: if script.byte() % 8 == 0 { restart(index) }
    case 11: if !packets.isEmpty { packets.remove(at: script.word() % packets.count) }
    case 12: if !packets.isEmpty { packets.append(packets[script.word() % packets.count]) }
    case 13: damage()
    case 14: forge(to: index)
    case 15:
      if !packets.isEmpty { packets.swapAt(script.word() % packets.count, script.word() % packets.count) }
    case 16: elapse(.milliseconds(UInt64(script.word())))
    case 17: elapse(.microseconds(UInt64(script.word())))
    case 18: machine.changeKeys(to: script.byte() % 2 == 0 ? keys : keys.reversed(), at: now)
    default: settle(rounds: script.byte() % 8)
    }
    drain(index)
    check()
  }

  private func publish(_ index: Int) {
    guard !publications[index].isEmpty else { return }
    let id = publications[index][script.byte() % publications[index].count]
    let size = script.byte() % 4 == 0 ? script.word() * 3 : script.byte()
    let lifetime: Nanoseconds? = script.byte() % 4 == 0 ? .milliseconds(UInt64(script.byte())) : nil
    var attributes = Attributes()
    if script.byte() % 8 == 0 { attributes.replyTo = "reply/here" }
    let behaviours: [FullBufferBehaviour] = [.refuse, .dropOldest, .keepLatest]
    let behaviour = behaviours[script.byte() % 3]
    _ = [UInt8](repeating: UInt8(truncatingIfNeeded: size), count: size).withUnsafeBytes {
      try? machines[index].publish(
        $0, on: id, lifetime: lifetime, attributes: attributes, whenFull: behaviour, at: now)
    }
  }

  private func restart(_ index: Int) {
    machines[index] = makeMachine(index)
    publications[index] = []
    subscriptions[index] = []
    machines[index].start(at: now)
  }

  private func damage() {
    guard !packets.isEmpty else { return }
    let which = script.word() % packets.count
    guard !packets[which].bytes.isEmpty else { return }
    for _ in 0...(script.byte() % 4) {
      let offset = script.word() % packets[which].bytes.count
      packets[which].bytes[offset] = UInt8(script.byte())
    }
    if script.byte() % 4 == 0 { packets[which].bytes.removeLast(min(packets[which].bytes.count, script.byte())) }
  }

  /// A datagram with a header that is valid here, and frames from the corpus.
  private func forge(to index: Int) {
    var bytes = Array(last.prefix(script.byte() % 2 == 0 ? 9 : 40))
    for _ in 0...(script.byte() % 3) {
      let (type, body) = corpus.frames[script.word() % corpus.frames.count]
      bytes += [type, UInt8(truncatingIfNeeded: body.count), UInt8(truncatingIfNeeded: body.count >> 8)] + body
    }
    if bytes.count > 5, script.byte() % 2 == 0 { bytes[5] = UInt8(script.byte()) }
    let from = script.byte() % 4
    packets.append(Packet(from: address(from), to: index, isGroup: script.byte() % 2 == 0, bytes: bytes))
  }

  private func elapse(_ span: Nanoseconds) {
    now = now + span
    for index in machines.indices {
      machines[index].advance(to: now)
      drain(index)
    }
  }

  /// Delivers what is under way and lets a little time pass, several times.
  private func settle(rounds: Int) {
    for _ in 0...rounds {
      let batch = packets
      packets.removeAll()
      now = now + .milliseconds(1)
      for packet in batch {
        packet.bytes.withUnsafeBytes {
          machines[packet.to].receive(
            $0, from: packet.from, arrival: packet.isGroup ? .group : .unicast, at: now, receivedAt: now)
          drain(packet.to)
        }
      }
      elapse(.milliseconds(1))
    }
  }

  private func drain(_ index: Int) {
    var count = 0
    while let datagram = machines[index].nextDatagram(into: buffer, at: now) {
      count += 1
      guard count < Self.datagramsPerInput else {
        problem = "endpoint \(index) does not stop sending"
        return
      }
      last = [UInt8](buffer[..<datagram.byteCount])
      let isGroup = datagram.destination == Self.group
      for other in machines.indices where isGroup || address(other) == datagram.destination {
        packets.append(Packet(from: address(index), to: other, isGroup: isGroup, bytes: last))
      }
    }
    var deliveries: [Delivery] = []
    machines[index].takeDeliveries(into: &deliveries)
    for delivery in deliveries {
      for byte in delivery.payload { checksum &+= byte }
      for byte in delivery.attributes { checksum &+= byte }
      if streams.count < 64 { streams.append(delivery.stream) }
    }
    while machines[index].nextEvent() != nil {}
  }

  private func check() {
    // What piles up on the way is the network's, which forgets.
    if packets.count > 2_000 { packets.removeFirst(1_000) }
    let held = machines.reduce(0) { $0 + $1.bufferedBytes }
    if held > Self.bufferLimit { problem = "the machines hold \(held) bytes" }
  }
}
