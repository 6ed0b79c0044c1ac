import GlueCore

extension Driver {
  /// Takes over what is stored, before anything else happens.
  func loadStore() throws(EndpointFailure) {
    guard let store = settings.store else { return }
    let contents: StoredContents
    do { contents = try store.load() } catch { throw .store("\(error)") }
    let count = contents.streams.reduce(0) { $0 + $1.messages.count }
    loaded.withLock {
      $0 = .storeLoaded(
        messages: count, expired: contents.expired, undatable: contents.undatable.reduce(0) { $0 + $1.count })
    }
    lock.withLock { $0.machine.restore(contents.streams, at: .now) }
  }

  /// Begins to write to the store.
  func startStoring() throws(EndpointFailure) {
    guard let store = settings.store else { return }
    let writer = try StoreWriter(store)
    try writer.start(self)
    lock.withLock { $0.storeWriter = writer }
    if let event = loaded.withLock({ $0.take() }) { broadcast(event) }
  }

  /// Writes the last batch.
  func finishStoring() {
    guard let writer = lock.withLock({ $0.storeWriter.take() }), !writer.finish() else { return }
    broadcast(
      .storeFailing(
        reason: "the store has not returned for \(StoreWriter.longestFinish.duration); what it had not written is gone")
    )
  }

  /// Waits until so many stores have a message, and those since another one.
  func awaitStored(
    _ sequences: Range<UInt64>, of publication: PublicationID, by count: Int, timeout: Duration?
  ) async throws {
    let outcome = await wait(for: .stored(publication), timeout: timeout) { state in
      state.machine.storedCount(of: publication, sequences).map { $0 >= count } ?? true
    }
    switch outcome {
    case .ready, .timedOut:
      let stores = storedCount(sequences, of: publication)
      guard stores < count else { return }
      throw EndpointFailure.notStored(sequence: sequences.upperBound - 1, stores: stores, wanted: count)
    case .cancelled, .stopped: try outcome.check(waitingFor: "stores", failure: failure)
    }
  }

  /// Waits until so many others hold a value, or it is superseded.
  func awaitHolders(
    of sequence: UInt64, of publication: PublicationID, _ count: Int, timeout: Duration?
  ) async throws {
    let outcome = await wait(for: .stored(publication), timeout: timeout) { state in
      state.machine.retention(of: publication, sequence).map { $0.holders >= count || $0.isSuperseded } ?? true
    }
    switch outcome {
    case .ready, .timedOut:
      let retention = lock.withLock { $0.machine.retention(of: publication, sequence) }
      if let retention, retention.holders >= count { return }
      if retention?.isSuperseded ?? false { throw EndpointFailure.superseded(sequence: sequence) }
      throw EndpointFailure.notHeld(sequence: sequence, holders: retention?.holders ?? 0, wanted: count)
    case .cancelled, .stopped: try outcome.check(waitingFor: "holders", failure: failure)
    }
  }

  func storedCount(_ sequences: Range<UInt64>, of publication: PublicationID) -> Int {
    lock.withLock { $0.machine.storedCount(of: publication, sequences) } ?? 0
  }
}
