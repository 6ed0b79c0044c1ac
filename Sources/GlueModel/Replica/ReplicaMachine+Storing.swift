import GlueCore

/// What a store holds. A replica never waits for it.
extension ReplicaMachine {
  /// The state that is stored: a change made at revision n is safe when this is n or more.
  public var storedRevision: UInt64 { storing?.storedRevision ?? 0 }

  /// The next batch to write, if there is something to write and no batch is being written.
  public func nextStoreBatch(at now: Timestamp) -> ReplicaBatch? {
    guard let dots = storing?.begin(at: now) else { return nil }
    let upserts = document.entries(of: dots)
    // Both ascend, so what has no entry is found in one pass.
    var rest = upserts[...]
    let removed = dots.filter { dot in
      guard rest.first?.dot == dot else { return true }
      rest.removeFirst()
      return false
    }
    return ReplicaBatch(
      upserts: upserts, removed: removed, context: document.context, clock: clock.last, revision: revision)
  }

  /// The batch is written and synced.
  public func storeSucceeded() {
    if storing?.succeed() == true { tell(.storeRecovered) }
  }

  /// The batch could not be written, or not surely.
  public func storeFailed(reason: String, at now: Timestamp) {
    counters.storeFailures += 1
    let isNew = storing?.fail(first: configuration.storeRetry, limit: configuration.storeRetryLimit, at: now)
    if isNew == true { tell(.storeFailed(reason: reason)) }
  }

  func note(upserts: [Entry], removed: [Dot]) {
    revision += 1
    storing?.note(upserts: upserts, removed: removed, revision: revision)
  }
}
