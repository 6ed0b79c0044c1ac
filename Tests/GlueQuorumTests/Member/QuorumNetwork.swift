import GlueCore
import GlueModel
import GlueSimulation
import Testing

@testable import GlueQuorum

/// What a member has on its disk. Only what was done counts: a job under way is lost with its process.
struct MemoryStorage {
  let storage: StorageID
  var cluster: ClusterID?
  var stored: StoredRaft?

  mutating func perform(_ job: QuorumJob) -> Int? {
    switch job {
    case .found(let cluster, let snapshot):
      precondition(self.cluster == nil)
      self.cluster = cluster
      stored = StoredRaft(snapshot: snapshot)
    case .write(let write):
      guard var log = stored else { return nil }
      if let hardState = write.hardState { log.hardState = hardState }
      if let snapshot = write.snapshot {
        log.entries = log.entries.filter { $0.index > snapshot.index }
        if log.entries.first?.index != snapshot.index + 1 { log.entries = [] }
        log.snapshot = snapshot
      }
      if let first = write.entries.first {
        log.entries.removeAll { $0.index >= first.index }
        precondition(log.entries.last?.index ?? log.snapshot.index == first.index - 1, "a gap in the log")
        log.entries += write.entries
      }
      stored = log
    case .compact(let index, let term, let membership, let state, let keepFrom):
      let bytes = state.encoded()
      stored?.snapshot = RaftSnapshot(index: index, term: term, membership: membership, state: bytes)
      stored?.entries.removeAll { $0.index < keepFrom || $0.index <= index }
      return bytes.count
    }
    return nil
  }
}

/// Openings of a quorum model on a virtual network, in virtual time. Messages of one sender to one receiver arrive in order while the two are connected.
final class QuorumNetwork {
  struct Node {
    let id: EndpointID
    var disk: MemoryStorage?
    var machine: QuorumMachine?
    var job: (job: QuorumJob, doneAt: Timestamp)?
    var pausedUntil: Timestamp?
  }

  private struct Flying {
    let at: Timestamp
    let number: UInt64
    let from: Int
    let to: Int
    let bytes: [UInt8]
    let connection: UInt64
  }

  var now = Timestamp(nanoseconds: 1_000_000_000)
  var nodes: [Node] = []
  var random: SeededGenerator
  var configuration = QuorumConfiguration()
  /// Mistakes that all of them make.
  var fault: QuorumFault?
  var raftFault: RaftFault?
  /// Told before somebody crashes: what it was asked nobody hears of again, and its tickets begin anew.
  var willCrash: (Int) -> Void = { _ in }
  /// Whoever has a vote to write goes down before it is written, and is back at once.
  var crashesVoters = false
  /// The same place in the log with different entries.
  private(set) var breach: String?
  private var committed: [LogIndex: RaftEntry] = [:]
  /// Whose disks do nothing any more.
  var hangingDisks: Set<Int> = []
  /// One message of so many is lost, also between those who are connected; 0: none.
  var lossOneOf: UInt64 = 0
  var diskTime: ClosedRange<UInt64> = 100_000...3_000_000
  var events: [(node: Int, event: QuorumEvent)] = []
  var results: [(node: Int, ticket: UInt64, result: QuorumResult)] = []
  var watched: [(node: Int, changes: QuorumChanges)] = []
  private var flying: [Flying] = []
  private var lastNumber: UInt64 = 0
  private var lastArrival: [[Timestamp]] = []
  /// Which pairs are cut, and how often a pair was connected: what flies over a cut is lost.
  private var cut: Set<[Int]> = []
  private var connections: [[UInt64]] = []
  /// Who knows of whom.
  private var knows: Set<[Int]> = []

  init(_ count: Int, withStorage: Int, seed: UInt64) {
    random = SeededGenerator(seed: seed)
    for index in 0..<count {
      nodes.append(
        Node(
          id: EndpointID(UInt64(index + 1)),
          disk: index < withStorage ? MemoryStorage(storage: StorageID(random.next() | 1)) : nil))
    }
    lastArrival = Array(repeating: Array(repeating: now, count: count), count: count)
    connections = Array(repeating: Array(repeating: 0, count: count), count: count)
  }

  func start(_ index: Int) {
    let disk = nodes[index].disk
    nodes[index].machine = try? QuorumMachine(
      endpoint: nodes[index].id, storage: disk?.storage, cluster: disk?.cluster, stored: disk?.stored,
      configuration: configuration, seed: random.next(), at: now)
    precondition(nodes[index].machine != nil, "the stored state cannot be read")
    nodes[index].machine?.fault = fault
    nodes[index].machine?.raftFault = raftFault
    reconnect(index)
  }

  func startAll() { for index in nodes.indices { start(index) } }

  /// It is gone at once, with what its disk was doing.
  func crash(_ index: Int) {
    willCrash(index)
    results.removeAll { $0.node == index }
    nodes[index].machine = nil
    nodes[index].job = nil
    nodes[index].pausedUntil = nil
    reconnect(index)
  }

  func pause(_ index: Int, for span: Nanoseconds) { nodes[index].pausedUntil = now + span }

  /// It loses its disk.
  func wipe(_ index: Int) { nodes[index].disk = MemoryStorage(storage: StorageID(random.next() | 1)) }

  func setCut(_ a: Int, _ b: Int, _ isCut: Bool) {
    let pair = [min(a, b), max(a, b)]
    guard cut.contains(pair) != isCut else { return }
    if isCut { cut.insert(pair) } else { cut.remove(pair) }
    meet(a, b)
  }

  func partition(_ group: Set<Int>) {
    for a in nodes.indices {
      for b in nodes.indices where a < b { setCut(a, b, group.contains(a) != group.contains(b)) }
    }
  }

  func heal() { for a in nodes.indices { for b in nodes.indices where a < b { setCut(a, b, false) } } }

  private func reconnect(_ index: Int) { for other in nodes.indices where other != index { meet(index, other) } }

  /// Both get to know whether the other is there. What flew between them is lost.
  private func meet(_ a: Int, _ b: Int) {
    connections[a][b] += 1
    connections[b][a] += 1
    for (one, other) in [(a, b), (b, a)] {
      if knows.remove([one, other]) != nil { nodes[one].machine?.peerVanished(nodes[other].id, at: now) }
    }
    guard !cut.contains([min(a, b), max(a, b)]), nodes[a].machine != nil, nodes[b].machine != nil else { return }
    for (one, other) in [(a, b), (b, a)] {
      knows.insert([one, other])
      nodes[one].machine?.peerAppeared(nodes[other].id, at: now)
    }
    drain(a)
    drain(b)
  }

  // MARK: Running

  /// Passes an input to a node, and takes what comes of it.
  @discardableResult
  func input<R>(_ index: Int, _ body: (QuorumMachine, Timestamp) -> R) -> R? {
    guard let machine = nodes[index].machine else { return nil }
    let result = body(machine, now)
    drain(index)
    return result
  }

  private func drain(_ index: Int) {
    guard let machine = nodes[index].machine else { return }
    while let (peer, bytes) = machine.nextMessage() { send(bytes, from: index, to: Int(peer.rawValue) - 1) }
    while let bytes = machine.nextBroadcast() {
      for other in nodes.indices where other != index && nodes[other].machine?.wantsNews == true {
        send(bytes, from: index, to: other)
      }
    }
    while let event = machine.nextEvent() { events.append((index, event)) }
    while let (ticket, result) = machine.nextResult() { results.append((index, ticket, result)) }
    while let changes = machine.nextChanges() { watched.append((index, changes)) }
    if nodes[index].job == nil, let job = machine.nextJob(at: now) {
      nodes[index].job = (job, now + Nanoseconds(random.between(diskTime)))
    }
    compare(machine)
  }

  /// What is applied at one place must be the same everywhere.
  private func compare(_ machine: QuorumMachine) {
    guard let entry = machine.raft?.entries(from: machine.applied, bytes: 1)?.first, entry.index == machine.applied
    else { return }
    if let other = committed[entry.index], other != entry { breach = "entry \(entry.index) is \(other) and \(entry)" }
    committed[entry.index] = entry
  }

  /// Crashes those who have a vote for another one to write.
  private func crashSomeVoter() {
    for index in nodes.indices {
      guard case .write(let write)? = nodes[index].job?.job, let vote = write.hardState?.vote,
        vote.endpoint != nodes[index].id, random.next() % 3 == 0
      else { continue }
      crash(index)
      start(index)
    }
  }

  private func send(_ bytes: [UInt8], from: Int, to: Int) {
    guard knows.contains([from, to]), lossOneOf == 0 || random.next() % lossOneOf != 0 else { return }
    let arrival = max(lastArrival[from][to], now + Nanoseconds(random.between(50_000...2_000_000)))
    lastArrival[from][to] = arrival
    lastNumber += 1
    flying.append(
      Flying(at: arrival, number: lastNumber, from: from, to: to, bytes: bytes, connection: connections[from][to]))
  }

  private func wakeup(_ index: Int) -> Timestamp? {
    guard let due = nodes[index].machine?.nextWakeup else { return nil }
    return max(due, nodes[index].pausedUntil ?? due)
  }

  /// Lets time pass until then.
  func run(for span: Nanoseconds) { run(until: now + span) }

  func run(until end: Timestamp, while isWaiting: () -> Bool = { true }) {
    while now < end, isWaiting() {
      var next = end
      for index in nodes.indices {
        if let wakeup = wakeup(index) { next = min(next, max(wakeup, now)) }
        if let job = nodes[index].job, !hangingDisks.contains(index) {
          next = min(next, max(max(job.doneAt, nodes[index].pausedUntil ?? now), now))
        }
      }
      if crashesVoters { crashSomeVoter() }
      // Of messages to a paused node time stands still.
      let place = flying.indices.min {
        (arrival(flying[$0]), flying[$0].number) < (arrival(flying[$1]), flying[$1].number)
      }
      if let place, arrival(flying[place]) <= next {
        let message = flying.remove(at: place)
        now = max(now, arrival(message))
        guard message.connection == connections[message.from][message.to] else { continue }
        input(message.to) { machine, now in
          message.bytes.withUnsafeBytes { machine.receive($0, from: nodes[message.from].id, at: now) }
        }
        continue
      }
      now = next
      for index in nodes.indices {
        if let until = nodes[index].pausedUntil {
          if until > now { continue }
          nodes[index].pausedUntil = nil
        }
        if let job = nodes[index].job, job.doneAt <= now, nodes[index].machine != nil, !hangingDisks.contains(index) {
          nodes[index].job = nil
          let bytes = nodes[index].disk?.perform(job.job)
          input(index) { $0.jobDone(stateBytes: bytes ?? nil, at: $1) }
        }
        if let wakeup = wakeup(index), wakeup <= now { input(index) { $0.advance(to: $1) } }
      }
    }
  }

  private func arrival(_ message: Flying) -> Timestamp {
    max(message.at, nodes[message.to].pausedUntil ?? message.at)
  }

  // MARK: Asking

  /// Asks, and runs until there is an answer.
  func ask(_ index: Int, _ body: (QuorumMachine, Timestamp) -> UInt64) -> QuorumResult? {
    guard let ticket = input(index, body) else { return nil }
    run(until: now + .seconds(120)) { !results.contains { $0.node == index && $0.ticket == ticket } }
    return results.first { $0.node == index && $0.ticket == ticket }?.result
  }

  func set(_ index: Int, _ path: String, _ value: ModelValue, timeout: Nanoseconds = .seconds(5)) -> QuorumResult? {
    ask(index) { $0.submit(.transaction([], [.set(ModelPath(unchecked: path), value)]), timeout: timeout, at: $1) }
  }

  func read(_ index: Int, _ path: String) -> ModelValue? {
    let result = ask(index) { $0.read(timeout: .seconds(5), at: $1) }
    guard case .readable = result else {
      Issue.record("read at \(index + 1): \(String(describing: result))")
      return nil
    }
    return nodes[index].machine?.state.document.read(ModelPath(unchecked: path))?.value
  }

  /// Founds the quorum with the first ones.
  func found(_ count: Int, at index: Int = 0) -> QuorumResult? {
    let voters = nodes.prefix(count).map(\.id)
    return ask(index) { $0.initialize(voters: voters, timeout: .seconds(30), at: $1) }
  }

  var leaders: [Int] { nodes.indices.filter { nodes[$0].machine?.isLeader == true } }

  /// Runs until somebody leads, and is ready.
  func awaitLeader() -> Int? {
    run(until: now + .seconds(60)) { !leaders.contains { nodes[$0].machine?.leading?.clock != nil } }
    return leaders.first
  }
}

extension SeededGenerator {
  mutating func between(_ range: ClosedRange<UInt64>) -> UInt64 {
    range.lowerBound + next() % (range.upperBound - range.lowerBound + 1)
  }
}
