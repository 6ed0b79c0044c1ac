import GlueCore

/// Mistakes that an opening of a quorum model could make, each at one place, so that tests can show that they would notice.
package enum QuorumFault: CaseIterable, Sendable {
  /// Applies entries that do not follow those before them.
  case skipsEntries
  /// A request that comes again happens again.
  case retryAppliedTwice
  /// A leader answers reads at once as long as a majority was heard lately, by a clock that it read before it slept.
  case leaseReadAfterPause
  /// Takes locks for held for ever, and does nothing for it.
  case keepsLocks
  /// Applies entries at a time of its own.
  case countsOwnTime
}

/// What an opening has applied.
package enum QuorumStep: Sendable {
  /// An entry of the log.
  case entry(RaftEntry)
  /// A state in place of the entries up to this one; 0: it begins anew.
  case state(LogIndex, Term)
}

extension QuorumMachine {
  /// Its member in Raft, for tests.
  package var raftMachine: RaftMachine? { raft }
  /// How many others it knows to be there, for tests.
  package var peerCount: Int { peers.count }
}
