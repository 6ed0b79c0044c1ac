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

/// Catches SIGINT, SIGTERM and SIGHUP, from its first use to the end of the process. The first of them asks the command to
/// end; the second one ends the process at once.
///
/// A queue does this and no task: all the threads that run tasks may be stuck in writing to a pipe that nobody reads.
final class StopSignals: Sendable {
  static let shared = StopSignals()

  private struct State {
    var first: StopSignal?
    var waiting: [AsyncStream<StopSignal>.Continuation] = []
  }

  private let state = Mutex(State())
  private let queue = DispatchQueue(label: "glue-signals")
  /// Kept: a source that is let go stops catching. Written by the initializer only.
  nonisolated(unsafe) private var sources: [any DispatchSourceSignal] = []

  private init() {
    var signals = [
      StopSignal(number: SIGINT, description: "SIGINT"), StopSignal(number: SIGTERM, description: "SIGTERM"),
    ]
    // Whoever starts a command with nohup wants it to stay.
    if !Self.isIgnored(SIGHUP) { signals.append(StopSignal(number: SIGHUP, description: "SIGHUP")) }
    for stop in signals {
      #if canImport(Darwin)
        signal(stop.number, SIG_IGN)  // there a source does not keep the signal from ending the process
      #endif
      let source = DispatchSource.makeSignalSource(signal: stop.number, queue: queue)
      source.setEventHandler { [unowned self] in arrived(stop) }
      source.activate()
      sources.append(source)
    }
  }

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

  private static func isIgnored(_ number: Int32) -> Bool {
    let handler = signal(number, SIG_IGN)
    let isIgnored = unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    if !isIgnored { signal(number, handler) }
    return isIgnored
  }
}
