import GlueCore

/// Term, vote, log and snapshots of a member, on disk: what ``write(_:)`` has returned from is there after any crash, or the storage says that it is damaged.
///
/// A write is one batch at the end of a segment, with one sync. Of a crash at most the last batch is torn, and it is told from damage to earlier ones: something
/// whole behind it, or the mark, proves that it was complete once. After any failure the store does nothing more: what a failed sync has left on disk nobody
/// knows (Rebello et al., “Can Applications Recover from fsync Failures?”, 2020).
public final class RaftLogStore {
  /// This storage's identity.
  public let storage: StorageID
  /// The quorum that it belongs to; nil: none yet.
  public var cluster: ClusterID? { identity.cluster }
  /// What it held when it was opened; nil if it belongs to no quorum.
  public let stored: StoredRaft?
  /// What was not as a clean end leaves it.
  public let report: RecoveryReport

  private let directory: any LogDirectory
  private let settings: RaftLogSettings
  private var identity: LogIdentity
  private var hardState = RaftHardState()
  /// Segments by number, each with the last entry in it.
  private var segments: [(number: UInt64, last: LogIndex)] = []
  private var snapshots: [LogIndex] = []
  /// Where each term begins in the log, and its last entry: whether a snapshot fits it.
  private var terms: [(first: LogIndex, term: Term)] = []
  private var lastEntry: LogIndex = 0
  private var file: (any LogFile)?
  private var mark: (any LogFile)?
  private var end = 0
  private var lastChecksum: UInt32 = 0
  private var failure: LogError?
  private let fault: LogFault?

  /// Opens a storage, or makes one.
  ///
  /// - Parameter newStorage: Random; its identity if it is new.
  /// - Throws: ``LogError``; ``LogError/damaged(file:offset:problem:)`` if something is missing that was on disk for sure.
  public convenience init(
    _ directory: any LogDirectory, newStorage: StorageID, settings: RaftLogSettings = RaftLogSettings()
  ) throws(LogError) {
    try self.init(directory, newStorage: newStorage, settings: settings, fault: nil)
  }

  /// With a mistake, for tests.
  package init(
    _ directory: any LogDirectory, newStorage: StorageID, settings: RaftLogSettings, fault: LogFault?
  ) throws(LogError) {
    self.fault = fault
    self.directory = directory
    self.settings = settings
    try directory.lock()
    do throws(LogError) {
      var report = RecoveryReport()
      let names = try directory.fileNames().sorted()
      for name in names where name.hasSuffix(Self.unfinished) { try Self.remove(name, directory, &report) }
      if names.contains(LogFormat.identityName) {
        identity = try LogIdentity(try directory.read(LogFormat.identityName))
      } else {
        if let name = names.first(where: { $0.hasPrefix("log-") || $0.hasPrefix("snapshot-") }) {
          throw .damaged(file: LogFormat.identityName, offset: 0, problem: "it is missing, and \(name) is there")
        }
        identity = LogIdentity(storage: newStorage)
        try Self.replace(LogFormat.identityName, identity.encoded(), directory)
      }
      storage = identity.storage
      guard let cluster = identity.cluster else {
        // What a founding has left that was not completed: nobody has relied on it.
        for name in names where name.hasPrefix("log-") || name.hasPrefix("snapshot-") {
          try Self.remove(name, directory, &report)
        }
        stored = nil
        self.report = report
        return
      }
      var recovery = LogRecovery(directory, storage: identity.storage, cluster: cluster, fault: fault)
      let recovered = try recovery.run(names.filter { !$0.hasSuffix(Self.unfinished) })
      report.cutBytes = recovered.cutBytes
      if let name = recovered.removedSegment { report.removedFiles.append(name) }
      stored = recovered.stored
      self.report = report
      hardState = recovered.stored.hardState
      segments = recovered.segments
      snapshots = recovered.snapshots
      end = recovered.end
      lastChecksum = recovered.lastChecksum
      note(recovered.stored.entries)
      try resume(recovered)
    } catch {
      directory.unlock()
      throw error
    }
  }

  /// Makes sure that what was found stays, and gets ready to write behind it.
  private func resume(_ recovered: LogRecovery.Result) throws(LogError) {
    let file = try directory.open(LogFormat.segmentName(segments.last?.number ?? 1))
    self.file = file
    if recovered.cutBytes > 0 {
      if fault == .tornTailsAreKept { end += recovered.cutBytes } else { try file.truncate(to: end) }
    }
    if fault != .whatIsFoundIsNotSynced {
      // What was read may be in the system's memory only, if a process ended amid a write; and after a failed sync a further one
      // does not write it, unless it was written again.
      try file.write(recovered.tail, at: recovered.tailOffset)
      try file.sync()
      try directory.sync()
    }
    try file.allocate(settings.segmentBytes)
    mark = try directory.open(LogFormat.markName)
    if recovered.isSnapshotUnknown, fault != .takenOverIsNotRepeated {
      // Else what is written now would seem to follow entries that the snapshot has replaced.
      try append(records(of: RaftWrite(snapshot: recovered.stored.snapshot), keepsRest: false))
      segments[segments.count - 1].last = max(segments[segments.count - 1].last, recovered.stored.snapshot.index)
    }
  }

  private static let unfinished = ".new"

  private static func remove(_ name: String, _ directory: any LogDirectory, _ report: inout RecoveryReport)
    throws(LogError)
  {
    try directory.remove(name)
    report.removedFiles.append(name)
  }

  /// Puts a whole file in place of another one, all of it or nothing.
  private static func replace(
    _ name: String, _ bytes: [UInt8], _ directory: any LogDirectory, isSynced: Bool = true, areNamesSynced: Bool = true
  ) throws(LogError) {
    let file = try directory.open(name + unfinished)
    do throws(LogError) {
      try file.truncate(to: 0)
      try file.write(bytes, at: 0)
      if isSynced { try file.sync() }
    } catch {
      file.close()
      throw error
    }
    file.close()
    try directory.rename(name + unfinished, to: name)
    if areNamesSynced { try directory.sync() }
  }

  // MARK: Writing

  /// Makes this storage one of a cluster's, which begins with a committed state. After a crash it is a member with that state, or none.
  ///
  /// - Throws: ``LogError``.
  public func found(_ cluster: ClusterID, _ snapshot: RaftSnapshot) throws(LogError) {
    try guarded { () throws(LogError) in
      if let cluster = identity.cluster { throw .isMember(cluster) }
      let new = LogIdentity(storage: storage, cluster: cluster)
      if fault == .identityComesFirst { try Self.replace(LogFormat.identityName, new.encoded(), directory) }
      identity = new
      try save(snapshot)
      try startSegment(1)
      // Last: from now on it is a member, and what is missing is damage.
      if fault != .identityComesFirst { try Self.replace(LogFormat.identityName, new.encoded(), directory) }
      mark = try directory.open(LogFormat.markName)
    }
  }

  /// Writes, and returns when it is synced.
  ///
  /// - Throws: ``LogError``; from then on always.
  public func write(_ write: RaftWrite) throws(LogError) {
    try guarded { () throws(LogError) in
      guard identity.cluster != nil else { throw .isNoMember }
      if let snapshot = write.snapshot { try save(snapshot) }
      if end >= settings.segmentBytes { try startSegment((segments.last?.number ?? 0) + 1) }
      if let hardState = write.hardState { self.hardState = hardState }
      let keepsRest = write.snapshot.map { fits($0) } ?? true
      try append(records(of: write, keepsRest: keepsRest))
      if !keepsRest { terms = [] }
      note(write.entries)
      let last = write.entries.last?.index ?? write.snapshot?.index
      if let last, !segments.isEmpty {
        // Entries that were replaced count too: the segment goes when what it says of them is of no use any more.
        segments[segments.count - 1].last = max(segments[segments.count - 1].last, last)
      }
      if let snapshot = write.snapshot { try dropBefore(snapshot.index + 1, keeping: snapshot.index) }
    }
  }

  /// Saves a state of this member's own, and drops the log before an entry, as far as it fills segments.
  ///
  /// - Throws: ``LogError``; from then on always.
  public func compact(_ snapshot: RaftSnapshot, keepFrom index: LogIndex) throws(LogError) {
    try guarded { () throws(LogError) in
      guard identity.cluster != nil else { throw .isNoMember }
      try save(snapshot)
      try dropBefore(min(index, snapshot.index + 1), keeping: snapshot.index)
    }
  }

  deinit { close() }

  /// Closes the files. Nothing can be done with it any more.
  public func close() {
    guard failure != .failed(operation: "use", file: "the storage", reason: "it is closed") else { return }
    file?.close()
    mark?.close()
    file = nil
    mark = nil
    failure = .failed(operation: "use", file: "the storage", reason: "it is closed")
    directory.unlock()
  }

  /// After a failure nobody knows what is on disk: nothing more is done.
  private func guarded(_ body: () throws(LogError) -> Void) throws(LogError) {
    if let failure { throw failure }
    do throws(LogError) {
      try body()
    } catch {
      switch error {
      case .isMember, .isNoMember: break
      default: failure = error
      }
      throw error
    }
  }

  private func save(_ snapshot: RaftSnapshot) throws(LogError) {
    guard let cluster = identity.cluster else { throw .isNoMember }
    try Self.replace(
      LogFormat.snapshotName(snapshot.index), snapshot.encodedFile(cluster, storage), directory,
      isSynced: fault != .snapshotsAreNotSynced, areNamesSynced: fault != .namesAreNotSynced)
    if !snapshots.contains(snapshot.index) { snapshots.append(snapshot.index) }
  }

  /// Removes the segments that hold nothing but what is before an entry, and older snapshots.
  private func dropBefore(_ index: LogIndex, keeping snapshot: LogIndex) throws(LogError) {
    let isEager = fault == .segmentsGoTooEarly
    while let first = segments.first, segments.count > 1, isEager || first.last < index {
      try directory.remove(LogFormat.segmentName(first.number))
      segments.removeFirst()
      // One after the other: a power cut leaves no gap.
      if fault != .removalsAreNotSynced { try directory.sync() }
    }
    for old in snapshots where old < snapshot { try directory.remove(LogFormat.snapshotName(old)) }
    snapshots.removeAll { $0 < snapshot }
    // That these are gone need not be synced: what comes back is older, and is found to be.
  }

  private func startSegment(_ number: UInt64) throws(LogError) {
    guard let cluster = identity.cluster else { throw .isNoMember }
    let header = LogFormat.sealed(atMost: LogFormat.segmentHeaderBytes) { writer in
      writer.bytes(LogFormat.segmentMagic)
      writer.u8(LogFormat.version)
      writer.cluster(cluster)
      writer.u64(storage.number)
      writer.u64(number)
      writer.u32(lastChecksum)
      writer.u64(hardState.term)
      writer.vote(hardState.vote)
    }
    let new = try directory.open(LogFormat.segmentName(number))
    try new.truncate(to: 0)
    try new.allocate(settings.segmentBytes)
    try new.write(header, at: 0)
    if fault != .writesAreNotSynced { try new.sync() }
    if fault != .namesAreNotSynced { try directory.sync() }
    file?.close()
    file = new
    end = header.count
    segments.append((number, 0))
  }

  private func note(_ entries: [RaftEntry]) {
    for entry in entries {
      while let last = terms.last, last.first >= entry.index { terms.removeLast() }
      if terms.last?.term != entry.term { terms.append((entry.index, entry.term)) }
      lastEntry = entry.index
    }
  }

  /// Whether the log has the entry that a snapshot ends with.
  private func fits(_ snapshot: RaftSnapshot) -> Bool {
    snapshot.index <= lastEntry && terms.last { $0.first <= snapshot.index }?.term == snapshot.term
  }

  private func records(of write: RaftWrite, keepsRest: Bool) -> [UInt8] {
    let bound = write.entries.reduce(64) { $0 + $1.encodedBoundWithPlace + 1 }
    return WireWriter.encode(atMost: bound) { writer in
      if let snapshot = write.snapshot {
        writer.u8(LogFormat.Record.snapshot)
        writer.varint(snapshot.index)
        writer.varint(snapshot.term)
        writer.u8(keepsRest ? 1 : 0)
      }
      if let hardState = write.hardState {
        writer.u8(LogFormat.Record.hardState)
        writer.varint(hardState.term)
        writer.vote(hardState.vote)
      }
      for entry in write.entries {
        writer.u8(LogFormat.Record.entry)
        entry.write(to: &writer)
      }
    }
  }

  private func append(_ records: [UInt8]) throws(LogError) {
    guard let file, let number = segments.last?.number, !records.isEmpty else { return }
    let place = LogFormat.Place(
      storage: storage, segment: fault == .placesAreNotChecked ? 0 : number,
      offset: fault == .placesAreNotChecked ? 0 : end)
    let checksum = records.withUnsafeBytes { LogFormat.checksum(ofBatch: $0, previous: lastChecksum, place) }
    let batch = WireWriter.encode(atMost: LogFormat.batchHeaderBytes + records.count) { writer in
      writer.bytes(LogFormat.batchMagic)
      writer.u32(UInt32(records.count))
      writer.u32(lastChecksum)
      writer.u32(checksum)
      writer.bytes(records)
    }
    try file.write(batch, at: end)
    if fault != .writesAreNotSynced { try file.sync() }
    end += batch.count
    lastChecksum = checksum
    // It survives the process, and some time later also a power cut.
    let offset = UInt64(end)
    try mark?.write(
      LogFormat.sealed(atMost: 16) { writer in
        writer.u64(number)
        writer.u64(offset)
      }, at: 0)
  }
}
