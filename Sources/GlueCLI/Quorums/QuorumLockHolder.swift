import Foundation
import Glue

/// `glue quorum NAME lock`: holds a lock, alone or for a command.
struct QuorumLockHolder: Sendable {
  /// In which the command finds its fencing token.
  private static let tokenVariable = "GLUE_LOCK_TOKEN"
  private static let lostStatus: Int32 = 1
  /// Seconds that the command has to end by itself when it is asked to.
  fileprivate static let grace = 5.0

  private let session: QuorumSession

  init(_ session: QuorumSession) { self.session = session }

  /// Why it is not held any more.
  private enum End: Sendable {
    case lost
    case ended(Int32)
    case cancelled
  }

  /// Waits for the lock and holds it. Returns the exit status: that of the command, or 1 if the lock was lost.
  func hold(_ name: String, _ command: [String]) async throws -> Int32 {
    let lock = try await session.quorum.lock(name, timeout: session.timeout, note: Self.note)
    if command.isEmpty {
      try session.show("\(lock.token)") { line in
        line.add("lock", name)
        line.add("token", lock.token)
      }
    } else if !session.quiet {
      // The output is the command's.
      Console.error("glue: holds the lock \(name) with token \(lock.token)")
    }
    let process = command.isEmpty ? nil : try Self.start(command, token: lock.token)
    let end = await withTaskGroup(of: End.self) { group in
      group.addTask {
        await lock.awaitLoss()
        return Task.isCancelled ? .cancelled : .lost
      }
      if let process { group.addTask { .ended(await process.status()) } }
      // Who holds a lock that is his no more is stopped, and whoever is to stop stops first what it is held for.
      var first = await group.next() ?? .cancelled
      process?.terminate()
      group.cancelAll()
      for await end in group {
        if case .ended = end, case .cancelled = first { first = end }
      }
      return first
    }
    if case .lost = end {
      Console.error("glue: the lock \(name) with token \(lock.token) is lost")
      return Self.lostStatus
    }
    // In a task of its own: this one may be cancelled already.
    let released = await Task { try await lock.release() }.result
    if case .failure(let error) = released {
      Console.error("glue: the lock \(name) was not given back, and runs out by itself: \(error)")
    }
    if case .ended(let status) = end { return status }
    return 0
  }

  private static var note: String {
    "process \(ProcessInfo.processInfo.processIdentifier) on \(ProcessInfo.processInfo.hostName)"
  }

  private static func start(_ command: [String], token: UInt64) throws -> Command {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.environment = ProcessInfo.processInfo.environment.merging([tokenVariable: "\(token)"]) { _, new in new }
    return try Command(process)
  }

  /// A command that runs.
  private final class Command: @unchecked Sendable {
    private let process: Process
    private let exits: AsyncStream<Int32>

    init(_ process: Process) throws {
      self.process = process
      let (exits, continuation) = AsyncStream.makeStream(of: Int32.self)
      self.exits = exits
      process.terminationHandler = { process in
        let isKilled = process.terminationReason == .uncaughtSignal
        continuation.yield(isKilled ? 128 + process.terminationStatus : process.terminationStatus)
        continuation.finish()
      }
      try process.run()
    }

    /// Waits for its end, also if the task is cancelled.
    func status() async -> Int32 {
      await Task { [exits] in
        for await status in exits { return status }
        return -1
      }.value
    }

    /// Asks it to end, and ends it if it does not: it may have inherited that the signal is ignored.
    func terminate() {
      guard process.isRunning else { return }
      process.terminate()
      Thread.detachNewThread { [process] in
        Thread.sleep(forTimeInterval: QuorumLockHolder.grace)
        if process.isRunning { ChildProcess.kill(process) }
      }
    }
  }
}
