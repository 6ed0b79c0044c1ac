/// First in, first out per stream and subscription; a number that is skipped was reported as lost, once, and nothing else
/// was. Losses are told as events beside the deliveries of the same turn, so the account is settled at the turn's end.
package struct Order {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Edge: Hashable {
    var subscription: SubscriptionKey
    var stream: StreamKey
  }
  fileprivate struct Account {
    /// The next number to be delivered or reported.
    var next: UInt64
    /// Numbers below `next` that still have to be reported in this turn.
    var owed: [Range<UInt64>] = []
    /// Numbers from `next` on that were reported already.
    var early: [Range<UInt64>] = []
    /// The session ended; the next delivery may be further on.
    var mayJump = false
    /// Numbers that the end of a session explains; they may be reported as well.
    var excused = 0..<UInt64(0)
    /// The first number delivered or reported. Losses before it are told after it, in the same turn.
    let first: UInt64
    init(first: UInt64, next: UInt64) {
      self.first = first
      self.next = next
    }
  }
  private var accounts: [Edge: Account] = [:]
  private var edges: [Edge] = []
  private var unsettled: [Edge] = []

  /// Nothing delivered yet.
  package init() {}

  /// A subscription goes on where an earlier one stopped: nothing before that comes again, and nothing from there on is passed over
  /// without a word.
  package mutating func resumed(_ subscription: SubscriptionKey, _ stream: StreamKey, at sequence: UInt64) {
    let edge = Edge(subscription: subscription, stream: stream)
    accounts[edge] = Account(first: sequence, next: sequence)
    edges.append(edge)
  }

  /// A message was delivered.
  package mutating func delivered(to subscription: SubscriptionKey, _ stream: StreamKey, sequence: UInt64) -> String? {
    checks += 1
    let edge = Edge(subscription: subscription, stream: stream)
    guard var account = accounts[edge] else {
      accounts[edge] = Account(first: sequence, next: sequence + 1)
      edges.append(edge)
      return nil
    }
    defer { accounts[edge] = account }
    guard sequence >= account.next else {
      return "delivered \(sequence) after \(account.next) was due, \(name(edge))"
    }
    account.skipEarly()
    if sequence > account.next, !account.mayJump {
      account.owed.append(account.next..<sequence)
      account.settle()
      if !account.owed.isEmpty { unsettled.append(edge) }
    } else if sequence > account.next {
      account.excused = account.next..<sequence
    }
    account.mayJump = false
    account.next = sequence + 1
    let overlap = account.early.first { $0.contains(sequence) }
    account.early.removeAll { $0.upperBound <= sequence + 1 }
    return overlap.map { "delivered \(sequence), which was reported lost (\($0)), \(name(edge))" }
  }

  /// Messages were reported lost.
  package mutating func lost(to subscription: SubscriptionKey, _ stream: StreamKey, _ range: Range<UInt64>) -> String? {
    guard !range.isEmpty else { return nil }
    checks += 1
    let edge = Edge(subscription: subscription, stream: stream)
    guard var account = accounts[edge] else {
      accounts[edge] = Account(first: range.lowerBound, next: range.upperBound)
      edges.append(edge)
      return nil
    }
    defer { accounts[edge] = account }
    if range.upperBound <= account.first { return nil }
    if account.excused.lowerBound <= range.lowerBound, range.upperBound <= account.excused.upperBound {
      account.excused = range.upperBound..<account.excused.upperBound
      return nil
    }
    if range.lowerBound >= account.next {
      account.early.append(range)
      account.skipEarly()
      return nil
    }
    account.early.append(range)
    account.settle()
    // Whatever of it was owed is settled; the rest was delivered, or reported before.
    guard account.early.allSatisfy({ $0.lowerBound >= account.next }) else {
      account.early.removeAll { $0.lowerBound < account.next }
      return "reported \(range) lost, of which \(account.next) and more were delivered or reported, \(name(edge))"
    }
    return nil
  }

  /// The two lives have no session any more.
  package mutating func disconnected(subscriber: Life, publisher: Life) {
    for edge in edges where edge.subscription.life == subscriber && edge.stream.publisher == publisher {
      accounts[edge]?.mayJump = true
    }
  }

  /// What is delivered next may be further on: of a topic that retains its last value nobody has a claim to those before it.
  package mutating func mayJump(at subscription: SubscriptionKey, _ stream: StreamKey) {
    accounts[Edge(subscription: subscription, stream: stream)]?.mayJump = true
  }

  /// The turn is over: everything skipped has to have been reported.
  package mutating func endOfTurn() -> String? {
    guard !unsettled.isEmpty else { return nil }
    defer { unsettled.removeAll(keepingCapacity: true) }
    for edge in unsettled {
      guard let owed = accounts[edge]?.owed, !owed.isEmpty else { continue }
      accounts[edge]?.owed = []
      return "skipped \(owed[0]) without a report, \(name(edge))"
    }
    return nil
  }

  private func name(_ edge: Edge) -> String {
    "life \(edge.stream.publisher), topic \(edge.stream.topic) to life \(edge.subscription.life), subscription "
      + "\(edge.subscription.number)"
  }
}

extension Order.Account {
  /// Moves `next` past what was reported ahead of its turn.
  mutating func skipEarly() {
    while let index = early.firstIndex(where: { $0.contains(next) }) { next = early.remove(at: index).upperBound }
  }

  /// Strikes out what is both owed and reported.
  mutating func settle() {
    var remaining: [Range<UInt64>] = []
    for range in owed {
      var pieces = [range]
      for index in early.indices {
        var next: [Range<UInt64>] = []
        for piece in pieces {
          let common = piece.clamped(to: early[index])
          guard !common.isEmpty else {
            next.append(piece)
            continue
          }
          if piece.lowerBound < common.lowerBound { next.append(piece.lowerBound..<common.lowerBound) }
          if common.upperBound < piece.upperBound { next.append(common.upperBound..<piece.upperBound) }
          // A report is used up from its lower end, which is all that a correct core needs.
          early[index] = common.upperBound..<max(common.upperBound, early[index].upperBound)
        }
        pieces = next
      }
      remaining += pieces
    }
    owed = remaining
    early.removeAll { $0.isEmpty }
  }
}
