import GlueModel

/// What happened in models.
public struct ModelCounts: Sendable {
  /// Models opened, again and again.
  public internal(set) var openings: UInt64 = 0
  /// Of these, how many began with what was on a disk.
  public internal(set) var loaded: UInt64 = 0
  /// Transactions made.
  public internal(set) var written: UInt64 = 0
  /// Transactions refused.
  public internal(set) var refused: UInt64 = 0
  /// Transactions merged from the delta topic.
  public internal(set) var merged: UInt64 = 0
  /// Of these, how many had to wait for others.
  public internal(set) var held: UInt64 = 0
  /// Requests for what is missing.
  public internal(set) var requests: UInt64 = 0
  /// Requests that had to be made again.
  public internal(set) var timeouts: UInt64 = 0
  /// Comparisons of live dots.
  public internal(set) var reconciliations: UInt64 = 0
  /// Entries that were written anew after a clean-up.
  public internal(set) var rewritten: UInt64 = 0
  /// The highest generation.
  public internal(set) var generation: UInt64 = 0
  /// Batches that disks did not take.
  public internal(set) var storeFailures: UInt64 = 0
  /// Clocks that were found to be wrong.
  public internal(set) var clockSkews: UInt64 = 0
  /// Limits that were told to be reached.
  public internal(set) var limits: UInt64 = 0

  /// Nothing yet.
  public init() {}

  mutating func add(_ counters: ReplicaCounters) {
    merged += counters.receivedDeltas
    held += counters.heldDeltas
    requests += counters.requests
    timeouts += counters.requestTimeouts
    reconciliations += counters.reconciliations
    storeFailures += counters.storeFailures
  }

  mutating func merge(_ other: ModelCounts) {
    for field in Self.sums { self[keyPath: field.path] += other[keyPath: field.path] }
    generation = max(generation, other.generation)
  }

  private static var sums: [(name: String, path: WritableKeyPath<ModelCounts, UInt64>)] {
    [
      ("openings", \.openings), ("loaded", \.loaded), ("written", \.written), ("refused", \.refused),
      ("merged", \.merged), ("held", \.held), ("requests", \.requests), ("timeouts", \.timeouts),
      ("reconciliations", \.reconciliations), ("rewritten", \.rewritten), ("store failures", \.storeFailures),
      ("clock skews", \.clockSkews), ("limits", \.limits),
    ]
  }

  /// The names and counts of all.
  package var list: [(name: String, count: UInt64)] {
    Self.sums.map { ($0.name, self[keyPath: $0.path]) } + [("generations", generation)]
  }
}
