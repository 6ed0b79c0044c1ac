/// Mistakes that a Raft implementation could make, each at one place, so that tests can show that they would notice.
package enum RaftFault: CaseIterable, Sendable {
  case voteNotSynced, votesTwice, votesForShorterLog, countsLearners
  case acknowledgesBeforeSync, leaderCountsUnsynced, commitsOldTerm, commitsUnmatched, skipsPreviousCheck
  case changesAtOnce, readsWithoutRound, readsFromOldRound
  case noPreVote, noLeaderStickiness, noCheckQuorum, neverResends, keepsTruncatedMembership
  case keepsMatchOverTerms, changesBeforeOwnEntry
}
