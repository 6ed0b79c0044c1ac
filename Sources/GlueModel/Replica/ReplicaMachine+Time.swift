import GlueCore

/// What is done because time has passed.
extension ReplicaMachine {
  /// When ``advance(to:)`` has something to do; nil if it has nothing.
  public var nextWakeup: Timestamp? {
    var next = [
      request?.deadline, held.nextDeadline(after: configuration.holeDelay), compareAt, announceAt, storing?.retryAt,
      cleanUpAt,
    ].compactMap { $0 }.min()
    func consider(_ time: Timestamp) { next = min(next ?? time, time) }
    for peer in peers {
      if let question = peer.question { consider(question.again) }
      if let ghostAt = peer.ghostAt(patience: configuration.requestTimeout) { consider(ghostAt) }
      switch peer.state {
      case .unknown, .included: break
      case .known, .more: if request == nil { consider(peer.fetchAfter) }
      }
    }
    return next
  }

  /// It is this late now.
  public func advance(to time: ReplicaTime) {
    if let request, request.deadline <= time.now { requestIsOverdue(request, at: time) }
    for sender in held.overdue(after: configuration.holeDelay, at: time.now) { expectMore(from: sender, at: time) }
    forgetGhosts(at: time.now)
    for index in peers.indices {
      if let question = peers[index].question, question.again <= time.now { ask(index, at: time) }
    }
    if let due = announceAt, due <= time.now { tellPeers(at: time) }
    if let due = compareAt, due <= time.now { compareWithPeer(at: time) }
    cleanUpIfDue(at: time)
    fetch(at: time)
  }

  /// The context has grown.
  func contextChanged(at now: Timestamp) {
    confirmWishes()
    if compareAt == nil, !peers.isEmpty { compareAt = now + configuration.statusInterval }
  }

  /// A peer does not answer: another one is asked, and the next one is given more time. Or it has not been asked yet.
  private func requestIsOverdue(_ overdue: Request, at time: ReplicaTime) {
    guard !outbox.hasWaiting(.request, for: overdue.peer) else {
      request?.deadline = time.now + requestPatience
      return
    }
    counters.requestTimeouts += 1
    failedRequests += 1
    abandonRequest(pause: requestPatience, at: time)
  }

  /// How long an answer may take: twice as long after each that did not come, for links that are slow.
  var requestPatience: Nanoseconds {
    configuration.requestTimeout * (1 << min(failedRequests, ReplicaConfiguration.requestDoublings))
  }

  /// Tells all peers that may not know it what this replica has.
  private func tellPeers(at time: ReplicaTime) {
    announceAt = nil
    isAnnouncementCommon = false
    announcedAt = time.now
    let digest = document.digest
    for index in peers.indices where peers[index].agreed != digest { sendStatus(asks: false, to: index, at: time) }
  }

  /// Compares with the peer that was asked longest ago of those that may not have the same.
  private func compareWithPeer(at time: ReplicaTime) {
    let digest = document.digest
    let candidates = peers.indices.filter { peers[$0].agreed != digest }
    guard let index = candidates.min(by: { peers[$0].askedAt < peers[$1].askedAt }) else {
      compareAt = nil
      return
    }
    compareAt = time.now + configuration.statusInterval
    if peers[index].question == nil { ask(index, at: time) }
  }
}
