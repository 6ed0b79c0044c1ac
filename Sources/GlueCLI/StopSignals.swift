import Dispatch
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A signal that asks a command to end.
struct StopSignal: Hashable, Sendable, CustomStringConvertible {
  let number: Int32
  let description: String

  /// The status that a shell shows for a program that the signal has ended.
  var status: Int32 { 128 + number }
}

/// The pipe by which the signal handler tells the queue; the reading end, and the writing end.
nonisolated(unsafe) private var signalPipe: (Int32, Int32) = (-1, -1)

/// All that a signal handler may do: it runs at any moment on any thread.
private func passOn(_ number: Int32) {
  let before = errno
  var byte = UInt8(truncatingIfNeeded: number)
  _ = write(signalPipe.1, &byte, 1)
  errno = before
}

/// Catches SIGINT, SIGTERM and SIGHUP, from its first use to the end of the process. The first of them asks the command to
/// end; the second one ends the process at once.
///
/// A handler and a pipe, and no dispatch source for signals: that one leaves the signal's disposition as it was inherited, and
/// on Linux depends on which threads block the signal. A queue and no task: all the threads that run tasks may be stuck in
/// writing to a pipe that nobody reads.
final class StopSignals: Sendable {
  static let shared = StopSignals()

  private struct State {
    var first: StopSignal?
    var waiting: [AsyncStream<StopSignal>.Continuation] = []
  }

  private let state = Mutex(State())
  private let queue = DispatchQueue(label: "glue-signals")
  /// Kept: a source that is let go reads no more. Written by the initializer only.
  nonisolated(unsafe) private var source: (any DispatchSourceRead)?

  private init() {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
      // Without file descriptors nothing will work; signals then do what they do by default.
      return
    }
    signalPipe = (ends[0], ends[1])
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    // A handler that finds the pipe full must not wait; two signals are all that counts.
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    let source = DispatchSource.makeReadSource(fileDescriptor: ends[0], queue: queue)
    source.setEventHandler { [unowned self] in
      var byte: UInt8 = 0
      if read(signalPipe.0, &byte, 1) == 1, let stop = Self.signals.first(where: { $0.number == Int32(byte) }) {
        arrived(stop)
      }
    }
    source.activate()
    self.source = source
    for stop in Self.signals {
      // Whoever starts a command with nohup wants it to stay.
      let before = signal(stop.number, passOn)
      if stop.number == SIGHUP, unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) {
        signal(stop.number, SIG_IGN)
      }
    }
  }

  private static let signals = [
    StopSignal(number: SIGINT, description: "SIGINT"), StopSignal(number: SIGTERM, description: "SIGTERM"),
    StopSignal(number: SIGHUP, description: "SIGHUP"),
  ]

  /// The first signal there was or will be; nil when the task is cancelled.
  func first() async -> StopSignal? {
    let (signals, continuation) = AsyncStream.makeStream(of: StopSignal.self)
    state.withLock { state in
      if let first = state.first { continuation.yield(first) } else { state.waiting.append(continuation) }
    }
    for await stop in signals { return stop }
    return nil
  }

  private func arrived(_ stop: StopSignal) {
    let waiting = state.withLock { state -> [AsyncStream<StopSignal>.Continuation] in
      if state.first != nil { _exit(stop.status) }
      state.first = stop
      return state.waiting
    }
    for continuation in waiting { continuation.yield(stop) }
  }
}
