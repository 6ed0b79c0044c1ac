import GlueCore

@testable import GlueQuorum

/// A virtual network of members whose disks and messages fail as a seed has it, and the judge who watches them. Faults
/// come by themselves and in scenes (``RaftScene``).
final class RaftNetwork {
  /// One machine and its disk.
  final class Node {
    let id: MemberID
    var machine: RaftMachine?
    var disk: StoredRaft
    var write: RaftWrite?
    /// How likely a write ends in a tick: some disks are slow.
    var diskPercent: UInt64 = 70
    var applied: LogIndex = 0
    var pausedUntil: UInt64 = 0
    var backAt: UInt64 = 0

    init(_ id: MemberID, _ disk: StoredRaft) {
      self.id = id
      self.disk = disk
    }
  }

  struct Flight {
    var at: UInt64
    var from: Int
    var to: Int
    var message: RaftMessage
  }

  static let tick: UInt64 = 10
  /// Voters, learners, and members that are to come. Even numbers too: two changes at once show with them.
  static let shapes: [(voters: Int, learners: Int, spare: Int)] = [
    (3, 0, 0), (5, 0, 0), (3, 1, 0), (4, 0, 1), (2, 0, 1), (3, 0, 1), (1, 0, 1), (5, 1, 1), (4, 1, 0),
  ]
  let fault: RaftFault?
  var wipesKeepIdentity = false
  var random: SeededGenerator
  var nodes: [Node] = []
  var flights: [Flight] = []
  var cut: Set<Int> = []
  var time: UInt64 = 0
  var isFaulty = true
  /// Nobody asks for anything.
  var isIdle = false
  var lossPercent: UInt64
  var judge = RaftJudge()
  var scene: RaftScene?
  /// The only scene that is played; nil: all of them.
  var favourite: RaftScene.Kind?
  var nextToken: UInt64 = 0
  var readers: [UInt64: (node: Int, floor: LogIndex)] = [:]
  let configuration: RaftConfiguration
  let snapshot: RaftSnapshot

  var now: Timestamp { Timestamp(nanoseconds: time * 1_000_000) }

  init(seed: UInt64, fault: RaftFault? = nil) {
    random = SeededGenerator(seed: seed)
    self.fault = fault
    var configuration = RaftConfiguration.lan
    configuration.keptEntries = 4
    configuration.appendBytes = 100
    configuration.inflightMessages = 4
    // Small appends: whatever can come apart does.
    if random.next() % 2 == 0 { configuration.appendBytes = 1 }
    self.configuration = configuration
    let shape = Self.shapes[Int(seed % UInt64(Self.shapes.count))]
    let count = shape.voters + shape.learners + shape.spare
    let ids = (1...count).map { MemberID(EndpointID(UInt64($0)), StorageID(UInt64($0))) }
    snapshot = RaftSnapshot(
      index: 1, term: 1,
      membership: Membership(
        voters: Array(ids[..<shape.voters]), learners: Array(ids[shape.voters..<shape.voters + shape.learners])),
      state: [])
    lossPercent = random.next() % 20
    for id in ids { nodes.append(Node(id, StoredRaft(hardState: .init(term: 1), snapshot: snapshot))) }
    for place in nodes.indices {
      if chance(40) { nodes[place].diskPercent = 8 }
      start(place)
    }
  }

  /// Where everybody stands, for the one who looks for the mistake.
  var summary: String {
    nodes.map { node in
      guard let machine = node.machine else { return "\(node.id) is down" }
      return "\(node.id) \(machine.role) term \(machine.term) last \(machine.lastIndex) commit \(machine.commitIndex)"
        + " applied \(node.applied) \(machine.membership) \(machine.progress)"
    }.joined(separator: "\n")
  }

  func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }
  func pick(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }

  func start(_ place: Int) {
    let node = nodes[place]
    let machine = RaftMachine(
      member: node.id, stored: node.disk, configuration: configuration, seed: random.next(), at: now)
    machine.fault = fault
    node.machine = machine
    node.write = nil
    node.applied = node.disk.snapshot.index
  }

  /// Runs with faults for so many milliseconds, then without for as many; returns what the judge found.
  func run(milliseconds: UInt64) -> String? {
    while time < milliseconds, judge.breach == nil { step() }
    isFaulty = false
    scene = nil
    lossPercent = 0
    cut = []
    let healed = judge.newest
    for node in nodes { node.pausedUntil = 0 }
    for place in nodes.indices where nodes[place].machine == nil { start(place) }
    while time < milliseconds * 2, judge.breach == nil { step() }
    if judge.breach == nil, judge.newest <= healed { judge.breach = "no progress after healing" }
    return judge.breach
  }

  /// Lets so many milliseconds pass.
  func run(for milliseconds: UInt64) {
    let end = time + milliseconds
    while time < end { step() }
  }

  func step() {
    time += Self.tick
    if isFaulty {
      play()
      misbehave()
    }
    // After a pause a question may be read before the messages that waited, and before the time.
    for place in nodes.indices where nodes[place].pausedUntil == time {
      if let machine = nodes[place].machine { ask(place, machine) }
      drain(place)
    }
    let due = flights.filter { $0.at <= time }
    flights.removeAll { $0.at <= time }
    for flight in due {
      let node = nodes[flight.to]
      if node.pausedUntil > time {
        var later = flight
        later.at = node.pausedUntil
        flights.append(later)
        continue
      }
      node.machine?.receive(flight.message, from: nodes[flight.from].id, at: now)
      drain(flight.to)
    }
    if scene?.kind == .split { crashVoters() }
    for place in nodes.indices where nodes[place].pausedUntil <= time {
      nodes[place].machine?.advance(to: now)
      use(place)
      drain(place)
      sync(place)
    }
    judge.check(nodes)
  }

  func use(_ place: Int) {
    guard !isIdle, let machine = nodes[place].machine else { return }
    if chance(20), machine.role == .leader {
      _ = try? machine.propose([UInt8(truncatingIfNeeded: random.next())], at: now)
    }
    if chance(8) { ask(place, machine) }
    if isFaulty, chance(2), machine.role == .leader { change(machine) }
    if isFaulty, chance(1), machine.role == .leader { machine.transferLeadership(to: nil, at: now) }
    if chance(2), nodes[place].applied > nodes[place].disk.snapshot.index { compact(place) }
  }

  func ask(_ place: Int, _ machine: RaftMachine) {
    guard machine.role == .leader else { return }
    nextToken += 1
    readers[nextToken] = (place, judge.newest)
    machine.requestRead(nextToken, at: now)
  }

  func change(_ machine: RaftMachine) {
    let old = machine.membership
    let one = nodes[pick(nodes.count)].id
    var voters = old.voters.filter { $0 != one }
    var learners = old.learners.filter { $0 != one }
    if !old.contains(one) || (old.learners.contains(one) && chance(70)) || (old.isVoter(one) && voters.isEmpty) {
      voters.append(one)
    } else if chance(40) {
      learners.append(one)
    }
    _ = try? machine.propose(Membership(voters: voters, learners: learners), at: now)
  }

  func compact(_ place: Int) {
    let node = nodes[place]
    guard node.write == nil, let entry = judge.committed[node.applied] else { return }
    node.disk.snapshot = RaftSnapshot(
      index: entry.index, term: entry.term, membership: judge.membership(at: entry.index, from: snapshot), state: [])
    node.disk.entries.removeAll { $0.index <= entry.index }
    node.machine?.compacted(to: entry.index)
  }

  func misbehave() {
    for place in nodes.indices where nodes[place].machine == nil && nodes[place].backAt <= time { start(place) }
    guard scene.map({ $0.kind == .storm }) ?? chance(10) else { return }
    if chance(2) { cut = [] }
    if chance(2) {
      // Whole, one-way and partial partitions alike are sets of directed links.
      let percent = random.next() % 70
      for from in nodes.indices { for to in nodes.indices where chance(percent) { cut.insert(from * 16 + to) } }
    }
    if chance(2) {
      // The power fails for most of them at once.
      for place in nodes.indices where nodes[place].machine != nil && chance(80) { crash(place) }
    }
    let place = pick(nodes.count)
    let paused = nodes.firstIndex { $0.machine?.role == .leader && chance(50) } ?? place
    if chance(2) { nodes[paused].pausedUntil = time + 10 * (1 + random.next() % 60) }
    // Where a write is under way a crash shows most.
    let victim = nodes.firstIndex { $0.write != nil && chance(50) } ?? place
    if chance(4), nodes[victim].machine != nil { crash(victim) }
  }

  func crash(_ place: Int) {
    let node = nodes[place]
    if let write = node.write, chance(25) { store(write, node) }
    node.machine = nil
    node.backAt = time + 10 * (random.next() % (chance(50) ? 3 : 50))
    if wipesKeepIdentity, chance(40) { node.disk = StoredRaft(hardState: .init(term: 1), snapshot: snapshot) }
  }

  func sync(_ place: Int) {
    let node = nodes[place]
    guard let write = node.write else { return }
    guard chance(isFaulty ? node.diskPercent : 70) else { return }
    store(write, node)
    node.write = nil
    node.machine?.written(at: now)
    drain(place)
  }

  func store(_ write: RaftWrite, _ node: Node) {
    if let state = write.hardState {
      if state.term < node.disk.hardState.term { judge.breach = "a term went back on disk" }
      node.disk.hardState = state
    }
    if let snapshot = write.snapshot {
      node.disk.snapshot = snapshot
      node.disk.entries = []
    }
    if let first = write.entries.first {
      node.disk.entries.removeAll { $0.index >= first.index }
      node.disk.entries += write.entries.filter { $0.index > node.disk.snapshot.index }
    }
  }

  func drain(_ place: Int) {
    let node = nodes[place]
    guard let machine = node.machine else { return }
    while let (to, message) = machine.nextMessage() {
      judge.sent(message, from: node.id)
      guard let target = nodes.firstIndex(where: { $0.id == to }), !cut.contains(place * 16 + target) else { continue }
      let isSplit = scene?.kind == .split && message.isVoteRequest
      for _ in 0..<(isSplit || (isFaulty && chance(5)) ? 2 : 1) where !chance(lossPercent) {
        let slow: UInt64 = isSplit ? 6 : isFaulty && chance(10) ? 30 : 1
        flights.append(Flight(at: time + 1 + random.next() % (8 * slow), from: place, to: target, message: message))
      }
    }
    if node.write == nil, let write = machine.nextWrite() {
      node.write = write
    }
    if let snapshot = machine.nextInstalled() { node.applied = snapshot.index }
    while let entry = machine.nextCommitted() {
      if entry.index != node.applied + 1 { judge.breach = "entry \(entry.index) after \(node.applied)" }
      node.applied = entry.index
      judge.commit(entry)
    }
    while let (token, index) = machine.nextRead() {
      if let index, let reader = readers.removeValue(forKey: token), index < reader.floor {
        judge.breach = "a read got \(index) when \(reader.floor) was committed"
      }
    }
    if let need = machine.nextNeed(),
      let source = nodes.filter({ $0.applied >= need.index && $0.machine != nil }).first,
      let entry = judge.committed[source.applied]
    {
      machine.install(
        RaftSnapshot(
          index: entry.index, term: entry.term, membership: judge.membership(at: entry.index, from: snapshot), state: []
        ),
        at: now)
      drain(place)
    }
  }
}

extension RaftMessage {
  /// Whether it asks for a vote that counts.
  fileprivate var isVoteRequest: Bool {
    if case .voteRequest(let request) = self { return !request.isPreVote }
    return false
  }
}
