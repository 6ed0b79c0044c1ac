import GlueCore

/// Reads a log back: what is whole, where it ends, and whether that is where it ended when it was written last.
struct LogRecovery {
  struct Result {
    var stored: StoredRaft
    var segments: [(number: UInt64, last: LogIndex)]
    var snapshots: [LogIndex]
    var end: Int
    var lastChecksum: UInt32
    var cutBytes: Int
    /// A segment that was being made, and has been removed.
    var removedSegment: String?
    /// What was written last, which may not have been synced, and where it stands.
    var tail: [UInt8]
    var tailOffset: Int
    /// The snapshot was taken over, and the log does not say so yet.
    var isSnapshotUnknown: Bool
  }

  private let directory: any LogDirectory
  private let storage: StorageID
  private let cluster: ClusterID
  private let fault: LogFault?
  private var hardState = RaftHardState()
  private var entries: [RaftEntry] = []
  private var snapshot = RaftSnapshot(index: 0, term: 0, membership: Membership(voters: []), state: [])
  private var lastChecksum: UInt32 = 0
  /// The highest entry that a segment so far has told of.
  private var entriesEnd: LogIndex = 0
  private var end = LogFormat.segmentHeaderBytes
  private var cutBytes = 0
  private var tail: [UInt8] = []
  private var tailOffset = 0

  init(_ directory: any LogDirectory, storage: StorageID, cluster: ClusterID, fault: LogFault?) {
    self.directory = directory
    self.storage = storage
    self.cluster = cluster
    self.fault = fault
  }

  mutating func run(_ names: [String]) throws(LogError) -> Result {
    let snapshots = names.compactMap { LogFormat.number(of: $0, "snapshot-") }.sorted()
    guard let newest = snapshots.last else {
      throw .damaged(file: "snapshot", offset: 0, problem: "there is none, and the storage belongs to a quorum")
    }
    let name = LogFormat.snapshotName(newest)
    snapshot = try RaftSnapshot(file: try directory.read(name), named: name, cluster, storage)
    var numbers = names.compactMap { LogFormat.number(of: $0, "log-") }.sorted()
    guard let first = numbers.first else {
      throw .damaged(file: "log", offset: 0, problem: "there is none, and the storage belongs to a quorum")
    }
    let removed = try removeUnfinished(&numbers)
    var segments: [(number: UInt64, last: LogIndex)] = []
    for (place, number) in numbers.enumerated() {
      // The one before the first may come back after a power cut, but none between others goes.
      guard number == first &+ UInt64(place) else {
        throw .damaged(file: LogFormat.segmentName(first &+ UInt64(place)), offset: 0, problem: "it is missing")
      }
      let isLast = place == numbers.count - 1
      try read(number, isFirst: place == 0, isLast: isLast, isComplete: !isLast || removed != nil)
      segments.append((number, entriesEnd))
    }
    let isSnapshotUnknown = isSnapshotUnknown
    return Result(
      stored: try finish(), segments: segments, snapshots: snapshots, end: end, lastChecksum: lastChecksum,
      cutBytes: cutBytes, removedSegment: removed, tail: tail, tailOffset: tailOffset,
      isSnapshotUnknown: isSnapshotUnknown)
  }

  /// Removes a last segment that was being made: it has no whole header. The log ends with the one before it.
  private func removeUnfinished(_ numbers: inout [UInt64]) throws(LogError) -> String? {
    guard numbers.count > 1, let number = numbers.last else { return nil }
    let name = LogFormat.segmentName(number)
    let bytes = try directory.read(name)
    if hasWholeHeader(bytes) { return nil }
    // The header was synced before the first batch was written.
    if fault != .damageIsCut, hasBatch(in: bytes, from: 0, number) {
      throw .damaged(file: name, offset: 0, problem: "its header is not whole, and a whole batch follows it")
    }
    numbers.removeLast()
    try checkMark(numbers.last ?? 0, Int.max, LogFormat.segmentName(numbers.last ?? 0))
    try directory.remove(name)
    return name
  }

  private func hasWholeHeader(_ bytes: [UInt8]) -> Bool {
    bytes.count >= LogFormat.segmentHeaderBytes
      && LogFormat.opened(Array(bytes.prefix(LogFormat.segmentHeaderBytes))) != nil
  }

  /// Reads a segment. A complete one is one behind which another was begun.
  private mutating func read(
    _ number: UInt64, isFirst: Bool, isLast: Bool, isComplete: Bool
  ) throws(LogError) {
    let name = LogFormat.segmentName(number)
    let bytes = try directory.read(name)
    try readHeader(bytes, number, name, isFirst: isFirst)
    (tailOffset, end) = (0, LogFormat.segmentHeaderBytes)
    while let batch = batch(in: bytes, at: end, number, previous: lastChecksum) {
      try apply(batch.records, name, end)
      lastChecksum = batch.checksum
      (tailOffset, end) = (end, batch.end)
    }
    if isLast {
      tail = Array(bytes[tailOffset..<end])
      try checkMark(number, end, name)
    }
    if bytes[end...].allSatisfy({ $0 == 0 }) { return }
    if fault != .damageIsCut {
      guard !isComplete else {
        throw .damaged(file: name, offset: end, problem: "the batch there is not whole, and a segment follows it")
      }
      // Each write was synced before the next one began, so something whole behind it proves that this was complete.
      if hasBatch(in: bytes, from: end + 1, number) {
        throw .damaged(file: name, offset: end, problem: "the batch there is not whole, and a whole one follows it")
      }
    }
    cutBytes = bytes.count - end
  }

  private mutating func readHeader(_ bytes: [UInt8], _ number: UInt64, _ name: String, isFirst: Bool) throws(LogError) {
    guard bytes.count >= LogFormat.segmentHeaderBytes else {
      throw .damaged(file: name, offset: 0, problem: "it has no header")
    }
    let content = try LogFormat.check(Array(bytes.prefix(LogFormat.segmentHeaderBytes)), LogFormat.segmentMagic, name)
    let (cluster, storage) = (cluster, storage)
    let parts = try? Array(content).read { (reader) throws(WireError) -> (Bool, UInt32, RaftHardState) in
      _ = try reader.bytes(5)
      let isOwn = try reader.cluster() == cluster
      let isHere = try reader.storage() == storage
      let isPlace = try reader.u64() == number
      let previous = try reader.u32()
      let term = try reader.u64()
      guard term <= WireLimits.position else { throw .invalidValue(.position) }
      return (isOwn && isHere && isPlace, previous, RaftHardState(term: term, vote: try reader.vote()))
    }
    guard let (isOwn, previous, hardState) = parts, isOwn else {
      throw .damaged(file: name, offset: 5, problem: "it belongs to another storage, quorum or place")
    }
    guard isFirst || previous == lastChecksum else {
      throw .damaged(file: name, offset: 5, problem: "it does not follow the segment before it")
    }
    if isFirst { lastChecksum = previous }
    self.hardState = hardState
  }

  private struct Batch {
    let records: ArraySlice<UInt8>
    let checksum: UInt32
    let end: Int
  }

  /// The batch at an offset, if there is a whole one.
  private func batch(in bytes: [UInt8], at offset: Int, _ number: UInt64, previous: UInt32?) -> Batch? {
    let start = offset + LogFormat.batchHeaderBytes
    guard start <= bytes.count, bytes[offset..<(offset + 4)].elementsEqual(LogFormat.batchMagic) else { return nil }
    func word(_ at: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) } }
    let (count, before, checksum) = (word(offset + 4), word(offset + 8), word(offset + 12))
    guard Int(count) <= bytes.count - start, previous == nil || previous == before else { return nil }
    let records = bytes[start..<(start + Int(count))]
    let isPlaced = fault != .placesAreNotChecked
    let place = LogFormat.Place(storage: storage, segment: isPlaced ? number : 0, offset: isPlaced ? offset : 0)
    guard records.withUnsafeBytes({ LogFormat.checksum(ofBatch: $0, previous: before, place) }) == checksum else {
      return nil
    }
    return Batch(records: records, checksum: checksum, end: start + Int(count))
  }

  private func hasBatch(in bytes: [UInt8], from offset: Int, _ number: UInt64) -> Bool {
    var place = offset
    while let next = bytes[min(place, bytes.count)...].firstIndex(of: LogFormat.batchMagic[0]) {
      if next + LogFormat.batchHeaderBytes > bytes.count { return false }
      if batch(in: bytes, at: next, number, previous: nil) != nil { return true }
      place = next + 1
    }
    return false
  }

  /// What was synced once must be there.
  private func checkMark(_ number: UInt64, _ end: Int, _ name: String) throws(LogError) {
    if fault == .damageIsCut { return }
    guard let bytes = try? directory.read(LogFormat.markName), let content = LogFormat.opened(bytes) else { return }
    let mark = try? Array(content).read { (reader) throws(WireError) in (try reader.u64(), try reader.u64()) }
    guard let mark else { return }
    if mark.0 > number || mark.0 == number && mark.1 > UInt64(end) {
      throw .damaged(
        file: name, offset: end, problem: "the log ended later once, at byte \(mark.1) of segment \(mark.0)")
    }
  }

  // MARK: Records

  private mutating func apply(_ records: ArraySlice<UInt8>, _ name: String, _ offset: Int) throws(LogError) {
    var list: [RaftEntry] = []
    var newState: RaftHardState?
    var taken: (index: LogIndex, term: Term, keepsRest: Bool)?
    let isRead: Void? = try? Array(records).read { (reader) throws(WireError) in
      while !reader.isAtEnd {
        switch try reader.u8() {
        case LogFormat.Record.hardState:
          let term = try reader.position()
          newState = RaftHardState(term: term, vote: try reader.vote())
        case LogFormat.Record.entry: list.append(try RaftEntry(from: &reader))
        case LogFormat.Record.snapshot: taken = (try reader.position(), try reader.position(), try reader.flag())
        default: throw .invalidValue(.quorumMessage)
        }
      }
    }
    guard isRead != nil else { throw .damaged(file: name, offset: offset, problem: "the batch there makes no sense") }
    if let newState { hardState = newState }
    if let taken {
      // Said outright: the entry itself may be in a segment that is gone.
      entries.removeAll { !taken.keepsRest || $0.index <= taken.index }
      entriesEnd = max(entriesEnd, taken.index)
    }
    for entry in list {
      if let last = entries.last, entry.index <= last.index {
        entries.removeLast(min(entries.count, Int(last.index - entry.index) + 1))
      }
      if let last = entries.last, entry.index != last.index + 1 {
        throw .damaged(file: name, offset: offset, problem: "entry \(entry.index) does not follow \(last.index)")
      }
      entries.append(entry)
      entriesEnd = max(entriesEnd, entry.index)
    }
  }

  /// Whether what the log tells does not lead to the snapshot: the power was cut when it was saved, and the log's word of it
  /// was not written yet.
  private var isSnapshotUnknown: Bool {
    guard let first = entries.first, first.index <= snapshot.index else { return false }
    return entries.first { $0.index == snapshot.index }?.term != snapshot.term
  }

  /// What follows the snapshot.
  private mutating func finish() throws(LogError) -> StoredRaft {
    let atSnapshot = entries.first { $0.index == snapshot.index }
    if let atSnapshot, atSnapshot.term != snapshot.term {
      // What follows is of another history than the snapshot.
      entries = []
    }
    entries.removeAll { $0.index <= snapshot.index }
    if let first = entries.first, first.index != snapshot.index + 1 {
      throw .damaged(
        file: LogFormat.snapshotName(snapshot.index), offset: 0,
        problem: "the log goes on with entry \(first.index), so there was a later snapshot")
    }
    return StoredRaft(hardState: hardState, snapshot: snapshot, entries: entries)
  }
}
