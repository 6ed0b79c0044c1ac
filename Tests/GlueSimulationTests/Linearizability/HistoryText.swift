import GlueSimulation

extension HistoryOperation {
  /// An operation that ends with a commit unless something else is said.
  init(_ process: Int64, _ call: Int64, _ end: Int64?, _ action: Action, _ outcome: Outcome = .committed) {
    self.init(process: process, action, call: call, return: end, outcome)
  }
}

/// The verdict on some operations.
func verdict(_ operations: [HistoryOperation], initial: [HistoryCell] = []) -> LinearizabilityReport.Verdict {
  LinearizabilityChecker().check(History(initial: initial, operations: operations)).verdict
}
