import GlueCore
import GlueModel

/// Who wrote and removed what in all models of a run, as it happened where it was done.
package struct ModelLedger {
  /// A transaction.
  package struct Operation {
    /// Its changes.
    var counters: Range<UInt64>
    /// What it removed of what was there before.
    var removed: [Dot]
    /// Own parts of counters into which it joined older ones, as they were then.
    var folded: [LiveDot]

    /// Joins the parts.
    package init(counters: Range<UInt64>, removed: [Dot], folded: [LiveDot]) {
      (self.counters, self.removed, self.folded) = (counters, removed, folded)
    }
  }

  private struct Writer {
    /// By ascending counters.
    var operations: [Operation] = []
    /// What was written, by counter; of parts of counters all forms, by their folds.
    var entries: [UInt64: [UInt32: Entry]] = [:]
  }

  private var writers: [ReplicaID: Writer] = [:]
  /// The transactions that removed something, each by its last change.
  private var removers: [Dot: [Dot]] = [:]

  /// Nothing written yet.
  package init() {}

  /// A replica has made a transaction. The entries are those that it wrote or wrote anew.
  package mutating func wrote(_ operation: Operation, entries: [Entry], by replica: ReplicaID) {
    writers[replica, default: Writer()].operations.append(operation)
    for entry in entries {
      writers[replica, default: Writer()].entries[entry.dot.counter, default: [:]][folds(of: entry)] = entry
    }
    for dot in operation.removed {
      removers[dot, default: []].append(Dot(replica, operation.counters.upperBound - 1))
    }
  }

  /// What was written there, in the form of that many folds.
  package func entry(_ live: LiveDot) -> Entry? { writers[live.dot.replica]?.entries[live.dot.counter]?[live.folds] }

  /// Whether a change left an entry when its transaction was made.
  package func hasEntry(_ dot: Dot) -> Bool { writers[dot.replica]?.entries[dot.counter] != nil }

  /// Whether a transaction that the context covers has removed an entry.
  package func isRemoved(_ dot: Dot, in context: CausalContext) -> Bool {
    removers[dot]?.contains { context.covers($0) } ?? false
  }

  /// The transactions of a replica that lie at least partly in a range.
  package func operations(of replica: ReplicaID, in range: Range<UInt64>) -> ArraySlice<Operation> {
    guard let all = writers[replica]?.operations else { return [] }
    let first = all.firstIndex { $0.counters.upperBound > range.lowerBound } ?? all.endIndex
    let end = all[first...].firstIndex { $0.counters.lowerBound >= range.upperBound } ?? all.endIndex
    return all[first..<end]
  }

  /// The counter after the last change of a replica; 1 if it never wrote.
  package func end(of replica: ReplicaID) -> UInt64 { writers[replica]?.operations.last?.counters.upperBound ?? 1 }

  private func folds(of entry: Entry) -> UInt32 {
    if case .amount(_, let folds) = entry.content { folds } else { 0 }
  }
}

/// What one opening of a model has and had, as its checkers see it.
package struct ModelView {
  /// Which.
  package var opening: Opening
  /// What it has seen.
  package var context = CausalContext()
  /// What it holds of that, ascending.
  package var held: [LiveDot] = []

  /// An opening that began with this.
  package init(opening: Opening, context: CausalContext = CausalContext(), held: [LiveDot] = []) {
    (self.opening, self.context, self.held) = (opening, context, held)
  }

  /// What the next view holds and this one does not, or not in that form; and the dots that it does not hold any more.
  package func difference(to next: ModelView) -> (appeared: [LiveDot], gone: [Dot]) {
    var appeared: [LiveDot] = []
    var gone: [Dot] = []
    var (old, new) = (held[...], next.held[...])
    while let a = new.first ?? old.first {
      let (before, after) = (old.first, new.first)
      if let before, after.map({ before.dot < $0.dot }) ?? true {
        gone.append(before.dot)
        old.removeFirst()
      } else if before?.dot == a.dot {
        if before != after { appeared.append(a) }
        old.removeFirst()
        new.removeFirst()
      } else {
        appeared.append(a)
        new.removeFirst()
      }
    }
    return (appeared, gone)
  }

  /// The transactions of the ledger of which the next view has seen something that this one had not.
  package func operations(seenBy next: ModelView, in ledger: ModelLedger) -> [(ReplicaID, ModelLedger.Operation)] {
    var seen: [(ReplicaID, ModelLedger.Operation)] = []
    for part in next.context.seen.parts {
      for range in part.counters.subtracting(context.seen[part.replica]).ranges {
        for operation in ledger.operations(of: part.replica, in: range) { seen.append((part.replica, operation)) }
      }
    }
    return seen
  }

  /// Whether an entry is held, in whatever form.
  func holds(_ dot: Dot) -> LiveDot? {
    var (low, high) = (0, held.count)
    while low < high {
      let middle = (low + high) / 2
      if held[middle].dot < dot { low = middle + 1 } else { high = middle }
    }
    return low < held.count && held[low].dot == dot ? held[low] : nil
  }
}
