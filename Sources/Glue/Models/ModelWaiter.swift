import GlueCore
import GlueModel

/// A task that waits for something about a replica.
struct ModelWaiter: Sendable {
  /// What it waits for; looked at after every input.
  enum Condition: Sendable {
    /// This replica has all that the replicas it knows have, and there are at least so many of these.
    case inSync(replicas: Int)
    /// Everything that was changed here is published, and those who were asked have it.
    case confirmed
    /// A state is stored.
    case stored(revision: UInt64)
  }

  let number: UInt64
  let condition: Condition
  private let continuation: UnsafeContinuation<WaitOutcome, Never>

  init(_ number: UInt64, _ condition: Condition, _ continuation: UnsafeContinuation<WaitOutcome, Never>) {
    self.number = number
    self.condition = condition
    self.continuation = continuation
  }

  func resume(_ outcome: WaitOutcome) { continuation.resume(returning: outcome) }
}

extension ModelWaiter.Condition {
  func holds(in state: borrowing ModelLink.State) -> Bool {
    let machine = state.machine
    return switch self {
    case .confirmed: !machine.hasBroadcasts && !state.isBroadcasting && machine.unconfirmedPeerIDs.isEmpty
    case .inSync(let replicas): machine.peerIDs.count >= replicas && machine.isInSync
    case .stored(let revision): machine.storedRevision >= revision
    }
  }
}

extension ModelLink.State {
  /// Takes those who need not wait any more.
  mutating func takeReadyWaiters() -> [ModelWaiter] {
    guard !waiters.isEmpty else { return [] }
    var ready: [ModelWaiter] = []
    var rest: [ModelWaiter] = []
    for waiter in waiters { if waiter.condition.holds(in: self) { ready.append(waiter) } else { rest.append(waiter) } }
    waiters = rest
    return ready
  }
}

extension ModelLink {
  /// Waits until something holds.
  func wait(for condition: ModelWaiter.Condition, timeout: Duration?) async -> WaitOutcome {
    let number = nextNumber.add(1, ordering: .relaxed).newValue
    let timer = timeout.map { timeout in
      Task { [weak self] in
        guard (try? await Task.sleep(for: timeout)) != nil else { return }
        // A short time may be over before the waiter is there.
        while !Task.isCancelled, self?.end(number, .timedOut) == false { await Task.yield() }
      }
    }
    defer { timer?.cancel() }
    return await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let outcome = withState { state -> WaitOutcome? in
          if condition.holds(in: state) { return .ready }
          if state.isClosed { return .stopped }
          if Task.isCancelled { return .cancelled }
          state.waiters.append(ModelWaiter(number, condition, continuation))
          return nil
        }
        if let outcome { continuation.resume(returning: outcome) }
      }
    } onCancel: {
      end(number, .cancelled)
    }
  }

  @discardableResult
  private func end(_ number: UInt64, _ outcome: WaitOutcome) -> Bool {
    let waiter = withState { state -> ModelWaiter? in
      guard let index = state.waiters.firstIndex(where: { $0.number == number }) else { return nil }
      return state.waiters.remove(at: index)
    }
    waiter?.resume(outcome)
    return waiter != nil
  }
}
