#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Writes whole lines to the standard streams, unbuffered, so that whoever reads a pipe sees each line at once.
enum Console {
  /// A line on stdout. If that fails the process ends, as it does with ``OutputFailure``.
  static func line(_ text: String) {
    do { try tryLine(text) } catch { Main.end(error) }
  }

  /// A line on stdout.
  static func tryLine(_ text: String) throws(OutputFailure) { try write(text, to: STDOUT_FILENO) }

  /// A line on stderr. What cannot be written there is lost: there is nowhere left to complain.
  static func error(_ text: String) { try? write(text.printable, to: STDERR_FILENO) }

  /// Whether stdout is a terminal.
  static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Writes a line to a descriptor.
  static func write(_ text: String, to descriptor: Int32) throws(OutputFailure) {
    let number = Files.write(Array((text + "\n").utf8), to: descriptor)
    if number != 0 { throw OutputFailure("standard output", number) }
  }
}

/// Output that could not be written.
struct OutputFailure: Error {
  /// What could not be written, and why.
  let text: String
  /// Whether it went to a pipe whose reader has seen enough, as in `glue sub t | head`: no failure of this command.
  let isReaderGone: Bool

  /// The system has refused to write `subject` with this errno.
  init(_ subject: String, _ number: Int32) {
    text = "cannot write \(subject): \(Files.reason(number))"
    isReaderGone = number == EPIPE
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
