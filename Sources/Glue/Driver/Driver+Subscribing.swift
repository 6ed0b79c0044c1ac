import GlueCore

extension Driver {
  func subscribe(
    to filter: String, _ options: SubscriptionOptions, sink: Sink
  ) throws(EndpointFailure) -> SubscriptionID {
    try submit { (state, now) throws(EndpointFailure) in
      try state.checkOpen()
      let id: SubscriptionID
      do throws(EndpointError) {
        id = try state.machine.subscribe(filter, options: options, at: now)
      } catch {
        throw EndpointFailure(error)
      }
      if case .queue(let queue) = sink { queue.subscription = id }
      state.sinks[id] = sink
      state.sinksVersion += 1
      return id
    }
  }

  func subscribe(
    to filter: String, type: String?, history: HistoryRequest, position: ReadPosition? = nil, buffering: Buffering
  ) throws(EndpointFailure) -> DeliveryQueue {
    let queue = DeliveryQueue(filter: filter, buffering: buffering)
    let holdsBack = if case .block = buffering { true } else { false }
    _ = try subscribe(
      to: filter,
      SubscriptionOptions(type: type, holdsBackPublisher: holdsBack, history: history, position: position),
      sink: .queue(queue))
    return queue
  }

  func receiveDirect(buffering: Buffering) throws(EndpointFailure) -> DeliveryQueue {
    let queue = DeliveryQueue(filter: "", buffering: buffering)
    return try lock.withLock { (state) throws(EndpointFailure) in
      try state.checkOpen()
      guard state.directReader == nil else { throw .alreadyReceiving }
      state.directReader = queue
      state.sinksVersion += 1
      return queue
    }
  }

  /// Ends the subscription of a queue, or the reading of direct messages.
  func cancel(_ queue: DeliveryQueue) {
    guard let id = queue.subscription else {
      lock.withLock { state in
        guard state.directReader === queue else { return }
        state.directReader = nil
        state.sinksVersion += 1
      }
      _ = queue.cancel()
      return
    }
    let credits = queue.cancel()
    try? submit { (state, now) in
      // What nobody will take holds nobody back; the stream may have other subscriptions here.
      for credit in credits { state.machine.consumed(credit.bytes, of: credit.stream, at: now) }
      guard state.sinks.removeValue(forKey: id) != nil else { return }
      state.sinksVersion += 1
      state.machine.unsubscribe(id, at: now)
    }
  }

  func cancel(_ id: SubscriptionID, _ sink: CallbackSink) {
    var credits = sink.cancel()
    if let backlog = callbackThreads.withLock({ $0.leave(sink) }) { credits += backlog.cancel() }
    try? submit { (state, now) in
      for credit in credits { state.machine.consumed(credit.bytes, of: credit.stream, at: now) }
      guard state.sinks.removeValue(forKey: id) != nil else { return }
      state.sinksVersion += 1
      state.machine.unsubscribe(id, at: now)
    }
  }

  /// Tells the core that messages were taken which held their publishers back.
  func release(_ credits: [DeliveryQueue.Credit]) {
    try? submit { (state, now) in
      for credit in credits { state.machine.consumed(credit.bytes, of: credit.stream, at: now) }
    }
  }
}
