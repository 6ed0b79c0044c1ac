/// Which change removed which entries, for the changes of late: so that a peer which has not seen a change is told what it removed.
///
/// Of each replica the log is complete above its *floor*. What is learnt of a state, rather than of changes, raises the floor.
struct RemovalLog: Sendable {
  /// What one transaction did to entries that were there before.
  struct Record: Sendable {
    /// Its last change.
    var counter: UInt64
    /// What it removed.
    var removed: DotSet
    /// Parts of counters, of the same replica, into which it joined older ones.
    var folded: [UInt64]
    /// What it counts for.
    var weight: Int
  }

  private struct Writer: Sendable {
    let replica: ReplicaID
    var floor: UInt64 = 0
    var records = SortedChunks<Record>()
  }

  private let limit: Int
  private var writers: [Writer] = []
  private var weight = 0
  /// The order in which records came: the oldest go first. Those before `firstInQueue` are gone.
  private var queue: [Dot] = []
  private var firstInQueue = 0

  init(limit: Int) { self.limit = limit }

  /// Up to this counter the log of a replica may lack something.
  func floor(of replica: ReplicaID) -> UInt64 {
    let index = index(of: replica)
    return index < writers.count && writers[index].replica == replica ? writers[index].floor : 0
  }

  /// The records of a replica for changes in a range.
  func forEachRecord(of replica: ReplicaID, in range: Range<UInt64>, _ body: (Record) -> Void) {
    let index = index(of: replica)
    guard index < writers.count, writers[index].replica == replica else { return }
    let records = writers[index].records
    records.forEach(from: records.position { $0.counter < range.lowerBound }) {
      guard $0.counter < range.upperBound else { return false }
      body($0)
      return true
    }
  }

  /// Takes note of a transaction that has not been seen before.
  mutating func append(_ operation: Delta.Operation, removed: DotSet, folded: [UInt64]) {
    guard !removed.isEmpty || !folded.isEmpty else { return }
    let record = Record(
      counter: operation.counters.upperBound - 1, removed: removed, folded: folded,
      weight: removed.rangeCount + folded.count)
    let index = makeIndex(of: operation.replica)
    let position = writers[index].records.position { $0.counter < record.counter }
    guard record.counter > writers[index].floor, writers[index].records[position]?.counter != record.counter else {
      return
    }
    writers[index].records.insert(record, at: position)
    queue.append(Dot(operation.replica, record.counter))
    weight += record.weight
    while weight > limit { removeOldest() }
    // Records that a higher floor made needless are still in the queue.
    if queue.count > 2 * limit + 1_024 { dropNeedless() }
  }

  /// Takes note that changes of a replica up to this one were learnt from a state.
  mutating func raiseFloor(of replica: ReplicaID, to counter: UInt64) {
    let index = makeIndex(of: replica)
    guard counter > writers[index].floor else { return }
    writers[index].floor = counter
    // Nobody who lacks one of these is served from the log.
    while let first = writers[index].records.first, first.counter <= counter {
      weight -= first.weight
      writers[index].records.remove(at: writers[index].records.position { _ in false })
    }
  }

  /// Forgets replicas.
  mutating func forget(where isForgotten: (ReplicaID) -> Bool) {
    writers.removeAll { writer in
      guard isForgotten(writer.replica) else { return false }
      writer.records.forEach {
        weight -= $0.weight
        return true
      }
      return true
    }
  }

  private mutating func removeOldest() {
    let oldest = queue[firstInQueue]
    firstInQueue += 1
    // Amortised: what is moved is not more than what was removed since.
    if firstInQueue > 1_024, firstInQueue * 2 > queue.count {
      queue.removeFirst(firstInQueue)
      firstInQueue = 0
    }
    let index = index(of: oldest.replica)
    guard index < writers.count, writers[index].replica == oldest.replica else { return }
    raiseFloor(of: oldest.replica, to: oldest.counter)
  }

  private mutating func dropNeedless() {
    let log = self
    queue = queue[firstInQueue...].filter { $0.counter > log.floor(of: $0.replica) }
    firstInQueue = 0
  }

  private func index(of replica: ReplicaID) -> Int {
    writers.partitioningIndex { $0.replica >= replica }
  }

  private mutating func makeIndex(of replica: ReplicaID) -> Int {
    let index = index(of: replica)
    if index == writers.count || writers[index].replica != replica {
      writers.insert(Writer(replica: replica), at: index)
    }
    return index
  }
}
