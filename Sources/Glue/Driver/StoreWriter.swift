import GlueCore
import GlueNetwork
import Synchronization

/// Writes what an endpoint keeps to its store, on a thread of its own: a disk takes its time, and may fail. Nothing else waits for it.
///
///     idle ── wake ──▶ take a batch ──▶ write ── done ──▶ tell the core, take the next one; idle if there is none
///                          ▲              └─── failed ──▶ tell the core, wait ─┐
///                          └───────────────────────────────────────────────────┘
final class StoreWriter: Sendable {
  static let threadName = "glue-store"
  /// How long it waits after a failure, at first; each time twice as long, up to ``longestPause``.
  static let firstPause = Nanoseconds.milliseconds(100)
  /// A longer one finds later that the disk works again, a shorter one tries more often in vain.
  static let longestPause = Nanoseconds.seconds(5)
  /// How long a shutdown waits for the disk: a last batch takes milliseconds, so one that takes longer hangs, and may do so for ever.
  static let longestFinish = Nanoseconds.seconds(5)
  /// How often a failure that goes on is told.
  static let reportInterval = Nanoseconds.seconds(10)

  private let store: any MessageStore
  /// What its thread waits with.
  private let poller: Poller
  /// Woken when its thread is over.
  private let end: Poller
  private let isEnding = Atomic<Bool>(false)
  /// Whether its thread works, or has been told to; guarded by the driver's lock by way of ``DriverState``.
  private let isAwake = Atomic<Bool>(true)

  /// What is known of failures. Its thread's own.
  private struct Failures {
    var began: Timestamp?
    var reported: Timestamp?
    var pause = StoreWriter.firstPause
  }

  init(_ store: any MessageStore) throws(EndpointFailure) {
    self.store = store
    do {
      poller = try Poller()
      end = try Poller()
    } catch {
      throw .network("\(error)")
    }
  }

  func start(_ driver: Driver) throws(EndpointFailure) {
    try IOThread.start(named: Self.threadName) { [self] in run(driver) }
  }

  /// There is something to write. Costs little if that is known.
  func wake() {
    guard !isAwake.exchange(true, ordering: .acquiringAndReleasing) else { return }
    poller.wake()
  }

  /// Writes what is left, if the disk takes it, and ends the thread. One that hangs in the disk is left behind.
  ///
  /// - Returns: Whether it has ended.
  func finish() -> Bool {
    isEnding.store(true, ordering: .releasing)
    poller.wake()
    let outcome = try? end.wait(timeoutNanoseconds: Self.longestFinish.count)
    return outcome?.wasWoken ?? true
  }

  private func run(_ driver: Driver) {
    var failures = Failures()
    while true {
      let batch = driver.lock.withLock { state -> StoreBatch? in
        let batch = state.machine.nextStoreBatch()
        // Whoever has the lock next and finds something wakes this thread.
        if batch == nil { isAwake.store(false, ordering: .releasing) }
        return batch
      }
      if let batch {
        guard !write(batch, driver, &failures) else { continue }
        if isEnding.load(ordering: .acquiring) { break }
        // Woken before its time only to end: it counts as awake.
        wait(failures.pause)
        failures.pause = min(failures.pause * 2, Self.longestPause)
      } else if isEnding.load(ordering: .acquiring) {
        break
      } else {
        wait(nil)
      }
    }
    end.wake()
  }

  private func wait(_ span: Nanoseconds?) {
    do {
      _ = try poller.wait(timeoutNanoseconds: span?.count)
    } catch {
      IOThread.sleep(Self.firstPause)  // the system does not let it wait: it looks all the same
    }
  }

  /// - Returns: Whether the batch is stored.
  private func write(_ batch: StoreBatch, _ driver: Driver, _ failures: inout Failures) -> Bool {
    do {
      try store.write(batch)
    } catch {
      driver.lock.withLock { $0.machine.storingFailed(batch.number) }
      driver.localCounters.add(to: .storeFailures)
      let now = Timestamp.now
      failures.began = failures.began ?? now
      if failures.reported.map({ now.since($0) >= Self.reportInterval }) ?? true {
        failures.reported = now
        driver.broadcast(.storeFailing(reason: "\(error)"))
      }
      return false
    }
    try? driver.submit { (state, now) in state.machine.stored(batch.number, at: now) }
    if let began = failures.began { driver.broadcast(.storeRecovered(after: Timestamp.now.since(began).duration)) }
    failures = Failures()
    return true
  }
}
