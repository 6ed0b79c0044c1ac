import CGlueNetwork
import Synchronization

/// Waits for several sockets, and to be woken by another thread.
///
/// One thread waits; any thread may add, remove and wake. The poller keeps the sockets it watches alive until they are
/// removed.
public final class Poller: Sendable {
  /// The most sockets that one poller watches.
  public static let capacity = Int(CGLUE_POLLER_SLOTS)

  /// A watched socket's place, by which ``ReadySet`` tells what is ready.
  public struct Slot: Hashable, Sendable {
    /// The place, from 0 to ``Poller/capacity`` - 1. Places of removed sockets are used again.
    public let index: Int
  }

  /// What is ready: a plain value.
  public struct ReadySet: Sendable {
    let readable: UInt64
    let writable: UInt64
    /// Whether ``Poller/wake()`` was called.
    public let wasWoken: Bool

    /// Nothing is ready.
    public static let empty = ReadySet(readable: 0, writable: 0, wasWoken: false)

    /// Whether nothing is ready: the time is up, or a signal came.
    public var isEmpty: Bool { readable == 0 && writable == 0 && !wasWoken }

    /// Whether there is something to receive.
    public func isReadable(_ slot: Slot) -> Bool { readable >> UInt64(slot.index) & 1 != 0 }

    /// Whether there is room to send again; only told if asked for.
    public func isWritable(_ slot: Slot) -> Bool { writable >> UInt64(slot.index) & 1 != 0 }
  }

  private let descriptor: Descriptor
  private let wakeDescriptor: Descriptor?
  /// Set from the first `wake()` until the waiting thread knows of it, so that further ones cost nothing.
  private let wakePending = Atomic<Bool>(false)
  private let watched = Mutex<[Descriptor?]>(Array(repeating: nil, count: Poller.capacity))

  /// A poller that watches nothing.
  ///
  /// - Throws: ``NetworkError`` if the process has no descriptors left.
  public init() throws(NetworkError) {
    var wake: CInt = -1
    let number = try require(cglue_poller_open(&wake), "open", "a poller", expected: "free descriptors")
    descriptor = Descriptor(number)
    wakeDescriptor = wake >= 0 ? Descriptor(wake) : nil
  }

  /// Watches a socket for datagrams to receive. Level-triggered: it is ready as long as there are any.
  ///
  /// - Returns: Its place in the ready sets.
  /// - Throws: ``NetworkError`` if it is watched already, was closed, or there are ``capacity`` sockets already.
  public func add(_ socket: DatagramSocket) throws(NetworkError) -> Slot {
    try add(socket.descriptor, named: "\(socket.localAddress)")
  }

  /// Watches for changes of the network interfaces.
  ///
  /// - Returns: Its place in the ready sets.
  /// - Throws: ``NetworkError`` if it is watched already, or there are ``capacity`` sockets already.
  public func add(_ monitor: InterfaceMonitor) throws(NetworkError) -> Slot {
    try add(monitor.descriptor, named: "interface changes")
  }

  /// Stops watching a socket. Has no effect if it is not watched.
  public func remove(_ socket: DatagramSocket) { remove(socket.descriptor) }

  /// Stops watching for changes of the network interfaces. Has no effect if they are not watched.
  public func remove(_ monitor: InterfaceMonitor) { remove(monitor.descriptor) }

  /// Sets whether the ready sets tell that a socket has room to send again. Off in the beginning; switch it on after
  /// ``SendResult/isBlocked`` and off again when all is sent. Has no effect if the socket is not watched.
  public func setWatchesWritability(_ isOn: Bool, of socket: DatagramSocket) {
    watched.withLock { watched in
      guard let slot = watched.firstIndex(where: { $0 === socket.descriptor }) else { return }
      _ = descriptor.use { poller in
        socket.descriptor.use { cglue_poller_watch(poller, $0, CUnsignedInt(slot), isOn, false) }
      }
    }
  }

  /// Waits until something is ready or the time is up.
  ///
  /// - Parameter timeoutNanoseconds: How long to wait at most; zero looks and returns, `nil` waits for ever. Linux before
  ///   5.11 rounds up to milliseconds.
  /// - Returns: What is ready.
  /// - Throws: ``NetworkError`` if the system does not let us wait.
  public func wait(timeoutNanoseconds: UInt64?) throws(NetworkError) -> ReadySet {
    var ready = cglue_ready()
    let result = descriptor.use { cglue_poller_wait($0, timeoutNanoseconds ?? .max, &ready) } ?? 0
    try require(result, "wait for", "sockets", expected: "an open poller")
    // Forget the wake-up before the caller looks at what it was for: a later one then wakes anew. The exchange, where a
    // store would do, also makes visible what a waker wrote whose call cost nothing.
    if ready.is_woken { _ = wakePending.exchange(false, ordering: .acquiringAndReleasing) }
    return ReadySet(readable: ready.readable, writable: ready.writable, wasWoken: ready.is_woken)
  }

  /// Whether ``wake()`` was called since the last wait: the next one returns at once.
  public var isWakePending: Bool { wakePending.load(ordering: .relaxed) }

  /// Makes the thread that waits, or the next one that does, return. Any thread may call it; repeated calls before it has
  /// returned count once.
  public func wake() {
    guard !wakePending.exchange(true, ordering: .acquiringAndReleasing) else { return }
    _ = descriptor.use { poller in
      if let wakeDescriptor {
        _ = wakeDescriptor.use { cglue_poller_wake(poller, $0) }
      } else {
        _ = cglue_poller_wake(poller, -1)
      }
    }
  }

  private func add(_ added: Descriptor, named name: String) throws(NetworkError) -> Slot {
    // `Mutex` takes no typed throws of a generic kind here, so the outcome is a value.
    let outcome: Result<Slot, NetworkError> = watched.withLock { watched in
      guard !watched.contains(where: { $0 === added }), let slot = watched.firstIndex(where: { $0 == nil }) else {
        return .failure(
          NetworkError(
            operation: "watch", subject: name, code: nil,
            expectation: "a socket that is not watched yet, and fewer than \(Self.capacity) others"))
      }
      let result =
        descriptor.use { poller in added.use { cglue_poller_watch(poller, $0, CUnsignedInt(slot), false, true) } }
        .flatMap { $0 } ?? -SystemErrorCode.closed.rawValue
      guard result >= 0 else {
        return .failure(
          NetworkError(
            operation: "watch", subject: name, code: SystemErrorCode(rawValue: -result), expectation: "an open socket"))
      }
      watched[slot] = added
      return .success(Slot(index: slot))
    }
    return try outcome.get()
  }

  private func remove(_ removed: Descriptor) {
    watched.withLock { watched in
      guard let slot = watched.firstIndex(where: { $0 === removed }) else { return }
      _ = descriptor.use { poller in removed.use { cglue_poller_forget(poller, $0) } }
      watched[slot] = nil
    }
  }
}
