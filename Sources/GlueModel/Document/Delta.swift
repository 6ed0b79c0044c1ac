/// What one replica tells another: dots it has seen, and the entries that are left of them. Whatever of the covered dots has no entry
/// here has been removed.
///
/// One form for one transaction, for what a peer lacks and for the whole state. Merging is commutative, associative and idempotent
/// (delta mutation: Almeida, Shoker, Baquero 2018, §4; documents without tombstones: Rinberg et al., DSON, VLDB 2022).
public struct Delta: Hashable, Sendable {
  /// The transaction this is; nil if it tells of state.
  public let operation: Operation?
  /// The generation of the context this tells of; nil if it tells of no context as a whole. Only the replica for whose context it was
  /// made may merge such a delta: others may lack what the generation covers.
  public let generation: UInt32?
  /// All dots this knows about: those of the entries, those of changes that left no entry, and those that were removed.
  public let covered: DotSet
  /// What is left of them, by ascending dot.
  public let entries: [Entry]

  /// A transaction.
  public struct Operation: Hashable, Sendable {
    /// Who made it.
    public var replica: ReplicaID
    /// Its changes: one counter each.
    public var counters: Range<UInt64>
    /// When: microseconds since 1970 of the writer's hybrid clock.
    public var time: UInt64

    /// Joins the parts.
    public init(replica: ReplicaID, counters: Range<UInt64>, time: UInt64) {
      self.replica = replica
      self.counters = counters
      self.time = time
    }
  }

  /// Joins the parts. The dots of the operation and of the entries are covered in any case. Of entries with the same dot the newest
  /// is taken.
  public init(operation: Operation? = nil, generation: UInt32? = nil, covered: DotSet = DotSet(), entries: [Entry]) {
    var covered = covered
    if let operation { covered.insert(operation.counters, of: operation.replica) }
    var isAscending = true
    for (index, entry) in entries.enumerated() {
      covered.insert(entry.dot)
      if index > 0, !(entries[index - 1].dot < entry.dot) { isAscending = false }
    }
    self.operation = operation
    self.generation = generation
    self.covered = covered
    self.entries = isAscending ? entries : Self.sorted(entries)
  }

  private static func sorted(_ entries: [Entry]) -> [Entry] {
    var result: [Entry] = []
    for entry in entries.sorted(by: { $0.dot == $1.dot ? $0.content.folds < $1.content.folds : $0.dot < $1.dot }) {
      if result.last?.dot == entry.dot { result[result.count - 1] = entry } else { result.append(entry) }
    }
    return result
  }

  /// All it covers but the operation itself: what must be covered before it is merged (``Document/merge(_:)``).
  public var dependencies: DotSet {
    guard let operation else { return covered }
    var dependencies = covered
    dependencies.remove(operation.counters, of: operation.replica)
    return dependencies
  }

  /// The index of the first entry of a replica or a higher one.
  func firstEntry(of replica: ReplicaID) -> Int {
    entries.partitioningIndex { $0.dot.replica >= replica }
  }

  /// Whether it tells nothing.
  public var isEmpty: Bool { covered.isEmpty && generation == nil }

  /// The highest time in it; nil if it has none.
  public var highestTime: UInt64? {
    let entries = entries.lazy.map(\.time).max()
    return operation.map { max($0.time, entries ?? 0) } ?? entries
  }
}
