/// What is missing of streams: asked of whoever holds it, waited for, or given up (docs/protocol.md §7.1).
extension EndpointMachine {
  /// Does something about the lowest hole of a stream: asks a holder for it, waits for one, or gives it up.
  func settle(_ stream: ReceivedStream, at now: Timestamp) {
    stream.noteSettled()
    defer { drainLosses() }
    while stream.fetch == nil {
      guard let (hole, reason) = stream.hole else { break }
      if let holder = holder(of: hole, in: stream) {
        return fetch(hole, of: stream, from: holder, at: now)
      }
      guard stream.mayBeHeld(after: reason), mayTurnUp(stream, hole.lowerBound, at: now) else {
        stream.abandonHole(isPublisherPresent: isPublisherPresent(of: stream), at: now, into: inbox)
        continue
      }
      return
    }
    guard stream.fetch == nil else { return }
    if stream.hasUnknownTail, let next = stream.next, !mayTurnUp(stream, next, at: now) {
      stream.abandonTail(into: inbox)
    }
    if !stream.hasUnknownTail { stream.unheld = nil }
    if !isPublisherPresent(of: stream) { tellNews(of: stream, at: now) }
  }

  /// Whether what nobody is known to hold may still be had: for a while after it was first missed, as long as not everybody has
  /// said that he has not got it. A publisher that is not there may come back with it.
  private func mayTurnUp(_ stream: ReceivedStream, _ missing: UInt64, at now: Timestamp) -> Bool {
    guard let unheld = stream.unheld, unheld.from == missing else {
      stream.unheld = (missing, now)
      topics.unsettled[stream.hash] = stream
      ask(about: stream, at: now)
      historyDue = min(historyDue, now + timeToTurnUp(stream))
      return !stream.asked.isEmpty || !isPublisherPresent(of: stream)
    }
    // Whoever has not answered for so long need not be waited for where the publisher itself has said that it has not got it.
    let mayCome =
      isPublisherPresent(of: stream)
      ? !stream.asked.isEmpty && now < unheld.since + Self.answerTimeout
      : !(stream.asked.isEmpty && stream.orphanedAt + configuration.topics.gapTimeout <= now)
        && now < unheld.since + configuration.topics.gapTimeout
    if mayCome {
      // A request that was under way meanwhile may have ended the watch.
      topics.unsettled[stream.hash] = stream
      historyDue = min(historyDue, max(unheld.since + timeToTurnUp(stream), now + .milliseconds(1)))
    }
    return mayCome
  }

  /// How long others may take to say what they have: many round trips.
  private static let answerTimeout = Nanoseconds.milliseconds(500)

  func timeToTurnUp(_ stream: ReceivedStream) -> Nanoseconds {
    isPublisherPresent(of: stream)
      ? min(Self.answerTimeout, configuration.topics.gapTimeout) : configuration.topics.gapTimeout
  }

  /// Somebody who may have the beginning of a range, or else a part of it: its publisher, or who says so. Different endpoints ask
  /// different ones.
  private func holder(of hole: Range<UInt64>, in stream: ReceivedStream) -> Session? {
    if let publisher = sessionsByPeer[stream.info.publisher], publisher.peer.incarnation == stream.info.incarnation,
      stream.history.keepsSomething, !stream.tried.contains(publisher.peer.localSession)
    {
      return publisher
    }
    var best: (session: Session, from: UInt64, rank: UInt64)?
    for session in sessions.values where !stream.tried.contains(session.peer.localSession) {
      guard let holding = session.holdings[stream.hash], holding.first < holding.end,
        holding.end > hole.lowerBound, holding.first < hole.upperBound
      else { continue }
      let from = max(holding.first, hole.lowerBound)
      let rank = SipHash.hash(session.peer.id.rawValue, configuration.id.rawValue, stream.hash.rawValue, key: (0, 0))
      if let present = best, (present.from, present.rank) <= (from, rank) { continue }
      best = (session, from, rank)
    }
    return best?.session
  }

  private func fetch(_ hole: Range<UInt64>, of stream: ReceivedStream, from session: Session, at now: Timestamp) {
    let request = nextRequest(of: stream.hash, to: session)
    stream.fetch = ReceivedStream.Fetch(session: session.peer.localSession, request: request, from: hole.lowerBound)
    stream.tried.insert(session.peer.localSession)
    session.send(
      .fetch(StreamFetch(request: request, stream: stream.hash, from: hole.lowerBound, below: hole.upperBound)), at: now
    )
    makeReady(session, at: now)
  }

  /// Asks for a stream of which nothing is known but that the peer holds it.
  func fetchUnknown(_ hash: StreamHash, of session: Session, at now: Timestamp) {
    guard !topics.unknownFetches.contains(hash) else { return }
    guard topics.fetches.count < configuration.topics.holdingsPerPeer else { return reach(.holdingsPerPeer, at: now) }
    let request = nextRequest(of: hash, to: session)
    topics.unknownFetches.insert(hash)
    session.send(.fetch(StreamFetch(request: request, stream: hash, from: nil, below: nil)), at: now)
    makeReady(session, at: now)
  }

  private func nextRequest(of hash: StreamHash, to session: Session) -> UInt64 {
    topics.nextRequest += 1
    topics.fetches[topics.nextRequest] = PendingFetch(stream: hash, session: session.peer.localSession)
    return topics.nextRequest
  }

  /// A request has ended, with or without what was asked for.
  func endFetch(_ request: UInt64, at now: Timestamp) {
    guard let pending = topics.fetches.removeValue(forKey: request) else { return }
    topics.unknownFetches.remove(pending.stream)
    guard let stream = topics.received[pending.stream] else {
      // Never begun: somebody else may hold it.
      if let other = sessions.values.first(where: {
        $0.peer.localSession != pending.session && ($0.holdings[pending.stream].map { $0.first < $0.end } ?? false)
      }) {
        fetchUnknown(pending.stream, of: other, at: now)
      }
      return
    }
    if stream.fetch?.request == request {
      // Whoever has brought something may have more.
      if let fetch = stream.fetch, let next = stream.next, next > fetch.from { stream.tried.remove(fetch.session) }
      stream.fetch = nil
    }
    settle(stream, at: now)
  }

  func refusedFetch(_ request: UInt64, of session: Session, at now: Timestamp) {
    guard let pending = topics.fetches[request], pending.session == session.peer.localSession else { return }
    session.holdings[pending.stream] = nil
    endFetch(request, at: now)
  }
}
