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
    case .countsOwnTime: .countsOwnTime
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

  /// What reaches the machine in place of a message. In a VOTE the flag for a granted one is set.
  func received(_ bytes: [UInt8]) -> [UInt8] {
    let (raft, vote, granted): (UInt8, UInt8, UInt8) = (1, 1, 2)
    guard mutant == .countsRefusals, bytes.count > 36, bytes[1] == raft, bytes[34] == vote else { return bytes }
    var bytes = bytes
    bytes[bytes.count - 1] |= granted
    return bytes
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
