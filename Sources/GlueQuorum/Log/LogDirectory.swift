/// Where a member keeps its log: a directory of its own. `GlueStore` has one on files.
///
/// The calls block, and come from one thread at a time. What is written counts after ``LogFile/sync()``; what is made, renamed or removed after ``sync()``.
public protocol LogDirectory: Sendable {
  /// Makes sure that nobody else uses it, as long as the process lives or until ``unlock()``.
  ///
  /// - Throws: ``LogError/inUse(_:)``.
  func lock() throws(LogError)
  /// Lets others use it.
  func unlock()
  /// The names of the files, in any order.
  func fileNames() throws(LogError) -> [String]
  /// All bytes of a file.
  func read(_ name: String) throws(LogError) -> [UInt8]
  /// Opens a file for writing; makes it if there is none.
  func open(_ name: String) throws(LogError) -> any LogFile
  /// Gives a file another name, in place of the one that has it.
  func rename(_ name: String, to new: String) throws(LogError)
  /// Removes a file.
  func remove(_ name: String) throws(LogError)
  /// Returns when names are on disk as they are.
  func sync() throws(LogError)
}

/// A file that is open for writing.
public protocol LogFile {
  /// Writes bytes at an offset.
  func write(_ bytes: [UInt8], at offset: Int) throws(LogError)
  /// Makes it so long, of zeros where nothing was written, and takes the room for it, so that writing there changes nothing but content: syncing that is
  /// faster. Where that cannot be had nothing is done.
  func allocate(_ size: Int) throws(LogError)
  /// Drops what is behind.
  func truncate(to size: Int) throws(LogError)
  /// Returns when the content is on disk.
  func sync() throws(LogError)
  /// Closes it.
  func close()
}

/// Why a storage cannot be used.
public enum LogError: Error, Hashable, Sendable, CustomStringConvertible {
  /// There is no room on the disk.
  case full(file: String)
  /// The system refused something.
  case failed(operation: String, file: String, reason: String)
  /// Something is not as it was written, that was on disk for sure.
  case damaged(file: String, offset: Int, problem: String)
  /// Another process uses it.
  case inUse(String)
  /// It was written by a version that this one does not know.
  case unknownFormat(file: String)
  /// It belongs to a quorum already.
  case isMember(ClusterID)
  /// It belongs to no quorum.
  case isNoMember

  /// One line for people.
  public var description: String {
    switch self {
    case .full(let file): "there is no room on the disk for \(file)"
    case .failed(let operation, let file, let reason): "cannot \(operation) \(file): \(reason)"
    case .damaged(let file, let offset, let problem):
      "\(file) is damaged at byte \(offset): \(problem). What this member promised may be lost, so it must not vote: remove the "
        + "storage, and add the endpoint to the quorum anew"
    case .inUse(let directory): "\(directory) is in use, by this process or another one"
    case .unknownFormat(let file): "\(file) is of a format that this version does not know"
    case .isMember(let cluster): "the storage belongs to quorum \(cluster) already"
    case .isNoMember: "the storage belongs to no quorum"
    }
  }
}

/// What was not as a clean end leaves it.
public struct RecoveryReport: Hashable, Sendable {
  /// Bytes at the end of the log that were of a write that was under way, and were cut off: nothing that had been confirmed.
  public var cutBytes = 0
  /// Files that were left of something that was not completed, and were removed.
  public var removedFiles: [String] = []

  /// Nothing.
  public init() {}

  /// Whether there was nothing.
  public var isClean: Bool { cutBytes == 0 && removedFiles.isEmpty }
}

/// Sizes of a log.
public struct RaftLogSettings: Hashable, Sendable {
  /// Bytes of a file of the log; 16 MiB. They are taken from the disk at once. What is in a snapshot is given back file by file.
  public var segmentBytes = 16 << 20

  /// The defaults.
  public init() {}
}

/// Mistakes that tests make the store make, to see that they are noticed.
package enum LogFault: Hashable, Sendable, CaseIterable {
  case writesAreNotSynced, snapshotsAreNotSynced, namesAreNotSynced, identityComesFirst, tornTailsAreKept,
    damageIsCut, placesAreNotChecked, segmentsGoTooEarly, whatIsFoundIsNotSynced, takenOverIsNotRepeated,
    removalsAreNotSynced
}
