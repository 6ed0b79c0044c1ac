import GlueModel

extension QuorumState {
  /// Applies an entry of the log: first what ran out by its time goes, then its commands are done, one by one.
  public mutating func apply(_ batch: QuorumBatch, index: LogIndex) -> QuorumApplied {
    var applied = QuorumApplied()
    if batch.time > time {
      time = min(batch.time, QuorumBatch.latest)
      expire(index, &applied)
    }
    for command in batch.commands {
      let outcome = apply(command, index, &applied)
      applied.outcomes.append((command.request, outcome))
    }
    correctFirstDeadline()
    return applied
  }

  /// Does a command, unless it was done before (Raft dissertation §6.3).
  private mutating func apply(_ command: QuorumCommand, _ index: LogIndex, _ applied: inout QuorumApplied)
    -> QuorumOutcome
  {
    if case .openSession(let nonce) = command.operation { return open(nonce) }
    let request = command.request
    // In place: what a session remembers is not copied for each request.
    guard sessions[request.session] != nil else { return .rejected(.unknownSession) }
    sessions[request.session]?.lastSeen = time
    sessions[request.session]?.forget(below: min(command.oldest, request.number))
    if fault != .retryAppliedTwice, let known = sessions[request.session]?.outcome(of: request.number) {
      return present(known, of: request.session)
    }
    guard let floor = sessions[request.session]?.floor, request.number >= floor else { return .rejected(.forgotten) }
    let outcome = perform(command.operation, request, index, &applied)
    sessions[request.session]?.remember(outcome, of: request.number)
    return outcome
  }

  private mutating func perform(
    _ operation: QuorumOperation, _ request: RequestID, _ index: LogIndex, _ applied: inout QuorumApplied
  ) -> QuorumOutcome {
    switch operation {
    case .transaction(let conditions, let edits):
      for (number, condition) in conditions.enumerated() where !holds(condition) {
        return .rejected(.conditionFailed(number, condition.subject))
      }
      do throws(ModelError) {
        // Microseconds, as the model counts.
        if let done = try document.apply(edits, at: time * 1_000) { applied.changes += done.changes }
        return .committed(index)
      } catch {
        return .rejected(.refused(QuorumRefusal(error)))
      }
    case .acquire(let lock, let ttl, let waits, let note):
      return acquire(
        LockName(lock), HeldLock.Claim(request: request, ttl: Self.life(ttl), note: note), waits: waits, index)
    case .release(let lock, let token): return release(LockName(lock), token, request.session, index, &applied)
    case .keepAlive: return .committed(index)
    case .settle(let other): return settle(other, by: request, &applied)
    case .closeSession:
      leaveAll(request.session, index, &applied)
      return .committed(index)
    case .openSession: return .rejected(.unknownSession)
    }
  }

  private func holds(_ condition: QuorumCondition) -> Bool {
    switch condition {
    // Without what is below, as that may be everything.
    case .node(let path, nil), .value(let path, nil): !document.exists(path)
    case .node(let path, let node?): document.read(path) == node
    case .value(let path, let value?): document.content(at: path) == .value(value)
    case .exists(let path): document.exists(path)
    case .held(let lock, let token): locks_[LockName(lock)]?.token == token
    }
  }

  // MARK: Sessions

  private mutating func open(_ nonce: UInt64) -> QuorumOutcome {
    // It may be asked again by one who has not heard the answer.
    if let known = nonces[nonce] {
      sessions[known]?.lastSeen = time
      return .opened(known)
    }
    if sessions.count >= QuorumStateLimits.sessions {
      guard let idle = idleLongest() else { return .rejected(.limit(.sessions)) }
      remove(idle)
    }
    lastSession += 1
    let id = SessionID(lastSession)
    sessions[id] = QuorumSession(nonce: nonce, lastSeen: time)
    nonces[nonce] = id
    schedule(id)
    return .opened(id)
  }

  /// The session without locks that was silent longest. Of several the first that was opened: so the order of the table does not matter.
  private func idleLongest() -> SessionID? {
    var idle: (id: SessionID, lastSeen: QuorumTime)?
    for (id, session) in sessions where session.stakes.isEmpty {
      if let idle, (idle.lastSeen, idle.id) < (session.lastSeen, id) { continue }
      idle = (id, session.lastSeen)
    }
    return idle?.id
  }

  mutating func remove(_ id: SessionID) {
    if let session = sessions.removeValue(forKey: id) { nonces[session.nonce] = nil }
  }

  // MARK: Settling

  /// Decides about a request what is not decided yet. Whoever has a token of it may ask, in whatever session.
  private mutating func settle(_ request: RequestID, by settling: RequestID, _ applied: inout QuorumApplied)
    -> QuorumOutcome
  {
    guard let session = sessions[request.session] else { return .rejected(.forgotten) }
    if let known = session.outcome(of: request.number) {
      guard known == .waiting else { return present(known, of: request.session) }
      // Nobody waits for it any more.
      leaveLine(request)
      conclude(request, .rejected(.settled), &applied)
      return .rejected(.settled)
    }
    // What is far ahead was never asked for, and must not push out what is remembered: then nothing is decided. Whoever asks in the same session
    // has asked for it before.
    let isOwn = settling.session == request.session && request.number < settling.number
    guard request.number >= session.floor,
      isOwn || request.number <= session.highest
        || request.number - session.highest <= QuorumStateLimits.results - session.results.count
    else { return .rejected(.forgotten) }
    sessions[request.session]?.remember(.rejected(.settled), of: request.number)
    return .rejected(.settled)
  }

  /// A request that stood in line does not any more.
  mutating func conclude(_ request: RequestID, _ outcome: QuorumOutcome, _ applied: inout QuorumApplied) {
    sessions[request.session]?.remember(outcome, of: request.number)
    applied.notices.append((request, outcome))
  }
}

extension QuorumCondition {
  /// What it is about.
  fileprivate var subject: String {
    switch self {
    case .node(let path, _), .value(let path, _), .exists(let path): path.text
    case .held(let lock, _): lock
    }
  }
}
