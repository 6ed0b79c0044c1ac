import GlueCore
import GlueModel

/// Three replicas of a model and what is on its way between them, driven by a script: changes, deliveries, partitions, restarts, losses told
/// and untold, and a network that repeats and damages messages.
///
/// In half of the worlds whoever damages knows the format: what still is a message is delivered as it is. Then nothing may trap, and buffers
/// keep their limits; the document is lost, since whoever may speak may write. In the others only what is no message any more gets through,
/// beside the message that it was made of; then all replicas must be equal some time after the script is over.
final class ReplicaWorld {
  private enum Channel: Int { case deltas, messages }

  private struct Packet {
    let channel: Channel
    var bytes: [UInt8]
  }

  private static let paths = ["a", "a/b", "a/b/c", "b", "b/c", "c/long/way/down", ""].map {
    (try? ModelPath($0)) ?? .root
  }
  private static let count = 3
  /// Of each link so many messages are kept to be repeated.
  private static let rememberedPackets = 8
  /// What is on its way on one link at most: what is more, the network loses, and tells.
  private static let linkPackets = 64
  /// More messages than one input may cause.
  private static let messagesPerInput = 1_000
  /// All that is sent to peers and not taken yet: answers in full, and some messages without one.
  private static let outgoingBytes = 4 << 20
  /// How long replicas may take to become equal: several rounds of comparing with every peer, each after `statusInterval`.
  private static let patience = Nanoseconds.seconds(1_200)

  private static let configuration = {
    var configuration = ReplicaConfiguration()
    configuration.pendingDeltaBytes = 2_000
    configuration.heldDeltaBytes = 2_000
    configuration.receivedPartBytes = 300_000
    configuration.answersAtOnce = 1
    configuration.peers = 5
    configuration.cleanUpReplicas = 4
    configuration.cleanUpInterval = .seconds(120)
    return configuration
  }()

  private static let limits = {
    var limits = DocumentLimits()
    limits.removalLogDots = 8
    limits.replicas = 12
    limits.holes = 3
    limits.keys = 40
    return limits
  }()

  private var script: Script
  private let isHostile: Bool
  private var machines: [ReplicaMachine] = []
  /// How far ahead each wall clock is, in microseconds.
  private var clockErrors: [UInt64] = [0, 0, 0]
  private var now = Timestamp(nanoseconds: 1_000_000_000)
  private var isConnected = [[Bool]](repeating: [Bool](repeating: false, count: count), count: count)
  private var links = [[[Packet]]](repeating: [[Packet]](repeating: [], count: count), count: count)
  private var past = [[[Packet]]](repeating: [[Packet]](repeating: [], count: count), count: count)
  private var takesMessages = true
  private var starts: UInt64 = 0
  private var problem: String?
  /// Messages that were sent, for targets that need some.
  private(set) var sent: [[UInt8]] = []
  /// What the replicas that were restarted had counted.
  private var formerCounters: [ReplicaCounters] = []

  init(script: Script) {
    self.script = script
    isHostile = self.script.byte() & 1 == 0
    for index in 0..<Self.count { machines.append(makeMachine(index)) }
  }

  private func makeMachine(_ index: Int) -> ReplicaMachine {
    starts += 1
    return ReplicaMachine(
      endpoint: id(index), seed: starts, stored: index == 0 ? .empty : nil, limits: Self.limits,
      configuration: Self.configuration, at: time(index))
  }

  private func id(_ index: Int) -> EndpointID { EndpointID(UInt64(index) + 1) }

  private func time(_ index: Int) -> ReplicaTime {
    ReplicaTime(now: now, wallMicroseconds: 1_790_000_000_000_000 &+ now.nanoseconds / 1_000 &+ clockErrors[index])
  }

  func run() -> String? {
    for a in 0..<Self.count { for b in 0..<a { connect(a, b) } }
    while !script.isAtEnd, problem == nil { step() }
    if !isHostile, problem == nil { converge() }
    return problem
  }

  /// What all replicas did: whether scripts get anywhere.
  func total(_ counter: KeyPath<ReplicaCounters, UInt64>) -> UInt64 {
    (formerCounters + machines.map(\.counters)).reduce(0) { $0 + $1[keyPath: counter] }
  }

  // MARK: Steps

  private func step() {
    let a = script.byte() % Self.count
    let b = (a + 1 + script.byte() % (Self.count - 1)) % Self.count
    switch script.byte() % 22 {
    case 0, 1, 2, 3: edit(a)
    case 4, 5, 6, 7, 8, 9: deliver(from: a, to: b)
    case 10: deliverAll()
    case 11, 12, 13: damage(from: a, to: b)
    case 14: repeatPast(from: a, to: b)
    case 15: if isConnected[a][b] { disconnect(a, b) } else { connect(a, b) }
    case 16: lose(from: a, to: b)
    case 17: if !links[a][b].isEmpty { links[a][b].removeFirst() }
    case 18: restart(a)
    case 19: elapse(.milliseconds(UInt64(script.word())))
    case 20:
      takesMessages.toggle()
      for index in machines.indices { drain(index) }
    default:
      if isHostile { forge(to: b) }
      clockErrors[a] = script.byte() % 4 == 0 ? UInt64(script.word()) << 24 : 0
    }
    check()
  }

  private func edit(_ index: Int) {
    var edits: [ModelEdit] = []
    for _ in 0...(script.byte() % 3) {
      let path = Self.paths[script.byte() % Self.paths.count]
      let number = script.byte()
      // Big values, so that states need parts.
      let value: ModelValue =
        number == 0 ? .bytes(Array(repeating: 7, count: 40_000)) : number < 8 ? ["x", 1.5] : .int(Int64(number % 4))
      switch script.byte() % 8 {
      case 0, 1, 2: edits.append(.set(path, value))
      case 3: edits.append(.delete(path))
      case 4: edits.append(.add(path, value))
      case 5: edits.append(.remove(path, value))
      case 6: edits.append(.increment(path, Int64(number) - 128))
      default: edits.append(number < 128 ? .makeMap(path) : .resolve(path, .kind(.map)))
      }
    }
    try? machines[index].apply(edits, at: time(index))
    drain(index)
  }

  private func deliver(from a: Int, to b: Int) {
    guard !links[a][b].isEmpty else { return }
    let packet = links[a][b].removeFirst()
    packet.bytes.withUnsafeBytes {
      switch packet.channel {
      case .deltas: machines[b].receiveDelta($0, from: id(a), at: time(b))
      case .messages: machines[b].receiveMessage($0, from: id(a), at: time(b))
      }
    }
    drain(b)
  }

  private func deliverAll() {
    for a in 0..<Self.count { for b in 0..<Self.count { for _ in links[a][b].indices { deliver(from: a, to: b) } } }
  }

  /// Damages the next message of a link.
  private func damage(from a: Int, to b: Int) {
    var generator = SplitMix64(seed: UInt64(script.word()))
    guard var packet = links[a][b].first else { return }
    let donor = past[a][b].last?.bytes ?? packet.bytes
    for _ in 0...(script.byte() % 3) { Mutator.mutate(&packet.bytes, donor: donor, using: &generator) }
    if isHostile {
      links[a][b][0] = packet
    } else if packet.bytes.withUnsafeBytes({ ReplicaMachine.reencoded($0) }) == nil {
      links[a][b].insert(packet, at: 0)
    }
    deliver(from: a, to: b)
  }

  private func repeatPast(from a: Int, to b: Int) {
    guard isConnected[a][b], !past[a][b].isEmpty else { return }
    links[a][b].append(past[a][b][script.byte() % past[a][b].count])
  }

  /// A message of anybody's, from anybody, perhaps from nobody who is there.
  private func forge(to b: Int) {
    let from = script.byte() % Self.count
    guard let packet = past[from].joined().dropFirst(script.byte() % 16).first else { return }
    let sender = EndpointID(UInt64(script.byte() % 8))
    packet.bytes.withUnsafeBytes {
      if script.byte() % 2 == 0 {
        machines[b].receiveDelta($0, from: sender, at: time(b))
      } else {
        machines[b].receiveMessage($0, from: sender, at: time(b))
      }
    }
    drain(b)
  }

  private func connect(_ a: Int, _ b: Int) {
    guard !isConnected[a][b] else { return }
    (isConnected[a][b], isConnected[b][a]) = (true, true)
    for (of, to) in [(a, b), (b, a)] {
      machines[to].peerAppeared(id(of), at: time(to))
      drain(to)
    }
  }

  private func disconnect(_ a: Int, _ b: Int) {
    guard isConnected[a][b] else { return }
    (isConnected[a][b], isConnected[b][a]) = (false, false)
    for (of, to) in [(a, b), (b, a)] {
      links[of][to] = []
      machines[to].peerVanished(id(of), at: time(to))
      drain(to)
    }
  }

  private func lose(from a: Int, to b: Int) {
    guard isConnected[a][b] else { return }
    links[a][b] = []
    machines[b].lostDeltas(from: id(a), at: time(b))
    machines[b].lostMessages(from: id(a), at: time(b))
    drain(b)
  }

  private func restart(_ index: Int) {
    for other in 0..<Self.count where other != index { disconnect(index, other) }
    formerCounters.append(machines[index].counters)
    machines[index] = makeMachine(index)
  }

  private func elapse(_ span: Nanoseconds) {
    now = now + span
    for index in machines.indices {
      machines[index].advance(to: time(index))
      drain(index)
    }
  }

  // MARK: Outputs

  private func drain(_ index: Int) {
    let machine = machines[index]
    var count = 0
    while let bytes = machine.nextBroadcast() {
      for other in 0..<Self.count where other != index { send(bytes, .deltas, from: index, to: other) }
      count += 1
    }
    while takesMessages, let (peer, bytes) = machine.nextMessage() {
      let other = Int(clamping: peer.rawValue) - 1
      if (0..<Self.count).contains(other) { send(bytes, .messages, from: index, to: other) }
      count += 1
      guard count < Self.messagesPerInput else {
        problem = "replica \(index) does not stop sending"
        return
      }
    }
    while machine.nextChanges() != nil {}
    while machine.nextEvent() != nil {}
    while machine.nextStoreBatch(at: now) != nil {
      if script.byte() % 4 == 1 {
        machine.storeFailed(reason: "the disk", at: now)
      } else {
        machine.storeSucceeded()
      }
    }
  }

  private func send(_ bytes: [UInt8], _ channel: Channel, from a: Int, to b: Int) {
    guard isConnected[a][b] else { return }
    sent.append(bytes)
    if links[a][b].count >= Self.linkPackets { return lose(from: a, to: b) }
    let packet = Packet(channel: channel, bytes: bytes)
    links[a][b].append(packet)
    past[a][b].append(packet)
    if past[a][b].count > Self.rememberedPackets { past[a][b].removeFirst() }
  }

  // MARK: Invariants

  private func check() {
    for machine in machines {
      let buffers = machine.buffers
      if buffers.pendingDeltas > Self.configuration.pendingDeltaBytes
        || buffers.heldDeltas > Self.configuration.heldDeltaBytes
        || buffers.incompleteMessages > Self.configuration.receivedPartBytes
        || buffers.outgoingMessages > Self.outgoingBytes || machine.knownPeers > Self.configuration.peers
      {
        problem = "replica \(machine.endpoint) holds \(buffers) and knows \(machine.knownPeers) peers"
      }
    }
  }

  /// Everybody hears everybody, nothing gets lost any more, and clocks are right.
  private func converge() {
    takesMessages = true
    clockErrors = [0, 0, 0]
    for a in 0..<Self.count { for b in 0..<a { connect(a, b) } }
    for index in machines.indices { drain(index) }
    let end = now + Self.patience
    while now < end, problem == nil {
      deliverAll()
      let isQuiet = links.allSatisfy { $0.allSatisfy(\.isEmpty) }
      let digest = machines[0].document.digest
      if isQuiet, machines.allSatisfy({ $0.document.digest == digest }) {
        let bytes = machines.map { $0.document.stateBytes() }
        if bytes.contains(where: { $0 != bytes[0] }) { problem = "digests are equal, states are not" }
        return
      }
      if !isQuiet { continue }
      guard let next = machines.compactMap(\.nextWakeup).min() else { break }
      elapse(max(next, now).since(now))
    }
    problem = problem ?? "the replicas do not become equal: \(machines.map { $0.document.digest })"
  }
}
