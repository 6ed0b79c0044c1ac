/// What is missing of streams: asked of whoever holds it, waited for, or given up (docs/protocol.md §7.1).
extension EndpointMachine {
  // MARK: The search

  /// Does something about the lowest hole of a stream: asks a holder for it, waits for one, or gives it up.
  func settle(_ stream: ReceivedStream, at now: Timestamp) {
    stream.noteSettled()
    defer { drainLosses() }
    while stream.fetch == nil, !stream.isInLine {
      guard let (hole, reason) = stream.hole else { break }
      if stream.tried.from != hole.lowerBound { stream.tried = (hole.lowerBound, []) }
      if let holder = holder(of: hole, in: stream) {
        fetch(hole, of: stream, from: holder, at: now)
      } else if stream.mayBeHeld(after: reason), mayTurnUp(stream, hole.lowerBound, at: now) {
        return
      } else {
        stream.abandonHole(at: now, into: inbox)
      }
    }
    guard stream.fetch == nil, !stream.isInLine, !stream.isLate else { return }
    if stream.hasUnknownTail, !mayTurnUp(stream, stream.next, at: now) { stream.abandonTail(into: inbox) }
    if !stream.hasUnknownTail { stream.unheld = nil }
    if !isPublisherPresent(of: stream) { tellNews(of: stream, at: now) }
  }

  /// Whether what nobody is known to hold may still be had: for a while after it was first missed, as long as not everybody has
  /// said that he has not got it.
  private func mayTurnUp(_ stream: ReceivedStream, _ missing: UInt64, at now: Timestamp) -> Bool {
    if stream.unheld?.from != missing {
      stream.unheld = (missing, now)
      ask(about: [stream], at: now)
    }
    let since = stream.unheld?.since ?? now
    let patience = configuration.topics.gapTimeout
    let end: Timestamp
    if isPublisherPresent(of: stream) || stream.isLate {
      // Whoever has not answered for so long need not be waited for.
      end = stream.asked.isEmpty ? now : since + min(Self.answerTimeout, patience)
    } else {
      // A publisher that has just gone may come back with it.
      end = stream.asked.isEmpty && stream.orphanedAt + patience <= now ? now : since + patience
    }
    guard end > now else { return false }
    lookAgain(at: stream, end)
    return true
  }

  /// How long others may take to say what they have: many round trips.
  private static let answerTimeout = Nanoseconds.milliseconds(500)

  private func lookAgain(at stream: ReceivedStream, _ time: Timestamp) {
    historyDue = min(historyDue, time)
    guard !stream.isUnsettled else { return }
    stream.isUnsettled = true
    topics.unsettled.append(stream)
  }

  /// Somebody who may have the beginning of a range, or else a part of it: its publisher, or who says so. Different endpoints ask
  /// different ones.
  private func holder(of hole: Range<UInt64>, in stream: ReceivedStream) -> Session? {
    let tried = stream.tried.sessions
    if let publisher = sessionsByPeer[stream.info.publisher], publisher.peer.incarnation == stream.info.incarnation,
      stream.history.keepsSomething, !tried.contains(publisher.peer.localSession)
    {
      return publisher
    }
    return bestHolder(of: stream.hash, except: tried) { holding in
      guard holding.end > hole.lowerBound, holding.first < hole.upperBound else { return nil }
      return max(holding.first, hole.lowerBound)
    }
  }

  /// Who holds a stream from the lowest number on.
  private func bestHolder(
    of hash: StreamHash, except tried: Set<UInt32> = [], from start: (StreamHolding) -> UInt64?
  ) -> Session? {
    var best: (session: Session, from: UInt64, rank: UInt64)?
    for session in sessions.values where !tried.contains(session.peer.localSession) {
      guard let holding = session.history.holdings[hash], holding.first < holding.end, let from = start(holding) else {
        continue
      }
      let rank = SipHash.hash(session.peer.id.rawValue, configuration.id.rawValue, hash.rawValue, key: (0, 0))
      if let present = best, (present.from, present.rank) <= (from, rank) { continue }
      best = (session, from, rank)
    }
    return best?.session
  }

  // MARK: Streams of which nothing is known

  /// How long after it has met somebody an endpoint takes to meet others that were there: those who were discovered together are
  /// all asked before one of them is chosen.
  private static let meetingTime = Nanoseconds.milliseconds(30)

  /// Takes note that a peer holds a stream that is not known here.
  func noteUnknown(_ hash: StreamHash, at now: Timestamp) {
    guard !topics.unknownUnderWay.contains(hash) else { return }
    guard topics.unknown.count < configuration.topics.holdingsPerPeer else { return reach(.holdingsPerPeer, at: now) }
    if topics.unknown.isEmpty { topics.unknownSince = now }
    topics.unknown.insert(hash)
  }

  /// Asks for streams of which nothing is known here as soon as everybody has said what he holds: who has most of one is asked.
  func fetchUnknown(at now: Timestamp) {
    guard !topics.unknown.isEmpty else { return }
    var due = now
    for session in sessions.values {
      let history = session.history
      due = max(due, history.began + (history.awaited > 0 ? Self.answerTimeout : Self.meetingTime))
    }
    due = min(due, topics.unknownSince + Self.answerTimeout)
    guard due <= now else { return historyDue = min(historyDue, due) }
    let unknown = topics.unknown.sorted()
    topics.unknown = []
    for hash in unknown where topics.received[hash] == nil {
      let position = topics.position(of: hash) ?? 0
      guard let holder = bestHolder(of: hash, from: { $0.end > position ? max($0.first, position) : nil }) else {
        continue
      }
      topics.unknownUnderWay.insert(hash)
      fetchUnknown(hash, of: holder, at: now)
    }
  }

  private func fetchUnknown(_ hash: StreamHash, of session: Session, at now: Timestamp) {
    guard session.history.mayBeAsked(at: now) else { return putInLine(.unknown(hash), of: session, at: now) }
    send(
      PendingFetch(hash: hash, stream: nil, session: session.peer.localSession), from: topics.position(of: hash),
      below: nil, at: now)
  }

  /// Somebody was met who holds what came before the beginning that others gave to a stream. It cannot come in order any more;
  /// whether it was wanted shows in where he would begin.
  func askWhetherMissed(_ stream: ReceivedStream, below sequence: UInt64, of session: Session, at now: Timestamp) {
    guard session.history.mayBeAsked(at: now) else { return putInLine(.question(stream), of: session, at: now) }
    send(
      PendingFetch(hash: stream.hash, stream: stream, session: session.peer.localSession, isQuestion: true), from: nil,
      below: sequence, at: now)
  }

  // MARK: Requests

  private func fetch(_ hole: Range<UInt64>, of stream: ReceivedStream, from session: Session, at now: Timestamp) {
    guard session.history.mayBeAsked(at: now) else {
      stream.isInLine = true
      return putInLine(.missing(stream), of: session, at: now)
    }
    let number = session.peer.localSession
    stream.tried.sessions.insert(number)
    let request = send(
      PendingFetch(hash: stream.hash, stream: stream, session: number), from: hole.lowerBound, below: hole.upperBound,
      at: now)
    stream.fetch = ReceivedStream.Fetch(
      session: number, request: request, from: hole.lowerBound, below: hole.upperBound)
  }

  @discardableResult
  private func send(_ fetch: PendingFetch, from: UInt64?, below: UInt64?, at now: Timestamp) -> UInt64 {
    topics.nextRequest += 1
    topics.fetches[topics.nextRequest] = fetch
    guard let session = sessions[fetch.session] else { return topics.nextRequest }
    session.history.underWay += 1
    session.send(
      .fetch(StreamFetch(request: topics.nextRequest, stream: fetch.hash, from: from, below: below)), at: now)
    makeReady(session, at: now)
    return topics.nextRequest
  }

  private func putInLine(_ target: FetchTarget, of session: Session, at now: Timestamp) {
    session.history.line.append(target)
    if session.history.pausedUntil > now { historyDue = min(historyDue, session.history.pausedUntil) }
  }

  /// Asks a peer for what waits for that, as far as it may be asked.
  private func serveLine(of session: Session, at now: Timestamp) {
    // Whoever comes back into the line has his turn later.
    for _ in 0..<session.history.line.count {
      guard session.history.mayBeAsked(at: now) else { break }
      switch session.history.line.removeFirst() {
      case .unknown(let hash):
        if topics.received[hash] == nil, session.history.holds(hash) {
          fetchUnknown(hash, of: session, at: now)
        } else {
          topics.unknownUnderWay.remove(hash)
        }
      case .missing(let stream):
        stream.isInLine = false
        settle(stream, at: now)
      case .question(let stream):
        if let beginning = stream.heldFrom, topics.received[stream.hash] === stream {
          askWhetherMissed(stream, below: beginning, of: session, at: now)
        }
      }
    }
    if !session.history.line.isEmpty, session.history.pausedUntil > now {
      historyDue = min(historyDue, session.history.pausedUntil)
    }
  }

  /// Asks those who were left alone for a while.
  func serveLines(at now: Timestamp) {
    for session in sessions.values where !session.history.line.isEmpty { serveLine(of: session, at: now) }
  }

  /// A request has ended, with or without what was asked for.
  func endFetch(_ request: UInt64, at now: Timestamp) {
    guard let pending = topics.fetches.removeValue(forKey: request) else { return }
    let session = sessions[pending.session]
    session?.history.underWay -= 1
    defer { if let session { serveLine(of: session, at: now) } }
    if pending.stream == nil { topics.unknownUnderWay.remove(pending.hash) }
    if let stream = pending.stream ?? topics.received[pending.hash] {
      if stream.fetch?.request == request { stream.fetch = nil }
      settle(stream, at: now)
    } else if sessions.values.contains(where: { $0.history.holds(pending.hash) }) {
      // Never begun: somebody else may hold it.
      noteUnknown(pending.hash, at: now)
      fetchUnknown(at: now)
    }
  }

  /// A holder has refused. If it has not said that it has nothing of the stream it has reached a limit, and is asked again later.
  func refusedFetch(_ request: UInt64, of session: Session, at now: Timestamp) {
    guard let pending = topics.fetches[request], pending.session == session.peer.localSession else { return }
    guard session.history.denied != pending.hash else { return endFetch(request, at: now) }
    session.history.refusals += 1
    guard session.history.refusals <= PeerHistory.maximumRefusals else {
      return giveUpFetch(request, of: session, at: now)
    }
    session.history.pausedUntil = now + PeerHistory.refusalPause
    if let stream = pending.stream {
      stream.tried.sessions.remove(pending.session)
    }
    endFetch(request, at: now)
  }

  /// What a holder sends cannot be taken: others are asked.
  func giveUpFetch(_ request: UInt64, of session: Session, at now: Timestamp) {
    guard let pending = topics.fetches[request], pending.session == session.peer.localSession else { return }
    session.history.holdings[pending.hash] = nil
    endFetch(request, at: now)
  }
}
