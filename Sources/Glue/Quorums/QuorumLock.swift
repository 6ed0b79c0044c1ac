import GlueCore
import GlueQuorum
import Synchronization

/// A lock that this endpoint holds, as far as it can know: at most one endpoint holds it at a time.
///
/// It is kept alive as long as there is a reference to it and a majority can be reached. If none can for the lock's life, it is lost: ``isHeld`` says so a moment
/// before the quorum gives it to somebody else, as far as clocks run equally fast. Who is paused meanwhile does not notice in time: hand the ``token`` to whatever
/// the lock protects, which refuses lower ones than it has seen (a *fencing token*), or make changes of the same model depend on it
/// (``QuorumEdits/require(_:)``).
public final class QuorumLock: Sendable {
  /// Somebody may wait for the loss.
  final class Signal: Sendable {
    let name: String
    let token: UInt64
    private struct State {
      var isLost = false
      var waiting: [UInt64: UnsafeContinuation<Void, Never>] = [:]
      var last: UInt64 = 0
    }
    private let state = Mutex(State())

    init(name: String, token: UInt64) {
      self.name = name
      self.token = token
    }

    var isLost: Bool { state.withLock { $0.isLost } }

    func raise() {
      let waiting = state.withLock { state in
        state.isLost = true
        defer { state.waiting = [:] }
        return state.waiting.sorted { $0.key < $1.key }.map(\.value)
      }
      for continuation in waiting { continuation.resume() }
    }

    func wait() async {
      let number = state.withLock { state in
        state.last += 1
        return state.last
      }
      await withTaskCancellationHandler {
        await withUnsafeContinuation { continuation in
          let isOver = state.withLock { state in
            if state.isLost || Task.isCancelled { return true }
            state.waiting[number] = continuation
            return false
          }
          if isOver { continuation.resume() }
        }
      } onCancel: {
        state.withLock { $0.waiting.removeValue(forKey: number) }?.resume()
      }
    }
  }

  /// The lock's name.
  public let name: String
  /// Higher than that of every lock of this model that was granted before.
  public let token: UInt64
  private let quorum: Quorum
  private let signal: Signal

  init(_ name: String, _ token: UInt64, of quorum: Quorum) {
    self.name = name
    self.token = token
    self.quorum = quorum
    let signal = Signal(name: name, token: token)
    self.signal = signal
    let isHeld = quorum.link.withState { state in
      let isHeld = state.machine.heldLocks.contains { $0.name == name && $0.token == token }
      if isHeld { state.holders.append(signal) }
      return isHeld
    }
    if !isHeld { signal.raise() }
  }

  deinit {
    guard !signal.isLost else { return }
    let (name, token, signal) = (name, token, signal)
    quorum.link.input { (state, now) in
      state.holders.removeAll { $0 === signal }
      state.machine.release(name, token: token, at: now)
    }
  }

  /// Whether it is held.
  public var isHeld: Bool { !signal.isLost && quorum.link.withState { $0.machine.holds(name, token: token, at: .now) } }

  /// Returns when it is not held any more, or the task is cancelled.
  public func awaitLoss() async { await signal.wait() }

  /// Gives it back. It is not held any more, also if this throws; somebody else gets it at once, or when its life is over.
  ///
  /// - Throws: ``QuorumFailure``; ``QuorumRejection/notHeld`` if it was lost.
  public func release(timeout: Duration? = nil) async throws {
    signal.raise()
    quorum.link.withState { state in state.holders.removeAll { $0 === signal } }
    _ = try await quorum.submit(.release(lock: name, token: token), timeout: timeout)
  }
}

extension Quorum {
  /// How long a lock outlives its holder if nothing else is said; 10 s. Shorter ones are lost more easily, longer ones block others for longer.
  public static let lockLife = Duration.seconds(10)

  /// Waits for a lock, in line with all others who want it, and holds it.
  ///
  /// - Parameters:
  ///   - life: How long it stays with a holder who is not heard of: 1 s to an hour.
  ///   - timeout: How long to wait for it; zero: only if it is free. `nil`: as for other calls.
  ///   - note: What others see of the holder, up to 256 bytes.
  /// - Throws: ``QuorumFailure/notDone(_:)`` with `lockNotFree`, or ``QuorumFailure/rejected(_:)`` with who holds it; `CancellationError`. It is not
  ///   held then, nor will be.
  public func lock(
    _ name: String, life: Duration = Quorum.lockLife, timeout: Duration? = nil, note: String = ""
  ) async throws -> QuorumLock {
    let waits = timeout != .zero
    let result = try await submit(
      .acquire(lock: name, ttl: Nanoseconds(life).count / 1_000_000, waits: waits, note: note),
      timeout: waits ? timeout : nil)
    guard case .granted(let token) = result else { throw QuorumFailure.notDone(.lockLost(name)) }
    return QuorumLock(name, token, of: self)
  }

  /// Holds a lock while the closure runs, and gives it back. If it is lost meanwhile, the closure's task is not cancelled: ``QuorumLock/isHeld`` tells.
  ///
  /// - Throws: As ``lock(_:life:timeout:note:)``, or what the closure throws.
  public func withLock<R: Sendable>(
    _ name: String, life: Duration = Quorum.lockLife, timeout: Duration? = nil, note: String = "",
    _ body: (QuorumLock) async throws -> R
  ) async throws -> R {
    let lock = try await lock(name, life: life, timeout: timeout, note: note)
    let result = try await body(lock)
    // What was done is done, also if nobody hears that the lock is free: it runs out.
    try? await lock.release()
    return result
  }
}
