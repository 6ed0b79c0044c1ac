import GlueCore
import GlueModel
import GlueSimulation

@testable import GlueQuorum

/// Clients that ask a quorum for things while it is troubled, and what they were told.
final class QuorumWorkload {
  let network: QuorumNetwork
  let voters: Int
  var operations: [HistoryOperation] = []
  private var random: SeededGenerator
  private var pending: [(client: Int, node: Int, ticket: UInt64, action: HistoryOperation.Action, call: Timestamp)] = []
  private var lastValue = 0
  private var held: [String: (node: Int, token: UInt64)] = [:]
  private(set) var faults = 0
  /// Voters that come and go: the last of them is removed and added again.
  private var isOut = false

  init(
    voters: Int, observers: Int, seed: UInt64, fault: QuorumFault? = nil, raftFault: RaftFault? = nil
  ) {
    self.voters = voters
    network = QuorumNetwork(voters + observers, withStorage: voters, seed: seed)
    network.configuration = .lan
    network.configuration.compactionBytes = 20_000
    network.configuration.raft.keptBytes = 5_000
    network.configuration.raft.keptEntries = 50
    network.configuration.recentBytes = 5_000
    random = SeededGenerator(seed: seed &+ 1)
    network.fault = fault
    network.raftFault = raftFault
    network.startAll()
    network.willCrash = { [unowned self] node in
      collect()
      forget(node)
    }
  }

  /// Runs clients and faults for so long, then without faults until all is told.
  func run(for span: Nanoseconds, clients: Int = 6, keys: Int = 4) {
    let end = network.now + span
    var faultAt = network.now + .milliseconds(500)
    while network.now < end {
      for client in 0..<clients where !pending.contains(where: { $0.client == client }) { ask(client, keys: keys) }
      network.run(until: min(end, min(faultAt, network.now + .milliseconds(20)))) { !self.hasResult }
      collect()
      if network.now >= faultAt {
        fault()
        faultAt = network.now + Nanoseconds(random.between(100_000_000...900_000_000))
      }
    }
    network.heal()
    network.crashesVoters = false
    for index in network.nodes.indices where network.nodes[index].machine == nil { network.start(index) }
    network.run(for: .seconds(10))
    collect()
    for rest in pending { record(rest.client, rest.action, rest.call, nil, .unknown) }
    pending = []
  }

  private var hasResult: Bool {
    network.results.contains { result in pending.contains { $0.node == result.node && $0.ticket == result.ticket } }
  }

  private func ask(_ client: Int, keys: Int) {
    let node = Int(random.next() % UInt64(network.nodes.count))
    guard network.nodes[node].machine != nil else { return }
    let key = "k\(random.next() % UInt64(keys))"
    let path = ModelPath(unchecked: key)
    lastValue += 1
    let value = "v\(lastValue)"
    let action: HistoryOperation.Action
    let span = Nanoseconds.milliseconds(1_500)
    let ticket: UInt64?
    let call = network.now
    switch random.next() % 10 {
    case 0..<4:
      action = .read(key: key, value: nil)
      ticket = network.input(node) { $0.read(timeout: span, at: $1) }
    case 4..<8:
      action = .write(key: key, value: value)
      ticket = network.input(node) {
        $0.submit(.transaction([], [.set(path, .string(value))]), timeout: span, at: $1)
      }
    default:
      let expected = "v\(max(1, lastValue - Int(random.next() % 12)))"
      action = .compareAndSet(key: key, expected: expected, value: value)
      ticket = network.input(node) {
        $0.submit(.transaction([.value(path, .string(expected))], [.set(path, .string(value))]), timeout: span, at: $1)
      }
    }
    if let ticket { pending.append((client, node, ticket, action, call)) }
  }

  private func collect() {
    for (node, ticket, result) in network.results {
      guard let place = pending.firstIndex(where: { $0.node == node && $0.ticket == ticket }) else { continue }
      let asked = pending.remove(at: place)
      switch result {
      case .readable:
        guard case .read(let key, _) = asked.action else { continue }
        let value = network.nodes[node].machine?.state.document.read(ModelPath(unchecked: key))?.string
        record(asked.client, .read(key: key, value: value), asked.call, network.now, .committed)
      case .committed(let index): record(asked.client, asked.action, asked.call, network.now, .committed, index)
      case .rejected(.conditionFailed):
        record(asked.client, asked.action, asked.call, network.now, .rejected(reason: nil))
      case .rejected, .failed: record(asked.client, asked.action, asked.call, network.now, .failed)
      case .unknown: record(asked.client, asked.action, asked.call, network.now, .unknown)
      case .granted, .done: break
      }
    }
    network.results = []
  }

  private func record(
    _ client: Int, _ action: HistoryOperation.Action, _ call: Timestamp, _ end: Timestamp?,
    _ outcome: HistoryOperation.Outcome, _ index: LogIndex? = nil
  ) {
    if case .read = action, outcome != .committed { return }
    operations.append(
      HistoryOperation(
        process: Int64(client), action, call: Int64(call.nanoseconds), return: (end?.nanoseconds).map(Int64.init),
        outcome, index: index.map(Int64.init)))
  }

  /// What became of it, by the linearizability checker, or by the comparison of what was applied.
  var verdict: (isLinearizable: Bool, isSame: Bool) {
    // A search that is given up is no proof; such histories are long, and seldom.
    let verdict = LinearizabilityChecker(states: 200_000).check(History(operations: operations)).verdict
    return (verdict != .violated, network.breach == nil)
  }

  /// What a crashed node was asked nobody hears of again.
  private func forget(_ node: Int) {
    for rest in pending where rest.node == node { record(rest.client, rest.action, rest.call, nil, .unknown) }
    pending.removeAll { $0.node == node }
  }

  private func fault() {
    faults += 1
    let node = Int(random.next() % UInt64(voters))
    switch random.next() % 14 {
    case 0, 1: network.crash(node)
    case 2, 3:
      for index in network.nodes.indices where network.nodes[index].machine == nil { network.start(index) }
    case 4: network.pause(node, for: Nanoseconds(random.between(100_000_000...3_000_000_000)))
    case 5:
      let group = Set(network.nodes.indices.filter { _ in random.next() % 2 == 0 })
      network.partition(group)
    case 6:
      let other = Int(random.next() % UInt64(network.nodes.count))
      if other != node { network.setCut(node, other, true) }
    case 7, 8:
      // The leader sleeps until there is another one.
      if let leader = network.leaders.last {
        network.heal()
        network.pause(leader, for: Nanoseconds(random.between(400_000_000...1_200_000_000)))
      }
    case 9:
      // The leader is gone between its commit and its answers.
      if let leader = network.leaders.last { network.crash(leader) }
    case 10, 11:
      // The power fails for all voters; whoever votes afterwards may go down again before its vote is on disk.
      for index in 0..<voters { network.crash(index) }
      for index in 0..<voters { network.start(index) }
      network.heal()
      network.crashesVoters.toggle()
    case 12:
      let last = EndpointID(UInt64(voters))
      let change: QuorumChange = isOut ? .add(last, asVoter: true) : .remove(last)
      isOut.toggle()
      if let leader = network.leaders.last {
        network.input(leader) { _ = $0.change(change, timeout: .seconds(2), at: $1) }
      }
    default: network.heal()
    }
  }
}
