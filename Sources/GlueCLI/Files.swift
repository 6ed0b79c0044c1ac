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

  /// The contents of a file, a pipe or a device up to its end, but at most `limit` bytes.
  ///
  /// - Throws: ``CommandFailure`` that names the path and what the system says; also if there is more than `limit`.
  static func contents(of path: String, limit: Int) throws(CommandFailure) -> [UInt8] {
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
        throw CommandFailure("\(path) has more than \(limit) bytes, the largest message")
      }
    }
  }

  /// What the system says about an error number.
  static func reason(_ number: Int32) -> String { String(cString: strerror(number)) + " (errno \(number))" }
}
