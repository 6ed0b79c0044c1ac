import GlueCore
import GlueModel

/// Nothing in a model gets lost: what a replica has seen of others' writes it holds, unless a transaction that it has seen as well removed it.
/// Only what a clean-up counts as seen may be missing.
package struct ModelRetention {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing seen yet.
  package init() {}

  /// An opening has changed.
  package mutating func changed(
    from old: ModelView, to new: ModelView, seen: [(ReplicaID, ModelLedger.Operation)], gone: [Dot],
    in ledger: ModelLedger
  ) -> String? {
    checks += 1
    guard new.context.covers(old.context) else {
      return "opening \(new.opening) does not count as seen any more what it had seen"
    }
    func isExcused(_ dot: Dot) -> Bool {
      new.context.generationCovers(dot.replica) || ledger.isRemoved(dot, in: new.context)
    }
    for dot in gone {
      checks += 1
      if !isExcused(dot) {
        return "opening \(new.opening) does not hold \(dot) any more, which nothing that it has seen removed"
      }
    }
    for (replica, operation) in seen {
      for counter in operation.counters {
        let dot = Dot(replica, counter)
        guard ledger.hasEntry(dot), new.context.covers(dot) else { continue }
        checks += 1
        if new.holds(dot) == nil, !isExcused(dot) {
          return
            "opening \(new.opening) has seen \(dot) and does not hold it, though nothing that it has seen removed it"
        }
      }
      for folded in operation.folded {
        if let held = new.holds(folded.dot), held.folds < folded.folds {
          return
            "opening \(new.opening) has seen that \(folded.dot) was joined with older parts, and holds it as before"
        }
      }
    }
    return nil
  }
}
