/// The memory that is kept of what others publish, in all streams together.
final class HistoryMemory {
  let limitBytes: Int
  var bytes = 0
  /// What is written to the store; nil without one.
  let storing: StoreQueue?

  init(limitBytes: Int, store: StoreID? = nil) {
    self.limitBytes = limitBytes
    storing = store.map(StoreQueue.init)
  }
}

extension ReceivedStream {
  /// When the oldest message that is kept was published.
  var oldestKept: Timestamp {
    guard let log = log?.log, !log.isEmpty else { return .distantFuture }
    return log.message(at: log.first).message.published
  }
}
