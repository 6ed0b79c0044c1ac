import GlueCore
import GlueModel
import GlueQuorum

/// What is known from above of the quorum models of a run, and who checks it.
package struct QuorumBooks {
  var leaders = QuorumLeaders()
  var log = QuorumLog()
  var order = QuorumOrder()
  var memory = QuorumMemory()
  var durability = QuorumDurability()
  var history = QuorumHistory()
  var locks = QuorumLocks()
  var ends = QuorumEnds()
  var progress = QuorumProgress()
  var convergence = QuorumConvergence()
  /// What those know who watch.
  var watching = ModelWatching()

  /// A state is compared after so many entries: that takes longer than to apply them.
  static let entriesPerDigest: LogIndex = 16

  package init() {}
}

extension Recorder {
  /// The number of the next opening.
  mutating func nextQuorumOpening() -> Opening {
    report.quorums.openings += 1
    return Opening(report.quorums.openings)
  }

  /// A quorum model was opened.
  mutating func opened(_ quorum: SimulatedQuorum, at now: Timestamp) {
    trace.note(.quorumOpened, quorum.endpoint.life, quorum.opening, Int(quorum.machine.applied), at: now)
    quorums.order.began(quorum.opening, after: quorum.machine.applied)
    quorums.watching.began(quorum.opening, with: quorum.machine.state.document.leaves(under: .root))
  }

  /// A quorum model was closed, or its endpoint has ended.
  mutating func closed(_ quorum: SimulatedQuorum, at now: Timestamp) {
    trace.note(.quorumClosed, quorum.endpoint.life, quorum.opening, at: now)
    quorums.watching.ended(quorum.opening)
  }

  // MARK: Storages

  /// A storage was opened.
  mutating func loaded(_ store: RaftLogStore, at now: Timestamp) {
    if store.cluster != nil { report.quorums.loaded += 1 }
    if store.report.cutBytes > 0 { report.quorums.tornTails += 1 }
    judge(
      .quorumMemory,
      quorums.memory.loaded(store.storage, cluster: store.cluster, stored: store.stored), at: now)
  }

  /// A job is done.
  mutating func wrote(_ job: QuorumJob, to storage: StorageID) {
    if case .compact = job { report.quorums.compactions += 1 }
    quorums.memory.wrote(job, to: storage)
  }

  /// A job failed, or was cut off.
  mutating func interrupted(_ job: QuorumJob, on storage: StorageID) { quorums.memory.interrupted(job, on: storage) }

  // MARK: What is decided

  /// An opening has applied something.
  mutating func applied(_ quorum: SimulatedQuorum, _ steps: [QuorumStep], at now: Timestamp) {
    for step in steps {
      judge(.quorumOrder, quorums.order.applied(step, by: quorum.opening), at: now)
      guard let cluster = quorum.machine.cluster else { continue }
      switch step {
      case .entry(let entry):
        let (isNew, verdict) = quorums.log.applied(entry, of: cluster, by: quorum.opening)
        judge(.quorumLog, verdict, at: now)
        if isNew {
          report.quorums.entries += 1
          if case .membership = entry.content { report.quorums.changes += 1 }
        }
      case .state(let index, _): if index > 0 { report.quorums.states += 1 }
      }
    }
  }

  /// An opening tells those who watch.
  mutating func told(_ quorum: SimulatedQuorum, _ changes: QuorumChanges, at now: Timestamp) {
    // One by one: an entry may have several transactions, each of which changes what the one before has.
    for change in changes.changes {
      judge(.quorumOrder, quorums.watching.told([change], at: quorum.opening), at: now)
    }
  }

  /// An opening has done something.
  mutating func looked(at quorum: SimulatedQuorum, at now: Timestamp) {
    let machine = quorum.machine
    guard let cluster = machine.cluster else { return }
    // Not the machine's own: that may be the later one of somebody else, of whom it was told.
    let term = machine.isLeader ? machine.raftMachine?.term : nil
    if let term, quorum.seen.leads != term {
      report.quorums.leaders += 1
      trace.note(.quorumLed, quorum.endpoint.life, quorum.opening, Int(term), at: now)
      judge(.quorumLeaders, quorums.leaders.leads(quorum.opening, term: term, of: cluster), at: now)
    }
    quorum.seen.leads = term
    guard machine.applied != quorum.seen.applied else { return }
    let before = quorum.seen.applied
    quorum.seen.applied = machine.applied
    trace.note(.quorumApplied, quorum.endpoint.life, quorum.opening, Int(machine.applied), at: now)
    guard machine.applied / QuorumBooks.entriesPerDigest != before / QuorumBooks.entriesPerDigest else { return }
    judge(
      .quorumLog,
      quorums.log.has(machine.state.digest, after: machine.applied, of: cluster, by: quorum.opening), at: now)
    judge(
      .quorumOrder,
      quorums.watching.shows(machine.state.document.leaves(under: .root), at: quorum.opening), at: now)
  }

  /// Something happened that an owner should know.
  mutating func happened(_ event: QuorumEvent, at quorum: SimulatedQuorum) {
    switch event {
    case .lockLost: report.quorums.locksLost += 1
    case .storageFailed: report.quorums.storageFailures += 1
    case .foreignStorage: report.quorums.foreignStorages += 1
    case .changesJoined: report.quorums.joinedChanges += 1
    case .leader, .membership, .role, .foreignCluster, .wentOver, .unreadable: break
    }
  }
}
