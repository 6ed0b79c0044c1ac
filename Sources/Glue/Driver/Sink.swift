import GlueCore
import Synchronization

/// Where the messages of a subscription go.
enum Sink: Sendable {
  case callback(CallbackSink)
  case queue(DeliveryQueue)

  var filter: String {
    switch self {
    case .callback(let sink): sink.filter
    case .queue(let queue): queue.filter
    }
  }
}

/// A closure that takes messages on the I/O thread.
final class CallbackSink: Sendable {
  let filter: String
  let onMessage: @Sendable (borrowing MessageView) -> Void
  private let cancelled = Atomic<Bool>(false)

  init(filter: String, onMessage: @escaping @Sendable (borrowing MessageView) -> Void) {
    self.filter = filter
    self.onMessage = onMessage
  }

  var isCancelled: Bool { cancelled.load(ordering: .acquiring) }
  func cancel() { cancelled.store(true, ordering: .releasing) }
}
