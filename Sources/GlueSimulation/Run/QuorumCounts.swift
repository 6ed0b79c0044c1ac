/// What happened in quorum models.
public struct QuorumCounts: Sendable {
  /// Quorum models opened, again and again.
  public internal(set) var openings: UInt64 = 0
  /// Storages opened that belonged to a quorum.
  public internal(set) var loaded: UInt64 = 0
  /// Of these, how many ended with a write that was torn.
  public internal(set) var tornTails: UInt64 = 0
  /// Quorums founded.
  public internal(set) var founded: UInt64 = 0
  /// Terms with a leader.
  public internal(set) var leaders: UInt64 = 0
  /// Entries applied by somebody.
  public internal(set) var entries: UInt64 = 0
  /// States taken over in place of entries.
  public internal(set) var states: UInt64 = 0
  /// Snapshots written.
  public internal(set) var compactions: UInt64 = 0
  /// Memberships decided.
  public internal(set) var changes: UInt64 = 0
  /// Writes that were told to have happened.
  public internal(set) var written: UInt64 = 0
  /// Writes whose condition did not hold.
  public internal(set) var rejected: UInt64 = 0
  /// Requests of which nobody knew in time whether they have happened.
  public internal(set) var unknown: UInt64 = 0
  /// Of these, how many were looked up.
  public internal(set) var resolved: UInt64 = 0
  /// Linearizable reads.
  public internal(set) var reads: UInt64 = 0
  /// Locks granted.
  public internal(set) var granted: UInt64 = 0
  /// Locks lost.
  public internal(set) var locksLost: UInt64 = 0
  /// Storages that failed while they were used.
  public internal(set) var storageFailures: UInt64 = 0
  /// Storages that were found to be damaged.
  public internal(set) var damages: UInt64 = 0
  /// Storages lost.
  public internal(set) var losses: UInt64 = 0
  /// Times that the power failed while a log was written, or at rest.
  public internal(set) var powerCuts: UInt64 = 0
  /// Times that a member was seen without the storage that it had.
  public internal(set) var foreignStorages: UInt64 = 0
  /// Times that watchers were told of several entries at once.
  public internal(set) var joinedChanges: UInt64 = 0
  /// Quorums whose openings were connected by way of one only, in the end.
  public internal(set) var relayed: UInt64 = 0

  /// Nothing yet.
  public init() {}

  mutating func merge(_ other: QuorumCounts) {
    for field in Self.fields { self[keyPath: field.path] += other[keyPath: field.path] }
  }

  private static var fields: [(name: String, path: WritableKeyPath<QuorumCounts, UInt64>)] {
    [
      ("openings", \.openings), ("loaded", \.loaded), ("torn tails", \.tornTails), ("founded", \.founded),
      ("leaders", \.leaders), ("entries", \.entries), ("states", \.states), ("compactions", \.compactions),
      ("changes of members", \.changes), ("written", \.written), ("rejected", \.rejected), ("unknown", \.unknown),
      ("resolved", \.resolved), ("reads", \.reads), ("locks", \.granted), ("locks lost", \.locksLost),
      ("storage failures", \.storageFailures), ("damages", \.damages), ("losses", \.losses),
      ("power cuts", \.powerCuts), ("foreign storages", \.foreignStorages), ("joined changes", \.joinedChanges),
      ("relayed", \.relayed),
    ]
  }

  /// The names and counts of all.
  package var list: [(name: String, count: UInt64)] { Self.fields.map { ($0.name, self[keyPath: $0.path]) } }
}
