import GlueCore
import Synchronization

/// A closure that takes messages, one at a time.
///
///     attached ──▶ detached ──▶ attached
///
/// - Attached, the I/O thread calls it with a message in the receive buffer.
/// - Detached, messages are copied into a backlog, which another thread works off. That is the one that is stuck in the
///   closure, or where there are too many of those (``Endpoint/Configuration/callbackThreadLimit``) the next one that is free.
///   It ends the backlog when nothing is left in it, and then leaves the closure alone; the I/O thread attaches it when it has
///   something for a backlog that has ended.
///
/// So calls never overlap, and messages stay in order.
final class CallbackSink: Sendable {
  let filter: String
  let buffering: Buffering
  let onMessage: @Sendable (borrowing MessageView) -> Void
  private let cancelled = Atomic<Bool>(false)
  /// Set and reset by the I/O thread.
  private let detached = Atomic<Bool>(false)
  private let queue = Mutex<DeliveryQueue?>(nil)

  init(filter: String, buffering: Buffering, onMessage: @escaping @Sendable (borrowing MessageView) -> Void) {
    self.filter = filter
    self.buffering = buffering
    self.onMessage = onMessage
  }

  var isCancelled: Bool { cancelled.load(ordering: .acquiring) }
  var isDetached: Bool { detached.load(ordering: .relaxed) }
  /// What waits while it is detached.
  var backlog: DeliveryQueue? { queue.withLock { $0 } }

  /// By the I/O thread, or the one that takes its place.
  func detach(_ id: SubscriptionID) -> DeliveryQueue {
    let backlog = DeliveryQueue(filter: filter, buffering: buffering)
    backlog.subscription = id
    queue.withLock { $0 = backlog }
    detached.store(true, ordering: .relaxed)
    return backlog
  }

  /// By the I/O thread, when it has found the backlog ended.
  func attach() {
    detached.store(false, ordering: .relaxed)
    queue.withLock { $0 = nil }
  }

  /// - Returns: The bytes that held publishers back.
  func cancel() -> [DeliveryQueue.Credit] {
    cancelled.store(true, ordering: .releasing)
    return backlog?.cancel() ?? []
  }
}
