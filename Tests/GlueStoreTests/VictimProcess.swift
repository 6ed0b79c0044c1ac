import Dispatch
import Foundation

/// The program StoreVictim, running.
final class VictimProcess {
  private let process = Process()
  private let output = Pipe()
  private let ended = DispatchSemaphore(value: 0)
  private var unread = Data()

  /// Starts it, by another program if `launcher` names one.
  init(launcher: [String] = [], _ arguments: [String]) throws {
    let command = launcher + [Self.executable] + arguments
    process.executableURL = URL(fileURLWithPath: command[0])
    process.arguments = Array(command.dropFirst())
    process.standardInput = Pipe()
    process.standardOutput = output
    process.terminationHandler = { [ended] _ in ended.signal() }
    try process.run()
  }

  /// The next line that it prints; nil when it has ended.
  func line() -> String? {
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        defer { unread = unread[unread.index(after: end)...] }
        return String(decoding: unread[..<end], as: UTF8.self)
      }
      let more = output.fileHandleForReading.availableData
      if more.isEmpty { return nil }
      unread += more
    }
  }

  /// Kills it, waits until it is gone, and returns the rest of the lines that it printed in full.
  func kill() -> [String] {
    Foundation.kill(process.processIdentifier, SIGKILL)
    var lines: [String] = []
    while let line = line() { lines.append(line) }
    ended.wait()
    return lines
  }

  /// Waits until it ends by itself, and returns its exit status.
  func status() -> Int32 {
    ended.wait()
    return process.terminationStatus
  }

  /// It is built beside the tests.
  private static var executable: String {
    #if canImport(Darwin)
      let bundle = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }!.bundleURL
    #else
      let bundle = Bundle.main.executableURL!
    #endif
    return bundle.deletingLastPathComponent().appendingPathComponent("StoreVictim").path
  }
}
