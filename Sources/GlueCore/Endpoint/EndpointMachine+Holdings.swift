/// What endpoints tell each other of what they have, and how far they are: HAVE and STORED (docs/protocol.md §7.1).
extension EndpointMachine {
  // MARK: Telling

  /// Tells a new peer how far this endpoint is in its streams, before it tells what it wants: so it goes on from there.
  func tellPositions(to session: Session, at now: Timestamp) {
    let streams = receivedStreams(of: session.peer.id, session.peer.incarnation)
    tell(streams.map(holding), to: session, at: now)
    tellSavedPositions(to: session, at: now)
    tellStored(to: session, of: streams, at: now)
    tellHeld(streams, at: now)
  }

  /// Tells a publisher how far its streams, of which nothing else is known here, were read in an earlier life.
  func tellSavedPositions(to session: Session, at now: Timestamp) {
    guard let id = topics.withPosition.first, let position = topics.subscriptions[id]?.options.position else { return }
    // What counts is what all subscriptions have read: it is among what one of them has.
    let holdings = position.streams(of: session.peer.id, session.peer.incarnation).compactMap { stream in
      topics.received[stream] != nil
        ? nil : topics.position(of: stream).map { StreamHolding(stream: stream, first: $0, end: $0) }
    }
    tell(holdings, to: session, at: now)
  }

  /// Tells a peer what is held here for it of publishers that are not there, where that is more than nothing: it would ask in vain.
  ///
  /// - Parameter subscription: what it wants; nil: everything it subscribed to.
  func tellHoldings(to session: Session, for subscription: RemoteSubscription? = nil, at now: Timestamp) {
    let held = topics.received.values.filter { stream in
      guard let log = stream.kept.stream, !stream.kept.sequences.isEmpty, !isPublisherPresent(of: stream),
        stream.info.publisher != session.peer.id || stream.info.incarnation != session.peer.incarnation
      else { return false }
      guard let subscription else { return start(of: stream.info, in: log, for: session) < log.log.end }
      return subscription.wants(stream.info)
        && log.start(for: subscription.history, began: subscription.began) < log.log.end
    }
    tell(held.sorted { $0.hash < $1.hash }.map(holding), to: session, at: now)
  }

  /// Tells a peer that it knows all that is held here for it.
  func tellThatIsAll(to session: Session, at now: Timestamp) {
    // Whoever does not acknowledge what it is told gets no more of it; without this it waits a little.
    guard session.control.stream.log.byteCount <= configuration.topics.controlBytes else { return }
    session.send(.have([], asks: false, isAll: true), at: now)
    makeReady(session, at: now)
  }

  /// Asks everybody whom it may concern what they have of streams.
  func ask(about streams: [ReceivedStream], at now: Timestamp) {
    for session in sessions.values {
      let concerning = streams.filter {
        !(session.peer.id == $0.info.publisher && session.peer.incarnation == $0.info.incarnation)
          && wants($0.info, session)
      }
      for stream in concerning { stream.asked.insert(session.peer.localSession) }
      tell(concerning.map(holding), to: session, asks: true, at: now)
    }
    for stream in streams { stream.toldEnd = stream.next }
  }

  /// What this endpoint has of a stream. Whoever still lacks something that comes before what is kept does not say that it has
  /// everything: others would not tell it that they have that.
  private func holding(_ stream: ReceivedStream) -> StreamHolding {
    let next = stream.next
    let kept = stream.kept.sequences
    guard !stream.isLate, !kept.isEmpty, next >= kept.lowerBound else {
      return StreamHolding(stream: stream.hash, first: next, end: next)
    }
    return StreamHolding(stream: stream.hash, first: kept.lowerBound, end: max(next, kept.upperBound))
  }

  func tell(_ holdings: [StreamHolding], to session: Session, asks: Bool = false, at now: Timestamp) {
    guard !holdings.isEmpty else { return }
    var rest = holdings[...]
    while !rest.isEmpty {
      session.send(.have(Array(rest.prefix(Self.holdingsPerMessage)), asks: asks, isAll: false), at: now)
      rest = rest.dropFirst(Self.holdingsPerMessage)
    }
    makeReady(session, at: now)
  }

  /// Tells those who lack it what came of a stream whose publisher is not there.
  func tellNews(of stream: ReceivedStream, at now: Timestamp) {
    let mine = holding(stream)
    // As long as more is coming there will be more to tell.
    guard stream.fetch == nil, mine.first < mine.end, mine.end > stream.toldEnd else { return }
    stream.toldEnd = mine.end
    for session in sessions.values where wants(stream.info, session) {
      if let theirs = session.history.holdings[stream.hash], theirs.end >= mine.end, theirs.first <= mine.first {
        continue
      }
      tell([mine], to: session, at: now)
    }
  }

  /// As many fit into a datagram of any path.
  private static let holdingsPerMessage = 64

  // MARK: Hearing

  func receive(_ holdings: [StreamHolding], asks: Bool, isAll: Bool, of session: Session, at now: Timestamp) {
    if isAll, session.history.awaited > 0 { session.history.awaited -= 1 }
    for holding in holdings { note(holding, of: session, at: now) }
    fetchUnknown(at: now)
    guard asks, !isDrowning(session, beyond: configuration.topics.controlBytes, at: now) else { return }
    let answers = holdings.map { holding in
      let known = topics.received[holding.stream].flatMap { $0.kept.sequences.isEmpty ? nil : self.holding($0) }
      return known ?? StreamHolding(stream: holding.stream, first: 0, end: 0)
    }
    tell(answers, to: session, at: now)
  }

  private func note(_ holding: StreamHolding, of session: Session, at now: Timestamp) {
    let isNews = holding.end > 0 && session.history.holdings[holding.stream] != holding
    if holding.end == 0 {
      session.history.holdings[holding.stream] = nil
      session.history.denied = holding.stream
    } else if !isNews || session.history.holdings.count < configuration.topics.holdingsPerPeer
      || session.history.holdings[holding.stream] != nil
    {
      session.history.holdings[holding.stream] = holding
    } else {
      reach(.holdingsPerPeer, at: now)
    }
    guard let stream = topics.received[holding.stream] else {
      // Not known: it matches one of this endpoint's subscriptions, or the peer would not have told.
      if holding.first < holding.end, holding.end > topics.position(of: holding.stream) ?? 0,
        topics.ownStreams[holding.stream] == nil
      {
        noteUnknown(holding.stream, at: now)
      }
      return
    }
    if let heldFrom = stream.heldFrom, holding.first < min(heldFrom, holding.end), isNews {
      askWhetherMissed(stream, below: heldFrom, of: session, at: now)
    }
    // Who gets it live will get what others had sooner.
    if !stream.isLive, !isPublisherPresent(of: stream) { stream.noteExists(below: holding.end) }
    for stream in stream.all {
      stream.asked.remove(session.peer.localSession)
      if isNews { stream.tried.sessions.remove(session.peer.localSession) }
      settle(stream, at: now)
    }
  }
}
