import GlueCore
import GlueModel
import GlueNetwork
import Synchronization

/// Writes what a replica wants stored, on a thread of its own: a disk takes its time, and may fail. When to try again the replica says.
final class ModelWriter: Sendable {
  static let threadName = "glue-model"
  /// How long closing waits for the disk. A last batch takes milliseconds; one that takes longer hangs, and may do so for ever.
  static let longestFinish = Nanoseconds.seconds(5)

  private let store: any ModelStore
  /// What its thread waits with.
  private let poller: Poller
  private let isStarted = Atomic<Bool>(false)
  private let isEnding = Atomic<Bool>(false)
  private let isOver = Atomic<Bool>(false)
  /// Whether its thread works, or has been told to.
  private let isAwake = Atomic<Bool>(true)

  init(_ store: any ModelStore) throws(EndpointFailure) {
    self.store = store
    do {
      poller = try Poller()
    } catch {
      throw .network("\(error)")
    }
  }

  func start(_ link: ModelLink) throws(EndpointFailure) {
    try IOThread.start(named: Self.threadName) { [self, weak link] in
      while let outcome = link.map({ write(for: $0) }), outcome != .end {
        // The link is let go while there is nothing to do.
        if outcome == .idle { wait() }
      }
      isOver.store(true, ordering: .releasing)
    }
    isStarted.store(true, ordering: .releasing)
  }

  /// There may be something to write. Costs little if that is known.
  func wake() {
    guard !isAwake.exchange(true, ordering: .acquiringAndReleasing) else { return }
    poller.wake()
  }

  /// Has it write what is left, if the disk takes it, and end.
  func end() {
    isEnding.store(true, ordering: .releasing)
    poller.wake()
  }

  /// Ends it, and waits until it has ended. One that hangs in the disk is left behind.
  func finish() {
    end()
    guard isStarted.load(ordering: .acquiring) else { return }
    let began = Timestamp.now
    while !isOver.load(ordering: .acquiring), Timestamp.now < began + Self.longestFinish {
      IOThread.sleep(.milliseconds(1))
    }
  }

  private enum Outcome { case written, idle, end }

  /// Writes one batch, if there is one.
  private func write(for link: ModelLink) -> Outcome {
    let isLast = isEnding.load(ordering: .acquiring)
    let batch = link.withState { state -> ReplicaBatch? in
      // At the end it is tried once more, also if it is not yet time for that.
      let batch = state.machine.nextStoreBatch(at: isLast ? Timestamp(nanoseconds: .max) : .now)
      // Whoever has the lock next and finds something wakes this thread.
      if batch == nil { isAwake.store(false, ordering: .releasing) }
      return batch
    }
    guard let batch else { return isLast ? .end : .idle }
    do {
      try store.write(batch)
      link.input { (state, _) in state.machine.storeSucceeded() }
      return .written
    } catch {
      let reason = "\(error)"
      link.input { (state, time) in state.machine.storeFailed(reason: reason, at: time.now) }
      guard isLast else { return .written }
      // Nobody takes events of a closed model any more.
      link.endpoint.driver.broadcast(.model(link.name, .storeFailed(reason: reason)))
      return .end
    }
  }

  private func wait() {
    do {
      _ = try poller.wait(timeoutNanoseconds: nil)
    } catch {
      IOThread.sleep(.milliseconds(100))  // the system does not let it wait: it looks all the same
    }
  }
}
