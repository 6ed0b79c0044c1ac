import GlueAddress

/// Memory of what was published: endpoints tell each other what they have of streams whose publisher is not there, and fetch
/// what they lack from whoever has it (docs/protocol.md §7.1).
///
///     HAVE ──▶ lacks something ──▶ FETCH ──▶ OPEN, DATA …, CLOSE ──▶ has it, or asks the next holder
///                                  └────▶ REFUSED ──▶ asks the next holder
extension EndpointMachine {
  // MARK: The streams

  /// The stream that a peer opens, known already or new. Nil if it is not what the opening says.
  func receivedStream(of opening: StreamOpening, _ origin: StreamOrigin, at now: Timestamp) -> ReceivedStream? {
    // Nobody tells this endpoint what it has published itself.
    guard origin.publisher != configuration.id || origin.incarnation != incarnation else { return nil }
    let hash = StreamHash(publisher: origin.publisher, incarnation: origin.incarnation, number: origin.number)
    if let known = topics.received[hash] {
      let isSame =
        known.info.publisher == origin.publisher && known.info.incarnation == origin.incarnation
        && TopicKey(known.info.topic) == TopicKey(opening.topic) && known.isReliable == opening.isReliable
      return isSame ? known : nil
    }
    let info = StreamInfo(
      topic: opening.topic, type: opening.type, publisher: origin.publisher, publisherName: origin.name,
      incarnation: origin.incarnation, number: origin.number, isDirect: false)
    let (matching, _) = topics.subscribers(of: opening.topic, type: opening.type)
    var subscribers = matching.map { id in
      let subscription = topics.subscriptions[id]
      return ReceivedStream.Subscriber(
        id: id, holdsBackPublisher: subscription?.options.holdsBackPublisher ?? false,
        from: subscription?.options.position?.next(of: hash) ?? 0, isStuck: subscription?.isStuck ?? false,
        began: subscription?.began ?? now)
    }
    var next = opening.sequence
    var catchingUp: [SubscriptionID] = []
    if opening.isReliable, opening.attributes.request == nil {
      // The publisher begins where one of them goes on: it did not know of those that want all when it was told so.
      if subscribers.contains(where: { $0.from > 0 && $0.from == next }) {
        catchingUp = subscribers.filter { $0.from == 0 && wantsHistory($0.id) }.map(\.id)
        subscribers.removeAll { catchingUp.contains($0.id) }
      }
      // What was not read before that is looked for. To those that have read nothing it is nothing.
      next = subscribers.lazy.map(\.from).filter { $0 > 0 }.reduce(next, min)
      for index in subscribers.indices where subscribers[index].from == 0 && next < opening.sequence {
        subscribers[index].from = opening.sequence
      }
    }
    let stream = makeReceivedStream(
      info, isReliable: opening.isReliable, history: opening.attributes.historyPolicy ?? .none,
      epochMicroseconds: opening.epochMicroseconds, next: next, subscribers: subscribers, at: now)
    if opening.attributes.request == nil { stream.begunByPublisher(at: opening.sequence) }
    guard !stream.isUnwanted else { return stream }
    forgetOldest(leaving: configuration.topics.rememberedStreams - 1, at: now)
    topics.received[hash] = stream
    for id in catchingUp {
      guard let options = topics.subscriptions[id]?.options else { continue }
      let late = stream.join(
        id, holdsBackPublisher: options.holdsBackPublisher, history: options.history, position: nil, at: now,
        into: inbox)
      if let late { settle(late, at: now) }
    }
    return stream
  }

  /// Whether a subscription wants more of a stream than the topic's value.
  private func wantsHistory(_ id: SubscriptionID) -> Bool {
    switch topics.subscriptions[id]?.options.history {
    case .all, .last: true
    case .some(.none), .retained, nil: false
    }
  }

  func makeReceivedStream(
    _ info: StreamInfo, isReliable: Bool, history: HistoryPolicy, epochMicroseconds: UInt64, next: UInt64,
    subscribers: [ReceivedStream.Subscriber], at now: Timestamp
  ) -> ReceivedStream {
    let retained = isReliable && history == .retained ? topics.retained.topic(named: info.topic) : nil
    let stream = ReceivedStream(
      info: info, isReliable: isReliable, history: history, epochMicroseconds: epochMicroseconds, next: next,
      subscribers: subscribers, retained: retained, memory: historyMemory, budget: budget,
      windowBytes: configuration.transport.streamWindowBytes,
      maximumMessageBytes: configuration.topics.maximumMessageBytes, at: now)
    stream.retaining.isOfPublishedTopic = topics.publicationsByTopic[TopicKey(info.topic)]?.listener != nil
    return stream
  }

  /// Whether the publisher's session is up.
  func isPresent(_ publisher: EndpointID, _ incarnation: Incarnation) -> Bool {
    sessionsByPeer[publisher]?.peer.incarnation == incarnation
  }

  func isPublisherPresent(of stream: ReceivedStream) -> Bool {
    isPresent(stream.info.publisher, stream.info.incarnation)
  }

  /// The streams of a publisher's life, in a stable order.
  func receivedStreams(of publisher: EndpointID, _ incarnation: Incarnation) -> [ReceivedStream] {
    topics.received.values.filter { $0.info.publisher == publisher && $0.info.incarnation == incarnation }
      .sorted { $0.hash < $1.hash }
  }

  // MARK: Serving

  /// Answers a FETCH with a stream of its own in the session, or refuses it.
  func receive(_ fetch: StreamFetch, of session: Session, at now: Timestamp) {
    guard !isDrowning(session, beyond: configuration.topics.controlBytes, at: now) else {
      return refuse(.fetch(fetch.request), of: session, at: now)
    }
    let hasRoom = session.readers.count < configuration.topics.streamsPerPeer * 2
    guard hasRoom, session.history.allowance.take(at: now) else {
      reach(hasRoom ? .requestsPerSecond : .streamsPerPeer, at: now)
      return refuse(.fetch(fetch.request), of: session, at: now)
    }
    guard let (info, held, epochMicroseconds) = holding(of: fetch.stream), wants(info, session) else {
      tell([StreamHolding(stream: fetch.stream, first: 0, end: 0)], to: session, at: now)
      return refuse(.fetch(fetch.request), of: session, at: now)
    }
    held.trimHistory(at: now)
    let log = held.log
    var start = fetch.from.map(held.start(after:)) ?? self.start(of: info, in: held, for: session)
    let limit = fetch.below.map { log.position(ofSequence: $0) } ?? log.end
    start = min(start, limit)
    let number = topics.nextStream
    topics.nextStream += 1
    let reader = RemoteReader(
      stream: held, number: number, from: start, limit: limit, windowBytes: Session.initialWindowBytes,
      maximumRequests: configuration.transport.maximumGaps)
    reader.attach(to: session)
    session.readers[number] = reader
    var attributes = Attributes()
    attributes.historyPolicy = held.history
    attributes.request = fetch.request
    attributes.origin = StreamOrigin(
      publisher: info.publisher, incarnation: info.incarnation, name: info.publisherName, number: info.number)
    session.send(
      .open(
        StreamOpening(
          stream: number, topic: info.topic, type: info.type, isReliable: true,
          epochMicroseconds: epochMicroseconds, position: start,
          sequence: start < log.end ? log.message(at: start).sequence : log.endSequence, attributes: attributes)),
      at: now)
    if reader.isDone { close(reader, at: now) } else { enqueue(reader, at: now) }
  }

  /// Where a peer begins to read a stream that it has nothing of, as all its subscriptions that match say. They are looked up by
  /// topic: it may have very many.
  func start(of info: StreamInfo, in stream: OutboundStream, for session: Session) -> UInt64 {
    subscriptions(of: session, wanting: info)
      .map { stream.start(for: $0.history, began: $0.began) }.min() ?? stream.log.end
  }

  private func subscriptions(of session: Session, wanting info: StreamInfo) -> [RemoteSubscription] {
    guard session.subscriptions.count > Self.fewSubscriptions else {
      return session.subscriptions.values.filter { $0.wants(info) }
    }
    return topics.peerFilters.matches(info.topic).filter { $0.session == session.peer.localSession }
      .compactMap { session.subscriptions[$0.subscription] }.filter { $0.wants(info) }
  }

  /// Whether a peer has a subscription that wants a stream.
  func wants(_ info: StreamInfo, _ session: Session) -> Bool {
    session.subscriptions.count > Self.fewSubscriptions
      ? !subscriptions(of: session, wanting: info).isEmpty
      : session.subscriptions.values.contains { $0.wants(info) }
  }

  /// So many subscriptions of a peer are looked at one by one; the index of filters gives those of all peers that match.
  private static let fewSubscriptions = 16

  /// What is held here of a stream: of others, or of this endpoint's own.
  private func holding(of hash: StreamHash) -> (StreamInfo, OutboundStream, epochMicroseconds: UInt64)? {
    if let stream = topics.received[hash] {
      guard let log = stream.kept.stream, !stream.kept.sequences.isEmpty else { return nil }
      return (stream.info, log, stream.epochMicroseconds)
    }
    guard let own = topics.ownStreams[hash].flatMap({ topics.publications[$0] }), own.stream.holdsHistory else {
      return nil
    }
    return (own.info, own.stream, own.epochMicroseconds)
  }

  /// A stream that was asked for begins.
  func openRequested(_ opening: StreamOpening, request: UInt64, of session: Session, at now: Timestamp)
    -> ReceivedStream?
  {
    guard let pending = topics.fetches[request], pending.session == session.peer.localSession,
      let origin = opening.attributes.origin, opening.isReliable,
      let stream = receivedStream(of: opening, origin, at: now), stream.hash == pending.hash
    else { return nil }
    session.history.refusals = 0
    guard !pending.isQuestion else {
      stream.noteMissed(from: opening.sequence, into: inbox)
      drainLosses()
      return nil
    }
    if let asking = pending.stream { return asking }
    if stream.fetch == nil {
      // Of a topic that retains its last value nobody misses what was before.
      if stream.retained == nil { stream.begin(from: opening.sequence, into: inbox) }
      drainLosses()
      // Others, who told before, may have more than whoever is asked.
      for other in sessions.values { stream.noteExists(below: other.history.holdings[stream.hash]?.end ?? 0) }
      stream.fetch = ReceivedStream.Fetch(
        session: pending.session, request: request, from: opening.sequence, below: .max)
    }
    return stream
  }

  // MARK: Coming and going

  /// A carrier of a stream has ended.
  func carrierEnded(_ carrier: InboundStream, of stream: ReceivedStream, at now: Timestamp) {
    stream.carriers.removeAll { $0 === carrier }
    if let fetch = stream.fetch, fetch.session == carrier.session.peer.localSession, carrier.isRequested {
      endFetch(fetch.request, at: now)
    } else if !stream.history.keepsSomething, stream.carriers.isEmpty, !carrier.session.isClosed {
      // Its publisher has ended it, and nobody else has anything of it.
      stream.subscribers = []
      forgetIfUnwanted(stream)
    } else {
      settle(stream, at: now)
    }
  }

  /// A peer is gone: what was asked of it has to be asked of others, and what it published may be held by them.
  func noteDeparture(of session: Session, at now: Timestamp) {
    let number = session.peer.localSession
    for stream in topics.received.values.flatMap(\.all) {
      stream.asked.remove(number)
      stream.tried.sessions.remove(number)
    }
    for (request, pending) in topics.fetches.sorted(by: { $0.key < $1.key }) where pending.session == number {
      endFetch(request, at: now)
    }
    while let target = session.history.line.popFirst() {
      switch target {
      case .unknown(let hash):
        topics.unknownUnderWay.remove(hash)
        noteUnknown(hash, at: now)
      case .missing(let stream):
        stream.isInLine = false
        settle(stream, at: now)
      case .question: break
      }
    }
    fetchUnknown(at: now)
    let orphans = receivedStreams(of: session.peer.id, session.peer.incarnation)
    for stream in orphans { stream.orphanedAt = now }
    let kept = orphans.filter(\.history.keepsSomething)
    ask(about: kept, at: now)
    for stream in kept.flatMap(\.all) { settle(stream, at: now) }
    forgetOldest(leaving: configuration.topics.rememberedStreams, at: now)
  }

  /// Streams that nobody sends any more are remembered up to a limit, so that what was delivered is not delivered again. With those
  /// in excess goes a sixteenth of them, so that the search is seldom.
  func forgetOldest(leaving limit: Int, at now: Timestamp) {
    let excess = topics.received.count - limit
    guard excess > 0 else { return }
    let idle = topics.received.values.filter { $0.carriers.isEmpty && $0.fetch == nil && $0.late.isEmpty }
    // What holds the value of a topic goes last.
    let order = idle.sorted { ($0.valueRank, $0.orphanedAt, $0.hash) < ($1.valueRank, $1.orphanedAt, $1.hash) }
    for stream in order.prefix(excess + limit / 16) {
      reach(.rememberedStreams, at: now)
      historyMemory.storing?.forget(stream.kept)
      stream.subscribers = []
      forgetIfUnwanted(stream)
    }
  }

  /// Lets go of a stream that nobody here wants any more.
  func forgetIfUnwanted(_ stream: ReceivedStream) {
    guard stream.isUnwanted else { return }
    stream.release()
    if topics.received[stream.hash] === stream { topics.received[stream.hash] = nil }
  }

  /// Readers of what is held are told of what came.
  func passOn(_ kept: KeptHistory, at now: Timestamp) {
    kept.hasGrown = false
    for reader in kept.stream?.readers ?? [] where !reader.isQueued { enqueue(reader, at: now) }
  }

  // MARK: Time

  /// How often what has expired is let go.
  private static let trimInterval = Nanoseconds.seconds(1)

  /// Gives up holes whose time is over, and lets go of what has expired.
  func advanceHistory(to now: Timestamp) {
    if historyDue <= now {
      historyDue = .distantFuture
      let unsettled = topics.unsettled
      topics.unsettled = []
      for stream in unsettled {
        stream.isUnsettled = false
        settle(stream, at: now)
      }
      fetchUnknown(at: now)
      serveLines(at: now)
    }
    if heldDue <= now { tellUntoldHeld(at: now) }
    guard trimDue <= now else { return }
    trimDue = .distantFuture
    // What is let go first is written first.
    for stream in topics.received.values.sorted(by: { $0.hash < $1.hash }) { stream.kept.trim(at: now) }
    for publication in topics.publications.values { publication.stream.trimHistory(at: now) }
    if !retired.isEmpty {
      withdrawn += retired.filter { !$0.stream.holdsHistory }
      retired.removeAll { !$0.stream.holdsHistory }
      endWithdrawn(at: now)
    }
    if historyMemory.bytes > 0 || topics.publications.values.contains(where: { $0.stream.holdsHistory }) {
      trimDue = now + Self.trimInterval
    }
  }

  /// Takes note that more may be kept of what others published.
  func noteKept(at now: Timestamp) {
    if historyMemory.bytes > historyMemory.limitBytes { makeRoomInHistory(at: now) }
    if trimDue == .distantFuture, historyMemory.bytes > 0 { trimDue = now + Self.trimInterval }
  }

  /// Takes note that a publication may keep more.
  func noteKept(by publication: LocalPublication, at now: Timestamp) {
    publication.stream.trimHistory(at: now)
    if trimDue == .distantFuture, publication.stream.holdsHistory { trimDue = now + Self.trimInterval }
  }

  /// Lets go of a sixteenth of all that is held, the oldest first and the values of topics last, so that the search for it is seldom.
  private func makeRoomInHistory(at now: Timestamp) {
    reach(.historyBytes, at: now)
    let target = historyMemory.limitBytes / 16 * 15
    let streams = topics.received.values.filter { !$0.kept.sequences.isEmpty }
    let order = streams.sorted { ($0.valueRank, $0.kept.oldest, $0.hash) < ($1.valueRank, $1.kept.oldest, $1.hash) }
    for stream in order {
      guard historyMemory.bytes > target else { return }
      stream.kept.trim(byBytes: historyMemory.bytes - target)
    }
  }

  var historyWakeup: Timestamp { min(historyDue, trimDue, heldDue) }
}

extension RemoteSubscription {
  /// Whether it wants a stream.
  func wants(_ stream: StreamInfo) -> Bool {
    !isInquiry && (type == nil || type == stream.type) && TopicName.matches(filter: filter, topic: stream.topic)
  }
}
