/// What the clients of a store asked of it and were told, on one clock: what `docs/quorum-history.md` describes.
package struct History: Equatable, Sendable {
  /// The keys that had a value before the first operation.
  package var initial: [HistoryCell]

  /// The operations, in any order.
  package var operations: [HistoryOperation]

  /// A history.
  package init(initial: [HistoryCell] = [], operations: [HistoryOperation] = []) {
    self.initial = initial
    self.operations = operations
  }
}

/// A key and a value of it, or that it has none.
package struct HistoryCell: Equatable, Sendable {
  /// The key.
  package var key: String

  /// Its value; nil if it is absent.
  package var value: String?

  /// A key and its value.
  package init(_ key: String, _ value: String?) {
    self.key = key
    self.value = value
  }
}

/// One operation of a history.
package struct HistoryOperation: Equatable, Sendable {
  /// What was asked.
  package enum Action: Equatable, Sendable {
    /// Read a key; the value is what the answer said, and means nothing without one.
    case read(key: String, value: String?)

    /// Give a key a value.
    case write(key: String, value: String)

    /// Take a key's value away; an absent key may be deleted.
    case delete(key: String)

    /// Set a key to a value, or delete it, if it has the expected value, or is absent.
    case compareAndSet(key: String, expected: String?, value: String?)

    /// Write all of the cells if all conditions hold. Without writes it reads several keys at one time.
    case transaction(conditions: [HistoryCell], writes: [HistoryCell])
  }

  /// What the client was told.
  package enum Outcome: Equatable, Sendable {
    /// It took effect between call and return.
    case committed

    /// It had no effect: without a reason because a condition did not hold, else for that reason, of which the keys know nothing.
    case rejected(reason: String?)

    /// It surely had no effect.
    case failed

    /// It may take effect once at any time after the call, or never.
    case unknown
  }

  /// Who asked. Only told to people: what the operations' times say counts.
  package var process: Int64

  /// What was asked.
  package var action: Action

  /// When it was asked, in nanoseconds of a monotonic clock that all of the history's processes share.
  package var call: Int64

  /// When the outcome was known; nil if it never was.
  package var `return`: Int64?

  /// What the client was told.
  package var outcome: Outcome

  /// Where in the log it is, if known. Only told to people.
  package var index: Int64?

  /// An operation.
  package init(
    process: Int64, _ action: Action, call: Int64, return end: Int64?, _ outcome: Outcome, index: Int64? = nil
  ) {
    self.process = process
    self.action = action
    self.call = call
    self.return = end
    self.outcome = outcome
    self.index = index
  }
}

extension HistoryOperation.Action {
  /// Every operation is a transaction: what it asks of the keys…
  var conditions: [HistoryCell] {
    switch self {
    case .read(let key, let value): [HistoryCell(key, value)]
    case .write, .delete: []
    case .compareAndSet(let key, let expected, _): [HistoryCell(key, expected)]
    case .transaction(let conditions, _): conditions
    }
  }

  /// …and what it makes of them.
  var writes: [HistoryCell] {
    switch self {
    case .read: []
    case .write(let key, let value): [HistoryCell(key, value)]
    case .delete(let key): [HistoryCell(key, nil)]
    case .compareAndSet(let key, _, let value): [HistoryCell(key, value)]
    case .transaction(_, let writes): writes
    }
  }

  /// Whether it can be rejected because a condition does not hold.
  var canFailACondition: Bool {
    switch self {
    case .read, .write, .delete: false
    case .compareAndSet: true
    case .transaction(let conditions, _): !conditions.isEmpty
    }
  }
}
