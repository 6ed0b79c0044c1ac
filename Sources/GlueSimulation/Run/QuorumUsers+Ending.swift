import GlueCore
import GlueModel
import GlueQuorum

/// How the quorum model of a run ends, and what is looked at then.
extension QuorumUsers {
  /// Until then a star of links has become sessions between all: who was not heard for a while looks for ways round ever more seldom.
  private static let meetingPatience = Nanoseconds.seconds(60)
  /// How long it may take after the last write until all have the same: the last locks run out, and what is missing is fetched again and again.
  private static let convergenceBound = Nanoseconds.seconds(20)

  /// The network has been sound for the bound of convergence.
  func conclude(bound: Nanoseconds, isRendezvous: Bool) {
    if plan.endsRelayed, isDecidable {
      count(\.relayed)
      connect(byWayOf: isRendezvous ? 0 : dice.pick(simulation.alive).host)
      simulation.run(for: bound)
      simulation.run(for: Self.meetingPatience) { everybodyHasMet }
      probe(isRelayed: true)
      connect(byWayOf: nil)
      simulation.run(for: bound)
    }
    probe(isRelayed: false)
    converge()
    judge()
    for quorum in openings { quorum.close() }
    simulation.run(for: .seconds(1))
  }

  /// What holds whatever the network does.
  func judge() {
    let last = openings.max { $0.machine.applied < $1.machine.applied }
    if let last {
      let document = last.machine.state.document
      let verdict = simulation.recorder.quorums.durability.judged(after: last.machine.applied) { write in
        document.read(Self.path(ofWrite: write))?.int ?? 0
      }
      simulation.recorder.judge(.quorumDurability, verdict, at: simulation.now)
    }
    simulation.recorder.judge(.quorumHistory, simulation.recorder.quorums.history.judged(), at: simulation.now)
    for disk in disks.values { simulation.recorder.report.quorums.powerCuts += UInt64(disk.powerCuts) }
  }

  /// Leaves the links of one host only; nil: all of them are as they should be.
  private func connect(byWayOf hub: Int?) {
    let count = simulation.network.hostCount
    for from in 0..<count {
      for to in 0..<count where to != from {
        var link = simulation.network.baseline
        if let hub, from != hub, to != hub { (link.isUnicastBlocked, link.isGroupBlocked) = (true, true) }
        simulation.network[from, to] = link
      }
    }
    simulation.noteLinks()
  }

  /// Whether all openings know of each other.
  private var everybodyHasMet: Bool {
    let all = openings
    return all.allSatisfy { $0.machine.peerCount == all.count - 1 }
  }

  /// Whether something can be decided: of all memberships that a member has in its log a majority is here.
  private var isDecidable: Bool {
    let openings = openings
    let members = openings.filter { $0.machine.raftMachine != nil && $0.machine.failure == nil }
    let last = openings.max { $0.machine.applied < $1.machine.applied }
    guard let committed = last?.machine.membership else { return false }
    let all = [committed] + members.compactMap(\.machine.raftMachine?.membership)
    return all.allSatisfy { membership in
      let here = membership.voters.count { voter in
        members.contains { $0.machine.storage == voter.storage && $0.machine.endpoint == voter.endpoint }
      }
      return here >= membership.majority
    }
  }

  /// Everybody writes something.
  private func probe(isRelayed: Bool) {
    guard isDecidable else { return }
    var results: [Opening: QuorumResult] = [:]
    let asked = openings
    let span = QuorumProgress.bound * 2
    for quorum in asked {
      let write = simulation.recorder.quorums.durability.asked()
      let operation = QuorumOperation.transaction([], [.increment(Self.path(ofWrite: write), 1)])
      quorum.ask(within: span, { $0.submit(operation, timeout: span, at: $1) }) { [unowned self] result in
        results[quorum.opening] = result
        if case .committed(let index) = result {
          count(\.written)
          simulation.recorder.quorums.durability.ended(write, .done(index))
        }
      }
    }
    simulation.run(for: QuorumProgress.bound) { results.count == asked.count }
    // A disk may have refused just now.
    guard isDecidable else { return }
    for quorum in asked where !quorum.isClosed {
      let verdict = simulation.recorder.quorums.progress.settled(
        quorum.opening, results[quorum.opening], isRelayed: isRelayed)
      simulation.recorder.judge(.quorumProgress, verdict, at: simulation.now)
    }
  }

  private func converge() {
    guard isDecidable else { return }
    simulation.run(for: Self.convergenceBound) { Set(openings.map(\.machine.applied)).count <= 1 }
    let all = openings
    guard let first = all.first else { return }
    let state = first.machine.state.encoded()
    for other in all.dropFirst() {
      let verdict = simulation.recorder.quorums.convergence.settled(
        first.opening, state, after: first.machine.applied, other.opening, other.machine.state.encoded(),
        after: other.machine.applied)
      simulation.recorder.judge(.quorumConvergence, verdict, at: simulation.now)
    }
  }
}
