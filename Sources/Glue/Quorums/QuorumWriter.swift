import GlueCore
import GlueNetwork
import GlueQuorum
import Synchronization

/// A storage that was opened, and what was in it.
struct OpenedStorage: ~Copyable {
  let storage: StorageID
  let cluster: ClusterID?
  let stored: StoredRaft?
  let report: RecoveryReport
  private let store: Mutex<RaftLogStore>

  /// - Throws: ``LogError``.
  init(_ directory: any LogDirectory) throws(LogError) {
    var generator = SystemRandomNumberGenerator()
    let opened = try RaftLogStore(directory, newStorage: StorageID(generator.next() | 1))
    (storage, cluster, stored, report) = (opened.storage, opened.cluster, opened.stored, opened.report)
    store = Mutex(opened)
  }

  consuming func takeStore() -> Mutex<RaftLogStore> { store }
}

/// Does what a quorum model wants of its storage, on a thread of its own: a disk takes its time, and may fail.
final class QuorumWriter: Sendable {
  static let threadName = "glue-quorum"
  /// How long closing waits for the disk. A last write takes milliseconds; one that takes longer hangs, and may do so for ever.
  static let longestFinish = Nanoseconds.seconds(5)

  private let store: Mutex<RaftLogStore>
  /// What its thread waits with.
  private let poller: Poller
  private let isStarted = Atomic<Bool>(false)
  private let isEnding = Atomic<Bool>(false)
  private let isOver = Atomic<Bool>(false)
  /// Whether its thread works, or has been told to.
  private let isAwake = Atomic<Bool>(true)

  init(_ store: consuming Mutex<RaftLogStore>) throws(EndpointFailure) {
    self.store = store
    do {
      poller = try Poller()
    } catch {
      throw .network("\(error)")
    }
  }

  func start(_ link: QuorumLink) throws(EndpointFailure) {
    try IOThread.start(named: Self.threadName) { [self, weak link] in
      while let didWork = link.map({ work(for: $0) }) {
        if didWork { continue }
        if isEnding.load(ordering: .acquiring) { break }
        // The link is let go while there is nothing to do.
        poller.waitOrSleep()
      }
      store.withLock { $0.close() }
      isOver.store(true, ordering: .releasing)
    }
    isStarted.store(true, ordering: .releasing)
  }

  /// There may be something to do. Costs little if that is known.
  func wake() {
    guard !isAwake.exchange(true, ordering: .acquiringAndReleasing) else { return }
    poller.wake()
  }

  /// Ends it, and waits until it has ended. One that hangs in the disk is left behind.
  func finish() {
    isEnding.store(true, ordering: .releasing)
    poller.wake()
    guard isStarted.load(ordering: .acquiring) else { return store.withLock { $0.close() } }
    let began = Timestamp.now
    while !isOver.load(ordering: .acquiring), Timestamp.now < began + Self.longestFinish {
      IOThread.sleep(.milliseconds(1))
    }
  }

  /// Does one job, if there is one.
  private func work(for link: QuorumLink) -> Bool {
    let job = link.withState { state -> QuorumJob? in
      let job = state.machine.nextJob(at: .now)
      // Whoever has the lock next and finds something wakes this thread.
      if job == nil { isAwake.store(false, ordering: .releasing) }
      return job
    }
    guard let job else { return false }
    var stateBytes: Int?
    do throws(LogError) {
      try store.withLock { (store) throws(LogError) in
        switch job {
        case .found(let cluster, let snapshot): try store.found(cluster, snapshot)
        case .write(let write): try store.write(write)
        case .compact(let index, let term, let membership, let state, let keepFrom):
          let encoded = state.encoded()
          stateBytes = encoded.count
          try store.compact(
            RaftSnapshot(index: index, term: term, membership: membership, state: encoded), keepFrom: keepFrom)
        }
      }
    } catch {
      link.jobFailed("\(error)")
      return true
    }
    link.jobDone(stateBytes: stateBytes)
    return true
  }
}

/// Wakes a quorum model in time, on a thread of its own: heartbeats and elections must not wait for the tasks of the program.
final class QuorumClock: Sendable {
  static let threadName = "glue-quorum-clock"

  private let poller: Poller
  private let due = Atomic<UInt64>(.max)
  private let isEnding = Atomic<Bool>(false)

  init() throws(EndpointFailure) {
    do {
      poller = try Poller()
    } catch {
      throw .network("\(error)")
    }
  }

  func start(_ link: QuorumLink) throws(EndpointFailure) {
    try IOThread.start(named: Self.threadName) { [self, weak link] in
      while !isEnding.load(ordering: .acquiring) {
        let due = due.load(ordering: .acquiring)
        let now = Timestamp.now.nanoseconds
        if due > now {
          // The link is let go meanwhile.
          poller.waitOrSleep(due == .max ? nil : due - now)
          continue
        }
        guard let link else { return }
        self.due.store(.max, ordering: .releasing)
        if let next = link.ring() { set(next) }
      }
    }
  }

  /// Rings then, if that is earlier than it would.
  func set(_ time: Timestamp) {
    var old = due.load(ordering: .acquiring)
    while time.nanoseconds < old {
      let (exchanged, original) = due.compareExchange(
        expected: old, desired: time.nanoseconds, ordering: .acquiringAndReleasing)
      if exchanged { return poller.wake() }
      old = original
    }
  }

  func end() {
    isEnding.store(true, ordering: .releasing)
    poller.wake()
  }
}

extension Poller {
  /// Waits until it is woken, or for so many nanoseconds.
  func waitOrSleep(_ nanoseconds: UInt64? = nil) {
    do {
      _ = try wait(timeoutNanoseconds: nanoseconds)
    } catch {
      IOThread.sleep(.milliseconds(10))  // the system does not let it wait: it looks all the same
    }
  }
}
