extension QuorumState {
  /// What has run out goes, in the order in which it did; of one moment locks before sessions, each in the order in which they began.
  mutating func expire(_ index: LogIndex, _ applied: inout QuorumApplied) {
    var due: [DeadlineHeap.Deadline] = []
    while let next = deadlines.first, next.time <= time {
      deadlines.removeFirst()
      guard let actual = actualDeadline(of: next) else { continue }
      if actual <= time {
        due.append(DeadlineHeap.Deadline(time: actual, what: next.what))
      } else {
        postpone(next.what, to: actual)
      }
    }
    // What goes makes nothing else due: what it frees is given only to those whose time is not over.
    for deadline in due.sorted() {
      switch deadline.what {
      case .session(let session):
        leaveAll(session, index, &applied)
        remove(session)
      case .lock(let name, let token):
        if locks_[name]?.token == token { passOn(name, index, &applied) }
      }
    }
  }

  /// Brings what is first in the heap to its actual deadline, and drops what is over. So ``nextExpiry`` is the same whatever way the state came.
  mutating func correctFirstDeadline() {
    while let first = deadlines.first {
      let actual = actualDeadline(of: first)
      if actual == first.time { return }
      deadlines.removeFirst()
      if let actual { postpone(first.what, to: actual) }
    }
  }

  /// When something in the heap runs out; nil if it is over, or is in the heap elsewhere.
  private func actualDeadline(of deadline: DeadlineHeap.Deadline) -> QuorumTime? {
    switch deadline.what {
    case .session(let id): sessions[id].flatMap { $0.alarm == deadline.time ? $0.deadline : nil }
    case .lock(let name, let token):
      locks_[name].flatMap { $0.token == token ? self.deadline(of: $0.holder) : nil }
    }
  }

  private mutating func postpone(_ what: DeadlineHeap.What, to time: QuorumTime) {
    if case .session(let id) = what { sessions[id]?.alarm = time }
    addDeadline(time, what)
  }

  /// When a claim runs out. It only ever moves on.
  func deadline(of claim: HeldLock.Claim) -> QuorumTime {
    (sessions[claim.request.session]?.lastSeen ?? 0) + claim.ttl
  }

  /// That of a session comes nearer when it gives a lock back: then it is put into the heap once more.
  mutating func schedule(_ id: SessionID) {
    guard let session = sessions[id], session.deadline < session.alarm else { return }
    let deadline = session.deadline
    sessions[id]?.alarm = deadline
    addDeadline(deadline, .session(id))
  }

  mutating func addDeadline(_ time: QuorumTime, _ what: DeadlineHeap.What) {
    deadlines.insert(time, what)
    // Locks that were given back stay in it: amortised, what is made anew is not more than what was added since.
    if deadlines.count > 2 * (sessions.count + locks_.count) + Self.needlessDeadlines { makeDeadlines() }
  }

  /// So many may be in the heap besides twice those that are needed.
  package static let needlessDeadlines = 1_024

  /// Makes the heap of sessions and locks.
  mutating func makeDeadlines() {
    var all: [DeadlineHeap.Deadline] = []
    for id in Array(sessions.keys) {
      guard let deadline = sessions[id]?.deadline else { continue }
      sessions[id]?.alarm = deadline
      all.append(DeadlineHeap.Deadline(time: deadline, what: .session(id)))
    }
    for (name, lock) in locks_ {
      all.append(DeadlineHeap.Deadline(time: deadline(of: lock.holder), what: .lock(name, token: lock.token)))
    }
    deadlines = DeadlineHeap(all)
  }
}

/// When something may run out, the earliest first. A time may be too early, never too late: whoever takes it looks what it is now.
struct DeadlineHeap: Sendable {
  enum What: Hashable, Sendable {
    case session(SessionID)
    case lock(LockName, token: UInt64)

    /// Tells equal times apart, the same way everywhere.
    fileprivate var order: (UInt8, UInt64) {
      switch self {
      case .lock(_, let token): (0, token)
      case .session(let session): (1, session.number)
      }
    }
  }

  struct Deadline: Comparable, Sendable {
    let time: QuorumTime
    let what: What

    static func < (a: Deadline, b: Deadline) -> Bool {
      a.time == b.time ? a.what.order < b.what.order : a.time < b.time
    }
  }

  private var heap: [Deadline] = []

  init() {}

  /// Of all of these, in any order.
  init(_ deadlines: [Deadline]) { heap = deadlines.sorted() }

  var first: Deadline? { heap.first }
  var count: Int { heap.count }

  mutating func insert(_ time: QuorumTime, _ what: What) {
    heap.append(Deadline(time: time, what: what))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child] < heap[parent] else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() {
    guard let last = heap.popLast(), !heap.isEmpty else { return }
    heap[0] = last
    var parent = 0
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[smallest] {
        smallest = child
      }
      if smallest == parent { return }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
  }
}
