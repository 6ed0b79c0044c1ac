/// A history made ready for the search: every operation is a transaction over numbered keys and values, what cannot matter
/// is gone, and keys that transactions connect stand together.
struct PreparedHistory {
  /// A key's number and a value's.
  struct Cell: Hashable {
    var key: Int
    var value: Int
  }

  /// What an operation's outcome says about its conditions.
  enum Demand {
    /// All hold, and it takes effect.
    case holds

    /// At least one does not hold, and it has no effect.
    case fails

    /// It may take effect when all hold, or never.
    case may
  }

  struct Operation {
    /// Its place in the history.
    var source: Int
    var conditions: [Cell]
    var writes: [Cell]
    var demand: Demand
    var call: Int64

    /// When it returned; what may still happen never does.
    var end: Int64
  }

  struct Partition {
    /// The keys, in the order in which the history names them.
    var keys: [Int]

    /// Places in ``PreparedHistory/operations``.
    var operations: [Int]
  }

  /// The value of an absent key.
  static let absent = 0

  /// Any value that no condition expects of its key: no operation can tell two such values apart.
  static let unexpected = 1

  private(set) var keys: [String] = []
  private(set) var operations: [Operation] = []
  private(set) var partitions: [Partition] = []

  /// What each key has before the first operation.
  private(set) var initial: [Int] = []

  private var keyNumbers: [[UInt8]: Int] = [:]
  private var valueNumbers: [[UInt8]: Int] = [:]

  init(_ history: History) {
    for cell in history.initial {
      let numbered = number(cell)
      initial[numbered.key] = numbered.value
    }
    for (source, operation) in history.operations.enumerated() {
      let demand: Demand
      switch operation.outcome {
      case .committed: demand = .holds
      case .rejected(nil): demand = .fails
      // It had no effect and tells nothing about the keys.
      case .rejected, .failed: continue
      case .unknown: demand = .may
      }
      operations.append(
        Operation(
          source: source, conditions: operation.action.conditions.map { number($0) },
          writes: demand == .fails ? [] : operation.action.writes.map { number($0) }, demand: demand,
          call: operation.call,
          end: demand == .may ? .max : operation.return ?? .max))
    }
    dropWhatNobodyNotices()
    forgetUnexpectedValues()
    divide()
  }

  /// Texts are the same if their bytes are; Swift's equality of strings knows more than one spelling of a letter.
  private mutating func number(_ cell: HistoryCell) -> Cell {
    let bytes = [UInt8](cell.key.utf8)
    let key = keyNumbers[bytes] ?? keys.count
    if key == keys.count {
      keyNumbers[bytes] = key
      keys.append(cell.key)
      initial.append(Self.absent)
    }
    guard let value = cell.value else { return Cell(key: key, value: Self.absent) }
    let text = [UInt8](value.utf8)
    let known = valueNumbers[text] ?? Self.unexpected + 1 + valueNumbers.count
    valueNumbers[text] = known
    return Cell(key: key, value: known)
  }

  /// Drops unknown operations whose values nobody expects, on keys of which nobody was told that a condition failed.
  ///
  /// With or without such an operation the history is linearizable or not. Without it: then also with it, since it may never
  /// have taken effect. With it: take it out of the order. Until its keys are written again, whoever committed between expects
  /// nothing of them (it would have expected a value that it did not find), so he finds the same without it; no one there
  /// relied on a failing condition over these keys; and of unknown operations there none took effect, or it expected nothing
  /// of these keys either.
  private mutating func dropWhatNobodyNotices() {
    var expecting: [Cell: Int] = [:]
    var isFailing = [Bool](repeating: false, count: keys.count)
    for operation in operations {
      for cell in operation.conditions {
        expecting[cell, default: 0] += 1
        if operation.demand == .fails { isFailing[cell.key] = true }
      }
    }
    var isDropped = [Bool](repeating: false, count: operations.count)
    var hasChanged = true
    while hasChanged {
      hasChanged = false
      // Backwards: of a chain of unknown operations the last falls first.
      for place in operations.indices.reversed() where operations[place].demand == .may && !isDropped[place] {
        let operation = operations[place]
        guard operation.writes.allSatisfy({ expecting[$0, default: 0] == 0 && !isFailing[$0.key] }) else { continue }
        isDropped[place] = true
        for cell in operation.conditions {
          expecting[cell, default: 0] -= 1
          if expecting[cell] == 0 { hasChanged = true }
        }
      }
    }
    operations = operations.indices.lazy.filter { !isDropped[$0] }.map { [operations] in operations[$0] }
  }

  private mutating func forgetUnexpectedValues() {
    var expected: Set<Cell> = []
    for operation in operations { expected.formUnion(operation.conditions) }
    for place in operations.indices {
      for write in operations[place].writes.indices where !expected.contains(operations[place].writes[write]) {
        operations[place].writes[write].value = Self.unexpected
      }
    }
    for key in initial.indices where !expected.contains(Cell(key: key, value: initial[key])) {
      initial[key] = Self.unexpected
    }
  }

  /// Groups keys by the operations that name several of them.
  private mutating func divide() {
    var parents = Array(keys.indices)
    func root(_ key: Int) -> Int {
      var key = key
      while parents[key] != key {
        parents[key] = parents[parents[key]]
        key = parents[key]
      }
      return key
    }
    for operation in operations {
      let cells = operation.conditions + operation.writes
      for cell in cells.dropFirst() { parents[root(cell.key)] = root(cells[0].key) }
    }
    var partitionOf = [Int?](repeating: nil, count: keys.count)
    for (place, operation) in operations.enumerated() {
      // What asks nothing and writes nothing has no partition.
      guard let cell = operation.conditions.first ?? operation.writes.first else { continue }
      let top = root(cell.key)
      if partitionOf[top] == nil {
        partitionOf[top] = partitions.count
        partitions.append(Partition(keys: [], operations: []))
      }
      if let partition = partitionOf[top] { partitions[partition].operations.append(place) }
    }
    for key in keys.indices {
      if let partition = partitionOf[root(key)] { partitions[partition].keys.append(key) }
    }
    // The small ones first: one that takes all the work allowed leaves as few as possible undecided.
    partitions.sort { ($0.operations.count, $0.keys[0]) < ($1.operations.count, $1.keys[0]) }
  }
}
