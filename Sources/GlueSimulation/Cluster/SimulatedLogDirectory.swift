import GlueQuorum

/// The directory of a log in memory, which fails when a test wants it to. Unchecked, as ``LogDirectory`` is used from one thread
/// at a time.
package final class SimulatedLogDirectory: LogDirectory, @unchecked Sendable {
  /// How an operation fails.
  package enum Failure: Hashable, Sendable {
    /// It and all that follow are not done.
    case crash
    /// It is refused: of a write the first half is done, of a sync some.
    case refused
    /// A write goes elsewhere in its file, and says nothing.
    case misdirected(by: Int)
  }

  /// What is in it.
  package private(set) var disk: SimulatedLogDisk
  /// Which operations fail, by their number, from 1 on. What only reads is none.
  package var failures: [Int: Failure] = [:]
  /// How many bytes fit.
  package var capacity = Int.max
  /// How many operations there were.
  package private(set) var operations = 0
  /// Whether it remembers what was on the disk after each of them.
  package var keepsImages = false
  /// What it remembers, each with the label as it was then.
  package private(set) var images: [(disk: SimulatedLogDisk, label: Int)] = []
  /// What images are marked with.
  package var label = 0
  private var hasCrashed = false
  private var isLocked = false

  /// With what is on a disk.
  package init(_ disk: SimulatedLogDisk = SimulatedLogDisk()) { self.disk = disk }

  package func lock() throws(LogError) {
    guard !isLocked else { throw .inUse("the simulated directory") }
    isLocked = true
  }

  package func unlock() { isLocked = false }
  package func fileNames() throws(LogError) -> [String] { disk.names }

  package func read(_ name: String) throws(LogError) -> [UInt8] {
    guard let content = disk.content(of: name) else { throw Self.refused("read", name, "it does not exist") }
    return content
  }

  package func open(_ name: String) throws(LogError) -> any LogFile {
    var file = 0
    try operate("open", name) { file = $0.open(name) }
    return File(directory: self, number: file, name: name)
  }

  package func rename(_ name: String, to new: String) throws(LogError) {
    try operate("rename", name) { $0.rename(name, to: new) }
  }

  package func remove(_ name: String) throws(LogError) { try operate("remove", name) { $0.remove(name) } }
  package func sync() throws(LogError) { try operate("sync", "the directory") { $0.syncNames() } }

  private func operate(_ operation: String, _ name: String, _ body: (inout SimulatedLogDisk) -> Void) throws(LogError) {
    let failure = try begin(operation, name)
    if failure == .refused { throw Self.refused(operation, name, "it is simulated so") }
    body(&disk)
    keepImage()
  }

  private func begin(_ operation: String, _ name: String) throws(LogError) -> Failure? {
    operations += 1
    let failure = failures[operations]
    if failure == .crash { hasCrashed = true }
    if hasCrashed { throw Self.refused(operation, name, "the power is off") }
    return failure
  }

  private func keepImage() { if keepsImages { images.append((disk, label)) } }

  private static func refused(_ operation: String, _ name: String, _ reason: String) -> LogError {
    .failed(operation: operation, file: name, reason: reason)
  }

  private struct File: LogFile {
    let directory: SimulatedLogDirectory
    let number: Int
    let name: String

    /// So many bytes more than it has may it get.
    private func room(_ end: Int) -> Int {
      max(0, end - directory.disk.size(number)) - max(0, directory.capacity - directory.disk.byteCount)
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(LogError) {
      let failure = try directory.begin("write", name)
      defer { directory.keepImage() }
      let missing = room(offset + bytes.count)
      if missing > 0 {
        directory.disk.write(Array(bytes.dropLast(missing)), at: offset, number)
        throw .full(file: name)
      }
      switch failure {
      case .refused:
        directory.disk.write(Array(bytes.prefix(bytes.count / 2)), at: offset, number)
        throw SimulatedLogDirectory.refused("write", name, "it is simulated so")
      case .misdirected(let distance): directory.disk.write(bytes, at: max(0, offset + distance), number)
      default: directory.disk.write(bytes, at: offset, number)
      }
    }

    func allocate(_ size: Int) throws(LogError) {
      guard directory.disk.size(number) < size else { return }
      if room(size) > 0 { throw .full(file: name) }
      try directory.operate("make room for", name) { $0.resize(number, to: size) }
    }

    func truncate(to size: Int) throws(LogError) {
      try directory.operate("shorten", name) { $0.resize(number, to: size) }
    }

    func sync() throws(LogError) {
      let failure = try directory.begin("sync", name)
      defer { directory.keepImage() }
      guard failure == .refused else { return directory.disk.sync(number) }
      directory.disk.failToSync(number, seed: UInt64(directory.operations))
      throw SimulatedLogDirectory.refused("sync", name, "it is simulated so")
    }

    func close() {}
  }
}
