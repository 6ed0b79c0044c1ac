#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Reads standard input line by line, byte for byte, and lets go when its task is cancelled.
final class LineReader {
  /// How long a cancelled task may still look for input, in milliseconds.
  private static let patience: Int32 = 50
  private static let readBytes = 64 << 10

  private let descriptor: Int32
  private let limit: Int
  private var buffer: [UInt8] = []
  private var isAtEnd = false

  /// Reads lines of at most `limit` bytes.
  init(_ descriptor: Int32 = STDIN_FILENO, limit: Int) {
    self.descriptor = descriptor
    self.limit = limit
  }

  /// The next line without its line feed; nil at the end.
  ///
  /// - Throws: ``CommandFailure`` if it cannot be read or is too long; `CancellationError`.
  func next() async throws -> [UInt8]? {
    while true {
      let end = buffer.firstIndex(of: 0x0A)
      guard (end ?? buffer.count) <= limit else {
        throw CommandFailure("a line of standard input has more than \(limit) bytes, the largest message")
      }
      if let end {
        defer { buffer.removeFirst(end + 1) }
        return Array(buffer[..<end])
      }
      if isAtEnd {
        defer { buffer = [] }
        return buffer.isEmpty ? nil : buffer
      }
      try Task.checkCancellation()
      try fill()
      await Task.yield()
    }
  }

  private func fill() throws {
    var input = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&input, 1, Self.patience) > 0 else { return }
    var bytes = [UInt8](repeating: 0, count: Self.readBytes)
    let count = read(descriptor, &bytes, bytes.count)
    if count > 0 {
      buffer += bytes[..<count]
    } else if count == 0 {
      isAtEnd = true
    } else if errno != EINTR, errno != EAGAIN {
      throw CommandFailure("cannot read standard input: \(Files.reason(errno))")
    }
  }
}
