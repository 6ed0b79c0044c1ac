import DequeModule

/// Which streams have something that is not stored yet, and the batch that is being stored.
///
/// Nothing waits here but streams: a batch is read from what they keep when its turn has come. So a store that is slow, or fails,
/// costs no memory; what is let go before it was stored is never stored.
///
///     a stream keeps or lets go ──▶ waiting ──▶ batch ──▶ stored ──▶ its publisher is told
///                                      ▲          └─────▶ failed ─┐
///                                      └──────────────────────────┘
final class StoreQueue {
  /// Bytes from which on a batch is complete, 1 MiB. Larger ones sync less often, but gathering one holds up the endpoint: for a
  /// millisecond or two.
  static let batchBytes = 1 << 20
  /// The same after a failure: where the disk is full, a little may still fit.
  static let batchBytesAfterFailure = 64 << 10
  /// Bytes that each write is charged beside a message's body.
  static let writeOverhead = 128

  let store: StoreID
  @exclusivity(unchecked) private var waiting = Deque<KeptHistory>()
  /// Streams that were forgotten altogether.
  private var forgotten: [StreamHash] = []
  private var underWay: Attempt?
  private var lastNumber: UInt64 = 0
  private var hasFailed = false

  /// A batch that is being stored, and what is known once it is.
  private struct Attempt {
    var number: UInt64
    var parts: [Part] = []
    var forgotten: [StreamHash] = []
  }

  /// A stream's part in a batch.
  struct Part {
    let stream: KeptHistory
    /// As it was before.
    let cursor: StoreCursor
    /// The sequence numbers of its messages.
    var added = StoredRanges()
  }

  init(store: StoreID) { self.store = store }

  /// Whether there may be a batch.
  var hasWork: Bool { underWay == nil && !(waiting.isEmpty && forgotten.isEmpty) }

  /// Takes note that a stream keeps more, or less.
  func note(_ stream: KeptHistory) {
    guard !stream.cursor.isQueued, stream.hasUnstored else { return }
    stream.cursor.isQueued = true
    waiting.append(stream)
  }

  /// Takes note that a stream is forgotten.
  func forget(_ stream: KeptHistory) {
    if stream.cursor.isIntroduced { forget(stream.hash) }
  }

  /// Takes note that nothing is left of a stored stream.
  func forget(_ hash: StreamHash) { forgotten.append(hash) }

  /// The next batch, if there is none under way and anything to write.
  func nextBatch() -> StoreBatch? {
    guard hasWork else { return nil }
    var attempt = Attempt(number: lastNumber + 1)
    var writes: [StoreWrite] = []
    let limit = hasFailed ? Self.batchBytesAfterFailure : Self.batchBytes
    attempt.forgotten = forgotten
    forgotten = []
    for hash in attempt.forgotten { writes.append(.forgetStream(hash)) }
    var bytes = 0
    // How many in a row had nothing to write yet: they wait for others.
    var idle = 0
    while bytes < limit, idle <= waiting.count, let stream = waiting.popFirst() {
      stream.cursor.isQueued = false
      let before = writes.count
      var part = Part(stream: stream, cursor: stream.cursor)
      let isDone = stream.addUnstored(to: &writes, &bytes, limit: limit, added: &part.added)
      if stream.cursor != part.cursor { attempt.parts.append(part) }
      // The others first.
      if !isDone { note(stream) }
      idle = isDone || writes.count > before ? 0 : idle + 1
    }
    guard !writes.isEmpty else { return nil }
    lastNumber = attempt.number
    underWay = attempt
    return StoreBatch(number: attempt.number, writes: writes)
  }

  /// The batch is stored: what each of its streams has in the store now.
  func stored(_ number: UInt64) -> [Part] {
    guard let attempt = underWay, attempt.number == number else { return [] }
    underWay = nil
    hasFailed = false
    for part in attempt.parts {
      for range in part.added.ranges { part.stream.cursor.stored.insert(range) }
      part.stream.cursor.stored.remove(below: part.stream.cursor.keptFrom)
    }
    return attempt.parts.filter { !$0.added.ranges.isEmpty }
  }

  /// Nothing of the batch is stored: all of it comes again, as far as it is still kept.
  func failed(_ number: UInt64) {
    guard let attempt = underWay, attempt.number == number else { return }
    underWay = nil
    hasFailed = true
    forgotten = attempt.forgotten + forgotten
    for part in attempt.parts {
      let isQueued = part.stream.cursor.isQueued
      part.stream.cursor = part.cursor
      part.stream.cursor.isQueued = isQueued
      note(part.stream)
    }
  }
}

/// How far a stream is in the store.
struct StoreCursor: Equatable {
  /// Whether the store knows the stream.
  var isIntroduced = false
  /// Messages below this are stored, or in the batch that is under way, or will not be.
  var next: UInt64 = 0
  /// Messages below this were let go in the store too.
  var keptFrom: UInt64 = 0
  /// What is stored.
  var stored = StoredRanges()
  /// Whether it waits for a batch.
  var isQueued = false
}
