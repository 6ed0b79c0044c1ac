import GlueCore

extension Driver {
  /// About what a small message costs on the wire beside its payload, in bytes.
  private static let messageOverhead = 8

  /// Opens a publication, or one more handle of it.
  func openPublication(
    _ topic: String, type: String?, _ settings: TopicSettings
  ) throws(EndpointFailure) -> PublicationID {
    let options = PublicationOptions(type: type, reliability: settings.reliability, history: settings.history)
    return try submit { (state, now) throws(EndpointFailure) in
      try state.checkOpen()
      let id = try state.advertise(topic, options, at: now)
      state.publications[id]?.handles += 1
      return id
    }
  }

  /// The publication that `publish(_:to:)` uses: the one that is open, or a new one with default settings.
  func implicitPublication(_ topic: String, type: String?) throws(EndpointFailure) -> PublicationID {
    let known = try lock.withLock { (state) throws(EndpointFailure) -> PublicationID? in
      try state.checkOpen()
      guard let id = state.publicationsByTopic[TopicKey(topic)], let record = state.publications[id], record.isImplicit
      else {
        return nil
      }
      guard record.options.type == type else { throw .conflictingPublication(topic: topic) }
      return id
    }
    if let known { return known }
    return try submit { (state, now) throws(EndpointFailure) in
      var options = PublicationOptions(type: type, history: TopicSettings().history)
      if let open = state.publicationsByTopic[TopicKey(topic)].flatMap({ state.publications[$0] }) {
        guard open.options.type == type else { throw .conflictingPublication(topic: topic) }
        options = open.options
      }
      let id = try state.advertise(topic, options, at: now)
      if state.publications[id]?.isImplicit == true {
        state.machine.withdraw(id, at: now)  // another thread was faster
      } else {
        state.publications[id]?.isImplicit = true
      }
      return id
    }
  }

  func closePublication(_ id: PublicationID) {
    try? submit { (state, now) in
      guard let record = state.publications[id], record.handles > 0 else { return }
      state.publications[id]?.handles -= 1
      state.machine.withdraw(id, at: now)
      guard record.handles == 1, !record.isImplicit else { return }
      if state.publicationsByTopic[TopicKey(record.topic)] == id {
        state.publicationsByTopic[TopicKey(record.topic)] = nil
      }
      state.publications[id] = nil
      state.writableMarks[id] = nil
    }
  }

  func publish(
    _ payload: UnsafeRawBufferPointer, on id: PublicationID, lifetime: Duration?, attributes: Attributes,
    whenFull: FullBufferBehaviour
  ) throws(EndpointFailure) -> PublishResult {
    try submit(isMessage: true) { (state, now) throws(EndpointFailure) in
      try state.checkOpen()
      let result: PublishResult
      do throws(EndpointError) {
        result = try state.machine.publish(
          payload, on: id, lifetime: lifetime.map { Nanoseconds($0) }, attributes: attributes, whenFull: whenFull,
          at: now)
      } catch {
        throw EndpointFailure(error)
      }
      if state.gatheredBytes == 0 { state.gatheredSince = now }
      state.gatheredBytes += payload.count + Self.messageOverhead
      return result
    }
  }

  /// Publishes a message for which there was no room: waits for it, at most so long, and then makes it.
  func publishWhenWritable(
    _ bytes: [UInt8], on id: PublicationID, lifetime: Duration?, attributes: Attributes, timeout: Duration
  ) async throws -> (sequence: UInt64, position: UInt64) {
    func attempt(_ whenFull: FullBufferBehaviour) throws -> (sequence: UInt64, position: UInt64)? {
      let result = try bytes.withUnsafeBytes {
        try publish($0, on: id, lifetime: lifetime, attributes: attributes, whenFull: whenFull)
      }
      guard case .admitted(let sequence, let position) = result else { return nil }
      return (sequence, position)
    }

    let deadline = Timestamp.now + Nanoseconds(timeout)
    while true {
      let remaining = deadline.since(.now)
      guard remaining > .zero else { break }
      // A publication that became writable before this wait began is found so by the next attempt, not by an event.
      let mark = lock.withLock { $0.writableMarks[id, default: 0] }
      if let admitted = try attempt(.refuse) { return admitted }
      let outcome = await wait(for: .writable(id), timeout: remaining.duration) {
        $0.writableMarks[id, default: 0] != mark
      }
      switch outcome {
      case .ready: continue
      case .timedOut: break
      case .cancelled, .stopped: try outcome.check(waitingFor: "room", failure: failure)
      }
    }
    if let admitted = try attempt(.dropOldest) { return admitted }
    throw EndpointFailure.timedOut(waitingFor: "room in a publication")
  }

  /// Sends a direct message; waits for room as long as it takes. Returns the session too that it went into.
  func send(
    _ bytes: [UInt8], to peer: EndpointID, lifetime: Duration?
  ) async throws -> (session: UInt32, sequence: UInt64, position: UInt64) {
    while true {
      let (result, session) = try submit(isMessage: true) {
        (state, now) throws(EndpointFailure) -> (PublishResult, UInt32) in
        try state.checkOpen()
        let result = try bytes.withUnsafeBytes { payload -> Result<PublishResult, EndpointError> in
          Result { () throws(EndpointError) in
            try state.machine.send(payload, to: peer, lifetime: lifetime.map { Nanoseconds($0) }, at: now)
          }
        }.mapError(EndpointFailure.init).get()
        return (result, state.machine.session(with: peer) ?? 0)
      }
      if case .admitted(let sequence, let position) = result { return (session, sequence, position) }
      let outcome = await wait(for: .direct(peer)) { $0.machine.hasRoom(for: bytes.count, to: peer) }
      try outcome.check(waitingFor: "room", failure: failure)
    }
  }

  // MARK: Acknowledgements

  func isAcknowledged(_ target: Receipt.Target, at position: UInt64) -> Bool {
    lock.withLock { $0.isAcknowledged(target, below: position) }
  }

  /// Waits until a message is acknowledged by all it concerns.
  func acknowledgement(
    of target: Receipt.Target, at position: UInt64, timeout: Duration?
  ) async -> Acknowledgement {
    let key: WaitKey =
      switch target {
      case .publication(let id): .acknowledged(id)
      case .direct(let peer, _): .direct(peer)
      }
    _ = await wait(for: key, timeout: timeout) { state in state.isSettled(target, below: position) }
    let missing = lock.withLock { $0.unacknowledged(target, below: position) }
    return missing.isEmpty ? .acknowledged : .unacknowledged(by: missing)
  }
}
