import GlueCore
import GlueNetwork
import Logging

extension Driver {
  func addEventReader() -> EventQueue {
    let queue = EventQueue(limit: settings.eventQueueLimit)
    let isOver = lock.withLock { state in
      if state.phase != .closed { state.eventReaders.append(queue) }
      return state.phase == .closed
    }
    if isOver { queue.finish() }
    return queue
  }

  func removeEventReader(_ queue: EventQueue) {
    lock.withLock { state in state.eventReaders.removeAll { $0 === queue } }
  }

  /// Tells every reader of events, and the log.
  func broadcast(_ event: Event) {
    let readers = lock.withLock { $0.eventReaders }
    for reader in readers where reader.put(event) { localCounters.add(to: .droppedEvents) }
    log.log(event)
  }

  /// Reports a message that expired before the program took it.
  func reportLoss(of message: Message, _ reason: LossReason, filter: String) {
    localCounters.add(to: reason == .expired ? .expiredAtHandover : .droppedByBuffering)
    broadcast(
      .loss(
        LossReport(
          topic: message.topic, publisher: message.publisher, sequences: message.sequence..<(message.sequence + 1),
          reason: reason, filters: [filter])))
  }

  /// Reports that the system has dropped datagrams which this program did not take in time; at most once a second.
  func reportReceiveOverflow() {
    guard log.limiter.permits("receive overflow") != nil else { return }
    broadcast(.limit(name: "receiveBufferBytes", count: localCounters[.receiveQueueDrops]))
  }

  /// Reports an error of the network, at a limited rate for each cause.
  func reportNetworkError(_ code: SystemErrorCode, _ text: String, count: UInt64 = 1) {
    guard let suppressed = log.limiter.permits("network \(code.rawValue)") else { return }
    let rest = suppressed > 0 ? "; \(suppressed) more since the last such report" : ""
    broadcast(.networkError(text + rest))
  }
}
