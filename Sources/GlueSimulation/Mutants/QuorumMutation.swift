import GlueQuorum

/// Makes one opening of a quorum model behave as a ``Mutant`` does.
struct QuorumMutation {
  let mutant: Mutant

  /// nil if the mutant does nothing to quorum models.
  init?(_ mutant: Mutant) {
    guard mutant.isOfQuorums else { return nil }
    self.mutant = mutant
  }

  /// What is wrong with the machine.
  var fault: QuorumFault? {
    switch mutant {
    case .skipsEntries: .skipsEntries
    case .retryAppliedTwice: .retryAppliedTwice
    case .keepsLocks: .keepsLocks
    default: nil
    }
  }

  /// What is wrong with its part in Raft.
  var raftFault: RaftFault? {
    switch mutant {
    case .votesTwice: .votesTwice
    case .commitsUnmatched: .commitsUnmatched
    case .readsAtOnce: .readsWithoutRound
    default: nil
    }
  }

  /// What is wrong with its storage.
  var logFault: LogFault? { mutant == .forgetsToSync ? .writesAreNotSynced : nil }

  /// Whether a message does not leave. FETCH, and a member's part in elections: docs/quorum-protocol.md.
  func drops(_ bytes: [UInt8]) -> Bool {
    guard bytes.count > 1 else { return false }
    let (fetch, raft): (UInt8, UInt8) = (6, 1)
    let (cluster, storages) = (16, 16)
    switch mutant {
    case .fetchesNothing: return bytes[1] == fetch
    case .asksForNoVotes: return bytes[1] == raft && bytes.count > 2 + cluster + storages && bytes[34] == 0
    default: return false
    }
  }

  /// Whether its user is not told how something ended.
  func swallows(_ result: QuorumResult) -> Bool {
    guard mutant == .waitsForever else { return false }
    switch result {
    case .unknown, .failed: return true
    case .committed, .granted, .readable, .done, .rejected: return false
    }
  }
}
