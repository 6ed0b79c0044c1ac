import GlueQuorum

/// The files of a storage in memory, as they were written. Used by one thread.
final class MemoryLogDirectory: LogDirectory, @unchecked Sendable {
  var files: [String: [UInt8]]
  private var isLocked = false

  init(_ files: [String: [UInt8]] = [:]) { self.files = files }

  func lock() throws(LogError) {
    guard !isLocked else { throw .inUse("memory") }
    isLocked = true
  }

  func unlock() { isLocked = false }
  func fileNames() throws(LogError) -> [String] { files.keys.sorted() }

  func read(_ name: String) throws(LogError) -> [UInt8] {
    guard let bytes = files[name] else { throw .failed(operation: "read", file: name, reason: "it is not there") }
    return bytes
  }

  func open(_ name: String) throws(LogError) -> any LogFile {
    if files[name] == nil { files[name] = [] }
    return File(directory: self, name: name)
  }

  func rename(_ name: String, to new: String) throws(LogError) { files[new] = files.removeValue(forKey: name) }
  func remove(_ name: String) throws(LogError) { files[name] = nil }
  func sync() throws(LogError) {}

  private struct File: LogFile {
    let directory: MemoryLogDirectory
    let name: String

    func write(_ bytes: [UInt8], at offset: Int) throws(LogError) {
      lengthen(to: offset + bytes.count)
      directory.files[name]?.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
    }

    func allocate(_ size: Int) throws(LogError) { lengthen(to: size) }

    func truncate(to size: Int) throws(LogError) {
      guard let present = directory.files[name]?.count else { return }
      directory.files[name]?.removeLast(max(0, present - size))
    }

    func sync() throws(LogError) {}
    func close() {}

    private func lengthen(to size: Int) {
      guard let present = directory.files[name]?.count, present < size else { return }
      directory.files[name]? += [UInt8](repeating: 0, count: size - present)
    }
  }
}
