/// Whether a history is linearizable: whether every operation can be given one moment between its call and its return, so
/// that all of them, one after the other, do to a store of keys what the clients were told.
///
/// Wing and Gong's search ("Testing and verifying concurrent objects", 1993) as Lowe improved it ("Testing for
/// linearizability", 2017): just in time, with the configurations remembered that lead nowhere. Keys that no transaction
/// connects are searched apart (Horn and Kroening, "Faster linearizability checking via P-compositionality", 2015).
package struct LinearizabilityChecker: Sendable {
  /// Configurations that are remembered before the search gives up: about 150 bytes each, so some 150 MB and 10 s.
  package static let defaultStates = 1_000_000

  /// The bound on configurations, for all partitions together.
  package var states: Int

  /// A checker with a bound on its work.
  package init(states: Int = Self.defaultStates) {
    self.states = states
  }

  /// Judges a history.
  package func check(_ history: History) -> LinearizabilityReport {
    let prepared = PreparedHistory(history)
    var budget = SearchBudget(states: states)
    var report = LinearizabilityReport(
      operations: history.operations.count, considered: prepared.operations.count, partitions: prepared.partitions.count
    )
    for partition in prepared.partitions {
      var search = PartitionSearch(partition, of: prepared)
      switch search.run(&budget) {
      case .linearizable: break
      case .undecided: report.undecided.append(partition.keys.map { prepared.keys[$0] })
      case .violated(let prefix, let unplaced):
        report.violations.append(
          Self.violation(in: partition, of: prepared, history: history, prefix: prefix, unplaced: unplaced))
      }
    }
    report.states = budget.statesUsed
    return report
  }

  private static func violation(
    in partition: PreparedHistory.Partition, of prepared: PreparedHistory, history: History, prefix: [Int],
    unplaced: [Int]
  ) -> LinearizabilityReport.Violation {
    // Replayed from the history itself: the search does not tell values apart for which nobody asks.
    var cells = partition.keys.map { HistoryCell(prepared.keys[$0], nil) }
    var places: [[UInt8]: Int] = [:]
    for (place, cell) in cells.enumerated() { places[[UInt8](cell.key.utf8)] = place }
    func write(_ writes: [HistoryCell]) {
      for write in writes {
        if let place = places[[UInt8](write.key.utf8)] { cells[place].value = write.value }
      }
    }
    write(history.initial)
    let sources = prefix.map { prepared.operations[$0].source }
    for source in sources {
      if case .rejected = history.operations[source].outcome { continue }
      write(history.operations[source].action.writes)
    }
    return LinearizabilityReport.Violation(
      keys: cells.map(\.key), prefix: sources, state: cells, unplaced: unplaced.map { prepared.operations[$0].source })
  }
}

/// What the checker found.
package struct LinearizabilityReport: Equatable, Sendable {
  /// A partition that no order explains.
  package struct Violation: Equatable, Sendable {
    /// The partition's keys.
    package var keys: [String]

    /// The longest order found, as places in the history's operations.
    package var prefix: [Int]

    /// What the keys hold after it.
    package var state: [HistoryCell]

    /// The operations that were under way then and have no place in it: the first one has returned, and none of the orders
    /// has room for it; the others were tried before it.
    package var unplaced: [Int]
  }

  /// How the history is to be called.
  package enum Verdict: String, Sendable {
    case linearizable, violated, undecided
  }

  /// How many operations the history has.
  package var operations: Int

  /// How many of them can matter.
  package var considered: Int

  /// How many parts were checked apart.
  package var partitions: Int

  /// How many configurations were remembered.
  package var states = 0

  /// The partitions that no order explains.
  package var violations: [Violation] = []

  /// The keys of partitions for which the bound on work did not suffice.
  package var undecided: [[String]] = []

  /// One word for all of it: a violation is one whatever else is undecided.
  package var verdict: Verdict {
    violations.isEmpty ? (undecided.isEmpty ? .linearizable : .undecided) : .violated
  }
}
