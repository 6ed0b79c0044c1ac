import GlueCore

extension SimulatedEndpoint {
  /// Does what the driver does with an event, and tells the recorder.
  func take(_ event: EndpointEvent) {
    let now = simulation.now
    if keepsEvents { events.append(event) }
    switch event {
    case .peerAdded(let peer):
      guard let other = simulation.recorder.life(of: peer.incarnation) else {
        simulation.recorder.judge(.unprovenState, "life \(life) has a peer that never was", at: now)
        return
      }
      peers[peer.id] = other
      metAt[other] = now
      simulation.recorder.trace.note(.peerAdded, life, other, at: now)
    case .peerUpdated(let peer):
      simulation.recorder.trace.note(.peerUpdated, life, peers[peer.id] ?? -1, at: now)
    case .peerRemoved(let peer, let reason):
      guard let other = peers.removeValue(forKey: peer.id) else { return }
      simulation.recorder.trace.note(.peerRemoved, life, other, reason.number, at: now)
      simulation.recorder.disconnected(life, from: other, at: now)
    case .loss(let loss):
      simulation.recorder.lost(loss, at: life, now: now)
    case .typeMismatch(let mismatch):
      simulation.recorder.trace.note(
        .mismatch, life, Int(truncatingIfNeeded: mismatch.publisher.rawValue),
        Int(truncatingIfNeeded: mismatch.subscriber.rawValue), at: now)
    case .clash(let report):
      simulation.recorder.trace.note(.clash, life, Int(report.kind.rawValue), at: now)
    case .defeated(let report):
      simulation.defeated(self, by: simulation.recorder.life(of: report.holder.incarnation))
    case .incompatible:
      simulation.recorder.trace.note(.incompatible, life, at: now)
    case .limit(_, let count):
      simulation.recorder.trace.note(.limit, life, Int(truncatingIfNeeded: count), at: now)
    case .multicast(let report):
      simulation.recorder.trace.note(.multicast, life, report.isBroken ? 1 : 0, at: now)
      simulation.recorder.multicastTold.told(life, isBroken: report.isBroken)
    case .matched(let id, let subscribers):
      simulation.recorder.trace.note(.matched, life, topic(of: id) ?? -1, subscribers, at: now)
    case .interestKnown(let id):
      simulation.recorder.trace.note(.interestKnown, life, peers[id] ?? -1, at: now)
    case .writable(let id):
      simulation.recorder.trace.note(.writable, life, topic(of: id) ?? -1, at: now)
      publishBlocked(id, isLastTry: false)
    case .acknowledged(let id, let below):
      guard let topic = topic(of: id) else { return }
      simulation.recorder.trace.note(.acknowledged, life, topic, Int(truncatingIfNeeded: below), at: now)
      guard simulation.recorder.topics[topic].reliability == .reliable else { return }
      simulation.recorder.acknowledgement.acknowledged(StreamKey(publisher: life, topic: topic), below: below)
    case .stored(let id):
      guard let topic = topic(of: id) else { return }
      checkCopies(of: id, end: simulation.recorder.publishedCount(StreamKey(publisher: life, topic: topic)))
    case .directAcknowledged(let id):
      simulation.recorder.trace.note(.directAcknowledged, life, peers[id] ?? -1, at: now)
    case .keyMismatch:
      simulation.recorder.trace.note(.keyMismatch, life, at: now)
    case .inquiryAnswered, .timeAhead: break
    case .publicationRefused(_, let id), .subscriptionRefused(_, let id):
      simulation.recorder.trace.note(.refused, life, peers[id] ?? -1, at: now)
    }
  }

  func topic(of id: PublicationID) -> Int? { publications.first { $0.id == id }?.topic }

  // MARK: What users do

  /// Opens a publication of a topic of the run.
  @discardableResult
  package func advertise(_ topic: Int) throws -> PublicationID {
    let description = simulation.recorder.topics[topic]
    let options = PublicationOptions(
      type: description.type, reliability: description.reliability, history: description.history)
    let id = try machine.advertise(description.name, options: options, at: now)
    publications.append(Publication(id: id, topic: topic))
    // Who publishes it subscribes to it as well.
    if description.history == .retained { simulation.recorder.interestOnly.subscribed(host: host, topics: [topic]) }
    drain()
    return id
  }

  /// Subscribes.
  ///
  /// - Parameter progress: Where an earlier subscription stopped, with which this one goes on.
  @discardableResult
  package func subscribe(
    _ filter: String, options: SubscriptionOptions = SubscriptionOptions(), resuming progress: Progress? = nil
  ) throws -> SubscriptionID {
    var options = options
    if let progress { options.position = self.filter?.mutant == .forgetsPosition ? ReadPosition() : progress.position }
    let topics = simulation.recorder.topics.indices.filter { index in
      let topic = simulation.recorder.topics[index]
      return filterMatches(filter, topic.name) && (options.type == nil || options.type == topic.type)
    }
    let id = try machine.subscribe(filter, options: options, at: now)
    subscriptions[id] = Subscription(
      filter: filter, options: options, began: simulation.now, topics: topics, progress: progress ?? Progress())
    for (stream, next) in progress?.next ?? [:] {
      simulation.recorder.resumed(SubscriptionKey(life: life, number: id.rawValue), stream, at: next)
    }
    simulation.recorder.interestOnly.subscribed(host: host, topics: topics)
    simulation.recorder.trace.note(.subscribed, life, Int(id.rawValue), at: simulation.now)
    drain()
    return id
  }

  /// Ends a subscription.
  package func unsubscribe(_ id: SubscriptionID) {
    guard let subscription = subscriptions[id] else { return }
    consume(id)
    subscriptions[id] = nil
    simulation.recorder.interestOnly.unsubscribed(host: host, topics: subscription.topics)
    simulation.recorder.trace.note(.unsubscribed, life, Int(id.rawValue), at: simulation.now)
    for topic in subscription.topics where !wants(topic) {
      renewed[topic] = []
      for publisher in simulation.recorder.lives.indices {
        simulation.recorder.ledger.unsubscribed(StreamKey(publisher: publisher, topic: topic), reader: life)
      }
    }
    machine.unsubscribe(id, at: now)
    drain()
  }

  /// Whether one of its subscriptions matches a topic.
  package func wants(_ topic: Int) -> Bool {
    for id in subscriptionIDs where subscriptions[id]!.topics.contains(topic) { return true }
    return false
  }

  /// Whether what a publisher that counts it as a reader publishes now has to reach it.
  func isOwed(_ topic: Int, by publisher: Life) -> Bool {
    wants(topic) && (renewed[topic].map { $0.contains(publisher) } ?? true)
  }

  /// Publishes a message of so many bytes; waits for room if it has to and is told so. Returns its number, if it was
  /// admitted at once.
  @discardableResult
  package func publish(
    topic: Int, bytes: Int, lifetime: Nanoseconds? = nil, whenFull: WhenFull = .block, isClear: Bool = false
  ) -> UInt64? {
    guard let publication = publications.first(where: { $0.topic == topic }) else { return nil }
    let message = WaitingMessage(
      serial: simulation.nextSerial(), bytes: isClear ? 0 : bytes,
      lifetime: isClear ? EndpointMachine.clearedLifetime : lifetime, isClear: isClear)
    defer { drain() }
    guard blocked[publication.id, default: []].isEmpty else {
      if blocked[publication.id]!.count < 16 { blocked[publication.id]!.append(message) }
      return nil
    }
    let behaviour: FullBufferBehaviour =
      switch whenFull {
      case .block: .refuse
      case .dropOldest: .dropOldest
      case .keepLatest: .keepLatest
      }
    if let sequence = attempt(message, on: publication, whenFull: behaviour) { return sequence }
    simulation.recorder.trace.note(.full, life, topic, at: simulation.now)
    simulation.recorder.disturbances += 1
    blocked[publication.id, default: []].append(message)
    simulation.schedule(after: .milliseconds(100)) { [weak self] _ in
      guard let self, self.isRunning else { return }
      self.publishBlocked(publication.id, isLastTry: true)
      self.drain()
    }
    return nil
  }

  /// Tries again to publish what waits for room; with the last try, what is in the way is dropped.
  func publishBlocked(_ id: PublicationID, isLastTry: Bool) {
    guard let publication = publications.first(where: { $0.id == id }) else { return }
    while let message = blocked[id]?.first {
      guard attempt(message, on: publication, whenFull: isLastTry ? .dropOldest : .refuse) != nil else { return }
      blocked[id]?.removeFirst()
    }
  }

  private func attempt(
    _ message: WaitingMessage, on publication: Publication, whenFull: FullBufferBehaviour
  ) -> UInt64? {
    let payload = makePayload(serial: message.serial, bytes: message.bytes)
    return payload.withUnsafeBytes { bytes -> UInt64? in
      guard
        let result = try? machine.publish(
          bytes, on: publication.id, lifetime: message.lifetime,
          attributes: message.isClear ? .clearing : Attributes(), whenFull: whenFull, at: now),
        case .admitted(let sequence, let position) = result
      else { return nil }
      // Nobody can have the message yet, so whoever lacks it is a reader of it; except those of whose unsubscription the
      // publisher does not know yet.
      let readers = machine.unacknowledged(publication.id, below: position).compactMap { peers[$0] }
        .filter { simulation.endpoint(of: $0).isOwed(publication.topic, by: life) }
      simulation.recorder.published(
        StreamKey(publisher: life, topic: publication.topic), sequence: sequence, position: position,
        digest: attributes(ofValueOf: publication, isClear: message.isClear).withUnsafeBytes {
          payloadDigest(bytes, attributes: $0)
        }, bytes: message.bytes, lifetime: message.lifetime, readers: readers, at: simulation.now)
      return sequence
    }
  }

  /// The attributes that the machine has given to a value just published.
  private func attributes(ofValueOf publication: Publication, isClear: Bool) -> [UInt8] {
    let topic = simulation.recorder.topics[publication.topic]
    guard topic.history == .retained, let value = machine.retainedValue(of: topic.name) else { return [] }
    var attributes = Attributes()
    attributes.retained = RetainedMark(time: value.stamp.time, isCleared: isClear)
    return attributes.encoded()
  }

  /// Sends a direct message to a peer.
  package func send(to peer: EndpointID, bytes: Int) {
    let serial = simulation.nextSerial()
    let payload = makePayload(serial: serial, bytes: max(8, bytes))
    payload.withUnsafeBytes { bytes in
      guard let result = try? machine.send(bytes, to: peer, at: now), result != .full else { return }
      simulation.recorder.sentDirect(
        number: serial, digest: payloadDigest(bytes, attributes: UnsafeRawBufferPointer(start: nil, count: 0)),
        from: life, at: simulation.now)
    }
    drain()
  }
}

extension PeerRemovalReason {
  fileprivate var number: Int {
    switch self {
    case .expired: 0
    case .bye: 1
    case .replaced: 2
    case .lostClash: 3
    case .sessionLost: 4
    }
  }
}
