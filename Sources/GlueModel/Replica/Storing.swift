import GlueCore

/// A replica as a store holds it.
public struct StoredReplica: Equatable, Sendable {
  /// What a new store holds.
  public static let empty = StoredReplica(context: CausalContext(), entries: [], clock: 0)

  /// What has been seen.
  public var context: CausalContext
  /// What is left of it.
  public var entries: [Entry]
  /// The hybrid clock, in microseconds since 1970.
  public var clock: UInt64

  /// Joins the parts.
  public init(context: CausalContext, entries: [Entry], clock: UInt64) {
    self.context = context
    self.entries = entries
    self.clock = clock
  }
}

/// What a store writes in one transaction, synced: all of it or nothing. With a context that covers entries which are not there these would count as
/// removed.
public struct ReplicaBatch: Equatable, Sendable {
  /// Entries to write, each in place of one with the same dot, ascending.
  public var upserts: [Entry]
  /// Dots whose entry, if there is one, is deleted, ascending.
  public var removed: [Dot]
  /// In place of the one before.
  public var context: CausalContext
  /// In place of the one before.
  public var clock: UInt64
  /// The state that is stored with it: see ``ReplicaMachine/revision``.
  public var revision: UInt64
}

/// What has to be written.
struct StoreProgress: Sendable {
  /// Entries that changed since the last batch, and whether the store may have one with that dot. What came and went between two batches is not in it, so a
  /// slow store costs no more memory than what it has to write.
  private var changed: [Dot: Bool] = [:]
  private var revision: UInt64 = 0
  private var underWay: (dots: [Dot], revision: UInt64)?
  private(set) var storedRevision: UInt64 = 0
  private(set) var retryAt: Timestamp?
  private var pause: Nanoseconds?

  mutating func note(upserts: [Entry], removed: [Dot], revision: UInt64) {
    self.revision = revision
    // Only parts of counters are written again under the same dot.
    for entry in upserts where changed[entry.dot] == nil { changed[entry.dot] = entry.content.folds > 0 }
    for dot in removed { if changed[dot] == false { changed[dot] = nil } else { changed[dot] = true } }
  }

  /// The dots to write next; nil if there is nothing to write, or not now.
  mutating func begin(at now: Timestamp) -> [Dot]? {
    guard underWay == nil, revision > storedRevision, retryAt.map({ $0 <= now }) ?? true else { return nil }
    let dots = changed.keys.sorted()
    underWay = (dots, revision)
    changed = [:]
    retryAt = nil
    return dots
  }

  /// The batch is written. Returns whether the store had failed before.
  mutating func succeed() -> Bool {
    guard let batch = underWay else { return false }
    underWay = nil
    storedRevision = batch.revision
    defer { (retryAt, pause) = (nil, nil) }
    return pause != nil
  }

  /// The batch is not written, or nobody knows. Returns whether that is new.
  mutating func fail(first: Nanoseconds, limit: Nanoseconds, at now: Timestamp) -> Bool {
    guard let batch = underWay else { return false }
    underWay = nil
    for dot in batch.dots { changed[dot] = true }
    let isNew = pause == nil
    let wait = min(pause.map { $0 + $0 } ?? first, limit)
    pause = wait
    retryAt = now + wait
    return isNew
  }
}
