import DequeModule

/// What this endpoint has got of one stream, by whatever way: how far each subscription is, what waits for a hole to be filled,
/// and what is kept for others (docs/history.md).
///
///     carriers ──▶ take ──▶ next? ── yes ──▶ delivered, kept
///                           └─ early ─▶ waits ──▶ the hole is filled, or given up ──▶ delivered, kept
///
/// A hole is what a carrier will not bring. Where the topic keeps nothing it is lost at once; else somebody else may have it,
/// and the machine looks for him (``EndpointMachine/settle(_:at:)``).
final class ReceivedStream: MessageSink {
  // Its properties are exempt from the run-time exclusivity check, as those of InboundStream are.

  /// A subscription of this endpoint that gets the stream.
  struct Subscriber {
    var id: SubscriptionID
    var holdsBackPublisher: Bool
    /// See ``EndpointMachine/setStuck(_:_:)``.
    var isStuck = false
    /// Whether another one joined it here while it was stuck: until it has caught up it loses what it has no room for, and holds
    /// nobody back.
    var wasJoined = false
    /// The sequence number that it gets next: it has got everything below, or has been told that it will not.
    var next: UInt64
    /// What it does not get below this is no loss: it was published before, and may not be kept any more.
    var owedFrom: UInt64 = 0
  }

  /// A request for a part of it that is under way.
  struct Fetch {
    /// The session of whom it was sent to.
    var session: UInt32
    var request: UInt64
    /// The lowest sequence number that was asked for.
    var from: UInt64
  }

  /// What will not come by the carrier that said so.
  private struct Mark {
    var range: Range<UInt64>
    var reason: LossReason
    /// Whether nobody else can have it either.
    var isFinal: Bool
  }

  let info: StreamInfo
  let isReliable: Bool
  let history: HistoryPolicy
  let epochMicroseconds: UInt64
  @exclusivity(unchecked) var subscribers: [Subscriber] = []
  /// Delivered bytes that subscribers who hold back the publisher have not used up yet.
  @exclusivity(unchecked) var unconsumedBytes = 0
  /// Whoever sends it to this endpoint now.
  @exclusivity(unchecked) var carriers: [InboundStream] = []
  @exclusivity(unchecked) private var waiting = Deque<ArrivedMessage>()
  @exclusivity(unchecked) private var marks: [Mark] = []
  /// The publisher is gone, and has left something of which nobody knows how much it is.
  private(set) var hasUnknownTail = false
  /// Whether there may be a hole that nothing has been done about.
  @exclusivity(unchecked) private(set) var needsSettling = false
  var fetch: Fetch?
  /// Sessions that were asked for what is at the hole, and did not bring it.
  var tried: Set<UInt32> = []
  /// Sessions that were asked what they have of it, and have not answered.
  var asked: Set<UInt32> = []
  /// Up to which number others were told that it is held here.
  var toldEnd: UInt64 = 0
  /// When its publisher was last seen to go; if it never was, since when the stream is known.
  var orphanedAt: Timestamp
  /// The beginning of a hole that nobody is known to hold, and since when that is so.
  var unheld: (from: UInt64, since: Timestamp)?
  /// What is kept for others; nil as long as nothing was.
  @exclusivity(unchecked) private(set) var log: OutboundStream?
  /// Readers have more to get.
  @exclusivity(unchecked) var hasGrown = false
  /// How much of what is kept is stored.
  @exclusivity(unchecked) var cursor = StoreCursor()

  private let memory: HistoryMemory
  private let budget: ReceiveBudget
  private let windowBytes: Int
  private let maximumMessageBytes: Int

  init(
    info: StreamInfo, isReliable: Bool, history: HistoryPolicy, epochMicroseconds: UInt64, memory: HistoryMemory,
    budget: ReceiveBudget, windowBytes: Int, maximumMessageBytes: Int, at now: Timestamp
  ) {
    orphanedAt = now
    self.info = info
    self.isReliable = isReliable
    self.history = isReliable ? history : .none
    self.epochMicroseconds = epochMicroseconds
    self.memory = memory
    self.budget = budget
    self.windowBytes = windowBytes
    self.maximumMessageBytes = maximumMessageBytes
  }

  deinit { release() }

  /// Gives back all memory.
  func release() {
    budget.reordered -= waitingBytes
    waitingBytes = 0
    waiting = []
    marks = []
    guard let log else { return }
    memory.bytes -= keptBytes
    keptBytes = 0
    log.abandon()
    self.log = nil
  }

  /// The stream's name for all endpoints.
  var hash: StreamHash { info.hash }

  /// Whether its publisher, or somebody who relays it, sends it as it is published.
  var isLive: Bool { carriers.contains { !$0.isRequested } }

  /// The lowest number that somebody here still has to get; nil without subscriptions.
  var next: UInt64? {
    guard var low = subscribers.first?.next else { return nil }
    for subscriber in subscribers.dropFirst() where subscriber.next < low { low = subscriber.next }
    return low
  }

  func unconsumedBytes(of carrier: InboundStream) -> Int {
    // What waits for a hole must not hold up whoever fills it.
    carrier.isRequested ? unconsumedBytes : unconsumedBytes + waitingBytes
  }

  // MARK: Arrival

  func take(_ message: ArrivedMessage, at now: Timestamp, into inbox: Inbox) throws(WireError) {
    var isNext = false
    var isEarly = false
    for subscriber in subscribers {
      if message.sequence == subscriber.next {
        isNext = true
      } else if message.sequence > subscriber.next {
        isEarly = true
      }
    }
    if isEarly { wait(message, at: now, into: inbox) }
    guard isNext else {
      if !isEarly { inbox.counters.duplicateMessages += 1 }
      return
    }
    try handOver(message, at: now, into: inbox)
    if !waiting.isEmpty || !marks.isEmpty { drain(at: now, into: inbox) }
  }

  /// Hands a message over to those whose turn it is to get it.
  private func handOver(_ message: ArrivedMessage, at now: Timestamp, into inbox: Inbox) throws(WireError) {
    let sequence = message.sequence
    if let expires = message.expiresAt, expires <= now {
      return giveUp(sequence..<sequence + 1, reason: .expired, into: inbox)
    }
    var delivery: Delivery
    do throws(WireError) {
      delivery = try message.delivery(of: info, epochMicroseconds: epochMicroseconds)
    } catch {
      giveUp(sequence..<sequence + 1, reason: .evicted, into: inbox)
      throw error
    }
    inbox.counters.messagesDelivered += 1
    for index in subscribers.indices where subscribers[index].next == sequence {
      subscribers[index].next = sequence + 1
      // From the first message on that it gets of what was published before, there are no gaps without a word.
      subscribers[index].owedFrom = min(subscribers[index].owedFrom, sequence)
      append(&delivery, to: subscribers[index], byteCount: message.body.count, into: inbox)
    }
    if history != .none { keep(message, at: now) }
  }

  private func append(
    _ delivery: inout Delivery, to subscriber: Subscriber, byteCount: Int, into inbox: Inbox
  ) {
    delivery.subscription = subscriber.id
    let holdsBack =
      subscriber.holdsBackPublisher || (subscriber.isStuck && !subscriber.wasJoined && subscribers.count == 1)
    delivery.isHeld = holdsBack && hasRoomForHeld
    delivery.isDroppable = !delivery.isHeld && (holdsBack || subscriber.isStuck)
    if delivery.isHeld { unconsumedBytes += byteCount }
    inbox.deliveries.append(delivery)
  }

  /// Whether one more message may wait for its subscription and hold the publisher back. Who publishes best effort is not held
  /// back by anything; another publisher that honours its window exceeds it by one message at most.
  private var hasRoomForHeld: Bool {
    isReliable && unconsumedBytes <= (windowBytes + maximumMessageBytes) * subscribers.count
  }

  // MARK: What waits for a hole

  /// Bytes a waiting message is charged beyond its own, for its bookkeeping.
  private static let waitingOverhead = 128
  private(set) var waitingBytes = 0

  private func wait(_ message: ArrivedMessage, at now: Timestamp, into inbox: Inbox) {
    needsSettling = true
    let index = firstWaiting(from: message.sequence)
    guard index == waiting.count || waiting[index].sequence != message.sequence else { return }
    let cost = message.body.count + Self.waitingOverhead
    // Whoever honours the window that waiting messages shrink does not get here. What is dropped is a hole of its own.
    guard waitingBytes + cost <= 2 * windowBytes + maximumMessageBytes, budget.hasReorderRoom(for: cost) else {
      inbox.reach(.reorderBytes, at: now)
      return mark(message.sequence..<message.sequence + 1, reason: .evicted, isFinal: false)
    }
    var message = message
    if message.owner == nil || message.owner!.count > 2 * message.body.count + 1_024 {
      let copy = PayloadBuffer(copying: message.body)
      message.owner = copy
      message.body = copy.bytes
    }
    waiting.insert(message, at: index)
    waitingBytes += cost
    budget.reordered += cost
  }

  private func firstWaiting(from sequence: UInt64) -> Int {
    guard let last = waiting.last, last.sequence >= sequence else { return waiting.count }
    var low = 0
    var high = waiting.count - 1
    while low < high {
      let middle = (low + high) / 2
      if waiting[middle].sequence < sequence { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Hands over whatever has its turn, and passes over what is lost for good.
  private func drain(at now: Timestamp, into inbox: Inbox) {
    for subscriber in subscribers.indices {
      while subscriber < subscribers.count {
        let next = subscribers[subscriber].next
        let index = firstWaiting(from: next)
        if index < waiting.count, waiting[index].sequence == next {
          do throws(WireError) {
            try handOver(waiting[index], at: now, into: inbox)
          } catch {
            inbox.counters.framesMalformed += 1
          }
        } else if let mark = marks.first(where: { $0.isFinal && $0.range.contains(next) }) {
          let end = index < waiting.count ? min(waiting[index].sequence, mark.range.upperBound) : mark.range.upperBound
          giveUp(next..<end, reason: mark.reason, into: inbox)
        } else {
          break
        }
      }
    }
    guard let low = next else { return }
    while let first = waiting.first, first.sequence < low {
      waiting.removeFirst()
      let cost = first.body.count + Self.waitingOverhead
      waitingBytes -= cost
      budget.reordered -= cost
    }
    if let first = marks.first, first.range.lowerBound < low { marks.removeAll { $0.range.upperBound <= low } }
    needsSettling = true
  }

  // MARK: Holes

  func lose(_ sequences: Range<UInt64>, reason: LossReason, at now: Timestamp, into inbox: Inbox) {
    let isFinal = !mayBeHeld(after: reason)
    guard !sequences.isEmpty else {
      if isFinal {
        inbox.lose(sequences, of: info, subscriptions: subscribers.map(\.id), reason: reason)
      } else {
        hasUnknownTail = true
        needsSettling = true
      }
      return
    }
    if isFinal, waiting.isEmpty, marks.isEmpty, subscribers.allSatisfy({ $0.next >= sequences.lowerBound }) {
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

  /// Whether a message is here, but has to wait for a hole.
  func isWaiting(_ sequence: UInt64) -> Bool {
    let index = firstWaiting(from: sequence)
    return index < waiting.count && waiting[index].sequence == sequence
  }

  /// Takes note that there is something up to a number, whoever has it.
  func noteExists(below end: UInt64) {
    guard let next, end > next else { return }
    mark(next..<end, reason: .publisherGone, isFinal: false)
  }

  /// The lowest range that somebody here needs and no carrier brings, and why; nil if there is none.
  var hole: (range: Range<UInt64>, reason: LossReason)? {
    guard let next else { return nil }
    let index = firstWaiting(from: next)
    let known = marks.lazy.filter { $0.range.upperBound > next }
    let end = index < waiting.count ? waiting[index].sequence : known.map(\.range.upperBound).max() ?? next
    guard end > next else { return nil }
    return (next..<end, known.first { $0.range.contains(next) }?.reason ?? .evicted)
  }

  /// Has those go without it who are at a hole: it is reported as lost, and what waits behind it is handed over.
  func abandonHole(isPublisherPresent: Bool, at now: Timestamp, into inbox: Inbox) {
    guard let (range, reason) = hole else { return }
    // Who came late, and finds nobody who has what was published before, is told that there may have been something.
    let late = subscribers.filter { range.contains($0.next) && $0.owedFrom > $0.next }.map(\.id)
    if !late.isEmpty, !isPublisherPresent {
      inbox.lose(range.lowerBound..<range.lowerBound, of: info, subscriptions: late, reason: .publisherGone)
    }
    giveUp(range, reason: reason, into: inbox)
    drain(at: now, into: inbox)
  }

  /// Nobody knows more than is here of what the publisher left.
  func abandonTail(into inbox: Inbox) {
    guard hasUnknownTail, let next else { return }
    hasUnknownTail = false
    inbox.lose(next..<next, of: info, subscriptions: subscribers.map(\.id), reason: .publisherGone)
  }

  /// The tail turned out not to be lost: its publisher goes on.
  func forgetTail() { hasUnknownTail = false }

  func noteSettled() { needsSettling = false }

  private func giveUp(_ range: Range<UInt64>, reason: LossReason, into inbox: Inbox) {
    // Subscriptions that are equally far are told together.
    while let start = subscribers.lazy.map(\.next).filter({ range.contains($0) }).min() {
      var ids: [SubscriptionID] = []
      for index in subscribers.indices where subscribers[index].next == start {
        let subscriber = subscribers[index]
        subscribers[index].next = range.upperBound
        if subscriber.owedFrom <= start {
          ids.append(subscriber.id)
        } else if subscriber.owedFrom < range.upperBound {
          inbox.lose(subscriber.owedFrom..<range.upperBound, of: info, subscriptions: [subscriber.id], reason: reason)
        }
      }
      guard !ids.isEmpty else { continue }
      inbox.lose(start..<range.upperBound, of: info, subscriptions: ids, reason: reason)
    }
  }

  // MARK: Subscriptions

  /// Lets another subscription share the stream: from where it wants to begin, as far as that is kept here, else from now on.
  /// It does not wait for one that has the stream for itself and is stuck.
  ///
  /// - Returns: Whether the window grew.
  func join(
    _ id: SubscriptionID, holdsBackPublisher: Bool, history: HistoryRequest, at now: Timestamp, into inbox: Inbox
  ) -> Bool {
    let hasMoreRoom = subscribers.count == 1 && subscribers[0].isStuck && !subscribers[0].wasJoined
    if hasMoreRoom {
      subscribers[0].wasJoined = true
      unconsumedBytes = 0
    }
    // Nobody has subscribed to what comes from the store until now; what came before that was had once.
    let restored = subscribers.isEmpty ? kept : 0..<0
    var live = subscribers.map(\.next).max() ?? restored.upperBound
    for carrier in carriers { live = max(live, carrier.nextSequence) }
    var newcomer = Subscriber(id: id, holdsBackPublisher: holdsBackPublisher, next: live)
    if history == .none || !self.history.keepsSomething {
      subscribers.append(newcomer)
      return hasMoreRoom
    }
    // What waits for a hole it shares with the others.
    log?.trimHistory(at: now)
    let kept = kept
    if !kept.isEmpty { newcomer.next = kept.upperBound }
    let before = if case .last(let count) = history { live - min(live, UInt64(max(0, count))) } else { UInt64(0) }
    let wanted = max(before, restored.lowerBound)
    if wanted < (kept.isEmpty ? live : kept.lowerBound) {
      // Others may have what is not kept here; then what is kept comes with it, in order.
      newcomer.next = wanted
      newcomer.owedFrom = live
      subscribers.append(newcomer)
      mark(wanted..<live, reason: .evicted, isFinal: false)
      return hasMoreRoom
    }
    subscribers.append(newcomer)
    guard let log else { return hasMoreRoom }
    log.log.replay(from: log.start(for: history, began: now), at: now) { message in
      guard var delivery = try? message.delivery(of: info, epochMicroseconds: epochMicroseconds) else { return }
      inbox.counters.messagesDelivered += 1
      append(&delivery, to: newcomer, byteCount: message.body.count, into: inbox)
    } lose: { sequences, reason in
      inbox.lose(sequences, of: info, subscriptions: [id], reason: reason)
    }
    return hasMoreRoom
  }

  // MARK: What is kept for others

  /// What it is charged with in ``HistoryMemory``.
  private var keptBytes = 0

  /// What it can give to others, as sequence numbers.
  var kept: Range<UInt64> {
    guard let log = log?.log, !log.isEmpty else { return 0..<0 }
    return log.firstSequence..<log.endSequence
  }

  /// Keeps a message if its topic's policy says so and the numbers fit.
  func keep(_ message: ArrivedMessage, at now: Timestamp) {
    guard log != nil || history != .untilExpiry || message.lifetime != nil else { return }
    let stream = log ?? makeLog()
    let log = stream.log
    guard stream.keeps(lifetime: message.lifetime),
      // Others cut it differently; it could not be passed on as it was.
      message.units == UInt64(Fragmenter.count(bodyBytes: message.body.count)), goOn(log, at: message)
    else { return }
    _ = log.append(
      message.body, hasAttributes: message.hasAttributes, time: message.time, lifetime: message.lifetime,
      published: message.publishedAt, expires: message.expiresAt ?? .distantFuture)
    stream.trimHistory(at: now)
    noteKept()
    if !stream.readers.isEmpty { hasGrown = true }
  }

  /// Brings the log to where a message goes. It never goes back: readers have been there. Returns whether the message fits.
  private func goOn(_ log: SendLog, at message: ArrivedMessage) -> Bool {
    guard log.end > 0 || log.endSequence > 0 else {
      log.restart(at: message.position, sequence: message.sequence)
      return true
    }
    guard message.position >= log.end, message.sequence >= log.endSequence else { return false }
    let positions = message.position - log.end
    let sequences = message.sequence - log.endSequence
    guard positions > 0 || sequences > 0 else { return true }
    guard sequences > 0, sequences <= positions else { return false }
    if log.isEmpty || positions > SendLog.longestHole {
      log.restart(at: message.position, sequence: message.sequence)
    } else {
      log.appendHole(positions: positions, sequences: sequences)
    }
    return true
  }

  private func makeLog() -> OutboundStream {
    let stream = OutboundStream(
      number: .max, isReliable: true, epoch: Timestamp(nanoseconds: 0), limitBytes: 2 * memory.limitBytes,
      history: history)
    log = stream
    return stream
  }

  /// Lets go of what has expired.
  func trim(at now: Timestamp) {
    guard let log else { return }
    log.trimHistory(at: now)
    noteKept()
  }

  /// Lets go of so many bytes of what is kept, or all of it, the oldest messages first.
  func trim(byBytes bytes: Int) {
    guard let log else { return }
    log.evict(toBytes: max(0, log.log.byteCount - bytes))
    noteKept()
  }

  private func noteKept() {
    let bytes = log?.log.footprint ?? 0
    memory.bytes += bytes - keptBytes
    keptBytes = bytes
    memory.storing?.note(self)
  }
}
