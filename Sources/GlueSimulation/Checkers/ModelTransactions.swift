import GlueCore
import GlueModel

/// A transaction is seen as a whole or not at all, also by whoever looks at any moment; and one that is refused changes nothing.
package struct ModelTransactions {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing seen yet.
  package init() {}

  /// An opening has seen something of these transactions.
  package mutating func changed(to new: ModelView, seen: [(ReplicaID, ModelLedger.Operation)]) -> String? {
    for (replica, operation) in seen where !new.context.generationCovers(replica) {
      checks += 1
      guard CounterRanges(operation.counters).subtracting(new.context.seen[replica]).isEmpty else {
        return "opening \(new.opening) has seen a part of the transaction \(operation.counters) of \(replica)"
      }
    }
    return nil
  }

  /// A transaction was refused.
  package mutating func refused(at opening: Opening, hasChanged: Bool) -> String? {
    checks += 1
    return hasChanged ? "a refused transaction has changed opening \(opening)" : nil
  }
}
