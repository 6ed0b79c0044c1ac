import GlueCore

extension Driver {
  /// Hands over messages, then events, and sends what is due; on the I/O thread, without the lock.
  ///
  /// Messages go first, although acknowledgements then wait for the callbacks: what a callback publishes leaves in one
  /// datagram with them. Long callbacks are the exception, see ``Driver/callbackSlice``.
  func handOver(_ turn: inout Turn, drains: Bool = true) {
    if !turn.deliveries.isEmpty { handOverMessages(&turn) }
    if !turn.credits.isEmpty {
      lock.withLock { state in
        for credit in turn.credits { state.machine.consumed(credit.bytes, of: credit.stream, at: .now) }
      }
      turn.credits.removeAll(keepingCapacity: true)
    }
    for report in turn.drops.take() { broadcast(.loss(report)) }
    if !turn.events.isEmpty { handOverEvents(&turn) }
    if drains { drain() }
  }

  private func handOverMessages(_ turn: inout Turn) {
    let started = Timestamp.now
    let slow = Nanoseconds(settings.slowCallbackThreshold)
    var now = started
    var lastDrain = started
    callbacksSince.store(started.nanoseconds, ordering: .relaxed)
    defer { callbacksSince.store(0, ordering: .relaxed) }

    for delivery in turn.deliveries {
      guard let sink = sink(of: delivery, &turn) else { continue }
      if let expiry = delivery.expiresAt, expiry <= now {
        localCounters.add(to: .expiredAtHandover)
        turn.drops.add(delivery.stream, delivery.sequence, .expired, filter: sink.filter)
        if case .queue(let queue) = sink, queue.holdsPublisherBack {
          turn.addCredit(delivery.payload.count + delivery.attributes.count, of: delivery.stream)
        }
        continue
      }
      switch sink {
      case .callback(let sink):
        if sink.isCancelled { continue }
        sink.onMessage(MessageView(delivery, at: now))
        let returned = Timestamp.now
        let duration = returned.since(now)
        now = returned
        if duration > slow {
          localCounters.add(to: .slowCallbacks)
          broadcast(.slowCallback(filter: sink.filter, duration: duration.duration))
        }
        if now.since(lastDrain) > Self.callbackSlice {
          drain()
          lastDrain = .now
          now = lastDrain
          callbacksSince.store(now.nanoseconds, ordering: .relaxed)
        }
      case .queue(let queue):
        put(delivery, into: queue, at: now, &turn)
      }
    }
    turn.deliveries.removeAll(keepingCapacity: true)
  }

  private func sink(of delivery: Delivery, _ turn: inout Turn) -> Sink? {
    guard let subscription = delivery.subscription else {
      if let reader = turn.directReader { return .queue(reader) }
      localCounters.add(to: .droppedDirect)
      turn.drops.add(delivery.stream, delivery.sequence, .dropped, filter: "")
      return nil
    }
    // Cancelled a moment ago, where nobody is found: what is on its way then holds nobody back.
    if turn.sinks[subscription] == nil {
      turn.addCredit(delivery.payload.count + delivery.attributes.count, of: delivery.stream)
    }
    return turn.sinks[subscription]
  }

  private func put(_ delivery: Delivery, into queue: DeliveryQueue, at now: Timestamp, _ turn: inout Turn) {
    let entry = DeliveryQueue.Entry(
      message: MessageView(delivery, at: now).copy(), publishedAt: delivery.publishedAt, expiresAt: delivery.expiresAt)
    let (dropped, credit) = queue.put(entry)
    if credit > 0, queue.holdsPublisherBack { turn.addCredit(credit, of: delivery.stream) }
    for entry in dropped {
      localCounters.add(to: .droppedByBuffering)
      turn.drops.add(entry.message.stream, entry.message.sequence, .dropped, filter: queue.filter)
    }
  }

  private func handOverEvents(_ turn: inout Turn) {
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

extension Driver.Turn {
  /// Adds up what no longer holds a publisher back, to tell the core once.
  mutating func addCredit(_ bytes: Int, of stream: StreamInfo) {
    if let last = credits.last, last.stream === stream {
      credits[credits.count - 1].bytes += bytes
    } else {
      credits.append(DeliveryQueue.Credit(stream: stream, bytes: bytes))
    }
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
