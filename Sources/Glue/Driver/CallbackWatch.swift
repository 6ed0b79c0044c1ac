import GlueCore
import GlueNetwork
import Logging
import Synchronization

/// Notices callbacks that take long, for all endpoints of the process, on a thread of its own.
///
///     parked ── wake ──▶ watching ── no callback for `linger` ──▶ leaving ── none still ──▶ parked
///                           ▲                                        │
///                           └──────────────── a callback ────────────┘
///
/// A call into the system before each callback would cost more than most callbacks do. So I/O threads only leave a mark
/// before callbacks, and while callbacks happen this thread looks at the marks every ``interval``. It is parked otherwise:
/// the first callback after a pause wakes it.
///
/// An I/O thread that finds the watch awake, just when it leaves, does not wake it. Its mark, made before, is seen by the
/// last look, which is an interval later.
final class CallbackWatch: Sendable {
  static let shared = CallbackWatch()

  /// How often callbacks are looked at, and how long one may run before it is noticed. A shorter time wakes this thread more
  /// often; noticing, and taking over, should be done within 50 ms.
  static let interval = Nanoseconds.milliseconds(20)
  /// For so long after the last callback it looks on: whoever receives more often than that never wakes it.
  static let linger = Nanoseconds.milliseconds(200)

  private struct State {
    var drivers: [Driver] = []
    /// What its thread waits with; `nil` before there is a thread.
    var poller: Poller?
  }

  private let awake = Atomic<Bool>(false)
  private let state = Mutex(State())

  /// Begins to look at an endpoint's callbacks, until it is removed.
  func add(_ driver: Driver) { state.withLock { $0.drivers.append(driver) } }

  func remove(_ driver: Driver) {
    state.withLock { state in state.drivers.removeAll { $0 === driver } }
  }

  /// Makes sure that somebody looks; called after the mark is made, before a callback.
  @inline(__always)
  func ensureAwake() {
    if !awake.load(ordering: .relaxed) { wake() }
  }

  @inline(never)
  private func wake() {
    guard !awake.exchange(true, ordering: .acquiringAndReleasing) else { return }
    let poller = state.withLock { state -> Poller? in
      if let poller = state.poller { return poller }
      do {
        let poller = try Poller()
        try IOThread.start(named: "glue-watch") { self.run(poller) }
        state.poller = poller
      } catch {
        // No thread, no descriptors: callbacks run unwatched, and the next one tries again.
        awake.store(false, ordering: .releasing)
        state.drivers.first?.log.logger.critical("callbacks are not watched", metadata: ["error": "\(error)"])
      }
      return nil
    }
    poller?.wake()
  }

  /// What to do after a look.
  enum Step {
    /// Look again when something may be due.
    case watch
    /// Say that nobody looks any more, and look a last time after an interval.
    case leave
    /// Wait to be woken.
    case park
  }

  /// - Parameters:
  ///   - isDue: Whether there is something to look at.
  ///   - isAwake: Whether I/O threads take the watch for awake.
  ///   - last: The step before.
  static func step(isDue: Bool, isAwake: Bool, after last: Step) -> Step {
    if isDue { return .watch }
    // Who has woken it since it said that it leaves may have closed its endpoint since, so that there is nothing to look at.
    // Others would take it for awake for ever if it parked now.
    return last == .leave && !isAwake ? .park : .leave
  }

  private func run(_ poller: Poller) {
    var step = Step.park
    while true {
      let now = Timestamp.now
      let due = look(at: now)
      step = Self.step(isDue: due != nil, isAwake: awake.load(ordering: .acquiring), after: step)
      let timeout: UInt64?
      switch step {
      case .watch:
        awake.store(true, ordering: .releasing)
        timeout = due?.since(now).count
      case .leave:
        awake.store(false, ordering: .releasing)
        timeout = Self.interval.count
      case .park: timeout = nil
      }
      do {
        _ = try poller.wait(timeoutNanoseconds: timeout)
      } catch {
        IOThread.sleep(Self.interval)  // the system does not let it wait: it looks all the same
      }
    }
  }

  /// - Returns: When to look again, if there is anything to look at.
  private func look(at now: Timestamp) -> Timestamp? {
    let drivers = state.withLock { $0.drivers }
    return drivers.compactMap { $0.lookAtCallbacks(at: now) }.min()
  }
}
