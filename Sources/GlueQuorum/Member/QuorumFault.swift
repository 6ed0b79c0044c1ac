/// Mistakes that what stands on Raft could make, each at one place, so that tests can show that they would notice.
package enum QuorumFault: CaseIterable, Sendable {
  /// A request that comes again happens again.
  case retryAppliedTwice
  /// A leader answers reads at once as long as a majority was heard lately, by a clock that it read before it slept.
  case leaseReadAfterPause
}
