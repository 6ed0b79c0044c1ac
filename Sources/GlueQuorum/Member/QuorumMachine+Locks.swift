import GlueCore

// MARK: Locks that this opening holds

extension QuorumMachine {
  /// The locks that this opening holds, as far as it can know.
  public var heldLocks: [(name: String, token: UInt64)] { client.locks.map { ($0.name, $0.token) } }

  /// Whether a lock is held for sure at this moment.
  public func holds(_ name: String, token: UInt64, at now: Timestamp) -> Bool {
    guard let kept = client.keptSince else { return false }
    return client.locks.contains {
      $0.name == name && $0.token == token
        && (now < kept + $0.ttl - QuorumConfiguration.lifeRounding || fault == .keepsLocks)
    }
  }

  /// Gives a lock back, without anybody waiting for it.
  public func release(_ name: String, token: UInt64, at now: Timestamp) {
    guard !isClosed, client.locks.contains(where: { $0.name == name && $0.token == token }) else { return }
    client.locks.removeAll { $0.name == name && $0.token == token }
    enqueue(.release(lock: name, token: token), ticket: nil, deadline: nil, at: now)
    pump(now)
  }

  func granted(_ token: UInt64, _ index: LogIndex, _ request: QuorumClient.Pending, at now: Timestamp) {
    guard case .acquire(let lock, let ttl, _, _) = request.operation else {
      // It was settled, and had been granted before: nobody here knows that he holds it.
      if let lock = request.lock ?? unknownLock(token, settledBy: request.operation) {
        enqueue(.release(lock: lock, token: token), ticket: nil, deadline: nil, at: now)
      }
      return finish(request, .committed(index))
    }
    let life = Nanoseconds.milliseconds(ttl)
    let isLate = client.keptSince.map { now >= $0 + life - QuorumConfiguration.lifeRounding } ?? true
    guard let ticket = request.ticket, !isLate else {
      // Nobody waits for it, or it has run out before it was known here.
      enqueue(.release(lock: lock, token: token), ticket: nil, deadline: nil, at: now)
      return finish(request, .failed(.lockLost(lock)))
    }
    client.locks.append(QuorumClient.Held(name: lock, token: token, ttl: life, since: index))
    end(ticket, .granted(token: token))
  }

  /// The lock with this token, if it is this opening's.
  private func unknownLock(_ token: UInt64, settledBy operation: QuorumOperation) -> String? {
    guard case .settle(let other) = operation, other.session == client.session else { return nil }
    return state.locks.first { $0.token == token }?.name
  }

  /// Whether the state says that somebody else has them.
  func checkLocks(at now: Timestamp) {
    if fault == .keepsLocks { return }
    loseLocks { held in
      // The leader's answer may be here before the entry.
      guard applied >= held.since else { return false }
      guard let lock = state.lock(held.name) else { return true }
      return lock.token > held.token || (lock.token == held.token && lock.holder != client.session)
    }
  }

  /// Takes all locks for lost.
  func loseLocks() { loseLocks { _ in true } }

  private func loseLocks(where isLost: (QuorumClient.Held) -> Bool) {
    guard !client.locks.isEmpty else { return }
    let lost = client.locks.filter(isLost)
    guard !lost.isEmpty else { return }
    for held in lost { tell(.lockLost(held.name, token: held.token)) }
    client.locks.removeAll { held in lost.contains { $0.name == held.name && $0.token == held.token } }
  }

  /// Keeps the session alive while it holds locks or stands in line for some, and takes locks for lost whose time is over: a moment before the
  /// quorum does, as that counts from when the request arrived.
  func checkSession(_ now: Timestamp) {
    if let kept = client.keptSince, fault != .keepsLocks {
      let late = client.locks.filter { now >= kept + $0.ttl - QuorumConfiguration.lifeRounding }
      loseLocks { held in late.contains { $0.token == held.token } }
      // The quorum may count from later on, and nobody here holds it any more.
      for held in late { enqueue(.release(lock: held.name, token: held.token), ticket: nil, deadline: nil, at: now) }
    }
    guard let due = keepAliveAt, now >= due, client.keepAlive == nil, client.session != nil else { return }
    client.keepAlive = enqueue(.keepAlive, ticket: nil, deadline: nil, at: now)
  }

  /// When the session has to be kept alive: after a third of the shortest life, so that it may fail twice.
  var keepAliveAt: Timestamp? {
    if fault == .keepsLocks { return nil }
    var shortest: Nanoseconds? = client.locks.map(\.ttl).min()
    for request in client.pending where request.isWaiting {
      guard case .acquire(_, let ttl, _, _) = request.operation else { continue }
      shortest = min(shortest ?? .milliseconds(ttl), .milliseconds(ttl))
    }
    guard let shortest, let kept = client.keptSince else { return nil }
    return kept + Nanoseconds(shortest.count / 3)
  }
}
