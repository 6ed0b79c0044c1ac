import GlueCore

/// Tells that nothing was done for a while: the host slept, the process was stopped, or the machine is so loaded that it got
/// no time. The clock goes on meanwhile, so the I/O thread comes by later than it wanted to.
struct SuspensionWatch {
  /// So much later than intended may be chance, or a busy machine; half the time after which others ask whether an endpoint with
  /// the default settings is still there.
  static let tolerance = Nanoseconds.seconds(2)

  private var lastSeen: Timestamp

  init(at now: Timestamp) { lastSeen = now }

  /// Takes note that the thread goes on after a wait.
  ///
  /// - Parameter timeout: How long it wanted to wait at most, in nanoseconds; `.max`: for ever.
  /// - Returns: By how much longer nothing was done than that, if it is too long.
  mutating func wokeUp(after timeout: UInt64, at now: Timestamp) -> Nanoseconds? {
    defer { lastSeen = now }
    guard timeout != .max else { return nil }
    let late = Nanoseconds(now.since(lastSeen).count - min(timeout, now.since(lastSeen).count))
    return late > Self.tolerance ? late : nil
  }
}

extension Driver {
  /// After a suspension others may have given this endpoint up, and it does not know who is still there: it announces itself at
  /// once; by the I/O thread after each wait.
  func noteSuspension(waitingFor timeout: UInt64, _ turn: Turn) {
    let now = Timestamp.now
    guard let late = turn.suspension.wokeUp(after: timeout, at: now) else { return }
    lock.withLock { $0.machine.resumed(at: now) }
    broadcast(.resumed(after: late.duration))
  }
}
