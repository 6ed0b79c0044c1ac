import GlueCore

/// What the clients of a quorum model were told is linearizable.
package struct QuorumHistory {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0
  /// How often the check was given up.
  package private(set) var undecided: UInt64 = 0
  private var operations: [HistoryOperation?] = []

  /// Configurations that are tried: of a run's hundred operations mostly some hundreds are.
  private static let states = 100_000

  /// Nothing asked yet.
  package init() {}

  /// A client asks for something. Returns its number.
  package mutating func asked(_ action: HistoryOperation.Action, by opening: Opening, at now: Timestamp) -> Int {
    operations.append(
      HistoryOperation(process: Int64(opening), action, call: Int64(now.nanoseconds), return: nil, .unknown))
    return operations.count - 1
  }

  /// How it ended; with what was read.
  package mutating func ended(
    _ number: Int, _ outcome: HistoryOperation.Outcome, read action: HistoryOperation.Action? = nil, at now: Timestamp
  ) {
    operations[number]?.outcome = outcome
    operations[number]?.return = outcome == .unknown ? nil : Int64(now.nanoseconds)
    if let action { operations[number]?.action = action }
  }

  /// It was not decided about, and nobody was told anything of use.
  package mutating func dropped(_ number: Int) { operations[number] = nil }

  /// Judges all of it.
  package mutating func judged() -> String? {
    // Of a read without an answer nothing is known.
    let known = operations.compactMap(\.self).filter { $0.outcome != .unknown || !$0.action.writes.isEmpty }
    guard !known.isEmpty else { return nil }
    checks += 1
    let report = LinearizabilityChecker(states: Self.states).check(History(operations: known))
    if report.verdict == .undecided { undecided += 1 }
    guard report.verdict == .violated, let violation = report.violations.first else { return nil }
    let stuck = violation.unplaced.first.map { "; no place for \(known[$0])" } ?? ""
    return
      "of \(report.operations) operations on \(violation.keys.joined(separator: ", ")) \(violation.prefix.count) can be put "
      + "in order\(stuck)"
  }
}
