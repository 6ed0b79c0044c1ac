import GlueCore
import GlueModel

/// Nothing in a model is invented: each entry was written by the replica that it names, in that transaction, at that path, with that content;
/// and changes that are counted as seen were made.
package struct ModelIntegrity {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing seen yet.
  package init() {}

  /// An opening holds entries that it did not hold before.
  package mutating func appeared(_ entries: [Entry], at opening: Opening, in ledger: ModelLedger) -> String? {
    for entry in entries {
      checks += 1
      var folds: UInt32 = 0
      if case .amount(_, let count) = entry.content { folds = count }
      guard let written = ledger.entry(LiveDot(dot: entry.dot, folds: folds)) else {
        return "opening \(opening) holds \(entry.dot) at \(entry.path), which nobody wrote"
      }
      guard written == entry else {
        return "opening \(opening) holds \(entry.dot) as \(entry), which was written as \(written)"
      }
    }
    return nil
  }

  /// An opening has seen more.
  package mutating func changed(from old: ModelView, to new: ModelView, in ledger: ModelLedger) -> String? {
    for part in new.context.seen.parts where part.counters != old.context.seen[part.replica] {
      checks += 1
      guard part.counters.end > ledger.end(of: part.replica) else { continue }
      return "opening \(new.opening) has seen changes of \(part.replica) up to \(part.counters.end - 1), which made "
        + "\(ledger.end(of: part.replica) - 1)"
    }
    return nil
  }
}
