import GlueQuorum
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The log of a member of a quorum, in a directory on a disk (docs/quorum-log.md).
public final class FileLogDirectory: LogDirectory {
  /// Its path.
  public let path: String
  /// The descriptor by which it is locked, or -1.
  private let lockFile = Mutex<CInt>(-1)
  private static let lockName = "lock"

  /// The directory of a quorum model within one that may hold several; both are made if they are missing. The parent must exist.
  ///
  /// - Throws: ``StoreError`` if they are none, or cannot be read and written.
  public convenience init(directory: String, quorum: String) throws(StoreError) {
    try StoreDirectory.prepare(directory)
    try self.init("\(directory)/glue-quorum-\(StoreDirectory.escaped(quorum))")
  }

  /// A directory, which is made if it is missing. Its parent must exist.
  ///
  /// - Throws: ``StoreError`` if it is none, or cannot be read and written.
  public init(_ path: String) throws(StoreError) {
    try StoreDirectory.prepare(path)
    self.path = path
  }

  deinit { unlock() }

  /// Locks it for this process.
  public func lock() throws(LogError) {
    try lockFile.withLock { (lockFile) throws(LogError) in
      guard lockFile < 0 else { throw .inUse(path) }
      let file = openFile("\(path)/\(Self.lockName)")
      guard file >= 0 else { throw Self.error("lock", path) }
      guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
        let code = errno
        Self.close(file)
        if code == EWOULDBLOCK { throw .inUse(path) }
        throw Self.error("lock", path, code)
      }
      lockFile = file
    }
  }

  /// Lets others lock it.
  public func unlock() {
    lockFile.withLock { lockFile in
      if lockFile >= 0 { Self.close(lockFile) }
      lockFile = -1
    }
  }

  /// The names of the files.
  public func fileNames() throws(LogError) -> [String] {
    guard let listing = opendir(path) else { throw Self.error("list", path) }
    defer { closedir(listing) }
    var names: [String] = []
    while true {
      // It gives nothing at the end, and also when it fails: what is not seen then must not be taken for missing.
      errno = 0
      guard let entry = readdir(listing) else {
        let code = errno
        if code != 0 { throw Self.error("list", path, code) }
        return names
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: entry.pointee.d_name)) {
          String(cString: $0)
        }
      }
      if name != ".", name != "..", name != Self.lockName { names.append(name) }
    }
  }

  /// All bytes of a file.
  public func read(_ name: String) throws(LogError) -> [UInt8] {
    let path = "\(path)/\(name)"
    let file = openFile(path, O_RDONLY)
    guard file >= 0 else { throw Self.error("read", path) }
    defer { Self.close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw Self.error("read", path) }
    var code: CInt = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
      while count < buffer.count {
        let taken = Self.read(file, buffer.baseAddress?.advanced(by: count), buffer.count - count)
        if taken < 0, errno == EINTR { continue }
        if taken < 0 { code = errno }
        if taken <= 0 { break }
        count += taken
      }
    }
    if code != 0 { throw Self.error("read", path, code) }
    return bytes
  }

  /// Opens a file for writing.
  public func open(_ name: String) throws(LogError) -> any LogFile {
    let path = "\(path)/\(name)"
    let file = openFile(path)
    guard file >= 0 else { throw Self.error("open", path) }
    return File(descriptor: file, path: path)
  }

  /// Gives a file another name.
  public func rename(_ name: String, to new: String) throws(LogError) {
    guard Self.rename("\(path)/\(name)", "\(path)/\(new)") == 0 else { throw Self.error("rename", "\(path)/\(name)") }
  }

  /// Removes a file.
  public func remove(_ name: String) throws(LogError) {
    guard unlink("\(path)/\(name)") == 0 || errno == ENOENT else { throw Self.error("remove", "\(path)/\(name)") }
  }

  /// Syncs the names.
  public func sync() throws(LogError) {
    let file = openFile(path, O_RDONLY)
    guard file >= 0 else { throw Self.error("sync", path) }
    defer { Self.close(file) }
    guard fsync(file) == 0 else { throw Self.error("sync", path) }
  }

  fileprivate static func error(_ operation: String, _ path: String, _ code: CInt = errno) -> LogError {
    switch code {
    case ENOSPC, EDQUOT: .full(file: path)
    default: .failed(operation: operation, file: path, reason: String(cString: strerror(code)))
    }
  }

  // Within this class the system's functions are hidden by its own.
  private static func read(_ file: CInt, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    systemRead(file, buffer, count)
  }
  fileprivate static func close(_ file: CInt) { systemClose(file) }
  private static func rename(_ old: String, _ new: String) -> CInt { systemRename(old, new) }
}

/// For this user's eyes only: what is decided lies in it open.
private func openFile(_ path: String, _ flags: CInt = O_RDWR | O_CREAT) -> CInt { open(path, flags | O_CLOEXEC, 0o600) }
private func systemRead(_ file: CInt, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
  read(file, buffer, count)
}
private func systemClose(_ file: CInt) { close(file) }
private func systemRename(_ old: String, _ new: String) -> CInt { rename(old, new) }

extension FileLogDirectory {
  private final class File: LogFile {
    private var descriptor: CInt
    private let path: String

    init(descriptor: CInt, path: String) {
      self.descriptor = descriptor
      self.path = path
    }

    deinit { close() }

    func write(_ bytes: [UInt8], at offset: Int) throws(LogError) {
      var done = 0
      while done < bytes.count {
        let count = bytes.withUnsafeBytes { buffer in
          pwrite(descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done, off_t(offset + done))
        }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw FileLogDirectory.error("write", path, count == 0 ? ENOSPC : errno) }
        done += count
      }
    }

    func allocate(_ size: Int) throws(LogError) {
      #if canImport(Glibc)
        var status = stat()
        guard fstat(descriptor, &status) == 0, Int(status.st_size) < size else { return }
        // Where the file system cannot, the file grows as it is written.
        let code = posix_fallocate(descriptor, 0, off_t(size))
        if code == ENOSPC || code == EDQUOT { throw FileLogDirectory.error("make room for", path, code) }
        guard code == 0 else { return }
        guard fsync(descriptor) == 0 else { throw FileLogDirectory.error("sync", path) }
      #endif
    }

    func truncate(to size: Int) throws(LogError) {
      guard ftruncate(descriptor, off_t(size)) == 0 else { throw FileLogDirectory.error("shorten", path) }
    }

    func sync() throws(LogError) {
      #if canImport(Darwin)
        // There fsync leaves the data in the disk's own cache.
        guard fcntl(descriptor, F_FULLFSYNC) == 0 else { throw FileLogDirectory.error("sync", path) }
      #else
        guard fdatasync(descriptor) == 0 else { throw FileLogDirectory.error("sync", path) }
      #endif
    }

    func close() {
      if descriptor >= 0 { FileLogDirectory.close(descriptor) }
      descriptor = -1
    }
  }
}
