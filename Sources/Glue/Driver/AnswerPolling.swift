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
  /// The other sockets are looked at after so long at the latest: a conversation can go on for ever.
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
  /// Polls for the answer to what a callback has published.
  ///
  /// - Parameter wait: How long the I/O thread would sleep, in nanoseconds.
  /// - Returns: What is ready after that; `nil` if there was nothing to poll for, so that the thread sleeps.
  func pollForAnswer(insteadOf wait: UInt64, _ turn: Turn) throws(NetworkError) -> Poller.ReadySet? {
    guard wait > 0, answerPollingLimit > .zero, let source = turn.lastSource else { return nil }
    var now = Timestamp.now
    let end: Timestamp
    if turn.expectsAnswer {
      guard turn.answerPolling.begins() else { return nil }
      end = now + Nanoseconds(min(wait, answerPollingLimit.count))
    } else if let until = turn.pollsUntil, now < until {
      end = until
    } else {
      return nil
    }
    turn.pollsUntil = nil
    if now.since(turn.lastLook) >= AnswerPolling.lookInterval {
      turn.lastLook = now
      let ready = try poller.wait(timeoutNanoseconds: 0)
      if !ready.isEmpty { return ready }
    }
    while now < end, !poller.isWakePending {
      switch receive(from: source, turn) {
      case .nothing: now = .now
      case .noMessage:
        // An acknowledgement, perhaps. The answer may follow.
        turn.pollsUntil = end
        return .empty
      case .message:
        guard !turn.isRelieved else { return .empty }
        turn.answerPolling.hit()
        localCounters.add(to: .answersPolledFor)
        return .empty
      }
    }
    if now >= end { turn.answerPolling.missed() }
    return .empty
  }
}
