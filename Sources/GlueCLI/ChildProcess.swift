import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A copy of this program, run as another process.
final class ChildProcess: @unchecked Sendable {
  private let process = Process()
  private let input = Pipe()

  /// The lines that it writes to stdout, until it ends.
  let lines: AsyncStream<String>
  /// What it wrote to stderr, if that is not passed on.
  let errorLines: AsyncStream<String>
  private let exits: AsyncStream<Int32>

  /// Starts it. Its environment is this one's, without any `GLUE_` variable, and with the ones given.
  init(_ arguments: [String], environment: [String: String], collectErrors: Bool = false) throws {
    let own = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("GLUE_") }
    process.executableURL = Bundle.main.executableURL
    process.arguments = arguments
    process.environment = own.merging(environment) { _, new in new }
    process.standardInput = input
    let output = Pipe()
    process.standardOutput = output
    let (exits, exitContinuation) = AsyncStream.makeStream(of: Int32.self)
    self.exits = exits
    process.terminationHandler = { process in
      let killed = process.terminationReason == .uncaughtSignal
      exitContinuation.yield(killed ? 128 + process.terminationStatus : process.terminationStatus)
      exitContinuation.finish()
    }
    if collectErrors {
      let errors = Pipe()
      process.standardError = errors
      errorLines = Self.lines(of: errors.fileHandleForReading)
    } else {
      errorLines = AsyncStream { $0.finish() }
    }
    lines = Self.lines(of: output.fileHandleForReading)
    try process.run()
  }

  /// Waits for its end; 128 and more tell the signal that ended it. May be called once.
  func exitStatus() async -> Int32 {
    for await status in exits { return status }
    return -1
  }

  /// Asks it to end.
  func terminate() {
    if process.isRunning { process.terminate() }
  }

  /// Ends it at once, without asking.
  func kill() { Self.kill(process) }

  /// Ends a process at once, without asking.
  static func kill(_ process: Process) {
    guard process.isRunning else { return }
    #if canImport(Glibc)
      _ = Glibc.kill(process.processIdentifier, SIGKILL)
    #elseif canImport(Musl)
      _ = Musl.kill(process.processIdentifier, SIGKILL)
    #else
      _ = Darwin.kill(process.processIdentifier, SIGKILL)
    #endif
  }

  /// Writes to its standard input. What cannot be written it does not get.
  func write(_ text: String) { try? input.fileHandleForWriting.write(contentsOf: Data(text.utf8)) }

  /// Closes its standard input, which the benchmark's processes take as the sign to report.
  func closeInput() {
    try? input.fileHandleForWriting.close()
  }

  private static func lines(of handle: FileHandle) -> AsyncStream<String> {
    let (stream, continuation) = AsyncStream.makeStream(of: String.self)
    Thread.detachNewThread {
      var rest = Data()
      while true {
        let data = handle.availableData
        if data.isEmpty { break }
        rest.append(data)
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
          continuation.yield(String(decoding: rest[rest.startIndex..<end], as: UTF8.self))
          rest = Data(rest[rest.index(after: end)...])
        }
      }
      if !rest.isEmpty { continuation.yield(String(decoding: rest, as: UTF8.self)) }
      continuation.finish()
    }
    return stream
  }
}

/// Settings under which demo and benchmarks meet nobody else: loopback, a random network and a multicast port of its own.
struct PrivateNetwork {
  /// The settings as environment variables.
  let environment: [String: String]

  /// Chooses network ID and port at random, and a key if it is to have one.
  init(isSealed: Bool = false) {
    #if canImport(Darwin)
      let loopback = "lo0"
    #else
      let loopback = "lo"
    #endif
    let group = "239.192.137.1:\(UInt16.random(in: 20_000...26_999))"
    var environment = [
      "GLUE_NETWORK_ID": String(UInt64.random(in: 1...UInt64(Int64.max))),
      "GLUE_LISTEN_INTERFACE": loopback,
      "GLUE_DISCOVERY_TARGET_ADDRESS": group,
      "GLUE_DISCOVERY_LISTEN_ADDRESS": group,
    ]
    if isSealed {
      environment["GLUE_NETWORK_KEY"] = Data((0..<32).map { _ in UInt8.random(in: 0 ... .max) }).base64EncodedString()
    }
    self.environment = environment
  }

  /// The settings and a name for the endpoint, which gets this process's ID behind it.
  func environment(name: String) -> [String: String] {
    environment.merging(["GLUE_ENDPOINT_NAME": "\(name)-\(ProcessInfo.processInfo.processIdentifier)"]) { _, new in new
    }
  }
}
