/// What this endpoint has got of one stream, by whatever way: how far its subscriptions are, and what waits for a hole to be filled.
///
///     carriers ──▶ take ──▶ next? ── yes ──▶ delivered, kept
///                           └─ early ─▶ waits ──▶ the hole is filled, or given up ──▶ delivered, kept
///
/// A hole is what a carrier will not bring. Where the topic keeps nothing it is lost at once; else somebody else may have it,
/// and the machine looks for him (``EndpointMachine/settle(_:at:)``).
///
/// All subscriptions get the same at the same time. One that comes later and wants what was before is *late*: it gets the stream
/// from an object of this class of its own, from holders, and then from what is kept here, until it has caught up and joins the others.
final class ReceivedStream: MessageSink {
  // Its properties are exempt from the run-time exclusivity check, as those of InboundStream are.

  /// What will not come by the carrier that said so.
  private struct Mark {
    var range: Range<UInt64>
    var reason: LossReason
    /// Whether nobody else can have it either.
    var isFinal: Bool
  }

  let info: StreamInfo
  let isReliable: Bool
  let epochMicroseconds: UInt64
  /// What is kept of it for others.
  let kept: KeptHistory
  let backlog: Backlog
  @exclusivity(unchecked) var subscribers: [Subscriber]
  /// Who gets them next: everything below was delivered, or reported as lost.
  @exclusivity(unchecked) var next: UInt64
  /// What does not come below this is no loss: it was published before the subscription, and may not be kept any more.
  private var owedFrom: UInt64 = 0
  /// Whoever sends it to this endpoint now.
  @exclusivity(unchecked) var carriers: [InboundStream] = []
  @exclusivity(unchecked) private var waiting: WaitingMessages
  @exclusivity(unchecked) private var marks: [Mark] = []
  /// Where it begins, if there may have been more to get before that: others, who are met later, may hold it.
  private(set) var heldFrom: UInt64?
  /// Whether its first message shows if there was more, see ``begunByPublisher(at:)``.
  @exclusivity(unchecked) private(set) var judgesBeginning = false
  /// The publisher is gone, and has left something of which nobody knows how much it is.
  private(set) var hasUnknownTail = false
  /// Whether there may be a hole that nothing has been done about.
  @exclusivity(unchecked) private(set) var needsSettling = false

  /// Subscriptions that have to catch up, each by itself.
  @exclusivity(unchecked) var late: [ReceivedStream] = []
  /// Whom it joins when it has caught up; nil if it is not late.
  private(set) weak var front: ReceivedStream?
  let isLate: Bool
  /// Whoever sends may send more than it was told.
  var hasMoreRoom = false

  /// What is known of its topic, if that retains its last value.
  let retained: RetainedTopic?
  var retaining = Retaining()

  // What the machine notes of its search for what is missing.

  var fetch: Fetch?
  /// Whether it waits for its turn to ask a holder.
  var isInLine = false
  /// Sessions that were asked for what is at the hole that begins here, and did not bring it.
  var tried: (from: UInt64, sessions: Set<UInt32>) = (0, [])
  /// The beginning of a hole that nobody is known to hold, and since when that is so.
  var unheld: (from: UInt64, since: Timestamp)?
  /// Whether the machine looks at it again later.
  var isUnsettled = false
  /// Sessions that were asked what they have of it, and have not answered.
  var asked: Set<UInt32> = []
  /// Up to which number others were told that it is held here.
  var toldEnd: UInt64 = 0
  /// When its publisher was last seen to go; if it never was, since when the stream is known.
  var orphanedAt: Timestamp

  private let budget: ReceiveBudget
  private let windowBytes: Int
  private let maximumMessageBytes: Int

  init(
    info: StreamInfo, isReliable: Bool, history: HistoryPolicy, epochMicroseconds: UInt64, next: UInt64,
    subscribers: [Subscriber], retained: RetainedTopic? = nil, memory: HistoryMemory, budget: ReceiveBudget,
    windowBytes: Int, maximumMessageBytes: Int, at now: Timestamp
  ) {
    self.retained = retained
    orphanedAt = now
    self.info = info
    self.isReliable = isReliable
    self.epochMicroseconds = epochMicroseconds
    self.next = next
    self.subscribers = subscribers
    let origin = StreamOrigin(
      publisher: info.publisher, incarnation: info.incarnation, name: info.publisherName, number: info.number)
    kept = KeptHistory(
      of: StoredStream(
        origin: origin, topic: info.topic, type: info.type, epochMicroseconds: epochMicroseconds,
        history: isReliable ? history : .none),
      memory: memory)
    backlog = Backlog()
    isLate = false
    waiting = WaitingMessages(budget: budget, limitBytes: 2 * windowBytes + maximumMessageBytes)
    self.budget = budget
    self.windowBytes = windowBytes
    self.maximumMessageBytes = maximumMessageBytes
  }

  /// For a subscription that wants what was before the others' turn.
  init(_ subscriber: Subscriber, behind front: ReceivedStream, next: UInt64, owedFrom: UInt64) {
    retained = front.retained
    orphanedAt = front.orphanedAt
    info = front.info
    isReliable = front.isReliable
    epochMicroseconds = front.epochMicroseconds
    self.next = next
    self.owedFrom = owedFrom
    subscribers = [subscriber]
    kept = front.kept
    backlog = front.backlog
    self.front = front
    isLate = true
    windowBytes = front.windowBytes
    maximumMessageBytes = front.maximumMessageBytes
    budget = front.budget
    waiting = WaitingMessages(budget: budget, limitBytes: 2 * windowBytes + maximumMessageBytes)
  }

  deinit { release() }

  /// Gives back all memory.
  func release() {
    waiting.removeAll()
    marks = []
    for reader in late { reader.release() }
    late = []
    if !isLate { kept.release() }
  }

  /// The stream's name for all endpoints.
  var hash: StreamHash { info.hash }
  /// What its topic wants to be kept.
  var history: HistoryPolicy { kept.policy }
  /// It, and those that have to catch up with it.
  var all: [ReceivedStream] { [self] + late }
  /// Whether nobody here wants it.
  var isUnwanted: Bool { subscribers.isEmpty && late.isEmpty && !retaining.isOfPublishedTopic }
  /// Whether it was late, and the others get it for its subscription now.
  var hasCaughtUp: Bool { isLate && subscribers.isEmpty }
  /// Whether its publisher, or somebody who relays it, sends it as it is published.
  var isLive: Bool { carriers.contains { !$0.isRequested } }
  /// Bytes that wait for a hole.
  var waitingBytes: Int { late.reduce(waiting.byteCount) { $0 + $1.waitingBytes } }

  func unconsumedBytes(of carrier: InboundStream) -> Int {
    // What waits for a hole must not hold up whoever fills it.
    carrier.isRequested ? backlog.bytes : backlog.bytes + waiting.byteCount
  }

  /// Keeps messages that were loaded from a store, and goes on behind them.
  func restore(_ messages: [LoadedMessage], at now: Timestamp) {
    kept.restore(messages, at: now)
    next = kept.sequences.upperBound
    if let retained { restore(messages, of: retained, at: now) }
  }

  // MARK: Arrival

  func take(_ message: ArrivedMessage, at now: Timestamp, into inbox: Inbox) throws(WireError) {
    if let retained { return try take(message, of: retained, at: now, into: inbox) }
    guard message.sequence == next, !hasCaughtUp else {
      if message.sequence > next, !hasCaughtUp { return wait(message, at: now, into: inbox) }
      return inbox.counters.duplicateMessages += 1
    }
    try handOver(message, at: now, into: inbox)
    if !waiting.isEmpty || !marks.isEmpty || isLate { drain(at: now, into: inbox) }
  }

  private func wait(_ message: ArrivedMessage, at now: Timestamp, into inbox: Inbox) {
    needsSettling = true
    // Whoever honours the window that waiting messages shrink does not get here. What is dropped is a hole of its own.
    guard !waiting.insert(message) else { return }
    inbox.reach(.reorderBytes, at: now)
    mark(message.sequence..<message.sequence + 1, reason: .evicted, isFinal: false)
  }

  /// Hands over the message whose turn it is, and keeps it for others.
  private func handOver(_ message: ArrivedMessage, at now: Timestamp, into inbox: Inbox) throws(WireError) {
    let range = message.sequence..<message.sequence + 1
    if judgesBeginning { judgeBeginning(message) }
    if let expires = message.expiresAt, expires <= now { return giveUp(range, reason: .expired, into: inbox) }
    do throws(WireError) {
      try deliver(message, into: inbox)
    } catch {
      giveUp(range, reason: .evicted, into: inbox)
      throw error
    }
    guard !isLate, kept.mayKeep, !kept.keep(message, at: now) else { return }
    // Those who catch up do not find it here.
    for reader in late { reader.wait(message, at: now, into: inbox) }
  }

  /// - Parameter limit: Subscriptions that began later do not get it; nil: all do.
  func deliver(_ message: ArrivedMessage, into inbox: Inbox, toThoseBefore limit: Timestamp? = nil) throws(WireError) {
    let attributeBytes = try message.attributeBytes()
    next = message.sequence + 1
    // From the first message on that it gets of what was published before, there are no gaps without a word.
    owedFrom = min(owedFrom, message.sequence)
    inbox.counters.messagesDelivered += 1
    for index in subscribers.indices where subscribers[index].from <= message.sequence {
      if let limit, subscribers[index].began > limit { continue }
      let isStuck = subscribers[index].isStuck
      let holdsBack =
        subscribers[index].holdsBackPublisher || (isStuck && !subscribers[index].wasJoined && subscribers.count == 1)
      let isHeld = holdsBack && hasRoomForHeld
      if isHeld { backlog.bytes += message.body.count }
      // Made where it is to be: a copy costs two reference counts.
      inbox.deliveries.append(
        Delivery(
          message, for: subscribers[index].id, attributeBytes: attributeBytes, of: info,
          epochMicroseconds: epochMicroseconds, isHeld: isHeld, isDroppable: !isHeld && (holdsBack || isStuck)))
    }
  }

  /// Whether one more message may wait for its subscription and hold the publisher back. Who publishes best effort is not held
  /// back by anything; another publisher that honours its window exceeds it by one message at most.
  private var hasRoomForHeld: Bool {
    isReliable && backlog.bytes <= (windowBytes + maximumMessageBytes) * subscribers.count
  }

  /// Hands over whatever has its turn, and passes over what is lost for good.
  func drain(at now: Timestamp, into inbox: Inbox) {
    while true {
      if let message = waiting.remove(next) {
        do throws(WireError) {
          try handOver(message, at: now, into: inbox)
        } catch {
          inbox.counters.framesMalformed += 1
        }
      } else if isLate, kept.sequences.contains(next) {
        replayKept(at: now, into: inbox)
      } else if let mark = marks.first(where: { $0.isFinal && $0.range.contains(next) }) {
        let end = min(waiting.first ?? .max, mark.range.upperBound)
        giveUp(next..<end, reason: mark.reason, into: inbox)
      } else {
        break
      }
    }
    marks.removeAll { $0.range.upperBound <= next }
    needsSettling = true
    if isLate { catchUp() }
  }

  // MARK: Holes

  func lose(
    _ sequences: Range<UInt64>, reason: LossReason, by carrier: InboundStream, at now: Timestamp, into inbox: Inbox
  ) {
    if retained != nil, !carrier.isRequested, reason == .evicted || reason == .dropped {
      return passOver(below: sequences.upperBound, into: inbox)
    }
    let isFinal = !mayBeHeld(after: reason)
    var sequences = sequences
    if carrier.isRequested {
      // Where a holder has nothing somebody else may have it; and it speaks for no more than it was asked for.
      needsSettling = true
      sequences = sequences.clamped(to: 0..<(fetch?.below ?? .max))
      guard isFinal, !sequences.isEmpty else { return }
    }
    lose(sequences, reason: reason, isFinal: isFinal, at: now, into: inbox)
  }

  /// Takes note that a carrier begins with a message: what is before it will not come by it, what follows will.
  func begins(_ carrier: InboundStream, at sequence: UInt64, at now: Timestamp, into inbox: Inbox) {
    guard !carrier.isRequested else { return }
    hasUnknownTail = false
    for index in marks.indices where !marks[index].isFinal {
      marks[index].range = marks[index].range.clamped(to: 0..<sequence)
    }
    marks.removeAll(where: \.range.isEmpty)
    if retained != nil { return passOver(below: sequence, into: inbox) }
    guard next < sequence else { return }
    lose(
      next..<sequence, reason: .evicted, isFinal: !mayBeHeld(after: .evicted), at: now, into: inbox)
  }

  private func lose(
    _ sequences: Range<UInt64>, reason: LossReason, isFinal: Bool, at now: Timestamp, into inbox: Inbox
  ) {
    if sequences.isEmpty {
      if isFinal { return report(sequences, reason: reason, into: inbox) }
      hasUnknownTail = true
      needsSettling = true
      return
    }
    if isFinal, waiting.isEmpty, marks.isEmpty, next >= sequences.lowerBound, !isLate {
      return giveUp(sequences, reason: reason, into: inbox)
    }
    mark(sequences, reason: reason, isFinal: isFinal)
    drain(at: now, into: inbox)
  }

  /// Whether somebody else may have what a carrier will not bring.
  func mayBeHeld(after reason: LossReason) -> Bool {
    history.keepsSomething && (reason == .evicted || reason == .publisherGone)
  }

  /// As many separate marks are kept; more are joined, so that a peer cannot have them grow.
  private static let markLimit = 256

  private func mark(_ range: Range<UInt64>, reason: LossReason, isFinal: Bool) {
    needsSettling = true
    if let last = marks.last, last.reason == reason, last.isFinal == isFinal, last.range.upperBound >= range.lowerBound,
      last.range.lowerBound <= range.lowerBound
    {
      marks[marks.count - 1].range = last.range.lowerBound..<max(last.range.upperBound, range.upperBound)
      return
    }
    if marks.count >= Self.markLimit {
      // What lies between is not known to be lost: it is a hole to be looked at.
      let first = marks.removeFirst().range
      let second = marks[0].range
      marks[0].range =
        min(first.lowerBound, second.lowerBound)..<max(first.upperBound, second.upperBound)
      marks[0].isFinal = false
    }
    marks.append(Mark(range: range, reason: reason, isFinal: isFinal))
  }

  /// Whether a message is here, or is known to be lost, and that has to wait for a hole.
  func isWaiting(_ sequence: UInt64) -> Bool {
    waiting.contains(sequence) || marks.contains { $0.isFinal && $0.range.contains(sequence) }
      || (isLate && kept.sequences.contains(sequence))
  }

  /// Takes note that there is something up to a number, whoever has it.
  func noteExists(below end: UInt64) {
    if end > next { mark(next..<end, reason: .publisherGone, isFinal: false) }
  }

  /// The lowest range that is needed here and no carrier brings, and why; nil if there is none.
  var hole: (range: Range<UInt64>, reason: LossReason)? {
    guard !hasCaughtUp else { return nil }
    var end: UInt64
    if isLate {
      let own = kept.sequences
      end = min(waiting.first ?? .max, own.lowerBound > next ? own.lowerBound : .max, front?.next ?? next)
    } else {
      end = waiting.first ?? marks.lazy.map(\.range.upperBound).max() ?? next
    }
    for mark in marks where mark.isFinal && mark.range.lowerBound > next { end = min(end, mark.range.lowerBound) }
    guard end > next else { return nil }
    return (next..<end, marks.first { $0.range.contains(next) }?.reason ?? .evicted)
  }

  /// It is begun by a holder, who has most of it of those who have told: what was not read before that is lost.
  func begin(from sequence: UInt64, into inbox: Inbox) {
    heldFrom = sequence
    for one in subscribers where one.from > 0 && one.from < sequence {
      inbox.lose(one.from..<sequence, of: info, subscriptions: [one.id], reason: .evicted)
    }
  }

  /// It is begun by its publisher, who does not keep what was before that. If what he begins with was published after a subscription
  /// was made, so may have been some of what he let go: whoever holds that can say so.
  func begunByPublisher(at sequence: UInt64) {
    guard sequence > 0, next == sequence, isReliable, history.keepsSomething, retained == nil else { return }
    heldFrom = sequence
    judgesBeginning = true
  }

  private func judgeBeginning(_ message: ArrivedMessage) {
    judgesBeginning = false
    guard message.sequence == heldFrom else { return }
    if subscribers.allSatisfy({ $0.began >= message.publishedAt }) { heldFrom = nil }
  }

  /// Takes note that there was more to get than came, and that it is too late for it now: what is behind it has been delivered.
  func noteMissed(from sequence: UInt64, into inbox: Inbox) {
    guard let heldFrom, sequence < heldFrom else { return }
    self.heldFrom = sequence
    // Those that go on with what they have read were told in the beginning.
    let missing = subscribers.filter { !$0.isLater && $0.from == 0 }
    if !missing.isEmpty { report(sequence..<heldFrom, reason: .evicted, to: missing, into: inbox) }
  }

  /// Goes on behind the hole: it is reported as lost, and what waits behind it is handed over.
  func abandonHole(at now: Timestamp, into inbox: Inbox) {
    guard let (range, reason) = hole else { return }
    giveUp(range, reason: reason, into: inbox)
    drain(at: now, into: inbox)
  }

  /// Nobody knows more than is here of what the publisher left.
  func abandonTail(into inbox: Inbox) {
    guard hasUnknownTail else { return }
    hasUnknownTail = false
    report(next..<next, reason: .publisherGone, into: inbox)
  }

  func noteSettled() { needsSettling = false }

  /// Goes on behind a range that begins at the next message or before.
  func giveUp(_ range: Range<UInt64>, reason: LossReason, into inbox: Inbox) {
    let owed = max(next, owedFrom)
    if owed < range.upperBound, retained != nil, reason != .expired, reason != .tooLarge {
      inbox.counters.messagesSuperseded &+= range.upperBound - owed
    } else if owed < range.upperBound {
      report(owed..<range.upperBound, reason: reason, into: inbox)
    }
    if !mayBeHeld(after: reason) {
      for reader in late { reader.mark(range, reason: reason, isFinal: true) }
    }
    next = max(next, range.upperBound)
  }

  /// Tells the subscriptions what they will not get.
  func report(
    _ range: Range<UInt64>, reason: LossReason, to all: [Subscriber]? = nil, into inbox: Inbox
  ) {
    let all = all ?? subscribers
    let whole = all.filter { $0.from <= range.lowerBound }
    if !whole.isEmpty || all.isEmpty {
      inbox.lose(range, of: info, subscriptions: whole.map(\.id), reason: reason)
    }
    for one in all where one.from > range.lowerBound && one.from < range.upperBound {
      inbox.lose(one.from..<range.upperBound, of: info, subscriptions: [one.id], reason: reason)
    }
  }
}
