import DequeModule

/// What is remembered of a client.
struct QuorumSession: Sendable {
  struct Result: Hashable, Sendable {
    var number: UInt64
    var outcome: QuorumOutcome
  }

  /// A lock that it holds or waits for, and the longest life that it claimed for it.
  struct Stake: Hashable, Sendable {
    var name: LockName
    var ttl: QuorumTime
  }

  /// By which its opening is told from others.
  var nonce: UInt64
  /// When it was heard of last.
  var lastSeen: QuorumTime
  /// Requests below it are not remembered, and are not made.
  var floor: UInt64 = 1
  /// Ascending by number, none below the floor.
  var results: Deque<Result> = []
  /// Ascending by name. Follows from the locks.
  var stakes: [Stake] = []
  /// The time under which it is in the heap of deadlines: not after the deadline. No part of the state.
  var alarm = QuorumTime.max

  init(nonce: UInt64, lastSeen: QuorumTime) {
    self.nonce = nonce
    self.lastSeen = lastSeen
  }

  /// When it is over, if it is not heard of: what it holds or waits for lives no longer than itself. A function of the encoded state alone, as all must
  /// end it with the same entry, also those that got the state as bytes.
  var deadline: QuorumTime {
    lastSeen + stakes.reduce(QuorumStateLimits.windowMilliseconds) { max($0, $1.ttl) }
  }

  /// The highest number that is known of; 0 for none.
  var highest: UInt64 { max(results.last?.number ?? 0, floor - 1) }

  // MARK: Outcomes

  /// Where a number is, or would be.
  private func place(of number: UInt64) -> Int {
    if let last = results.last, last.number < number { return results.count }
    return lowerBound(results.count) { results[$0].number < number }
  }

  func outcome(of number: UInt64) -> QuorumOutcome? {
    let place = place(of: number)
    return place < results.count && results[place].number == number ? results[place].outcome : nil
  }

  /// Remembers an outcome, unless the client does not need it any more.
  mutating func remember(_ outcome: QuorumOutcome, of number: UInt64) {
    guard number >= floor else { return }
    let place = place(of: number)
    if place < results.count, results[place].number == number {
      results[place].outcome = outcome
    } else {
      results.insert(Result(number: number, outcome: outcome), at: place)
      while results.count > QuorumStateLimits.results { forgetFirst() }
    }
  }

  /// Forgets what the client does not need any more.
  mutating func forget(below number: UInt64) {
    while let first = results.first, first.number < number { forgetFirst() }
    floor = max(floor, number)
  }

  private mutating func forgetFirst() {
    let first = results.removeFirst()
    floor = max(floor, first.number == .max ? .max : first.number + 1)
  }

  // MARK: Locks

  private func place(of name: LockName) -> Int { lowerBound(stakes.count) { stakes[$0].name < name } }

  /// It claims a lock, perhaps once more.
  mutating func raiseStake(_ name: LockName, _ ttl: QuorumTime) {
    let place = place(of: name)
    if place < stakes.count, stakes[place].name == name {
      stakes[place].ttl = max(stakes[place].ttl, ttl)
    } else {
      stakes.insert(Stake(name: name, ttl: ttl), at: place)
    }
  }

  /// What is left of its claims to a lock; `nil`: nothing.
  mutating func setStake(_ name: LockName, _ ttl: QuorumTime?) {
    let place = place(of: name)
    guard place < stakes.count, stakes[place].name == name else { return }
    if let ttl { stakes[place].ttl = ttl } else { stakes.remove(at: place) }
  }
}

/// The first of so many places for which it is not so; it is so for all before.
private func lowerBound(_ count: Int, _ isBefore: (Int) -> Bool) -> Int {
  var low = 0
  var high = count
  while low < high {
    let middle = low + (high - low) / 2
    if isBefore(middle) { low = middle + 1 } else { high = middle }
  }
  return low
}

/// The name of a lock. Told apart and ordered by its bytes: texts that look the same are different names, everywhere in the same order.
struct LockName: Hashable, Comparable, Sendable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (a: LockName, b: LockName) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  static func < (a: LockName, b: LockName) -> Bool { a.text.utf8.lexicographicallyPrecedes(b.text.utf8) }

  func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

/// A lock that somebody holds.
struct HeldLock: Sendable {
  /// Who wants it, and how.
  struct Claim: Hashable, Sendable {
    var request: RequestID
    var ttl: QuorumTime
    var note: String
  }

  var holder: Claim
  var token: UInt64
  /// Who wait, the first first.
  var line: Deque<Claim> = []
}
