#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Files and pipes by the system's own calls, so that an error is one line that tells the reason.
enum Files {
  private static let chunkBytes = 256 << 10

  /// The contents of a file, a pipe or a device up to its end, but at most `limit` bytes, which are `which`.
  ///
  /// - Throws: ``CommandFailure`` that names the path and what the system says; also if there is more than `limit`.
  static func contents(
    of path: String, limit: Int, which: String = "the largest message"
  ) throws(CommandFailure) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandFailure("cannot read \(path): \(reason(errno))") }
    defer { close(descriptor) }
    var contents: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: chunkBytes)
    while true {
      // A pipe may have no end: it is read no further than to the first byte too many.
      let count = read(descriptor, &chunk, min(chunk.count, limit - contents.count + 1))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw CommandFailure("cannot read \(path): \(reason(errno))") }
      if count == 0 { return contents }
      contents += chunk[..<count]
      guard contents.count <= limit else {
        throw CommandFailure("\(path) has more than \(limit) bytes, \(which)")
      }
    }
  }

  /// Writes a whole file in place of what was there, so that nobody ever sees half of it; if it is synced, not even after a loss of power.
  static func write(
    _ bytes: [UInt8], to name: String, in directory: String, isSynced: Bool = false
  ) throws(OutputFailure) {
    let path = "\(directory)/\(name)"
    let part = "\(directory)/.part-\(getpid())"
    let descriptor = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw OutputFailure(path, errno) }
    var number = write(bytes, to: descriptor)
    if number == 0, isSynced, fsync(descriptor) != 0 { number = errno }
    if close(descriptor) != 0, number == 0 { number = errno }
    if number == 0, rename(part, path) != 0 { number = errno }
    guard number == 0 else {
      unlink(part)
      throw OutputFailure(path, number)
    }
  }

  /// Writes all bytes; returns 0, or what the system said was wrong.
  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
    bytes.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        #if canImport(Darwin)
          let written = Darwin.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        #elseif canImport(Musl)
          let written = Musl.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        #else
          let written = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        #endif
        if written >= 0 {
          rest = rest.dropFirst(written)
        } else if errno == EAGAIN {
          // Whoever shares the pipe or terminal may have made it non-blocking.
          var output = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          poll(&output, 1, -1)
        } else if errno != EINTR {
          return errno
        }
      }
      return 0
    }
  }

  /// Makes a directory, and those above it, unless it is there.
  static func makeDirectory(_ path: String) throws(OutputFailure) {
    for end in path.indices.dropFirst() where path[end] == "/" { mkdir(String(path[..<end]), 0o777) }
    guard mkdir(path, 0o777) != 0 else { return }
    let number = errno
    var status = stat()
    guard stat(path, &status) == 0 else { throw OutputFailure(path, number) }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw OutputFailure(path, ENOTDIR) }
  }

  /// What the system says about an error number.
  static func reason(_ number: Int32) -> String { String(cString: strerror(number)) + " (errno \(number))" }
}
