import GlueCore
import GlueNetwork

/// Decides when the I/O thread looks for an answer again and again before it sleeps.
///
/// A callback that publishes is one side of a conversation. If the other side answers at once, its answer comes within the
/// time that it takes to put this thread to sleep and to wake it, and both sides spend most of a round trip on that. So the
/// thread polls first. Whoever polls no longer than sleeping and waking would have cost pays at most twice of the best
/// (Karlin and others, "Empirical studies of competitive spinning for a shared-memory multiprocessor", SOSP 1991); where
/// answers turn out to take longer, it is tried ever more rarely, so that it costs next to nothing.
struct AnswerPolling {
  /// How many conversations' turns are let pass at most between two tries that miss.
  static let mostSkips = 63
  /// The other sockets are looked at after so long at the latest: a conversation, or busy polling, can go on for ever.
  static let lookInterval = Nanoseconds.milliseconds(1)

  private var skips = 0
  private var toSkip = 0

  /// Whether to poll this time.
  mutating func begins() -> Bool {
    guard toSkip == 0 else {
      toSkip -= 1
      return false
    }
    return true
  }

  /// The answer came in time.
  mutating func hit() { skips /= 2 }

  /// It did not.
  mutating func missed() {
    skips = min(2 * skips + 1, Self.mostSkips)
    toSkip = skips
  }
}

extension Driver {
  /// Polls for what may come, or for the answer to what a callback has published.
  ///
  /// - Parameter wait: How long the I/O thread would sleep, in nanoseconds; shortened by the time for which it has polled in vain.
  /// - Returns: What is ready after that; `nil` if the thread is to sleep.
  func poll(insteadOf wait: inout UInt64, _ turn: Turn) throws(NetworkError) -> Poller.ReadySet? {
    guard wait > 0, answerPollingLimit > .zero || busyPollingTime > .zero else { return nil }
    let started = Timestamp.now
    guard let end = pollingEnd(insteadOf: wait, at: started, turn) else { return nil }
    let isBusy = busyPollingTime > .zero
    // An answer comes from where the last message came from, anything to any socket for data.
    let sources = isBusy ? turn.sockets.data : turn.lastSource.map { [$0] } ?? []
    guard !sources.isEmpty else { return nil }
    turn.pollsUntil = nil
    var now = started
    var looks = 0
    while now < end {
      if poller.isWakePending { return try poller.wait(timeoutNanoseconds: 0) }
      if now.since(turn.lastLook) >= AnswerPolling.lookInterval {
        turn.lastLook = now
        let ready = try poller.wait(timeoutNanoseconds: 0)
        if !ready.isEmpty { return ready }
      }
      // The first look finds what has gathered meanwhile, a later one a single datagram as a rule.
      let slots = looks < sources.count ? Int.max : 1
      switch receive(from: sources[looks % sources.count], slots: slots, turn) {
      case .nothing:
        looks += 1
        now = .now
      case .noMessage:
        // An acknowledgement, perhaps. The answer may follow.
        if !isBusy { turn.pollsUntil = end }
        return .empty
      case .message:
        guard !isBusy, !turn.isRelieved else { return .empty }
        turn.answerPolling.hit()
        localCounters.add(to: .answersPolledFor)
        return .empty
      }
    }
    if !isBusy {
      turn.answerPolling.missed()
      return .empty
    }
    let polled = now.since(started).count
    guard polled < wait else { return .empty }
    if wait != .max { wait -= polled }
    return nil
  }

  /// - Returns: Until when to poll; `nil`: not at all.
  private func pollingEnd(insteadOf wait: UInt64, at now: Timestamp, _ turn: Turn) -> Timestamp? {
    if busyPollingTime > .zero { return now + Nanoseconds(min(wait, busyPollingTime.count)) }
    if turn.expectsAnswer {
      return turn.answerPolling.begins() ? now + Nanoseconds(min(wait, answerPollingLimit.count)) : nil
    }
    return turn.pollsUntil.flatMap { now < $0 ? $0 : nil }
  }
}
