import GlueCore
import GlueSimulation
import Testing

/// Tries every order, and shares nothing with the checker: texts for values, no partitions, nothing left out.
private struct BruteForce {
  let operations: [HistoryOperation]

  static func isLinearizable(_ history: History) -> Bool {
    let effective = history.operations.filter {
      switch $0.outcome {
      case .committed, .unknown, .rejected(nil): true
      case .failed, .rejected: false
      }
    }
    var store: [String: String] = [:]
    for cell in history.initial { store[cell.key] = cell.value }
    return Self(operations: effective).search(Array(effective.indices), store)
  }

  private func search(_ left: [Int], _ store: [String: String]) -> Bool {
    if left.allSatisfy({ operations[$0].outcome == .unknown }) { return true }
    for place in left {
      let operation = operations[place]
      // Nobody who is left may have returned before it was called.
      let isFirst = left.allSatisfy {
        guard operations[$0].outcome != .unknown, let end = operations[$0].return else { return true }
        return end >= operation.call
      }
      guard isFirst, let after = apply(operation, store) else { continue }
      if search(left.filter { $0 != place }, after) { return true }
    }
    return false
  }

  private func apply(_ operation: HistoryOperation, _ store: [String: String]) -> [String: String]? {
    var conditions: [HistoryCell] = []
    var writes: [HistoryCell] = []
    switch operation.action {
    case .read(let key, let value): if operation.outcome == .committed { conditions = [HistoryCell(key, value)] }
    case .write(let key, let value): writes = [HistoryCell(key, value)]
    case .delete(let key): writes = [HistoryCell(key, nil)]
    case .compareAndSet(let key, let expected, let value):
      conditions = [HistoryCell(key, expected)]
      writes = [HistoryCell(key, value)]
    case .transaction(let asked, let made): (conditions, writes) = (asked, made)
    }
    let holds = conditions.allSatisfy { store[$0.key] == $0.value }
    if operation.outcome == .rejected(reason: nil) { return holds ? nil : store }
    guard holds else { return nil }
    var store = store
    for cell in writes { store[cell.key] = cell.value }
    return store
  }
}

@Suite struct BruteForceTests {
  /// As many as debug mode judges in some two seconds.
  private static let histories = 20_000

  @Test func theCheckerAgreesWithTryingEveryOrder() {
    var random = SeededGenerator(seed: 1)
    var linearizable = 0
    for number in 0..<Self.histories {
      let history = Self.history(&random)
      let expected = BruteForce.isLinearizable(history)
      linearizable += expected ? 1 : 0
      let found = LinearizabilityChecker().check(history).verdict
      guard found == (expected ? .linearizable : .violated) else {
        Issue.record("history \(number): \(found)\n\(HistoryWriter.text(history))")
        return
      }
    }
    // Both kinds are there in plenty.
    #expect(linearizable > Self.histories / 5)
    #expect(linearizable < Self.histories * 4 / 5)
  }

  private static func history(_ random: inout SeededGenerator) -> History {
    func pick(_ count: UInt64) -> UInt64 { random.next() % count }
    func key() -> String { ["x", "y"][Int(pick(2))] }
    func value() -> String? { [nil, "a", "b", "c"][Int(pick(4))] }
    func text() -> String { value() ?? "a" }
    func cells() -> [HistoryCell] {
      switch pick(4) {
      case 0: []
      case 1: [HistoryCell(key(), value())]
      default: [HistoryCell("x", value()), HistoryCell("y", value())]
      }
    }
    var history = History()
    if pick(2) == 0 { history.initial = [HistoryCell("x", "a")] }
    let isConnected = pick(2) == 0
    for process in 0..<Int64(2 + pick(5)) {
      let action: HistoryOperation.Action
      switch pick(isConnected ? 7 : 6) {
      case 0, 1: action = .read(key: key(), value: value())
      case 2: action = .write(key: key(), value: text())
      case 3: action = .delete(key: key())
      case 4, 5: action = .compareAndSet(key: key(), expected: value(), value: value())
      default: action = .transaction(conditions: cells(), writes: cells())
      }
      let canFail =
        switch action {
        case .compareAndSet: true
        case .transaction(let conditions, _): !conditions.isEmpty
        case .read, .write, .delete: false
        }
      let call = Int64(pick(12))
      var operation = HistoryOperation(process, call, call + Int64(pick(8)), action)
      switch pick(8) {
      case 0, 1: operation.outcome = .unknown
      case 2: operation.outcome = .failed
      case 3, 4: if canFail { operation.outcome = .rejected(reason: nil) }
      default: break
      }
      history.operations.append(operation)
    }
    return history
  }
}
