import DequeModule
import GlueCore

/// What this opening has asked for, and has not heard the end of.
struct QuorumClient: Sendable {
  /// A request that gets into the log.
  struct Pending: Sendable {
    var number: UInt64
    /// nil: nobody waits for it any more, or ever did.
    var ticket: UInt64?
    let operation: QuorumOperation
    /// When whoever waits is told that nobody knows; nil: it is tried as long as the opening lives.
    var deadline: Timestamp?
    /// The lock that a settled request was for.
    var lock: String?
    /// Of which quorum it is, if it must be of that one.
    var cluster: ClusterID?
    /// When it first left; nil: never.
    var firstSent: Timestamp?
    /// When it is to be sent; nil: it is on its way.
    var sendAt: Timestamp?
    var copies = 0
    /// It stands in line for a lock.
    var isWaiting = false
  }

  /// Reads that were asked for together.
  struct Round: Sendable {
    let number: UInt64
    var tickets: [(ticket: UInt64, deadline: Timestamp)]
    var sendAt: Timestamp?
    /// When it first left; from then on nothing can join it.
    var sentAt: Timestamp?
    /// What has to be applied first, when that is known.
    var index: LogIndex?
  }

  /// A lock that is held.
  struct Held: Sendable {
    let name: String
    let token: UInt64
    let ttl: Nanoseconds
    /// The entry with which it was granted.
    let since: LogIndex
  }

  /// A change of the membership that is looked after until it is done.
  struct Change: Sendable {
    let ticket: UInt64
    let number: UInt64
    let change: QuorumChange
    let deadline: Timestamp
    var askAt: Timestamp
    var last: QuorumChangeResult?
  }

  /// The session that requests are made in, once it is open.
  var session: SessionID?
  /// By which its opening is told from others.
  var nonce: UInt64
  /// The opening is on its way until then.
  var openingUntil: Timestamp?
  var nextNumber: UInt64 = 1
  /// Ascending by number.
  var pending: Deque<Pending> = []
  var rounds: Deque<Round> = []
  var locks: [Held] = []
  var changes: [Change] = []
  /// When the last request was sent that is known to have kept the session alive.
  var keptSince: Timestamp?
  /// The keep-alive that is on its way.
  var keepAlive: UInt64?
  /// Requests that ended without anybody knowing what became of them, and until when that can be asked: the session has to remember
  /// everything from the oldest of them on.
  var unresolved: Deque<(number: UInt64, until: Timestamp)> = []
  private var lastTicket: UInt64 = 0
  private var lastNumber: UInt64 = 0

  init(nonce: UInt64) {
    self.nonce = nonce
    // Answers to an earlier opening of the same endpoint must not fit.
    lastNumber = nonce >> 16
  }

  mutating func nextTicket() -> UInt64 {
    lastTicket += 1
    return lastTicket
  }

  /// A number for something that does not get into the log.
  mutating func nextRoundNumber() -> UInt64 {
    lastNumber += 1
    return lastNumber
  }

  /// Results below it are not needed any more.
  var oldest: UInt64 {
    var oldest = pending.first?.number ?? nextNumber
    // Beyond what a session remembers it is of no use.
    for (number, _) in unresolved where nextNumber - number <= UInt64(QuorumStateLimits.results) {
      oldest = min(oldest, number)
    }
    // What is to be settled has to be remembered until then.
    for request in pending {
      if case .settle(let other) = request.operation, other.session == session { oldest = min(oldest, other.number) }
    }
    return oldest
  }

  func index(of number: UInt64) -> Int? {
    var low = 0
    var high = pending.count
    while low < high {
      let middle = (low + high) / 2
      if pending[middle].number < number { low = middle + 1 } else { high = middle }
    }
    return low < pending.count && pending[low].number == number ? low : nil
  }

  /// Somebody else leads, or nobody: what was sent may be lost.
  mutating func leaderChanged() {
    openingUntil = nil
    for index in pending.indices where !pending[index].isWaiting { pending[index].sendAt = Timestamp(nanoseconds: 0) }
    for index in rounds.indices where rounds[index].index == nil { rounds[index].sendAt = Timestamp(nanoseconds: 0) }
    for index in changes.indices { changes[index].askAt = Timestamp(nanoseconds: 0) }
  }

  /// Whoever was asked did not take it.
  mutating func refused(_ requests: [RequestID], nonces: [UInt64], reads: [UInt64], until time: Timestamp? = nil) {
    let time = time ?? Timestamp(nanoseconds: 0)
    if nonces.contains(nonce) { openingUntil = time }
    for request in requests where request.session == session {
      if let index = index(of: request.number), !pending[index].isWaiting { pending[index].sendAt = time }
    }
    for index in rounds.indices where reads.contains(rounds[index].number) { rounds[index].sendAt = time }
  }

  mutating func changed(_ number: UInt64, _ result: QuorumChangeResult) {
    guard let index = changes.firstIndex(where: { $0.number == number }) else { return }
    changes[index].last = result
  }

  /// The cluster is another one: what was asked there is over.
  mutating func forgetSession(nonce: UInt64) {
    session = nil
    self.nonce = nonce
    openingUntil = nil
    keptSince = nil
    keepAlive = nil
    locks = []
    unresolved = []
    // Those that are left have never been sent. A session counts from 1, so that whoever settles one of its requests finds it near.
    nextNumber = 1
    for index in pending.indices {
      pending[index].number = nextNumber
      nextNumber += 1
    }
    for index in rounds.indices {
      rounds[index].index = nil
      rounds[index].sendAt = Timestamp(nanoseconds: 0)
    }
  }
}
