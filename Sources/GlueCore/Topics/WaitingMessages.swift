import DequeModule

/// Messages of a stream that came before their turn, in order.
struct WaitingMessages {
  /// Bytes a message is charged beyond its own, for its bookkeeping.
  private static let overhead = 128

  private var messages = Deque<ArrivedMessage>()
  /// What they take.
  private(set) var byteCount = 0
  private let budget: ReceiveBudget
  /// The most that they may take.
  private let limitBytes: Int

  init(budget: ReceiveBudget, limitBytes: Int) {
    self.budget = budget
    self.limitBytes = limitBytes
  }

  var isEmpty: Bool { messages.isEmpty }
  var first: UInt64? { messages.first?.sequence }

  func contains(_ sequence: UInt64) -> Bool {
    let index = index(from: sequence)
    return index < messages.count && messages[index].sequence == sequence
  }

  /// The lowest number that waits from one on.
  func first(from sequence: UInt64) -> UInt64? {
    let index = index(from: sequence)
    return index < messages.count ? messages[index].sequence : nil
  }

  private func index(from sequence: UInt64) -> Int {
    guard let last = messages.last, last.sequence >= sequence else { return messages.count }
    var low = 0
    var high = messages.count - 1
    while low < high {
      let middle = (low + high) / 2
      if messages[middle].sequence < sequence { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Takes a message, unless it is there already. Returns whether there was room.
  mutating func insert(_ message: ArrivedMessage) -> Bool {
    let index = index(from: message.sequence)
    guard index == messages.count || messages[index].sequence != message.sequence else { return true }
    let cost = message.body.count + Self.overhead
    guard byteCount + cost <= limitBytes, budget.hasReorderRoom(for: cost) else { return false }
    var message = message
    // A short message does not keep a long buffer.
    if message.owner == nil || message.owner!.count > 2 * message.body.count + 1_024 {
      let copy = PayloadBuffer(copying: message.body)
      message.owner = copy
      message.body = copy.bytes
    }
    messages.insert(message, at: index)
    charge(cost)
    return true
  }

  /// Takes out the first message if it has this number. What comes before it has had its turn, and goes.
  mutating func remove(_ sequence: UInt64) -> ArrivedMessage? {
    removeAll(below: sequence)
    guard messages.first?.sequence == sequence else { return nil }
    return removeFirst()
  }

  mutating func removeAll(below sequence: UInt64) {
    while let first = messages.first, first.sequence < sequence { _ = removeFirst() }
  }

  private mutating func removeFirst() -> ArrivedMessage {
    let first = messages.removeFirst()
    charge(-(first.body.count + Self.overhead))
    return first
  }

  mutating func removeAll() {
    messages = []
    charge(-byteCount)
  }

  private mutating func charge(_ bytes: Int) {
    byteCount += bytes
    budget.reordered += bytes
  }
}
