import GlueCore
import GlueModel

/// What was removed does not come back: an entry that a replica has seen and does not hold it never holds again, and it holds none of which it has
/// seen the removal.
package struct ModelNoReturn {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing seen yet.
  package init() {}

  /// An opening has changed.
  package mutating func changed(
    from old: ModelView, to new: ModelView, seen: [(ReplicaID, ModelLedger.Operation)], appeared: [LiveDot]
  ) -> String? {
    for live in appeared where old.holds(live.dot) == nil {
      checks += 1
      if old.context.covers(live.dot) {
        return "opening \(new.opening) holds \(live.dot) again"
      }
    }
    for (replica, operation) in seen {
      for dot in operation.removed {
        checks += 1
        if new.holds(dot) != nil {
          return
            "opening \(new.opening) holds \(dot), and has seen that the transaction \(operation.counters) of \(replica) removed it"
        }
      }
    }
    return nil
  }
}
