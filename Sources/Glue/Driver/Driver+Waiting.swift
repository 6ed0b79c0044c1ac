import GlueCore

/// What a task finds that is about to wait: an outcome, or its number.
private enum WaitStart {
  case done(WaitOutcome)
  case wait(UInt64)
}

extension Driver {
  /// Waits until a condition holds.
  ///
  /// - Parameters:
  ///   - key: After which changes the condition is looked at again.
  ///   - timeout: How long to wait; `nil`: as long as it takes.
  ///   - isCancellable: Whether cancelling the task ends the wait.
  ///   - isReady: The condition; called under the lock.
  func wait(
    for key: WaitKey, timeout: Duration? = nil, isCancellable: Bool = true,
    isolation: isolated (any Actor)? = #isolation,
    until isReady: @escaping @Sendable (borrowing DriverState) -> Bool
  ) async -> WaitOutcome {
    flush()
    let deadline = timeout.map { Timestamp.now + Nanoseconds($0) }
    let start = lock.withLock { state -> WaitStart in
      if isReady(state) { return .done(.ready) }
      if state.phase == .closed { return .done(.stopped) }
      return .wait(state.waiters.nextNumber())
    }
    guard case .wait(let number) = start else {
      guard case .done(let outcome) = start else { return .stopped }
      return outcome
    }
    return await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let (outcome, wakes) = lock.withLock { state -> (WaitOutcome?, Bool) in
          if isReady(state) { return (.ready, false) }
          if state.phase == .closed { return (.stopped, false) }
          if isCancellable, Task.isCancelled { return (.cancelled, false) }
          state.waiters.add(
            Waiters.Waiter(number: number, deadline: deadline, isReady: isReady, continuation: continuation), for: key)
          if let timeout, state.phase == .ready { endWait(number, for: key, after: timeout) }
          // The I/O thread ends waits whose time is up, so it has to know of an earlier one.
          guard let deadline, state.sleepsUntil.map({ deadline < $0 }) ?? true else { return (nil, false) }
          return (nil, state.wakes())
        }
        if let outcome { continuation.resume(returning: outcome) }
        if wakes { poller.wake() }
      }
    } onCancel: {
      // If it does not wait yet, it will find the task cancelled before it does.
      guard isCancellable else { return }
      lock.withLock { $0.waiters.remove(number, for: key) }?.resume(returning: .cancelled)
    }
  }

  /// Ends a wait that began before there was an I/O thread to do so.
  private func endWait(_ number: UInt64, for key: WaitKey, after timeout: Duration) {
    Task { [weak self] in
      try? await Task.sleep(for: timeout)
      self?.lock.withLock { $0.waiters.remove(number, for: key) }?.resume(returning: .timedOut)
    }
  }
}
