import GlueCore

/// What a task waits for: the changes after which its condition is looked at again.
enum WaitKey: Hashable, Sendable {
  /// Room in a publication, or the end of the time for it.
  case writable(PublicationID)
  /// The subscribers of a publication.
  case matched(PublicationID)
  /// The acknowledgements of a publication.
  case acknowledged(PublicationID)
  /// What stores, and others' memories, have of a publication.
  case stored(PublicationID)
  /// What is known of a topic's value; looked at in every turn.
  case topicValue
  /// The acknowledgements of direct messages to a peer.
  case direct(EndpointID)
  /// The acknowledgements of everything; looked at in every turn.
  case allAcknowledged
  /// What is known of the subscriptions of others.
  case interest
  /// The answers to inquiries.
  case answers
  /// That the endpoint is to be shut down.
  case leaving
  /// That the endpoint is closed.
  case closed
}

/// How a wait ended.
enum WaitOutcome: Sendable {
  case ready, timedOut, cancelled, stopped

  /// Throws for all ends but the good one.
  func check(waitingFor what: String, failure: EndpointFailure?) throws {
    switch self {
    case .ready: return
    case .timedOut: throw EndpointFailure.timedOut(waitingFor: what)
    case .cancelled: throw CancellationError()
    case .stopped: throw failure ?? EndpointFailure.stopped
    }
  }
}

/// The tasks that wait, under the driver's lock. Each continuation is resumed once: by whoever removes it from here.
struct Waiters {
  typealias Continuation = UnsafeContinuation<WaitOutcome, Never>

  struct Waiter {
    let number: UInt64
    let deadline: Timestamp?
    let isReady: @Sendable (borrowing DriverState) -> Bool
    let continuation: Continuation
  }

  private(set) var waiting: [WaitKey: [Waiter]] = [:]
  private(set) var earliestDeadline: Timestamp?
  private var lastNumber: UInt64 = 0

  var isEmpty: Bool { waiting.isEmpty }

  mutating func nextNumber() -> UInt64 {
    lastNumber += 1
    return lastNumber
  }

  mutating func add(_ waiter: Waiter, for key: WaitKey) {
    waiting[key, default: []].append(waiter)
    if let deadline = waiter.deadline { earliestDeadline = min(earliestDeadline ?? deadline, deadline) }
  }

  mutating func remove(_ number: UInt64, for key: WaitKey) -> Continuation? {
    guard let index = waiting[key]?.firstIndex(where: { $0.number == number }) else { return nil }
    let waiter = waiting[key]?.remove(at: index)
    if waiting[key]?.isEmpty == true { waiting[key] = nil }
    return waiter?.continuation
  }

  /// Removes all that the closure has an outcome for.
  mutating func remove(
    for key: WaitKey, into resumptions: inout [Resumption], where outcome: (Waiter) -> WaitOutcome?
  ) {
    guard let waiters = waiting[key] else { return }
    var rest: [Waiter] = []
    for waiter in waiters {
      if let outcome = outcome(waiter) {
        resumptions.append(Resumption(continuation: waiter.continuation, outcome: outcome))
      } else {
        rest.append(waiter)
      }
    }
    waiting[key] = rest.isEmpty ? nil : rest
  }

  /// Removes those whose time is up.
  mutating func removeExpired(at now: Timestamp, into resumptions: inout [Resumption]) {
    guard let earliest = earliestDeadline, earliest <= now else { return }
    for key in Array(waiting.keys) {
      remove(for: key, into: &resumptions) { waiter in
        guard let deadline = waiter.deadline, deadline <= now else { return nil }
        return .timedOut
      }
    }
    earliestDeadline = waiting.values.joined().compactMap(\.deadline).min()
  }
}

/// A continuation to resume once the lock is released.
struct Resumption: Sendable {
  let continuation: Waiters.Continuation
  let outcome: WaitOutcome

  func resume() { continuation.resume(returning: outcome) }
}
