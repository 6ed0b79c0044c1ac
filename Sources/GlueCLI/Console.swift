#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Writes whole lines to the standard streams, unbuffered, so that whoever reads a pipe sees each line at once.
enum Console {
  /// A line on stdout.
  static func line(_ text: String) { write(text, to: STDOUT_FILENO) }

  /// A line on stderr.
  static func error(_ text: String) { write(text.printable, to: STDERR_FILENO) }

  /// Whether stdout is a terminal.
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  private static func write(_ text: String, to descriptor: Int32) {
    var line = text
    line.append("\n")
    line.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while let base = rest.baseAddress, !rest.isEmpty {
        #if canImport(Darwin)
          let written = Darwin.write(descriptor, base, rest.count)
        #elseif canImport(Musl)
          let written = Musl.write(descriptor, base, rest.count)
        #else
          let written = Glibc.write(descriptor, base, rest.count)
        #endif
        if written < 0 && errno == EINTR { continue }
        if written <= 0 { return }
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
      }
    }
  }
}

extension String {
  /// With control characters written out, so that no topic, name or payload forges lines or steers the terminal.
  var printable: String {
    guard unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return self }
    var text = ""
    for scalar in unicodeScalars {
      if scalar.properties.generalCategory == .control {
        text += "\\u{\(String(scalar.value, radix: 16))}"
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
