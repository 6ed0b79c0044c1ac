import DequeModule
import GlueCore
import Synchronization

/// The messages of a subscription that wait for the program.
final class DeliveryQueue: Sendable {
  /// A message that waits.
  struct Entry: Sendable {
    var message: Message
    let publishedAt: Timestamp
    let expiresAt: Timestamp?
    /// Bytes by which the publisher is held back until this message is taken.
    var heldBytes = 0

    var byteCount: Int { message.bytes.count + message.encodedAttributes.count }
  }

  /// Bytes of a stream that no longer hold its publisher back.
  struct Credit: Sendable {
    let stream: StreamInfo
    var bytes: Int
  }

  /// Credit is given in portions of this size: each takes the core's lock, and a publisher has a window of megabytes.
  private static let creditPortion = 64 << 10

  let filter: String
  let buffering: Buffering
  private let mailbox = Mailbox<Entry>()
  private let credit = Mutex<Credit?>(nil)
  private let number = Mutex<SubscriptionID?>(nil)

  init(filter: String, buffering: Buffering) {
    self.filter = filter
    self.buffering = buffering
  }

  /// The subscription it serves; `nil` for direct messages.
  var subscription: SubscriptionID? {
    get { number.withLock { $0 } }
    set { number.withLock { $0 = newValue } }
  }

  /// Whether messages that wait hold their publisher back. Nothing holds back direct messages.
  var holdsPublisherBack: Bool {
    if case .block = buffering { subscription != nil } else { false }
  }

  /// Puts a message in; called by the I/O thread.
  ///
  /// - Parameters:
  ///   - isHeld: Whether its bytes hold the publisher back.
  ///   - isDroppable: Whether it goes where there is no room, since it cannot hold the publisher back.
  /// - Returns: The messages that had to go, and how many bytes of this one hold the publisher back no longer; `nil` if a
  ///   task got the message, or nobody will.
  func put(_ entry: Entry, isHeld: Bool, isDroppable: Bool) -> (dropped: [Entry], credit: Int)? {
    let size = entry.byteCount
    return mailbox.put(entry) { state -> (dropped: [Entry], credit: Int) in
      var entry = entry
      var dropped: [Entry] = []
      var credit = isHeld ? size : 0
      state.byteCount += size
      switch buffering {
      case .block(let limit) where holdsPublisherBack:
        if state.byteCount > limit, isDroppable, !state.elements.isEmpty {
          state.byteCount -= size
          return ([entry], 0)
        }
        if state.byteCount > limit, isHeld {
          entry.heldBytes = size
          credit = 0
        }
      case .block(let limit):
        while state.byteCount > limit, let oldest = state.elements.popFirst() {
          state.byteCount -= oldest.byteCount
          dropped.append(oldest)
        }
      case .dropOldest(let limit):
        while state.elements.count >= max(1, limit), let oldest = state.elements.popFirst() {
          state.byteCount -= oldest.byteCount
          dropped.append(oldest)
        }
      case .latest:
        dropped = Array(state.elements)
        state.elements.removeAll(keepingCapacity: true)
        state.byteCount = size
      }
      state.elements.append(entry)
      return (dropped, credit)
    }
  }

  /// Waits for the next message that has not expired.
  func next(driver: Driver, isolation: isolated (any Actor)? = #isolation) async -> Message? {
    while let taken = await mailbox.next(size: { $0.byteCount }, isolation: isolation) {
      let entry = taken.element
      release(taken, driver: driver)
      let now = Timestamp.now
      if let expiry = entry.expiresAt, expiry <= now {
        driver.reportLoss(of: entry.message, .expired, filter: filter)
        continue
      }
      var message = entry.message
      message.age = now.since(entry.publishedAt).duration
      return message
    }
    return nil
  }

  /// Takes the next message, if there is one; otherwise ends the queue.
  func takeOrFinish(driver: Driver) -> Entry? {
    guard let taken = mailbox.takeOrFinish(size: { $0.byteCount }) else { return nil }
    release(taken, driver: driver)
    return taken.element
  }

  /// Ends the queue for a subscription that is over.
  ///
  /// - Returns: The bytes that held publishers back.
  func cancel() -> [Credit] {
    var credits = mailbox.finish(discarding: true).filter { $0.heldBytes > 0 }
      .map { Credit(stream: $0.message.stream, bytes: $0.heldBytes) }
    if let rest = credit.withLock({ $0.take() }) { credits.append(rest) }
    return credits
  }

  /// Ends the queue when the endpoint closes: what is there can still be taken.
  func finish() { mailbox.finish(discarding: false) }

  /// Ends the queue when the endpoint closes, and nobody will take what is there.
  ///
  /// - Returns: What nobody has taken.
  func discard() -> Deque<Entry> { mailbox.finish(discarding: true) }

  /// Collects what was taken of one stream, and gives it back in portions.
  private func release(_ taken: Mailbox<Entry>.Taken, driver: Driver) {
    let (bytes, stream, isUrgent) = (taken.element.heldBytes, taken.element.message.stream, taken.wasLast)
    guard bytes > 0 || isUrgent else { return }
    let due = credit.withLock { credit -> [Credit] in
      var due: [Credit] = []
      if bytes > 0 {
        if credit?.stream === stream {
          credit?.bytes += bytes
        } else {
          if let other = credit { due.append(other) }
          credit = Credit(stream: stream, bytes: bytes)
        }
      }
      if let collected = credit, isUrgent || collected.bytes >= Self.creditPortion {
        due.append(collected)
        credit = nil
      }
      return due
    }
    if !due.isEmpty { driver.release(due) }
  }
}

/// The events that wait for one reader.
final class EventQueue: Sendable {
  private let mailbox = Mailbox<Event>()
  private let limit: Int
  private let dropped = Mutex<UInt64>(0)

  init(limit: Int) { self.limit = limit }

  /// Puts an event in; the oldest goes where there are too many. Returns whether one had to go.
  func put(_ event: Event) -> Bool {
    let isFull = mailbox.put(event) { state -> Bool in
      let isFull = state.elements.count >= limit
      if isFull { state.elements.removeFirst() }
      state.elements.append(event)
      return isFull
    }
    if isFull == true { dropped.withLock { $0 += 1 } }
    return isFull == true
  }

  /// Waits for the next event. What was dropped is told first.
  func next(isolation: isolated (any Actor)? = #isolation) async -> Event? {
    let count = dropped.withLock { count in
      defer { count = 0 }
      return count
    }
    if count > 0 { return .eventsDropped(count: count) }
    return await mailbox.next(size: { _ in 0 }, isolation: isolation)?.element
  }

  /// Ends the queue; what is there can still be taken.
  func finish() { mailbox.finish(discarding: false) }
}
