extension QuorumState {
  /// A life within the bounds.
  static func life(_ ttl: UInt64) -> QuorumTime {
    min(max(ttl, QuorumStateLimits.shortestLife), QuorumStateLimits.longestLife)
  }

  mutating func acquire(_ name: LockName, _ claim: HeldLock.Claim, waits: Bool, _ index: LogIndex) -> QuorumOutcome {
    let session = claim.request.session
    let bytes = name.text.utf8.count
    guard bytes >= 1, bytes <= QuorumStateLimits.lockNameBytes else { return .rejected(.limit(.lockNameBytes)) }
    guard claim.note.utf8.count <= QuorumStateLimits.noteBytes else { return .rejected(.limit(.noteBytes)) }
    guard let stakes = sessions[session]?.stakes.count, stakes < QuorumStateLimits.locksPerSession else {
      return .rejected(.limit(.locksPerSession))
    }
    // Only parts of the lock are taken out: with a copy of its line at hand each change would copy it. Whoever holds it stands in line as
    // well: two tasks of one client keep each other out.
    guard let note = locks_[name]?.holder.note, let waiting = locks_[name]?.line.count else {
      guard locks_.count < QuorumStateLimits.locks else { return .rejected(.limit(.locks)) }
      return grant(name, claim, index)
    }
    guard waits else { return .rejected(.held(lock: name.text, note: note)) }
    guard waiting < QuorumStateLimits.waiters else { return .rejected(.limit(.waiters)) }
    locks_[name]?.line.append(claim)
    sessions[session]?.raiseStake(name, claim.ttl)
    return .waiting
  }

  /// Somebody gets a lock that nobody holds any more.
  private mutating func grant(_ name: LockName, _ claim: HeldLock.Claim, _ index: LogIndex) -> QuorumOutcome {
    lastToken += 1
    if locks_[name] == nil {
      locks_[name] = HeldLock(holder: claim, token: lastToken)
    } else {
      locks_[name]?.holder = claim
      locks_[name]?.token = lastToken
    }
    sessions[claim.request.session]?.raiseStake(name, claim.ttl)
    addDeadline(deadline(of: claim), .lock(name, token: lastToken))
    return .granted(token: lastToken, index)
  }

  mutating func release(
    _ name: LockName, _ token: UInt64, _ session: SessionID, _ index: LogIndex, _ applied: inout QuorumApplied
  ) -> QuorumOutcome {
    guard name.text.utf8.count <= QuorumStateLimits.lockNameBytes else { return .rejected(.limit(.lockNameBytes)) }
    if token == 0 {
      leaveLine(name, session, &applied)
      return .committed(index)
    }
    guard locks_[name]?.token == token, locks_[name]?.holder.request.session == session else {
      return .rejected(.notHeld(lock: name.text))
    }
    passOn(name, index, &applied)
    return .committed(index)
  }

  /// A session leaves all locks and all lines, in the order of their names.
  mutating func leaveAll(_ session: SessionID, _ index: LogIndex, _ applied: inout QuorumApplied) {
    for stake in sessions[session]?.stakes ?? [] {
      leaveLine(stake.name, session, &applied)
      if locks_[stake.name]?.holder.request.session == session { passOn(stake.name, index, &applied) }
    }
  }

  private mutating func leaveLine(_ name: LockName, _ session: SessionID, _ applied: inout QuorumApplied) {
    let claims = locks_[name]?.line.filter { $0.request.session == session } ?? []
    guard !claims.isEmpty else { return }
    locks_[name]?.line.removeAll { $0.request.session == session }
    for claim in claims { conclude(claim.request, .lost, &applied) }
    correctStake(name, session)
  }

  /// One request leaves the line in which it stands.
  mutating func leaveLine(_ request: RequestID) {
    for stake in sessions[request.session]?.stakes ?? [] {
      guard let place = locks_[stake.name]?.line.firstIndex(where: { $0.request == request }) else { continue }
      locks_[stake.name]?.line.remove(at: place)
      correctStake(stake.name, request.session)
      return
    }
  }

  /// The holder has it no more: the first in line who is still there gets it.
  mutating func passOn(_ name: LockName, _ index: LogIndex, _ applied: inout QuorumApplied) {
    guard let holder = locks_[name]?.holder.request.session else { return }
    while let next = locks_[name]?.line.popFirst() {
      let session = next.request.session
      guard sessions[session] != nil, deadline(of: next) > time else {
        conclude(next.request, .lost, &applied)
        correctStake(name, session)
        continue
      }
      let outcome = grant(name, next, index)
      conclude(next.request, outcome, &applied)
      correctStake(name, holder)
      return
    }
    locks_[name] = nil
    correctStake(name, holder)
  }

  /// A session has given up a claim to a lock: what is left of its claims counts.
  private mutating func correctStake(_ name: LockName, _ session: SessionID) {
    var ttl: QuorumTime?
    if let holder = locks_[name]?.holder, holder.request.session == session { ttl = holder.ttl }
    for claim in locks_[name]?.line ?? [] where claim.request.session == session {
      ttl = max(ttl ?? 0, claim.ttl)
    }
    sessions[session]?.setStake(name, ttl)
    schedule(session)
  }
}
