import GlueCore

extension QuorumMachine {
  /// Time has passed.
  public func advance(to now: Timestamp) {
    raft?.advance(to: now)
    checkDeadlines(now)
    checkSession(now)
    checkFetch(now)
    checkServing(now)
    checkFounding(now)
    checkLeading(now)
    follow(now)
    pump(now)
  }

  /// When time matters next; nil if it does not.
  public var nextWakeup: Timestamp? {
    var wakeup = storageFailure == nil ? raft?.nextWakeup : nil
    func consider(_ time: Timestamp?) {
      if let time { wakeup = min(wakeup ?? time, time) }
    }
    consider(leadingWakeup)
    if let fetch = following.fetch { consider(fetch.since + fetch.timeout) }
    if let usedAt = serving.usedAt { consider(usedAt + QuorumConfiguration.servedLifetime) }
    if let founding {
      consider(founding.deadline)
      if !founding.isFounded {
        consider(founding.inviteAt)
        if isReady(founding) { consider(founding.foundAt) }
      }
    }
    if let leaderlessSince {
      if !isPassedBy { consider(leaderlessSince + passedByAfter) }
    } else if let raft {
      consider(raft.leaderIsSilentAt)
    }
    // What is due cannot leave without somebody to send it to; then it does when he comes.
    let canSend = leader.map { $0 == endpoint ? leading != nil : peer($0) != nil } ?? false
    for request in client.pending {
      consider(request.deadline)
      if canSend, client.session != nil { consider(request.sendAt) }
    }
    if canSend, client.session == nil, !client.pending.isEmpty { consider(client.openingUntil) }
    for round in client.rounds {
      for (_, deadline) in round.tickets { consider(deadline) }
      if canSend { consider(round.sendAt) }
    }
    for change in client.changes {
      consider(change.deadline)
      if canSend { consider(change.askAt) }
    }
    if client.keepAlive == nil { consider(keepAliveAt) }
    if let kept = client.keptSince, fault != .keepsLocks {
      for lock in client.locks { consider(kept + lock.ttl - QuorumConfiguration.lifeRounding) }
    }
    return wakeup
  }

  /// Ends what nobody has decided in time: with the reason, and the voters who are missing.
  private func checkDeadlines(_ now: Timestamp) {
    while let last = client.unresolved.first, last.until <= now { client.unresolved.removeFirst() }
    var index = 0
    while index < client.pending.count {
      let request = client.pending[index]
      guard let deadline = request.deadline, deadline <= now else {
        index += 1
        continue
      }
      expire(at: index, request, now)
    }
    for place in client.rounds.indices.reversed() {
      for (ticket, deadline) in client.rounds[place].tickets where deadline <= now { end(ticket, .failed(obstacle)) }
      client.rounds[place].tickets.removeAll { $0.deadline <= now }
      if client.rounds[place].tickets.isEmpty { client.rounds.remove(at: place) }
    }
    for place in client.changes.indices.reversed() {
      let change = client.changes[place]
      guard let result = outcome(of: change, now) else { continue }
      client.changes.remove(at: place)
      end(change.ticket, result)
    }
  }

  private func expire(at index: Int, _ request: QuorumClient.Pending, _ now: Timestamp) {
    guard let ticket = request.ticket else {
      client.pending.remove(at: index)
      return
    }
    if request.isWaiting, case .acquire(let lock, _, _, _) = request.operation {
      end(ticket, .failed(.lockNotFree(lock)))
    } else if request.firstSent != nil, let session = client.session {
      client.unresolved.append((request.number, now + QuorumStateLimits.window))
      end(ticket, unknown(RequestID(session: session, number: request.number)))
    } else {
      end(ticket, .failed(obstacle))
    }
    abandon(request.number, at: now)
  }

  /// Why nothing was decided.
  private var obstacle: QuorumObstacle {
    if founding == nil, joining == nil {
      if cluster == nil { return .notFounded }
      if membership == nil { return .stateIsMissing }
    }
    return .noQuorum(missing: missingVoters)
  }

  private func outcome(of change: QuorumClient.Change, _ now: Timestamp) -> QuorumResult? {
    switch change.last {
    case .isDone: return .done
    case .wouldStop, .wrongCount:
      if let last = change.last { return .failed(.notChanged(change.change, last)) }
    case .isUnderWay, .isAbsent, .notLeader, nil: break
    }
    guard now >= change.deadline else { return nil }
    if let last = change.last, last != .notLeader { return .failed(.notChanged(change.change, last)) }
    return .failed(obstacle)
  }

  /// Whether it leads still, and waits for somebody whose log is complete and who can lead.
  public var isHandingOver: Bool { raft?.isTransferring ?? false }

  /// Nothing more is asked of this opening. Its locks are given back, and a leader lets another one lead, as far as that can be done at once.
  public func close(at now: Timestamp) {
    guard !isClosed else { return }
    let oldest = client.oldest
    // Without locks there is nothing to give back, and a leader whose log is complete everywhere hands over at once.
    let hasLocks =
      !client.locks.isEmpty
      || client.pending.contains { request in
        if case .acquire = request.operation { true } else if case .release = request.operation { true } else { false }
      }
    for request in client.pending {
      guard let ticket = request.ticket else { continue }
      if request.firstSent != nil, let session = client.session {
        end(ticket, unknown(RequestID(session: session, number: request.number)))
      } else {
        end(ticket, .failed(.closed))
      }
    }
    client.pending = []
    for round in client.rounds { for (ticket, _) in round.tickets { end(ticket, .failed(.closed)) } }
    client.rounds = []
    for change in client.changes { end(change.ticket, .failed(.closed)) }
    client.changes = []
    if let founding { endFounding(founding, .failed(.closed)) }
    loseLocks()
    if hasLocks, let session = client.session, let cluster, let leader {
      let command = QuorumCommand(
        request: RequestID(session: session, number: client.nextNumber), oldest: oldest,
        operation: .closeSession)
      if leader == endpoint {
        receiveAsk([command], reads: [], from: endpoint, at: now)
      } else {
        send(.ask(cluster, [command], reads: []), to: leader)
      }
    }
    raft?.transferLeadership(to: nil, at: now)
    pump(now)
    isClosed = true
  }
}
