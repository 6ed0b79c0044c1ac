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

  private var buffer: [UInt8] = []
  private var isAtEnd = false

  /// The next line without its line feed; nil at the end.
  func next() async throws -> [UInt8]? {
    while true {
      if let end = buffer.firstIndex(of: 0x0A) {
        defer { buffer.removeFirst(end + 1) }
        return Array(buffer[..<end])
      }
      if isAtEnd {
        defer { buffer = [] }
        return buffer.isEmpty ? nil : buffer
      }
      try Task.checkCancellation()
      fill()
      await Task.yield()
    }
  }

  private func fill() {
    var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    guard poll(&input, 1, Self.patience) > 0 else { return }
    var bytes = [UInt8](repeating: 0, count: Self.readBytes)
    let count = read(STDIN_FILENO, &bytes, bytes.count)
    if count > 0 {
      buffer += bytes[..<count]
    } else if count == 0 || errno != EINTR {
      isAtEnd = true
    }
  }
}
