import GlueCore
import GlueModel
import GlueQuorum

/// Four openings of a quorum model, three of them with a disk, and what is on its way between them, driven by a script: requests, deliveries,
/// partitions, crashes, disks that fail, and a network that loses, repeats and damages messages.
///
/// In half of the worlds whoever damages knows the format: what still is a message is delivered as it is, also as from somebody else. Then nothing
/// may trap or grow; what is decided is lost, since whoever may speak may decide. In the others only what is no message any more gets through, beside
/// the message that it was made of; then all must hold the same some time after the script is over.
final class QuorumWorld {
  private static let paths = ["a", "a/b", "a/b/c", "b", "s"].map { (try? ModelPath($0)) ?? .root }
  private static let locks = ["l", "m"]
  private static let count = 4
  private static let voters = 3
  /// Of each link so many messages are kept to be repeated.
  private static let rememberedMessages = 8
  /// What is on its way on one link at most: what is more, the network loses.
  private static let linkMessages = 64
  /// More messages than one input may cause.
  private static let messagesPerInput = 5_000
  /// How long it may take until all hold the same: elections, a majority that has to come back, and waits that have doubled.
  private static let patience = Nanoseconds.seconds(600)

  private static let configuration = {
    var configuration = QuorumConfiguration()
    configuration.compactionBytes = 2_000
    configuration.recentBytes = 2_000
    configuration.requests = 64
    configuration.raft.keptBytes = 1_000
    configuration.raft.keptEntries = 20
    configuration.raft.appendBytes = 2_000
    configuration.raft.uncommittedBytes = 100_000
    return configuration
  }()

  private struct Node {
    var disk: QuorumDisk?
    var machine: QuorumMachine?
    var job: QuorumJob?
    var tickets: [UInt64] = []
    var tokens: [QuorumToken] = []
  }

  private var script: Script
  private let isHostile: Bool
  private var nodes: [Node] = []
  private var now = Timestamp(nanoseconds: 1_000_000_000)
  private var isConnected = [[Bool]](repeating: [Bool](repeating: false, count: count), count: count)
  private var links = [[[[UInt8]]]](repeating: [[[UInt8]]](repeating: [], count: count), count: count)
  private var past = [[[[UInt8]]]](repeating: [[[UInt8]]](repeating: [], count: count), count: count)
  private var starts: UInt64 = 0
  private var problem: String?
  /// Messages that were sent, for targets that need some.
  private(set) var sent: [[UInt8]] = []
  /// How many requests were decided: whether scripts get anywhere.
  private(set) var decided = 0

  init(script: Script) {
    self.script = script
    isHostile = self.script.byte() & 1 == 0
    for index in 0..<Self.count {
      nodes.append(Node(disk: index < Self.voters ? QuorumDisk(storage: StorageID(UInt64(index) + 100)) : nil))
      start(index)
    }
  }

  private func id(_ index: Int) -> EndpointID { EndpointID(UInt64(index) + 1) }

  func run() -> String? {
    for a in 0..<Self.count { for b in 0..<a { connect(a, b) } }
    found()
    while !script.isAtEnd, problem == nil { step() }
    if !isHostile, problem == nil { converge() }
    return problem
  }

  /// The states of all.
  var states: [[UInt8]] { nodes.compactMap { $0.machine?.state.encoded() } }

  /// What the disks hold.
  var disks: [QuorumDisk] { nodes.compactMap(\.disk) }

  /// Most scripts should find a quorum that decides.
  private func found() {
    if isHostile, script.byte() < 32 { return }
    let voters = (0..<Self.voters).map(id)
    ask(0) { $0.initialize(voters: voters, timeout: .seconds(30), at: self.now) }
    settle(.seconds(5))
  }

  // MARK: Steps

  private func step() {
    let a = script.byte() % Self.count
    let b = (a + 1 + script.byte() % (Self.count - 1)) % Self.count
    switch script.byte() % 24 {
    case 0, 1, 2: edit(a)
    case 3: lock(a)
    case 4: ask(a) { $0.read(timeout: .milliseconds(UInt64(self.script.word())), at: self.now) }
    case 5, 6, 7: deliver(from: a, to: b)
    case 8: deliverAll()
    case 9, 10: damage(from: a, to: b)
    case 11: if isConnected[a][b], let message = past[a][b].randomElement(&script) { links[a][b].append(message) }
    case 12: if isConnected[a][b] { disconnect(a, b) } else { connect(a, b) }
    case 13: if !links[a][b].isEmpty { links[a][b].removeFirst() }
    case 14: if script.byte() % 2 == 0 { crash(a) } else if nodes[a].machine == nil { restart(a) }
    case 15, 16: work(a)
    case 17: elapse(.milliseconds(UInt64(script.word()) / 32))
    case 18: settle(.milliseconds(UInt64(script.word()) / 16))
    case 19: look(a)
    case 20: change(a, b)
    case 21: if isHostile { forge(to: b) }
    case 22: if isHostile { mischief(a) }
    default: settle(.milliseconds(UInt64(script.byte())))
    }
    check()
  }

  private func edit(_ index: Int) {
    var edits: [ModelEdit] = []
    for _ in 0...(script.byte() % 2) {
      let path = Self.paths[script.byte() % Self.paths.count]
      let number = script.byte()
      let value: ModelValue =
        number == 0 ? .bytes(Array(repeating: 7, count: 3_000)) : number < 8 ? ["x", 1.5] : .int(Int64(number % 4))
      switch script.byte() % 8 {
      case 0, 1, 2: edits.append(.set(path, value))
      case 3: edits.append(.delete(path))
      case 4: edits.append(.add(path, value))
      case 5: edits.append(.remove(path, value))
      case 6: edits.append(.increment(path, Int64(number) - 128))
      default: edits.append(number < 128 ? .makeMap(path) : .resolve(path, .kind(.map)))
      }
    }
    var conditions: [QuorumCondition] = []
    let path = Self.paths[script.byte() % Self.paths.count]
    switch script.byte() % 8 {
    case 0: conditions = [.exists(path)]
    case 1: conditions = [.value(path, .int(1))]
    case 2: conditions = [.node(path, nodes[index].machine?.state.document.read(path))]
    case 3: conditions = [.held(lock: "l", token: UInt64(script.byte() % 4))]
    default: break
    }
    submit(index, .transaction(conditions, edits))
  }

  private func lock(_ index: Int) {
    let name = Self.locks[script.byte() % 2]
    switch script.byte() % 4 {
    case 0:
      guard let held = nodes[index].machine?.heldLocks.first else { return }
      submit(index, .release(lock: held.name, token: held.token))
    case 1: nodes[index].machine?.cancel(nodes[index].tickets.last ?? 0, at: now)
    default:
      let life = UInt64(script.word())
      submit(index, .acquire(lock: name, ttl: life, waits: script.byte() % 2 == 0, note: name))
    }
    drain(index)
  }

  private func submit(_ index: Int, _ operation: QuorumOperation) {
    let timeout = Nanoseconds.milliseconds(UInt64(script.word()) / 8)
    ask(index) { $0.submit(operation, timeout: timeout, at: self.now) }
  }

  private func ask(_ index: Int, _ body: (QuorumMachine) -> UInt64) {
    guard let machine = nodes[index].machine else { return }
    nodes[index].tickets = nodes[index].tickets.suffix(8) + [body(machine)]
    drain(index)
  }

  /// A question about a request whose fate is not known, or that nobody has made.
  private func look(_ index: Int) {
    let token: QuorumToken? =
      nodes[index].tokens.last
      ?? nodes[index].machine?.cluster.map {
        let session = SessionID(UInt64(script.byte() % 4))
        return QuorumToken(cluster: $0, request: RequestID(session: session, number: UInt64(script.byte())))
      }
    if let token { ask(index) { $0.resolve(token, timeout: .seconds(5), at: self.now) } }
  }

  private func change(_ index: Int, _ other: Int) {
    let change: QuorumChange =
      script.byte() % 3 == 0 ? .remove(id(other)) : .add(id(other), asVoter: script.byte() % 2 == 0)
    ask(index) { $0.change(change, timeout: .seconds(20), at: self.now) }
  }

  private func crash(_ index: Int) {
    for other in 0..<Self.count where other != index { disconnect(index, other) }
    nodes[index].machine = nil
    nodes[index].job = nil
    nodes[index].tickets = []
  }

  private func restart(_ index: Int) {
    start(index)
    for other in 0..<Self.count where other != index { connect(index, other) }
  }

  private func start(_ index: Int) {
    starts += 1
    let disk = nodes[index].disk
    nodes[index].machine = try? QuorumMachine(
      endpoint: id(index), storage: disk?.storage, cluster: disk?.cluster, stored: disk?.stored,
      configuration: Self.configuration, seed: starts, at: now)
    nodes[index].machine?.isWatched = index % 2 == 0
    if nodes[index].machine == nil { problem = "what endpoint \(index + 1) has stored cannot be read" }
  }

  /// What only hostile worlds have: another founding, and a disk that is lost or fails.
  private func mischief(_ index: Int) {
    switch script.byte() % 3 {
    case 0:
      let voters = [1, 3][script.byte() % 2]
      ask(index) { $0.initialize(voters: (0..<voters).map(self.id), timeout: .seconds(3), at: self.now) }
    case 1:
      crash(index)
      if nodes[index].disk != nil { nodes[index].disk = QuorumDisk(storage: StorageID(1_000 + starts)) }
      restart(index)
    default:
      nodes[index].job = nil
      nodes[index].machine?.jobFailed(reason: "the disk", at: now)
      drain(index)
    }
  }

  // MARK: The network

  private func deliver(from a: Int, to b: Int) {
    guard !links[a][b].isEmpty else { return }
    receive(links[a][b].removeFirst(), from: id(a), at: b)
  }

  private func receive(_ bytes: [UInt8], from peer: EndpointID, at index: Int) {
    bytes.withUnsafeBytes { nodes[index].machine?.receive($0, from: peer, at: now) }
    drain(index)
  }

  private func deliverAll() {
    for a in 0..<Self.count { for b in 0..<Self.count { for _ in links[a][b].indices { deliver(from: a, to: b) } } }
  }

  /// Damages the next message of a link.
  private func damage(from a: Int, to b: Int) {
    var generator = SplitMix64(seed: UInt64(script.word()))
    guard var message = links[a][b].first else { return }
    let donor = past[a][b].last ?? message
    for _ in 0...(script.byte() % 3) { Mutator.mutate(&message, donor: donor, using: &generator) }
    if isHostile {
      links[a][b][0] = message
    } else if message.withUnsafeBytes({ QuorumPart.message.reencoded($0) }) == nil {
      links[a][b].insert(message, at: 0)
    }
    deliver(from: a, to: b)
  }

  /// A message of anybody's, perhaps damaged, from anybody, perhaps from nobody who is there.
  private func forge(to b: Int) {
    let from = script.byte() % Self.count
    guard var message = past[from].joined().dropFirst(script.byte() % 16).first else { return }
    var generator = SplitMix64(seed: UInt64(script.word()))
    if script.byte() % 2 == 0 { Mutator.mutate(&message, donor: message, using: &generator) }
    receive(message, from: EndpointID(UInt64(script.byte() % 8)), at: b)
  }

  private func connect(_ a: Int, _ b: Int) {
    guard !isConnected[a][b], nodes[a].machine != nil, nodes[b].machine != nil else { return }
    (isConnected[a][b], isConnected[b][a]) = (true, true)
    for (of, to) in [(a, b), (b, a)] {
      nodes[to].machine?.peerAppeared(id(of), at: now)
      drain(to)
    }
  }

  private func disconnect(_ a: Int, _ b: Int) {
    guard isConnected[a][b] else { return }
    (isConnected[a][b], isConnected[b][a]) = (false, false)
    for (of, to) in [(a, b), (b, a)] {
      links[of][to] = []
      past[of][to] = []
      nodes[to].machine?.peerVanished(id(of), at: now)
      drain(to)
    }
  }

  // MARK: Time and disks

  private func elapse(_ span: Nanoseconds) {
    now = now + span
    for index in nodes.indices {
      nodes[index].machine?.advance(to: now)
      drain(index)
    }
  }

  /// Does the job of a disk.
  private func work(_ index: Int) {
    guard let job = nodes[index].job else { return }
    nodes[index].job = nil
    let done = nodes[index].disk?.perform(job)
    // A hostile leader may say what no leader would.
    if let found = done?.problem, !isHostile { problem = "endpoint \(index + 1): \(found)" }
    nodes[index].machine?.jobDone(stateBytes: done?.stateBytes, at: now)
    drain(index)
  }

  /// Lets everything happen that does by itself, for so long.
  private func settle(_ span: Nanoseconds, until isDone: () -> Bool = { false }) {
    let end = now + span
    while problem == nil, !isDone() {
      deliverAll()
      for index in nodes.indices { work(index) }
      if links.contains(where: { $0.contains { !$0.isEmpty } }) || nodes.contains(where: { $0.job != nil }) {
        // What is said at once goes on at once; but time goes on, too.
        elapse(.microseconds(100))
        if now >= end { return }
        continue
      }
      let next = nodes.compactMap { $0.machine?.nextWakeup }.min()
      guard now < end else { return }
      elapse(max(now, min(next ?? end, end)).since(now) + .microseconds(1))
    }
  }

  // MARK: Outputs

  private func drain(_ index: Int) {
    guard let machine = nodes[index].machine else { return }
    var count = 0
    while let (peer, bytes) = machine.nextMessage() {
      let other = Int(clamping: peer.rawValue) - 1
      if (0..<Self.count).contains(other) { send(bytes, from: index, to: other) }
      count += 1
      guard count < Self.messagesPerInput else {
        problem = "endpoint \(index + 1) does not stop sending"
        return
      }
    }
    while let bytes = machine.nextBroadcast() {
      for other in nodes.indices where nodes[other].machine?.wantsNews == true { send(bytes, from: index, to: other) }
    }
    while machine.nextEvent() != nil {}
    while machine.nextChanges() != nil {}
    while let (_, result) = machine.nextResult() {
      if case .unknown(let token, _) = result { nodes[index].tokens.append(token) }
      if case .committed = result { decided += 1 }
    }
    if nodes[index].job == nil { nodes[index].job = machine.nextJob(at: now) }
  }

  private func send(_ bytes: [UInt8], from a: Int, to b: Int) {
    guard a != b, isConnected[a][b] else { return }
    sent.append(bytes)
    if sent.count > 2_000 { sent.removeFirst(1_000) }
    if links[a][b].count < Self.linkMessages { links[a][b].append(bytes) }
    past[a][b].append(bytes)
    if past[a][b].count > Self.rememberedMessages { past[a][b].removeFirst() }
  }

  // MARK: Invariants

  private func check() {
    for machine in nodes.compactMap(\.machine) {
      for (name, amount, bound) in machine.waiting where amount > bound {
        problem = "endpoint \(machine.endpoint) holds \(amount) \(name), and may hold \(bound)"
      }
    }
  }

  /// Everybody is there and hears everybody, and nothing gets lost any more.
  private func converge() {
    for index in nodes.indices where nodes[index].machine == nil { start(index) }
    for a in 0..<Self.count { for b in 0..<a { connect(a, b) } }
    // Locks run out, which needs entries: they hold the same between them.
    settle(Self.patience) { self.isEqual }
    if problem == nil, !isEqual {
      let told = nodes.map { node in
        "\(node.machine?.role ?? .observer) at \(node.machine?.applied ?? 0), led by \(node.machine?.leader?.rawValue ?? 0)"
      }
      problem = "the openings do not become equal: \(told)"
    }
  }

  private var isEqual: Bool {
    let machines = nodes.compactMap(\.machine)
    guard let first = machines.first, first.applied > 1, machines.allSatisfy({ $0.applied == first.applied }),
      machines.contains(where: \.isLeader)
    else { return false }
    let state = first.state.encoded()
    return machines.allSatisfy { $0.state.encoded() == state }
  }
}

extension Array {
  /// One of them, as the script says; nil if there is none.
  fileprivate func randomElement(_ script: inout Script) -> Element? { isEmpty ? nil : self[script.byte() % count] }
}
