import GlueCore

@testable import GlueModel

/// Several replicas in virtual time, with channels as topics give them: reliable and in order from one to another while a session
/// lasts, losses told, nothing across sessions. All that happens follows from the seed.
final class ReplicaNetwork {
  static let start = Timestamp(nanoseconds: 1_000_000_000)
  static let today: UInt64 = 1_790_000_000_000_000

  enum Channel: Int { case deltas, messages }

  enum Happening {
    case arrival(from: Int, to: Int, session: Int, Channel, [UInt8])
    case appearance(of: Int, to: Int, session: Int)
    case disappearance(of: Int, to: Int, session: Int)
    case loss(from: Int, to: Int, session: Int)
    case stored(node: Int, life: Int, ReplicaBatch, succeeds: Bool)
  }

  var generator: SeededGenerator
  private(set) var now = ReplicaNetwork.start
  private(set) var nodes: [ReplicaNode] = []
  private var queue: [(at: Timestamp, order: Int, happening: Happening)] = []
  private var order = 0
  /// The session of each pair; 0 for none. What was sent in an earlier one does not arrive.
  private var sessions: [[Int]]
  private var lastSession = 0
  /// When the last message of a channel arrives: the next one does not overtake it.
  private var channelEnds: [[[Timestamp]]]
  /// How many of the next deltas from one to another get lost.
  private var losses: [[Int]]
  /// The loss is told with what arrives next, or after a while.
  private var untoldLosses: [[Bool]]

  /// The longest a message takes.
  var delay: Nanoseconds = .milliseconds(5)
  /// The longest it takes until a loss is told, if nothing arrives before.
  var lossDelay: Nanoseconds = .milliseconds(200)
  private(set) var messages = 0
  private(set) var bytes = 0
  /// Sees every message to a peer.
  var watch: (_ from: Int, _ to: Int, [UInt8]) -> Void = { _, _, _ in }
  /// Whether a message to a peer gets lost, untold.
  var drops: (_ from: Int, _ to: Int, [UInt8]) -> Bool = { _, _, _ in false }
  /// Whether the network takes deltas, and messages from a node.
  var takesDeltas = true
  var takesMessages: (_ from: Int) -> Bool = { _ in true }
  /// Looks at a node whenever its watcher has seen a transaction.
  var check: (ReplicaNode) -> Void = { _ in }

  init(
    _ count: Int, seed: UInt64, stores: (Int) -> Bool = { _ in false },
    limits: DocumentLimits = DocumentLimits(), configuration: ReplicaConfiguration = ReplicaConfiguration()
  ) {
    generator = SeededGenerator(seed: seed)
    sessions = Array(repeating: Array(repeating: 0, count: count), count: count)
    losses = sessions
    untoldLosses = Array(repeating: Array(repeating: false, count: count), count: count)
    channelEnds = Array(
      repeating: Array(repeating: [Timestamp](repeating: Self.start, count: 2), count: count), count: count)
    nodes = (0..<count).map {
      ReplicaNode(index: $0, hasStore: stores($0), limits: limits, configuration: configuration)
    }
    for node in nodes { node.open(seed: generator.next(), at: time(of: node)) }
  }

  subscript(index: Int) -> ReplicaNode { nodes[index] }

  func time(of node: ReplicaNode) -> ReplicaTime {
    ReplicaTime(now: now, wallMicroseconds: node.wall(at: now))
  }

  // MARK: Faults

  func connect(_ a: Int, _ b: Int) {
    guard sessions[a][b] == 0, a != b else { return }
    lastSession += 1
    (sessions[a][b], sessions[b][a]) = (lastSession, lastSession)
    for (of, to) in [(a, b), (b, a)] {
      channelEnds[of][to] = [now, now]
      losses[of][to] = 0
      untoldLosses[of][to] = false
      // From the moment one sees the other, what it sends arrives; the other may see it later.
      later(.appearance(of: of, to: to, session: lastSession), within: .milliseconds(10))
    }
  }

  func disconnect(_ a: Int, _ b: Int) {
    let session = sessions[a][b]
    guard session != 0 else { return }
    (sessions[a][b], sessions[b][a]) = (0, 0)
    for (of, to) in [(a, b), (b, a)] {
      later(.disappearance(of: of, to: to, session: session), within: .seconds(3))
    }
  }

  func connectAll() {
    for a in nodes.indices { for b in nodes.indices where b > a { connect(a, b) } }
  }

  func disconnectAll() {
    for a in nodes.indices { for b in nodes.indices where b > a { disconnect(a, b) } }
  }

  /// The next deltas from one to another do not arrive, and that is told.
  func lose(_ count: Int, from a: Int, to b: Int) { losses[a][b] = count }

  /// It is killed, and begins again with what its store holds.
  func restart(_ index: Int) {
    for other in nodes.indices where other != index { disconnect(index, other) }
    // What the disk had begun to write may be there or not.
    queue.removeAll { entry in
      guard case .stored(index, _, let batch, let succeeds) = entry.happening else { return false }
      if succeeds, Bool.random(using: &generator) { nodes[index].store?.write(batch) }
      return true
    }
    nodes[index].open(seed: generator.next(), at: time(of: nodes[index]))
  }

  // MARK: What happens

  func apply(_ edits: [ModelEdit], at index: Int) throws(ModelError) {
    try nodes[index].machine.apply(edits, at: time(of: nodes[index]))
    drain(nodes[index])
  }

  /// Lets time pass: so much, or until a condition holds. Returns whether it held.
  @discardableResult
  func run(for span: Nanoseconds, until condition: (() -> Bool)? = nil) -> Bool {
    let end = now + span
    while true {
      if condition?() == true { return true }
      var next = end
      var first: Int?
      for (index, entry) in queue.enumerated() where entry.at <= next {
        if let known = first, (queue[known].at, queue[known].order) < (entry.at, entry.order) { continue }
        first = index
        next = entry.at
      }
      var due: ReplicaNode?
      for node in nodes { if let wakeup = node.machine.nextWakeup, wakeup < next { (due, next) = (node, wakeup) } }
      if let due {
        now = max(now, next)
        due.machine.advance(to: time(of: due))
        drain(due)
      } else if let first {
        now = max(now, next)
        handle(queue.remove(at: first).happening)
      } else {
        now = end
        return condition?() ?? true
      }
    }
  }

  var isConverged: Bool {
    let digest = nodes[0].machine.document.digest
    return nodes.allSatisfy { $0.machine.document.digest == digest }
  }

  private func handle(_ happening: Happening) {
    switch happening {
    case .arrival(let from, let to, let session, let channel, let bytes):
      guard sessions[from][to] == session else { return }
      let node = nodes[to]
      let sender = nodes[from].id
      if channel == .deltas { tellLoss(from: from, to: to) }
      bytes.withUnsafeBytes {
        switch channel {
        case .deltas: node.machine.receiveDelta($0, from: sender, at: time(of: node))
        case .messages: node.machine.receiveMessage($0, from: sender, at: time(of: node))
        }
      }
      drain(node)
    case .loss(let from, let to, let session):
      guard sessions[from][to] == session else { return }
      tellLoss(from: from, to: to)
      drain(nodes[to])
    case .appearance(let other, let index, let session):
      guard sessions[other][index] == session else { return }
      nodes[index].session[other] = session
      nodes[index].machine.peerAppeared(nodes[other].id, at: time(of: nodes[index]))
      drain(nodes[index])
    case .disappearance(let other, let index, let session):
      guard nodes[index].session[other] == session else { return }
      nodes[index].session[other] = nil
      nodes[index].machine.peerVanished(nodes[other].id, at: time(of: nodes[index]))
      drain(nodes[index])
    case .stored(let index, let life, let batch, let succeeds):
      let node = nodes[index]
      guard node.life == life else { return }
      if succeeds {
        node.store?.write(batch)
        node.machine.storeSucceeded()
      } else {
        node.machine.storeFailed(reason: "the disk", at: now)
      }
      drain(node)
    }
  }

  private func tellLoss(from: Int, to: Int) {
    guard untoldLosses[from][to] else { return }
    untoldLosses[from][to] = false
    nodes[to].machine.lostDeltas(from: nodes[from].id, at: time(of: nodes[to]))
  }

  func drain(_ node: ReplicaNode) {
    node.watchChanges(check)
    while takesDeltas, let bytes = node.machine.nextBroadcast() {
      for other in nodes.indices where node.session[other] != nil {
        if losses[node.index][other] > 0 {
          losses[node.index][other] -= 1
          untoldLosses[node.index][other] = true
          later(.loss(from: node.index, to: other, session: sessions[node.index][other]), within: lossDelay)
        } else {
          send(bytes, .deltas, from: node.index, to: other)
        }
      }
    }
    while takesMessages(node.index), let (peer, bytes) = node.machine.nextMessage() {
      let other = Int(peer.rawValue) - 1
      watch(node.index, other, bytes)
      if !drops(node.index, other, bytes) { send(bytes, .messages, from: node.index, to: other) }
    }
    while let event = node.machine.nextEvent() { node.events.append(event) }
    if let store = node.store, let batch = node.machine.nextStoreBatch(at: now) {
      later(
        .stored(node: node.index, life: node.life, batch, succeeds: !store.isFailing), within: store.delay)
    }
  }

  private func send(_ bytes: [UInt8], _ channel: Channel, from: Int, to: Int) {
    messages += 1
    self.bytes += bytes.count
    guard to < nodes.count, sessions[from][to] != 0 else { return }
    let session = sessions[from][to]
    let arrival = max(channelEnds[from][to][channel.rawValue], now + random(delay))
    channelEnds[from][to][channel.rawValue] = arrival
    queue.append((arrival, order, .arrival(from: from, to: to, session: session, channel, bytes)))
    order += 1
  }

  private func later(_ happening: Happening, within span: Nanoseconds) {
    queue.append((now + random(span), order, happening))
    order += 1
  }

  func random(_ span: Nanoseconds) -> Nanoseconds { Nanoseconds(UInt64.random(in: 0...span.count, using: &generator)) }
}

/// One place where a model is opened again and again, what it stores, and what its watcher has seen.
final class ReplicaNode {
  let index: Int
  let id: EndpointID
  private let limits: DocumentLimits
  private let configuration: ReplicaConfiguration
  private(set) var machine: ReplicaMachine!
  private(set) var life = 0
  /// The sessions of which it knows.
  var session: [Int: Int] = [:]
  var events: [ReplicaEvent] = []
  let store: TestStore?
  /// What the watcher knows from its snapshot and the changes since.
  private(set) var leaves: Set<ModelLeaf> = []
  private(set) var transactions = 0
  /// What the host's clock is ahead of the truth, in microseconds; and whether it runs backward.
  var clockError: Int64 = 0
  var clockRunsBackward = false

  init(index: Int, hasStore: Bool, limits: DocumentLimits, configuration: ReplicaConfiguration) {
    self.index = index
    id = EndpointID(UInt64(index) + 1)
    self.limits = limits
    self.configuration = configuration
    store = hasStore ? TestStore() : nil
  }

  func open(seed: UInt64, at time: ReplicaTime) {
    life += 1
    session = [:]
    let stored = store?.content ?? (store == nil ? nil : StoredReplica(context: CausalContext(), entries: [], clock: 0))
    machine = ReplicaMachine(
      endpoint: id, seed: seed, stored: stored, limits: limits, configuration: configuration, at: time)
    leaves = Set(machine.document.leaves(under: .root))
  }

  func wall(at now: Timestamp) -> UInt64 {
    let elapsed = now.since(ReplicaNetwork.start).wholeMicroseconds
    let truth = clockRunsBackward ? ReplicaNetwork.today - elapsed : ReplicaNetwork.today + elapsed
    return UInt64(max(0, Int64(truth) + clockError))
  }

  func watchChanges(_ check: (ReplicaNode) -> Void) {
    while let changes = machine.nextChanges() {
      transactions += 1
      for change in changes {
        if let old = change.old { leaves.remove(ModelLeaf(path: change.path, content: old)) }
        if let new = change.new { leaves.insert(ModelLeaf(path: change.path, content: new)) }
      }
      check(self)
    }
  }
}

/// What a store would have on disk.
final class TestStore {
  private var entries: [Dot: Entry] = [:]
  private var context: CausalContext?
  private var clock: UInt64 = 0
  private(set) var batches = 0
  /// Entries in all batches.
  private(set) var written = 0
  var delay: Nanoseconds = .milliseconds(3)
  var isFailing = false

  func write(_ batch: ReplicaBatch) {
    batches += 1
    written += batch.upserts.count
    for entry in batch.upserts { entries[entry.dot] = entry }
    for dot in batch.removed { entries[dot] = nil }
    context = batch.context
    clock = batch.clock
  }

  var content: StoredReplica? {
    context.map { StoredReplica(context: $0, entries: entries.values.sorted { $0.dot < $1.dot }, clock: clock) }
  }
}
