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
