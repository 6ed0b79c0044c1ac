import GlueAddress

extension Discovery {
  /// When ``advance(to:)`` has to be called next; nil if never.
  ///
  /// Cheap, since it is asked after every datagram: only lower bounds are kept. What is put off or settled meanwhile makes
  /// for a wakeup that finds nothing to do.
  public var nextWakeup: Timestamp? {
    var next = announceAt
    if let time = leaseCheckAt { next = min(next ?? time, time) }
    if let time = timerAt { next = min(next ?? time, time) }
    return next
  }

  /// Lets time pass.
  public mutating func advance(to now: Timestamp) {
    guard phase == .running else { return }
    if let due = announceAt, due <= now { announce(at: now) }
    if let due = timerAt, due <= now {
      advancePendingChallenges(to: now)
      advanceHandshakes(to: now)
      advanceBusyPeers(to: now)
      timerAt = nil
      for challenge in pendingChallenges { wake(at: challenge.dueAt) }
      for index in handshakes.indices {
        wake(at: handshakes[index].deadline)
        wake(at: handshakes[index].repetition?.nextAt)
      }
      for slot in busy { wake(at: busyUntil(slot)) }
    }
    advanceLeases(to: now)
  }

  /// Makes sure that busy peers, handshakes and pending challenges are looked at in time.
  mutating func wake(at time: Timestamp?) {
    guard let time else { return }
    timerAt = min(timerAt ?? time, time)
  }

  private mutating func advancePendingChallenges(to now: Timestamp) {
    guard pendingChallenges.contains(where: { $0.dueAt <= now }) else { return }
    let due = pendingChallenges.filter { $0.dueAt <= now }
    pendingChallenges.removeAll { $0.dueAt <= now }
    for challenge in due {
      // It may have come to us meanwhile.
      let key = Handshake.Key(id: challenge.id, incarnation: challenge.incarnation)
      guard table.slot(of: key.id, key.incarnation) == nil, handshakeIndex(key) == nil else { continue }
      // Most of those that are asked by way of others have answered directly by now; only the rest is counted.
      guard !challenge.address.isRelayed || payChallenge(to: challenge.address, at: now) else { continue }
      sendChallenge(challenge, at: now)
    }
  }

  private mutating func advanceHandshakes(to now: Timestamp) {
    for index in handshakes.indices.reversed() {
      if handshakes[index].deadline <= now {
        forget(index)
      } else if let due = handshakes[index].repetition?.nextAt, due <= now {
        handshakes[index].repetition?.fire(at: now)
        sendWelcome(index, at: now)
      }
    }
  }
}
