import GlueAddress

/// What endpoints tell each other over the control stream: interest, and the streams that follow from it.
extension EndpointMachine {
  /// Control messages wait in the log only up to this many bytes; the rest is told as it is acknowledged.
  private static let controlBacklogBytes = 64 << 10
  /// No control message is longer: names and attributes at their longest.
  private static let longestControlMessage = WireLimits.attributeBytes + 8 * WireLimits.nameBytes

  /// Tells a peer the subscriptions that it has not been told of, as far as there is room.
  func tellInterest(to session: Session, at now: Timestamp) {
    let subscriptions = topics.subscriptions
    var index = firstIndex(above: session.toldSubscriptions)
    while index < subscriptions.count, session.control.stream.log.byteCount < Self.controlBacklogBytes {
      let (id, subscription) = subscriptions.elements[index]
      var attributes = Attributes()
      attributes.schemaHash = subscription.options.schemaHash
      attributes.isInquiry = subscription.options.isInquiry
      if subscription.options.history != .none { attributes.historyRequest = subscription.options.history }
      // A topic that keeps nothing has nothing from before; who met the peer late wants what was published since.
      attributes.age = now.since(subscription.began).wholeMicroseconds
      session.send(
        .subscribe(
          subscription: id.rawValue, filter: subscription.filter, type: subscription.options.type,
          attributes: attributes),
        at: now)
      session.toldSubscriptions = id.rawValue
      index += 1
    }
    guard index == subscriptions.count, !session.hasToldInterest || session.toldInterest < topics.interestVersion else {
      return
    }
    session.hasToldInterest = true
    session.toldInterest = topics.interestVersion
    session.history.awaited += 1
    session.send(.interest(version: topics.interestVersion), at: now)
  }

  private func firstIndex(above number: UInt64) -> Int {
    let keys = topics.subscriptions.keys
    var low = 0
    var high = keys.count
    while low < high {
      let middle = (low + high) / 2
      if keys[middle].rawValue <= number { low = middle + 1 } else { high = middle }
    }
    return low
  }

  // MARK: Receiving

  func receiveControl(of session: Session, arrival: InboundStream.Arrival) {
    let messages = inbox.control
    inbox.control.removeAll(keepingCapacity: true)
    for message in messages where message.session === session && !session.isClosed {
      var reader = WireReader(message.body)
      do {
        guard let decoded = try ControlMessage.read(from: &reader) else {
          inbox.counters.framesUnknown += 1
          continue
        }
        receive(decoded, of: session, writtenAt: message.writtenAt, arrival: arrival)
      } catch {
        inbox.counters.framesMalformed += 1
      }
    }
  }

  private func receive(
    _ message: ControlMessage, of session: Session, writtenAt: Timestamp, arrival: InboundStream.Arrival
  ) {
    let now = arrival.now
    switch message {
    case .subscribe(let subscription, let filter, let type, let attributes):
      addRemote(
        RemoteSubscription(
          filter: filter, type: type, history: attributes.historyRequest ?? .none,
          // It may have been repeated for a while before it arrived.
          began: writtenAt - .microseconds(attributes.age ?? 0),
          isInquiry: attributes.isInquiry),
        number: subscription, of: session, at: now)
    case .unsubscribe(let subscription):
      removeRemote(subscription, of: session, at: now)
    case .interest:
      if !session.knowsInterest {
        session.knowsInterest = true
        // Not before: where it begins to read depends on all of them.
        for (number, subscription) in session.subscriptions { matchAll(subscription, number, of: session, at: now) }
        tellHoldings(to: session, at: now)
      }
      tellThatIsAll(to: session, at: now)
      events.append(.interestKnown(session.peer.id))
    case .open(let opening):
      guard opening.stream >= Session.firstTopicStream else { return }
      open(opening, of: session, arrival: arrival)
    case .close(let number, let position):
      guard number >= Session.firstTopicStream, let stream = session.inbound[number] else { return }
      stream.closesAt = position
      // Of a best-effort stream the last message may be lost; nobody would tell.
      if stream.isFinished || stream.isClosing || !stream.isReliable { remove(stream, from: session, at: now) }
    case .mismatch(let subscription, let topic, let publisherType, let subscriberType, let attributes):
      let id = SubscriptionID(rawValue: subscription)
      guard let own = topics.subscriptions[id] else { return }
      guard !own.options.isInquiry else {
        let answer = TopicAnswer(
          topic: topic, type: publisherType.isEmpty ? nil : publisherType, origin: attributes.origin,
          history: attributes.historyPolicy, held: attributes.held, published: attributes.published, arrivedAt: now)
        return receive(answer, to: id, of: session)
      }
      guard session.mismatches.take(at: now) else { return reach(.mismatchesPerSecond, at: now) }
      events.append(
        .typeMismatch(
          TypeMismatch(
            topic: topic, publisherType: publisherType.isEmpty ? nil : publisherType, subscriberType: subscriberType,
            publisher: session.peer.id, subscriber: configuration.id)))
    case .introduce(let introduction):
      discovery.receive(introduction, from: session.peer.id, at: now)
      drainDiscovery(at: now)
    case .refused(.stream(let number)):
      if let reader = session.readers[number], reader.isRequested { return forget(reader, at: now) }
      guard let reader = session.readers[number], let publication = topics.publications[number] else { return }
      reader.stream.noteDeparture(of: reader)
      forget(reader, at: now)
      events.append(.publicationRefused(topic: publication.topic, by: session.peer.id))
    case .refused(.subscription(let number)):
      guard let subscription = topics.subscriptions[SubscriptionID(rawValue: number)] else { return }
      events.append(.subscriptionRefused(filter: subscription.filter, by: session.peer.id))
    case .refused(.fetch(let request)):
      refusedFetch(request, of: session, at: now)
    case .have(let holdings, let asks, let isAll):
      receive(holdings, asks: asks, isAll: isAll, of: session, at: now)
    case .fetch(let fetch):
      receive(fetch, of: session, at: now)
    case .answered(let subscription, let omitted):
      receiveAnswered(SubscriptionID(rawValue: subscription), omitted: omitted, of: session, at: now)
    case .stored(let store, let ranges):
      receive(ranges, in: store, of: session, at: now)
    }
  }

  /// Whether more than so many bytes were told to a peer that it has not acknowledged.
  func isDrowning(_ session: Session, beyond limit: Int, at now: Timestamp) -> Bool {
    guard session.control.stream.log.byteCount > limit else { return false }
    reach(.controlBytes, at: now)
    return true
  }

  /// Refusals go out when nothing else does any more: a peer that acknowledges, but has asked for much at once, has to know.
  func refuse(_ request: RefusedRequest, of session: Session, at now: Timestamp) {
    guard !isDrowning(session, beyond: 2 * configuration.topics.controlBytes, at: now) else { return }
    session.send(.refused(request), at: now)
    makeReady(session, at: now)
  }

  // MARK: Streams of the peer

  private func open(_ opening: StreamOpening, of session: Session, arrival: InboundStream.Arrival) {
    guard TopicName.problem(withTopic: opening.topic) == nil else {
      inbox.counters.framesMalformed += 1
      return
    }
    guard isShort(opening.topic, opening.type) else {
      reach(.nameBytes, at: arrival.now)
      return refuse(.stream(opening.stream), of: session, at: arrival.now)
    }
    if let old = session.inbound[opening.stream] {
      old.finish(arrival: arrival, into: inbox)
      remove(old, from: session, at: arrival.now)
    }
    guard session.inbound.count < configuration.topics.streamsPerPeer + Int(Session.firstTopicStream) else {
      reach(.streamsPerPeer, at: arrival.now)
      if let request = opening.attributes.request { giveUpFetch(request, of: session, at: arrival.now) }
      return refuse(.stream(opening.stream), of: session, at: arrival.now)
    }
    let received: ReceivedStream?
    if let request = opening.attributes.request {
      received = openRequested(opening, request: request, of: session, at: arrival.now)
    } else {
      let peer = session.peer
      received = receivedStream(
        of: opening,
        StreamOrigin(publisher: peer.id, incarnation: peer.incarnation, name: peer.name, number: opening.stream),
        at: arrival.now)
    }
    guard let received else {
      if let request = opening.attributes.request, topics.fetches[request]?.isQuestion ?? false {
        endFetch(request, at: arrival.now)
      } else {
        inbox.counters.framesMalformed += 1
        if let request = opening.attributes.request { giveUpFetch(request, of: session, at: arrival.now) }
      }
      return refuse(.stream(opening.stream), of: session, at: arrival.now)
    }
    let stream = addInbound(opening, to: session, sink: received)
    stream.isClosing = received.isUnwanted
    received.carriers.append(stream)
    if received.retained != nil, !stream.isRequested {
      received.retaining.promisedEnd = opening.attributes.held?.end ?? 0
    }
    received.begins(stream, at: opening.sequence, at: arrival.now, into: inbox)
    // Others have begun it, who may not have had all. What a publisher holds of its own it does not tell by HAVE.
    if !stream.isRequested, !received.judgesBeginning, received.history.keepsSomething,
      let heldFrom = received.heldFrom, heldFrom > 0
    {
      askWhetherMissed(received, below: heldFrom, of: session, at: arrival.now)
    }
    settle(received, at: arrival.now)
    // The sender learns the window, which may be larger than the one it starts with.
    session.noteStatusDue(stream)
    session.acknowledgeAt = arrival.now
  }

  @discardableResult
  func addInbound(_ opening: StreamOpening, to session: Session, sink: any MessageSink) -> InboundStream {
    let isControl = opening.stream == Session.controlStream
    let stream = InboundStream(
      opening, to: sink, session: session, transport: configuration.transport,
      maximumMessageBytes: isControl
        ? max(configuration.topics.maximumMessageBytes, Self.longestControlMessage)
        : configuration.topics.maximumMessageBytes,
      budget: budget)
    session.inbound[opening.stream] = stream
    return stream
  }

  func remove(_ stream: InboundStream, from session: Session, at now: Timestamp) {
    stream.release()
    session.inbound[stream.number] = nil
    session.statusDue.removeAll { $0 === stream }
    session.lacking.removeAll { $0 === stream }
    if let received = stream.sink as? ReceivedStream { carrierEnded(stream, of: received, at: now) }
  }

  // MARK: Subscriptions of the peer

  private func isShort(_ name: String, _ type: String?) -> Bool {
    name.utf8.count <= configuration.topics.nameBytes && (type?.utf8.count ?? 0) <= configuration.topics.nameBytes
  }

  private func addRemote(
    _ subscription: RemoteSubscription, number: UInt64, of session: Session, at now: Timestamp
  ) {
    guard TopicName.problem(withFilter: subscription.filter) == nil, session.subscriptions[number] == nil else {
      inbox.counters.framesMalformed += 1
      return
    }
    guard !isDrowning(session, beyond: configuration.topics.controlBytes, at: now) else {
      return refuse(.subscription(number), of: session, at: now)
    }
    guard isShort(subscription.filter, subscription.type) else {
      reach(.nameBytes, at: now)
      return refuse(.subscription(number), of: session, at: now)
    }
    guard session.subscriptions.count < configuration.topics.subscriptionsPerPeer else {
      reach(.subscriptionsPerPeer, at: now)
      return refuse(.subscription(number), of: session, at: now)
    }
    session.subscriptions[number] = subscription
    topics.peerFilters.insert(
      RemoteSubscriber(session: session.peer.localSession, subscription: number), under: subscription.filter)
    if subscription.isInquiry { return answer(subscription, number, of: session, at: now) }
    guard session.knowsInterest else { return }
    tellHoldings(to: session, for: subscription, at: now)
    matchAll(subscription, number, of: session, at: now)
  }

  /// Makes a peer a reader of all publications that one of its subscriptions matches.
  private func matchAll(
    _ subscription: RemoteSubscription, _ number: UInt64, of session: Session, at now: Timestamp
  ) {
    guard !subscription.isInquiry else { return }
    if TopicName.hasWildcards(subscription.filter) {
      for publication in topics.publications.values
      where TopicName.matches(filter: subscription.filter, topic: publication.topic) {
        match(publication, with: number, of: session, at: now)
      }
    } else if let publication = topics.publicationsByTopic[TopicKey(subscription.filter)] {
      match(publication, with: number, of: session, at: now)
    }
  }

  /// Makes a peer a reader of a publication for one of its subscriptions, whose filter matches. What it told before it has told
  /// everything is seen to then.
  func match(_ publication: LocalPublication, with number: UInt64, of session: Session, at now: Timestamp) {
    guard let subscription = session.subscriptions[number] else { return }
    guard !subscription.isInquiry else { return answer(subscription, number, with: publication, of: session, at: now) }
    guard session.knowsInterest else { return }
    if let wanted = subscription.type, wanted != publication.options.type {
      guard session.mismatches.take(at: now) else { return reach(.mismatchesPerSecond, at: now) }
      return tellMismatch(wanting: wanted, number, with: publication, of: session, at: now)
    }
    let stream = publication.stream
    if let reader = session.readers[stream.number] {
      reader.subscriptions.insert(number)
      return
    }
    stream.trimHistory(at: now)
    // Where it left off, if it was here before; else where its subscriptions say.
    let start =
      session.history.holdings.removeValue(forKey: publication.info.hash).map { stream.start(after: $0.end) }
      ?? (stream.holdsHistory ? start(of: publication.info, in: stream, for: session) : stream.log.end)
    let sequence = start < stream.log.end ? stream.log.message(at: start).sequence : stream.log.endSequence
    let reader = RemoteReader(
      stream: stream, from: start, windowBytes: Session.initialWindowBytes,
      maximumRequests: configuration.transport.maximumGaps)
    reader.subscriptions = [number]
    reader.opening = .told(below: session.closedBelow)
    reader.attach(to: session)
    session.readers[stream.number] = reader
    var attributes = Attributes()
    attributes.schemaHash = publication.options.schemaHash
    if publication.options.history.keepsSomething { attributes.historyPolicy = publication.options.history }
    if publication.retained != nil { attributes.held = HeldMessages(stream.keptSequences, bytes: stream.keptBytes) }
    session.send(
      .open(
        StreamOpening(
          stream: stream.number, topic: publication.topic, type: publication.options.type,
          isReliable: stream.isReliable, epochMicroseconds: publication.epochMicroseconds, position: start,
          sequence: sequence, attributes: attributes)),
      at: now)
    reader.openedBelow = session.control.stream.log.end
    session.enqueue(reader, at: now)
    makeReady(session, at: now)
    noteReadersChanged(of: stream)
  }

  /// Tells a peer that a topic matches its filter, but not its type.
  private func tellMismatch(
    wanting wanted: String, _ number: UInt64, with publication: LocalPublication, of session: Session, at now: Timestamp
  ) {
    events.append(
      .typeMismatch(
        TypeMismatch(
          topic: publication.topic, publisherType: publication.options.type, subscriberType: wanted,
          publisher: configuration.id, subscriber: session.peer.id)))
    session.send(
      .mismatch(
        subscription: number, topic: publication.topic, publisherType: publication.options.type ?? "",
        subscriberType: wanted),
      at: now)
    makeReady(session, at: now)
  }

  private func removeRemote(_ number: UInt64, of session: Session, at now: Timestamp) {
    guard let subscription = session.subscriptions.removeValue(forKey: number) else { return }
    topics.peerFilters.remove(
      RemoteSubscriber(session: session.peer.localSession, subscription: number), from: subscription.filter)
    for reader in session.readers.values where reader.subscriptions.contains(number) {
      reader.subscriptions.remove(number)
      if reader.subscriptions.isEmpty { close(reader, at: now) }
    }
  }

  /// Ends a peer's reading of a stream, and tells it.
  func close(_ reader: RemoteReader, at now: Timestamp) {
    let session = reader.session!
    session.send(.close(stream: reader.number, position: reader.next), at: now)
    session.closedBelow = session.control.stream.log.end
    forget(reader, at: now)
  }

  /// Ends a peer's reading of a stream on this side.
  private func forget(_ reader: RemoteReader, at now: Timestamp) {
    let session = reader.session!
    session.readers[reader.number] = nil
    session.queue.removeAll { $0 === reader }
    session.pastQueue.removeAll { $0 === reader }
    reader.setQueued(false)
    reader.detach()
    makeReady(session, at: now)
    noteReadersChanged(of: reader.stream)
  }

  /// Tells the new number of readers, and whoever waits for those that are gone.
  func noteReadersChanged(of stream: OutboundStream) {
    let id = PublicationID(rawValue: stream.number)
    guard topics.publications[stream.number] != nil else { return }
    events.append(.matched(id, subscribers: stream.liveReaders))
    events.append(.acknowledged(id, below: stream.confirmed))
    noteRoom(in: stream)
  }
}
