import GlueAddress

extension EndpointMachine {
  // MARK: Publishing

  /// Opens a publication. One topic is published once; advertising it again with the same options returns the same
  /// handle and counts a user more.
  public func advertise(_ topic: String, options: PublicationOptions, at now: Timestamp) throws(EndpointError)
    -> PublicationID
  {
    guard !isStopped else { throw .stopped }
    if let problem = TopicName.problem(withTopic: topic) { throw .invalidTopic(topic, reason: problem) }
    try check(topic, type: options.type, at: now)
    if let existing = topics.publicationsByTopic[TopicKey(topic)] {
      if existing.options == options {
        existing.users += 1
        withdrawn.removeAll { $0 === existing }
        retired.removeAll { $0 === existing }
        return existing.id
      }
      guard existing.users == 0 else { throw .conflictingPublication(topic: topic) }
      // Only what it keeps is left of it.
      end(existing, at: now)
    }
    guard topics.publications.count < configuration.topics.localTopics else {
      reach(.localTopics, at: now)
      throw .limitReached(name: "localTopics", limit: configuration.topics.localTopics)
    }
    let listener = try options.retainsLastValue ? listen(to: topic, at: now) : nil
    let number = topics.nextStream
    topics.nextStream += 1
    let publication = LocalPublication(
      id: PublicationID(rawValue: number), topic: topic, options: options,
      stream: OutboundStream(
        number: number, isReliable: options.reliability == .reliable, epoch: now,
        limitBytes: configuration.transport.sendBufferBytes, history: options.history),
      epochMicroseconds: wallMicroseconds(at: now),
      info: StreamInfo(
        topic: topic, type: options.type, publisher: configuration.id, publisherName: configuration.name,
        incarnation: incarnation, number: number, isDirect: false))
    if let listener { retain(publication, by: listener) }
    topics.publications[number] = publication
    topics.ownStreams[publication.info.hash] = number
    topics.publicationsByTopic[TopicKey(topic)] = publication
    let (own, mismatched) = topics.subscribers(of: topic, type: options.type)
    publication.localSubscribers = own
    for id in mismatched { reportOwnMismatch(publication, subscription: id) }
    for subscriber in topics.peerFilters.matches(topic) {
      guard let session = sessions[subscriber.session] else { continue }
      match(publication, with: subscriber.subscription, of: session, at: now)
    }
    return publication.id
  }

  private func check(_ name: String, type: String?, at now: Timestamp) throws(EndpointError) {
    let limit = configuration.topics.nameBytes
    if let type, type.isEmpty || type.utf8.count > limit {
      if type.utf8.count > limit { reach(.nameBytes, at: now) }
      throw .invalidTopic(type, reason: "a type has 1 … \(limit) bytes")
    }
    guard name.utf8.count <= limit else {
      reach(.nameBytes, at: now)
      throw .invalidTopic(name, reason: "it has \(name.utf8.count) bytes, the limit is \(limit)")
    }
  }

  /// Gives up one use of a publication. With the last one it ends as soon as everything is acknowledged, and nothing is kept any
  /// more for those who come later.
  public func withdraw(_ publication: PublicationID, at now: Timestamp) {
    guard let publication = topics.publications[publication.rawValue], publication.users > 0 else { return }
    publication.users -= 1
    guard publication.users == 0 else { return }
    if publication.stream.holdsHistory { return retired.append(publication) }
    withdrawn.append(publication)
    endWithdrawn(at: now)
  }

  /// Publishes a message: copies the payload, numbers it, and makes it ready for every matched reader. The result's position
  /// is the one behind the message.
  public func publish(
    _ payload: UnsafeRawBufferPointer, on publication: PublicationID, lifetime: Nanoseconds? = nil,
    attributes: Attributes = Attributes(), whenFull: FullBufferBehaviour = .refuse, at now: Timestamp
  ) throws(EndpointError) -> PublishResult {
    guard !isStopped else { throw .stopped }
    guard let publication = self.publication(publication), publication.users > 0 else { throw .unknownHandle }
    if attributes.isEmpty, publication.retained == nil {
      return try admit(
        payload, attributes: UnsafeRawBufferPointer(start: nil, count: 0), to: publication, publication.stream,
        lifetime: lifetime, mark: nil, whenFull: whenFull, at: now)
    }
    var (attributes, lifetime) = (attributes, lifetime)
    let mark = try date(&attributes, lifetime: &lifetime, of: publication, at: now)
    guard attributes.isWithinLimits else {
      throw .limitReached(name: "attributes", limit: WireLimits.attributeBytes)
    }
    // The standard library's `withUnsafeBytes` has no typed throws.
    let result = attributes.encoded().withUnsafeBytes { encoded in
      Result { () throws(EndpointError) in
        try admit(
          payload, attributes: encoded, to: publication, publication.stream, lifetime: lifetime, mark: mark,
          whenFull: whenFull, at: now)
      }
    }
    return try result.get()
  }

  /// A publication of this endpoint. Whoever publishes does so many times in a row on one topic: the last one is remembered, which
  /// saves hashing its number for each message.
  private func publication(_ id: PublicationID) -> LocalPublication? {
    if let recent = recentPublication, recent.id == id { return recent }
    recentPublication = topics.publications[id.rawValue]
    return recentPublication
  }

  /// Numbers a message and makes it ready for every matched reader, if there is room.
  ///
  /// Publication and stream are parameters, which their caller keeps alive: as local variables they would be retained, and
  /// released, for each message.
  private func admit(
    _ payload: UnsafeRawBufferPointer, attributes: UnsafeRawBufferPointer, to publication: LocalPublication,
    _ stream: OutboundStream, lifetime: Nanoseconds?, mark: RetainedMark?, whenFull: FullBufferBehaviour,
    at now: Timestamp
  ) throws(EndpointError) -> PublishResult {
    let bytes = payload.count + attributes.count
    guard bytes <= configuration.topics.maximumMessageBytes else {
      reach(.maximumMessageBytes, at: now)
      throw .messageTooLarge(bytes: bytes, limit: configuration.topics.maximumMessageBytes)
    }
    let isOverOwnWindow = publication.unconsumedBytes > configuration.transport.streamWindowBytes
    if isOverOwnWindow, whenFull != .refuse { publication.isHeldByLaggards = true }
    let isHeldByOwnSubscriber = isOverOwnWindow && !publication.isHeldByLaggards
    stream.makeRoomInHistory(for: bytes)
    if isHeldByOwnSubscriber || stream.isFull(for: bytes) {
      let isRefused = isHeldByOwnSubscriber || !stream.isHeldByLaggardsOnly(for: bytes)
      if whenFull == .refuse, isRefused {
        reach(.sendBufferBytes, at: now)
        stream.wantsRoom = true
        return .full
      }
      if stream.isFull(for: bytes) {
        stream.makeRoom(
          for: bytes, keepingNothing: whenFull == .keepLatest, reason: whenFull == .refuse ? .evicted : .dropped)
        for reader in stream.readers { enqueue(reader, at: now) }
      }
    }
    inbox.counters.messagesPublished += 1
    publication.publishedBytes += UInt64(bytes)
    let sequence = stream.log.endSequence
    let expires = lifetime.map { now + $0 }
    if !publication.localSubscribers.isEmpty {
      deliverLocally(payload, attributes: attributes, of: publication, sequence: sequence, expires: expires, at: now)
    }
    guard stream.hasReaders || stream.keeps(lifetime: lifetime) else {
      return .admitted(sequence: sequence, position: stream.log.skipMessage(bodyBytes: bytes))
    }
    _ = stream.log.append(
      payload, attributes: attributes, time: stream.time(at: now), lifetime: lifetime, published: now,
      expires: expires ?? .distantFuture)
    if let mark {
      let value = RetainedValue(mark, of: publication.info, sequence: sequence)
      publication.retained?.raise(to: value, in: stream)
    }
    if stream.keepsHistory { noteKept(by: publication, at: now) }
    if stream.groupReviewAt <= now { reviewGroup(of: stream, at: now) }
    if stream.isGroupIdle { enqueueGroup(of: stream) }
    if stream.idleReaders > 0 {
      for reader in stream.readers where reader.isIdle { enqueue(reader, at: now) }
    }
    return .admitted(sequence: sequence, position: stream.log.end)
  }

  private func deliverLocally(
    _ payload: UnsafeRawBufferPointer, attributes: UnsafeRawBufferPointer, of publication: LocalPublication,
    sequence: UInt64, expires: Timestamp?, at now: Timestamp
  ) {
    let buffer = PayloadBuffer(capacity: attributes.count + payload.count)
    buffer.append(attributes)
    buffer.append(payload)
    let bytes = buffer.bytes
    var delivery = Delivery(
      subscription: nil, stream: publication.info, sequence: sequence,
      publishedMicroseconds: wallMicroseconds(at: now), publishedAt: now, expiresAt: expires,
      attributes: UnsafeRawBufferPointer(rebasing: bytes[..<attributes.count]),
      payload: UnsafeRawBufferPointer(rebasing: bytes[attributes.count...]), owner: buffer)
    var skipped: [SubscriptionID] = []
    for id in publication.localSubscribers {
      delivery.subscription = id
      let subscription = topics.subscriptions[id]
      let isStuck = subscription?.isStuck ?? false
      delivery.isHeld =
        subscription?.options.holdsBackPublisher ?? false
        || (isStuck && publication.joinedSubscriber != id && publication.localSubscribers.count == 1)
      delivery.isDroppable = isStuck && !delivery.isHeld
      if delivery.isHeld {
        // It was waited for long enough: it misses what it has no room for.
        guard publication.unconsumedBytes <= configuration.transport.streamWindowBytes else {
          skipped.append(id)
          continue
        }
        publication.unconsumedBytes += bytes.count
      }
      inbox.counters.messagesDelivered += 1
      inbox.deliveries.append(delivery)
    }
    guard !skipped.isEmpty else { return }
    events.append(
      .loss(
        Loss(
          stream: publication.info, subscriptions: skipped, sequences: sequence..<sequence + 1, reason: .dropped)))
  }

  /// Ends publications without users once everything is acknowledged.
  func endWithdrawn(at now: Timestamp) {
    let done = withdrawn.filter { $0.stream.log.isEmpty || $0.stream.readers.isEmpty }
    guard !done.isEmpty else { return }
    for publication in done { end(publication, at: now) }
  }

  private func end(_ publication: LocalPublication, at now: Timestamp) {
    withdrawn.removeAll { $0 === publication }
    retired.removeAll { $0 === publication }
    recentPublication = nil
    topics.publications[publication.id.rawValue] = nil
    topics.publicationsByTopic[TopicKey(publication.topic)] = nil
    topics.ownStreams[publication.info.hash] = nil
    if let listener = publication.listener { endListening(listener, to: publication, at: now) }
    if publication.stream.hasUnserved { pastPublications.remember(publication.stream, as: publication.id.rawValue) }
    for reader in publication.stream.readers { close(reader, at: now) }
    // Whoever waits for stores waits in vain.
    events.append(.stored(publication.id))
  }

  /// Tells who waits for it that a publication has room again.
  func noteRoom(in stream: OutboundStream) {
    guard stream.wantsRoom, let publication = topics.publications[stream.number],
      stream.log.byteCount <= stream.limitBytes / 4 * 3 || stream.isHeldByLaggardsOnly(for: stream.limitBytes / 4),
      publication.unconsumedBytes <= configuration.transport.streamWindowBytes
    else { return }
    stream.wantsRoom = false
    events.append(.writable(publication.id))
  }

  // MARK: Direct messages

  /// Sends a message to one peer, outside of topics.
  public func send(
    _ payload: UnsafeRawBufferPointer, to peer: EndpointID, lifetime: Nanoseconds? = nil,
    attributes: Attributes = Attributes(), at now: Timestamp
  ) throws(EndpointError) -> PublishResult {
    guard !isStopped else { throw .stopped }
    guard let session = sessionsByPeer[peer] else { throw .unknownPeer(peer.description) }
    guard attributes.isWithinLimits else {
      throw .limitReached(name: "attributes", limit: WireLimits.attributeBytes)
    }
    let encodedAttributes = attributes.isEmpty ? [] : attributes.encoded()
    let bytes = payload.count + encodedAttributes.count
    guard bytes <= configuration.topics.maximumMessageBytes else {
      reach(.maximumMessageBytes, at: now)
      throw .messageTooLarge(bytes: bytes, limit: configuration.topics.maximumMessageBytes)
    }
    let stream = session.direct.stream
    guard !stream.isFull(for: bytes) else {
      reach(.sendBufferBytes, at: now)
      return .full
    }
    let sequence = stream.log.endSequence
    encodedAttributes.withUnsafeBytes { attributes in
      _ = stream.log.append(
        payload, attributes: attributes, time: stream.time(at: now), lifetime: lifetime, published: now,
        expires: lifetime.map { now + $0 } ?? .distantFuture)
    }
    session.wantsAcknowledgement = true
    enqueue(session.direct, at: now)
    return .admitted(sequence: sequence, position: stream.log.end)
  }

  // MARK: Subscribing

  /// Subscribes to all topics that match the filter.
  public func subscribe(_ filter: String, options: SubscriptionOptions, at now: Timestamp) throws(EndpointError)
    -> SubscriptionID
  {
    guard !isStopped else { throw .stopped }
    if let problem = TopicName.problem(withFilter: filter) { throw .invalidTopic(filter, reason: problem) }
    try check(filter, type: options.type, at: now)
    guard topics.subscriptions.count < configuration.topics.localTopics else {
      reach(.localTopics, at: now)
      throw .limitReached(name: "localTopics", limit: configuration.topics.localTopics)
    }
    let id = SubscriptionID(rawValue: topics.nextSubscription)
    topics.nextSubscription += 1
    topics.insert(LocalSubscription(filter: filter, options: options, began: now), id)
    topics.interestVersion += 1
    discovery.interestChanged(to: topics.interestVersion)
    for publication in topics.publications.values
    where !options.isListener && TopicName.matches(filter: filter, topic: publication.topic) {
      if options.type == nil || options.type == publication.options.type {
        share(publication, with: id, at: now)
      } else {
        reportOwnMismatch(publication, subscription: id)
      }
    }
    let toSettle = attach(id, filter: filter, options: options, at: now)
    for session in sessions.values {
      if options.position != nil { tellSavedPositions(to: session, at: now) }
      tellInterest(to: session, at: now)
      makeReady(session, at: now)
    }
    // Whoever is asked has to know of the subscription.
    for stream in toSettle { settle(stream, at: now) }
    return id
  }

  /// Lets a new subscription share an own publication. It does not wait for one that has it for itself and is stuck.
  private func share(_ publication: LocalPublication, with id: SubscriptionID, at now: Timestamp) {
    if publication.localSubscribers.count == 1, let present = publication.localSubscribers.first,
      publication.joinedSubscriber != present, topics.subscriptions[present]?.isStuck ?? false
    {
      publication.joinedSubscriber = present
      publication.unconsumedBytes = 0
      publication.isHeldByLaggards = false
      noteRoom(in: publication.stream)
    }
    publication.localSubscribers.append(id)
    replayHistory(of: publication, to: id, at: now)
  }

  /// Hands what is kept of an own publication to a new subscription that wants it.
  private func replayHistory(of publication: LocalPublication, to id: SubscriptionID, at now: Timestamp) {
    guard let options = topics.subscriptions[id]?.options, options.history != .none else { return }
    // That a topic has no value is no value.
    if let retained = publication.retained, !retained.hasValue { return }
    let stream = publication.stream
    stream.trimHistory(at: now)
    let position = options.position?.next(of: publication.info.hash)
    let kept = stream.holdsHistory ? stream.keptSequences.lowerBound : stream.log.endSequence
    if let position, position < kept {
      inbox.lose(position..<kept, of: publication.info, subscriptions: [id], reason: .evicted)
    }
    let start = position.map(stream.start(after:)) ?? stream.start(for: options.history, began: now)
    stream.log.replay(from: start, at: now) { message in
      let delivery = try? message.delivery(of: publication.info, epochMicroseconds: publication.epochMicroseconds)
      guard var delivery else { return }
      delivery.subscription = id
      delivery.isHeld = options.holdsBackPublisher
      if delivery.isHeld { publication.unconsumedBytes += message.body.count }
      inbox.counters.messagesDelivered += 1
      inbox.deliveries.append(delivery)
    } lose: { sequences, reason in
      inbox.lose(sequences, of: publication.info, subscriptions: [id], reason: reason)
    }
    drainLosses()
  }

  /// Lets a new subscription share the streams that others here have received, or receive.
  ///
  /// - Returns: Those of which others may have what it wants.
  private func attach(_ id: SubscriptionID, filter: String, options: SubscriptionOptions, at now: Timestamp)
    -> [ReceivedStream]
  {
    guard !options.isInquiry, !options.isListener else { return [] }
    var toSettle: [ReceivedStream] = []
    for stream in topics.received.values.sorted(by: { $0.hash < $1.hash }) {
      guard TopicName.matches(filter: filter, topic: stream.info.topic),
        options.type == nil || options.type == stream.info.type
      else { continue }
      let late = stream.join(
        id, holdsBackPublisher: options.holdsBackPublisher, history: options.history,
        position: options.position?.next(of: stream.hash), at: now, into: inbox)
      if stream.hasMoreRoom { noteRoom(in: stream, at: now) }
      if let late { toSettle.append(late) }
    }
    drainLosses()
    return toSettle
  }

  /// Whoever sends a stream is told that its window has become larger.
  private func noteRoom(in stream: ReceivedStream, at now: Timestamp) {
    stream.hasMoreRoom = false
    for carrier in stream.carriers { tellWindow(of: carrier, at: now) }
  }

  /// Ends a subscription; nothing is delivered to it any more.
  public func unsubscribe(_ subscription: SubscriptionID, at now: Timestamp) {
    guard topics.remove(subscription) != nil else { return }
    topics.inquiries[subscription] = nil
    topics.interestVersion += 1
    discovery.interestChanged(to: topics.interestVersion)
    for publication in topics.publications.values { publication.localSubscribers.removeAll { $0 == subscription } }
    for stream in topics.received.values.sorted(by: { $0.hash < $1.hash }) {
      if stream.remove(subscription) { endIfUnwanted(stream) }
    }
    for session in sessions.values {
      if subscription.rawValue <= session.toldSubscriptions {
        session.send(.unsubscribe(subscription: subscription.rawValue), at: now)
        makeReady(session, at: now)
      }
    }
  }

  /// Lets go of a stream that nobody here wants any more, although it may still be sent.
  func endIfUnwanted(_ stream: ReceivedStream) {
    guard stream.isUnwanted else { return }
    for carrier in stream.carriers { carrier.isClosing = true }
    stream.backlog.bytes = 0
    forgetIfUnwanted(stream)
  }

  /// Tells whether a subscription that does not hold back publishers is stuck, so that its deliveries pile up. While it is, it
  /// holds back the publishers of streams that it has for itself; where others share the stream, or have joined it since, its
  /// deliveries are marked: ``Delivery/isHeld``, ``Delivery/isDroppable``.
  public func setStuck(_ isStuck: Bool, _ subscription: SubscriptionID) {
    guard topics.subscriptions[subscription] != nil else { return }
    topics.setStuck(isStuck, subscription)
    for publication in topics.publications.values where publication.joinedSubscriber == subscription {
      publication.joinedSubscriber = nil
    }
    for stream in topics.received.values { stream.setStuck(isStuck, subscription) }
  }

  /// Tells that subscriptions that hold back the publisher have used up so many bytes of a stream's deliveries.
  public func consumed(_ bytes: Int, of stream: StreamInfo, at now: Timestamp) {
    if stream.publisher == configuration.id, stream.incarnation == incarnation {
      guard let publication = topics.publications[stream.number] else { return }
      publication.unconsumedBytes = max(0, publication.unconsumedBytes - bytes)
      if publication.unconsumedBytes <= configuration.transport.streamWindowBytes / 2 {
        publication.isHeldByLaggards = false
      }
      noteRoom(in: publication.stream)
      return
    }
    guard let received = topics.received[stream.hash], received.info === stream else { return }
    received.backlog.bytes = max(0, received.backlog.bytes - bytes)
    // The sender is told when its window has become usable again, not for every byte.
    let limit = configuration.transport.streamWindowBytes
    for carrier in received.all.flatMap(\.carriers)
    where carrier.advertisedWindow < limit / 2 && carrier.window - carrier.advertisedWindow >= limit / 4 {
      tellWindow(of: carrier, at: now)
    }
  }

  private func reportOwnMismatch(_ publication: LocalPublication, subscription: SubscriptionID) {
    guard let options = topics.subscriptions[subscription]?.options, let type = options.type, !options.isInquiry else {
      return
    }
    events.append(
      .typeMismatch(
        TypeMismatch(
          topic: publication.topic, publisherType: publication.options.type, subscriberType: type,
          publisher: configuration.id, subscriber: configuration.id)))
  }
}
