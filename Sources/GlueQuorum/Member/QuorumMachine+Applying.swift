import DequeModule
import GlueCore
import GlueModel

// MARK: What is decided

extension QuorumMachine {
  /// Applies a committed entry, if it is the next one. What has been applied already is left out: it may come by several ways.
  func apply(_ entry: RaftEntry, at now: Timestamp) {
    guard entry.index == applied + 1 || fault == .skipsEntries && entry.index > applied else { return }
    steps?.append(.entry(entry))
    applied = entry.index
    appliedTerm = entry.term
    switch entry.content {
    case .empty: break
    case .membership(let new): membership = new
    case .command(let bytes):
      // What cannot be read is so for everybody, and changes nothing.
      guard var batch = try? QuorumBatch(encoded: bytes) else { break }
      if fault == .countsOwnTime { batch.time &+= endpoint.rawValue }
      let result = state.apply(batch, index: entry.index)
      answerBatch(result.outcomes, index: entry.index, at: now)
      observe(result, batch, at: now)
      if isWatched, !result.changes.isEmpty {
        put(QuorumChanges(index: entry.index, changes: result.changes, isOneEntry: true))
      }
    }
    noteApplied(entry, at: now)
    if raft == nil { recent.append(entry, limit: configuration.recentBytes) }
  }

  /// Tells those who asked what became of their requests.
  private func observe(_ result: QuorumApplied, _ batch: QuorumBatch, at now: Timestamp) {
    // A leader answers whoever asked; the outcome of requests of this opening is seen by itself, whoever led.
    if let session = client.session {
      for (request, outcome) in result.outcomes where request.session == session && request.number > 0 {
        conclude(request.number, outcome, at: now)
      }
      for (request, outcome) in result.notices where request.session == session {
        conclude(request.number, outcome, at: now)
      }
      if !client.locks.isEmpty { checkLocks(at: now) }
    }
  }

  /// Puts a state in place of the present one: what came between is not to be had entry by entry.
  func replaceState(by new: QuorumState, index: LogIndex, term: Term, membership new_: Membership?) {
    let old = state
    state = new
    state.fault = fault
    steps?.append(.state(index, term))
    applied = index
    appliedTerm = term
    membership = new_
    recent = RecentEntries()
    if isWatched {
      let changes = ModelChange.between(old.document.leaves(under: .root), new.document.leaves(under: .root))
      if !changes.isEmpty { put(QuorumChanges(index: index, changes: changes, isOneEntry: false)) }
      tell(.changesJoined(upTo: index))
    }
  }

  /// A committed state came, instead of the entries up to it.
  func restore(_ new: QuorumState, index: LogIndex, term: Term, membership: Membership, at now: Timestamp) {
    guard index > applied else { return }
    replaceState(by: new, index: index, term: term, membership: membership)
    lookForOutcomes(at: now)
    if raft == nil { joinIfNamed() }
  }

  /// Those who watch get everything that is in the queue as one if they are that slow.
  private func put(_ new: QuorumChanges) {
    changes.append(new)
    guard changes.count > QuorumConfiguration.changeSets else { return }
    let joined = ModelChange.joined(changes.lazy.map(\.changes).joined())
    tell(.changesJoined(upTo: new.index))
    changes = joined.isEmpty ? [] : [QuorumChanges(index: new.index, changes: joined, isOneEntry: false)]
  }
}

/// The last entries, within a limit of bytes.
struct RecentEntries: Sendable {
  private var entries: Deque<RaftEntry> = []
  private var bytes = 0

  mutating func append(_ entry: RaftEntry, limit: Int) {
    entries.append(entry)
    bytes += entry.encodedBound
    while bytes > limit, entries.count > 1 { bytes -= entries.removeFirst().encodedBound }
  }

  /// What follows an entry, in so many bytes, but at least one; nil if it is not there any more.
  func from(_ index: LogIndex, bytes limit: Int) -> [RaftEntry]? {
    guard let first = entries.first, index >= first.index, index - first.index < UInt64(entries.count) else {
      return nil
    }
    var taken: [RaftEntry] = []
    var size = 0
    for entry in entries.dropFirst(Int(index - first.index)) {
      size += entry.encodedBound
      if !taken.isEmpty, size > limit { break }
      taken.append(entry)
    }
    return taken
  }
}
