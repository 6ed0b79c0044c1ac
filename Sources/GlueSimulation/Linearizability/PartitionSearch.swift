/// What a check may still cost.
struct SearchBudget {
  /// So many operations are tried for each configuration allowed: what bounds memory bounds time.
  static let triesPerState = 32

  private let states: Int
  private var tries: Int
  private(set) var statesUsed = 0

  init(states: Int) {
    self.states = max(0, states)
    tries =
      self.states.multipliedReportingOverflow(by: Self.triesPerState).overflow
      ? .max : self.states * Self.triesPerState
  }

  /// One more configuration is remembered; false if that is one too many.
  mutating func remember() -> Bool {
    statesUsed += 1
    return statesUsed <= states
  }

  /// So many operations are looked at; false if these are too many.
  mutating func look(at count: Int) -> Bool {
    tries = max(0, tries - count)
    return tries > 0
  }
}

/// The search for an order of one partition's operations.
///
/// It goes through calls and returns in the order of time. An operation that returns must have been placed by then; if it is
/// not, the operations under way are tried in its place, one after the other, until it is (Lowe 2017, "just-in-time
/// linearization"). Every order can be found so: what stands before an operation in it was called before that one returned.
/// A configuration, which is the place in time, who of those under way has been placed, and what the keys hold, is tried
/// once.
///
/// Three rules leave out what cannot help. What only reads, or was rejected, is placed as soon as it fits: it changes nothing for
/// the others. Of unknown operations that do the same only the first one called is tried, and none that would change nothing.
/// An unknown operation falls away once nobody is left who expects what it writes, as when a history is prepared.
struct PartitionSearch {
  enum Outcome {
    case linearizable
    case violated(prefix: [Int], unplaced: [Int])
    case undecided
  }

  /// A call or a return.
  private struct Event {
    var time: Int64
    var isReturn: Bool
    var operation: Int
  }

  private struct Prepared {
    var conditions: [PreparedHistory.Cell]
    var writes: [PreparedHistory.Cell]
    var demand: PreparedHistory.Demand

    /// Its bit among those under way: those of operations that return are used again.
    var slot = 0

    /// The same for unknown operations that do the same.
    var kind = 0

    /// From this event on an unknown operation helps nobody.
    var uselessFrom = 0
  }

  /// A place at which an operation returns that has not been placed.
  private struct Branch {
    var configuration: Configuration
    var position: Int
    var placed: Int
    var candidates: [Int]
    var next = 0
  }

  /// Who of those under way has been placed, and what the keys hold.
  private struct Configuration: Hashable {
    var placed: [UInt64]
    var values: [Int]

    func has(_ slot: Int) -> Bool { placed[slot >> 6] >> UInt64(slot & 63) & 1 == 1 }
    mutating func insert(_ slot: Int) { placed[slot >> 6] |= 1 << UInt64(slot & 63) }
    mutating func remove(_ slot: Int) { placed[slot >> 6] &= ~(1 << UInt64(slot & 63)) }
  }

  private struct Remembered: Hashable {
    var position: Int
    var configuration: Configuration
  }

  private var operations: [Prepared]
  private let names: [Int]
  private var events: [Event] = []

  /// Who is under way: those that return, by slot, and the unknown ones in the order of their calls.
  private var open: [Int?] = []
  private var unknown: [Int] = []

  private var position = 0
  private var configuration: Configuration
  private var order: [Int] = []

  init(_ partition: PreparedHistory.Partition, of history: PreparedHistory) {
    names = partition.operations
    var places: [Int: Int] = [:]
    for (place, key) in partition.keys.enumerated() { places[key] = place }
    func local(_ cells: [PreparedHistory.Cell]) -> [PreparedHistory.Cell] {
      cells.map { .init(key: places[$0.key] ?? 0, value: $0.value) }
    }
    operations = names.map { name in
      let operation = history.operations[name]
      return Prepared(
        conditions: local(operation.conditions), writes: local(operation.writes), demand: operation.demand)
    }
    configuration = Configuration(placed: [], values: partition.keys.map { history.initial[$0] })
    for (place, name) in names.enumerated() {
      let operation = history.operations[name]
      events.append(Event(time: operation.call, isReturn: false, operation: place))
      guard operation.demand != .may else { continue }
      events.append(Event(time: operation.end, isReturn: true, operation: place))
    }
    // What is called when another returns runs beside it: nobody can tell which was first.
    events.sort { ($0.time, $0.isReturn ? 1 : 0, $0.operation) < ($1.time, $1.isReturn ? 1 : 0, $1.operation) }
    assignSlots()
    findUses(keys: partition.keys.count)
  }

  /// Looks for an order until one is found, there is none, or the budget is spent.
  mutating func run(_ budget: inout SearchBudget) -> Outcome {
    var branches: [Branch] = []
    var visited: Set<Remembered> = []
    var best: (position: Int, order: [Int], unplaced: [Int])?
    while true {
      // Forward to the next return that asks for a decision.
      let start = position
      advance()
      if position == events.count { return .linearizable }
      guard budget.look(at: position - start + open.count + unknown.count + 1) else { return .undecided }
      dropUseless()
      if visited.insert(Remembered(position: position, configuration: configuration)).inserted {
        let candidates = candidates()
        guard budget.remember() else { return .undecided }
        branches.append(
          Branch(configuration: configuration, position: position, placed: order.count, candidates: candidates))
      }
      // Back to the last decision that has another answer.
      while let branch = branches.last, branch.next == branch.candidates.count {
        goBack(to: branch)
        if best.map({ ($0.position, $0.order.count) < (position, order.count) }) ?? true {
          best = (position, order, unplaced())
        }
        branches.removeLast()
      }
      guard let branch = branches.last else { break }
      goBack(to: branch)
      branches[branches.count - 1].next += 1
      place(branch.candidates[branch.next])
    }
    guard let best else { return .linearizable }
    return .violated(prefix: best.order.map { names[$0] }, unplaced: best.unplaced.map { names[$0] })
  }

  /// Of the operations under way, those that have no place: first the one that returns.
  private func unplaced() -> [Int] {
    let returning = events[position].operation
    let others = open.compactMap { $0 }.filter { $0 != returning && !configuration.has(operations[$0].slot) }
    return [returning] + others
  }

  // MARK: Time

  private mutating func advance() {
    while position < events.count {
      let event = events[position]
      let slot = operations[event.operation].slot
      if !event.isReturn {
        if operations[event.operation].demand == .may {
          unknown.append(event.operation)
        } else {
          open[slot] = event.operation
          placeIfPassive(event.operation)
        }
      } else {
        guard configuration.has(slot) else { return }
        configuration.remove(slot)
        open[slot] = nil
      }
      position += 1
    }
  }

  private mutating func goBack(to branch: Branch) {
    while position > branch.position {
      position -= 1
      let event = events[position]
      if event.isReturn {
        open[operations[event.operation].slot] = event.operation
      } else if operations[event.operation].demand == .may {
        unknown.removeLast()
      } else {
        open[operations[event.operation].slot] = nil
      }
    }
    configuration = branch.configuration
    order.removeLast(max(0, order.count - branch.placed))
  }

  // MARK: Placing

  private func fits(_ operation: Int) -> Bool {
    let holds = operations[operation].conditions.allSatisfy { configuration.values[$0.key] == $0.value }
    return holds == (operations[operation].demand != .fails)
  }

  private func changesSomething(_ operation: Int) -> Bool {
    operations[operation].writes.contains { configuration.values[$0.key] != $0.value }
  }

  private mutating func placeIfPassive(_ operation: Int) {
    guard operations[operation].writes.isEmpty, fits(operation) else { return }
    configuration.insert(operations[operation].slot)
    order.append(operation)
  }

  private mutating func place(_ operation: Int) {
    configuration.insert(operations[operation].slot)
    order.append(operation)
    for write in operations[operation].writes { configuration.values[write.key] = write.value }
    for case let other? in open where !configuration.has(operations[other].slot) { placeIfPassive(other) }
  }

  /// Whom to try: the one that returns; those that write what it waits for; the others.
  private func candidates() -> [Int] {
    let returning = events[position].operation
    let wanted =
      operations[returning].demand == .holds
      ? operations[returning].conditions.first { configuration.values[$0.key] != $0.value } : nil
    var first: [Int] = []
    var others: [Int] = []
    func add(_ operation: Int) {
      guard !configuration.has(operations[operation].slot), fits(operation) else { return }
      if operation == returning {
        first.insert(operation, at: 0)
      } else if let wanted, operations[operation].writes.contains(wanted) {
        first.append(operation)
      } else {
        others.append(operation)
      }
    }
    for case let operation? in open { add(operation) }
    var kinds: Set<Int> = []
    for operation in unknown where !configuration.has(operations[operation].slot) {
      guard kinds.insert(operations[operation].kind).inserted, changesSomething(operation) else { continue }
      add(operation)
    }
    return first + others
  }

  private mutating func dropUseless() {
    for operation in unknown where operations[operation].uselessFrom <= position {
      configuration.insert(operations[operation].slot)
    }
  }

  // MARK: Preparing

  private mutating func assignSlots() {
    var free: [Int] = []
    for event in events where operations[event.operation].demand != .may {
      if event.isReturn {
        free.append(operations[event.operation].slot)
      } else if let slot = free.popLast() {
        operations[event.operation].slot = slot
      } else {
        operations[event.operation].slot = open.count
        open.append(nil)
      }
    }
    var slots = open.count
    var kinds: [[[PreparedHistory.Cell]]: Int] = [:]
    for event in events where operations[event.operation].demand == .may {
      let operation = operations[event.operation]
      let kind = kinds[[operation.conditions, operation.writes]] ?? kinds.count
      kinds[[operation.conditions, operation.writes]] = kind
      operations[event.operation].kind = kind
      operations[event.operation].slot = slots
      slots += 1
    }
    configuration.placed = [UInt64](repeating: 0, count: (slots + 63) >> 6)
  }

  /// Finds until when somebody expects what an unknown operation writes, or may have been rejected because of it.
  private mutating func findUses(keys: Int) {
    var lastExpected: [PreparedHistory.Cell: Int] = [:]
    var lastFailing = [Int](repeating: 0, count: keys)
    for operation in operations where operation.demand == .may {
      for cell in operation.conditions { lastExpected[cell] = events.count + 1 }
    }
    for (place, event) in events.enumerated() where event.isReturn {
      let operation = operations[event.operation]
      for cell in operation.conditions {
        lastExpected[cell] = max(lastExpected[cell] ?? 0, place + 1)
        if operation.demand == .fails { lastFailing[cell.key] = place + 1 }
      }
    }
    for place in operations.indices where operations[place].demand == .may {
      operations[place].uselessFrom = operations[place].writes.reduce(0) {
        max($0, lastExpected[$1] ?? 0, lastFailing[$1.key])
      }
    }
  }
}
