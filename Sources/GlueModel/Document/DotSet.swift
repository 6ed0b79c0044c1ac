/// Dots, as ranges of counters for each replica, replicas ascending.
public struct DotSet: Hashable, Sendable {
  /// The dots of one replica; never none.
  public struct Part: Hashable, Sendable {
    /// The replica.
    public let replica: ReplicaID
    /// Its counters.
    public fileprivate(set) var counters: CounterRanges
  }

  /// What each replica has.
  public private(set) var parts: [Part] = []

  /// None.
  public init() {}

  /// These.
  public init(_ dots: some Sequence<Dot>) { for dot in dots { insert(dot) } }

  /// Whether there are none.
  public var isEmpty: Bool { parts.isEmpty }
  /// How many ranges there are: what the set costs.
  public var rangeCount: Int { parts.reduce(0) { $0 + $1.counters.ranges.count } }

  /// The counters of a replica.
  public subscript(replica: ReplicaID) -> CounterRanges {
    let index = index(of: replica)
    return index < parts.count && parts[index].replica == replica ? parts[index].counters : CounterRanges()
  }

  /// Whether a dot is among them.
  public func contains(_ dot: Dot) -> Bool {
    let index = index(of: dot.replica)
    return index < parts.count && parts[index].replica == dot.replica && parts[index].counters.contains(dot.counter)
  }

  /// The first part of this replica or a higher one.
  private func index(of replica: ReplicaID) -> Int {
    parts.partitioningIndex { $0.replica >= replica }
  }

  /// Whether some of a part's counters are among them.
  func overlaps(_ part: Part) -> Bool {
    self[part.replica].ranges.contains { !part.counters.clamped(to: $0).isEmpty }
  }

  /// Adds a dot.
  public mutating func insert(_ dot: Dot) { insert(dot.counter..<(dot.counter + 1), of: dot.replica) }

  /// Adds a range of counters of a replica.
  public mutating func insert(_ counters: Range<UInt64>, of replica: ReplicaID) {
    guard !counters.isEmpty else { return }
    let index = index(of: replica)
    if index < parts.count, parts[index].replica == replica {
      parts[index].counters.insert(counters)
    } else {
      parts.insert(Part(replica: replica, counters: CounterRanges(counters)), at: index)
    }
  }

  /// Adds others.
  public mutating func formUnion(_ other: DotSet) {
    // A few are looked up; many are merged in one pass.
    if other.parts.count <= 8 {
      for part in other.parts { insert(part.counters, of: part.replica) }
      return
    }
    var merged: [Part] = []
    merged.reserveCapacity(parts.count + other.parts.count)
    var (mine, theirs) = (parts[...], other.parts[...])
    while let a = mine.first, let b = theirs.first {
      if a.replica == b.replica {
        var part = a
        part.counters.formUnion(b.counters)
        merged.append(part)
        mine.removeFirst()
        theirs.removeFirst()
      } else if a.replica < b.replica {
        merged.append(mine.removeFirst())
      } else {
        merged.append(theirs.removeFirst())
      }
    }
    parts = merged + mine + theirs
  }

  /// Adds the counters of a replica.
  public mutating func insert(_ counters: CounterRanges, of replica: ReplicaID) {
    guard !counters.isEmpty else { return }
    let index = index(of: replica)
    if index < parts.count, parts[index].replica == replica {
      parts[index].counters.formUnion(counters)
    } else {
      parts.insert(Part(replica: replica, counters: counters), at: index)
    }
  }

  /// Takes away a range of counters of a replica.
  mutating func remove(_ counters: Range<UInt64>, of replica: ReplicaID) {
    let index = index(of: replica)
    guard index < parts.count, parts[index].replica == replica else { return }
    parts[index].counters = parts[index].counters.subtracting(CounterRanges(counters))
    if parts[index].counters.isEmpty { parts.remove(at: index) }
  }

  /// Drops the replicas for which the closure says so.
  mutating func removeReplicas(where drops: (ReplicaID) -> Bool) { parts.removeAll { drops($0.replica) } }
}
