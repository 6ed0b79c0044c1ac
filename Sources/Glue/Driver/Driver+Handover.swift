import GlueCore

extension Driver {
  /// Hands over messages, runs what tasks have to do, hands over events, and sends what is due; on the I/O thread, without the
  /// lock.
  ///
  /// Messages go first, although acknowledgements then wait for the callbacks: what a callback publishes leaves in one
  /// datagram with them. Long callbacks are the exception, see ``Driver/callbackSlice``.
  func handOver(_ turn: Turn) {
    if !turn.deliveries.isEmpty { handOverMessages(turn) }
    guard !turn.isRelieved else { return }
    runJobs(turn)
    guard !turn.isRelieved else { return }
    if !turn.credits.isEmpty {
      lock.withLock { state in
        for credit in turn.credits { state.machine.consumed(credit.bytes, of: credit.stream, at: .now) }
      }
      turn.credits.removeAll(keepingCapacity: true)
    }
    for report in turn.drops.take() { broadcast(.loss(report)) }
    if !turn.events.isEmpty { handOverEvents(turn) }
    drain()
  }

  private func handOverMessages(_ turn: Turn) {
    handOver(turn.deliveries, turn)
    if !turn.isRelieved { turn.deliveries.removeAll(keepingCapacity: true) }
  }

  /// - Parameter deliveries: Those of the turn. They are held here whatever becomes of it: another thread may take over what is behind
  ///   the callback that runs. They are looked at where they are: each copy would count references.
  private func handOver(_ deliveries: [Delivery], _ turn: Turn) {
    let started = Timestamp.now
    let slow = Nanoseconds(settings.slowCallbackThreshold)
    let isAtLimit = hasCallbackLimit
    var now = started
    var lastDrain = started
    // What the watch takes for the begin of a callback: so many short ones are as bad as a long one.
    var since = started
    // Most come in runs for one subscription: it is looked up once for each.
    var subscription: SubscriptionID?
    var found: Sink?

    for place in deliveries.indices {
      if found == nil || deliveries[place].subscription != subscription {
        subscription = deliveries[place].subscription
        found = sink(of: deliveries[place], turn)
      }
      guard let sink = found else { continue }
      if let expiry = deliveries[place].expiresAt, expiry <= now {
        localCounters.add(to: .expiredAtHandover)
        turn.drops.add(deliveries[place].stream, deliveries[place].sequence, .expired, filter: sink.filter)
        turn.addCredit(for: deliveries[place])
        continue
      }
      switch sink {
      case .callback(let sink):
        if sink.isDetached || isAtLimit, let id = subscription, !sink.isCancelled,
          putAside(deliveries[place], for: sink, id, at: now, turn)
        {
          continue
        }
        if deliveries[place].isHeld { turn.addCredit(for: deliveries[place]) }
        if sink.isCancelled { continue }
        enterCallback(of: place, at: now, handingOverSince: since, turn)
        sink.onMessage(MessageView(deliveries[place], at: now))
        leaveCallback(handingOverSince: since, turn)
        if turn.isRelieved { return }
        let returned = Timestamp.now
        let duration = returned.since(now)
        now = returned
        if duration > slow { reportSlowCallback(sink.filter, duration, isAwaited: false) }
        if now.since(lastDrain) > Self.callbackSlice {
          drain()
          lastDrain = .now
          now = lastDrain
          if now.since(started) < Self.longestHandover { since = now }
        }
      case .queue(let queue):
        if !put(deliveries[place], into: queue, at: now, turn) { turn.addCredit(for: deliveries[place]) }
      }
    }
  }

  private func sink(of delivery: Delivery, _ turn: Turn) -> Sink? {
    guard let subscription = delivery.subscription else {
      if let reader = turn.directReader { return .queue(reader) }
      localCounters.add(to: .droppedDirect)
      turn.drops.add(delivery.stream, delivery.sequence, .dropped, filter: "")
      return nil
    }
    guard let sink = turn.sinks[subscription] else {
      // Cancelled a moment ago.
      turn.addCredit(for: delivery)
      return nil
    }
    return sink
  }

  /// Copies a message into a queue.
  ///
  /// - Returns: Whether it is there; otherwise a task got it at once, or the queue has ended.
  func put(_ delivery: Delivery, into queue: DeliveryQueue, at now: Timestamp, _ turn: Turn) -> Bool {
    let entry = DeliveryQueue.Entry(
      message: MessageView(delivery, at: now).copy(), publishedAt: delivery.publishedAt, expiresAt: delivery.expiresAt)
    guard let (dropped, credit) = queue.put(entry, isHeld: delivery.isHeld, isDroppable: delivery.isDroppable)
    else { return false }
    if credit > 0 { turn.addCredit(credit, of: delivery.stream) }
    for entry in dropped {
      localCounters.add(to: .droppedByBuffering)
      turn.drops.add(entry.message.stream, entry.message.sequence, .dropped, filter: queue.filter)
    }
    return true
  }

  private func handOverEvents(_ turn: Turn) {
    let (told, resumptions, isDefeated) = lock.withLock { state -> ([Event], [Resumption], Bool) in
      var told: [Event] = []
      var keys: [WaitKey] = []
      for event in turn.events {
        let (event, more) = state.absorb(event)
        if let event { told.append(event) }
        keys.append(contentsOf: more)
      }
      return (told, state.ready(for: keys), state.failure != nil)
    }
    turn.events.removeAll(keepingCapacity: true)
    for event in told { broadcast(event) }
    if isDefeated { beginClosing() }
    for resumption in resumptions { resumption.resume() }
  }
}

/// Joins the losses of a turn, so that a slow reader does not cause an event for each message.
struct DropCollector {
  private struct Drop {
    let stream: StreamInfo
    var sequences: Range<UInt64>
    let reason: LossReason
    let filter: String
  }

  private var drops: [Drop] = []

  mutating func add(_ stream: StreamInfo, _ sequence: UInt64, _ reason: LossReason, filter: String) {
    if let last = drops.last, last.stream === stream, last.sequences.upperBound == sequence, last.reason == reason,
      last.filter == filter
    {
      drops[drops.count - 1].sequences = last.sequences.lowerBound..<(sequence + 1)
    } else {
      drops.append(Drop(stream: stream, sequences: sequence..<(sequence + 1), reason: reason, filter: filter))
    }
  }

  mutating func take() -> [LossReport] {
    guard !drops.isEmpty else { return [] }
    defer { drops.removeAll(keepingCapacity: true) }
    return drops.map {
      LossReport(
        topic: $0.stream.topic, publisher: Publisher($0.stream), sequences: $0.sequences, reason: $0.reason,
        filters: $0.filter.isEmpty ? [] : [$0.filter])
    }
  }
}
