import GlueCore
import GlueModel
import GlueQuorum

/// A document that a few endpoints, the *voters*, decide about: it never has two truths, and what was decided stays.
///
/// ```swift
/// let vault = try await endpoint.quorum("vault", settings)
/// try await vault.set("alarm/armed", to: true)
/// let isArmed = try await vault.read("alarm/armed")?.bool
/// let lock = try await vault.lock("door")
/// ```
///
/// Any endpoint can open it, read it, ask for changes and hold locks; only those with a storage that the membership names vote. As long as a majority of them
/// is connected, directly or by way of others, everything works; without one nothing is decided, and every call ends in time with the reason. Reads and
/// changes are linearizable: each takes effect at one moment between its call and its return. docs/quorum.md has the rules.
///
/// It is open as long as there is a reference to it, or until ``close()``. All methods can be called from any thread and task.
public final class Quorum: Sendable {
  /// How a quorum model is opened.
  public struct Settings: Sendable {
    /// Where this endpoint remembers what it voted for, and the log; `nil`: it has no vote. `GlueStore` has one on files.
    public var storage: (any LogDirectory)?
    /// How it behaves, and its limits.
    public var configuration = QuorumConfiguration()
    /// How long a call waits for a decision if it does not say so itself; 5 s. Elections at default settings take up to 3 s.
    public var timeout = Duration.seconds(5)

    /// The defaults.
    public init() {}
  }

  /// The model's name.
  public let name: String
  /// What was left of the storage's last write when it was opened: a torn tail that was cut off, for example.
  public let recovery: RecoveryReport?
  let link: QuorumLink

  init(_ link: QuorumLink, recovery: RecoveryReport?) {
    name = link.name
    self.link = link
    self.recovery = recovery
  }

  deinit { close() }

  /// Closes it here: locks are given back, and a leader has somebody else lead, as far as that can be done at once. Waits until the storage is
  /// closed, so that it can be opened again: some milliseconds, and at most five seconds for a disk that hangs. So does letting go of the last reference.
  public func close() {
    link.close()
    link.endpoint.driver.quorums.withLock { quorums in
      if quorums[name] == ObjectIdentifier(link) { quorums[name] = nil }
    }
  }

  func span(_ timeout: Duration?) -> Nanoseconds { Nanoseconds(timeout ?? link.settings.timeout) }

  func submit(_ operation: QuorumOperation, timeout: Duration?) async throws -> QuorumResult {
    let span = span(timeout)
    // A lock is given back also by a task that is cancelled.
    let isRelease = if case .release = operation { true } else { false }
    let result = try await link.ask(evenIfCancelled: isRelease) { $0.submit(operation, timeout: span, at: $1) }
    if let failure = QuorumFailure(result) { throw failure }
    return result
  }

  // MARK: Reading

  /// What there is at a path, with everything below it; `nil`: nothing. Without a path: everything. It includes everything that was decided
  /// before the call (Raft dissertation §6.4).
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``; ``QuorumFailure/notDone(_:)`` if nobody could say what is decided;
  ///   `CancellationError`.
  public func read(_ path: String? = nil, timeout: Duration? = nil) async throws -> ModelNode? {
    let path = try ModelPath(orRoot: path)
    try await catchUp(timeout: timeout)
    return link.withState { $0.machine.state.document.read(path) }
  }

  /// Waits until everything that is decided by now is known here.
  ///
  /// - Throws: ``QuorumFailure/notDone(_:)``, `CancellationError`.
  public func catchUp(timeout: Duration? = nil) async throws {
    let span = span(timeout)
    let result = try await link.ask { $0.read(timeout: span, at: $1) }
    if let failure = QuorumFailure(result) { throw failure }
  }

  /// What was at a path when this endpoint heard last what is decided, and how old that is.
  public struct Stale: Hashable, Sendable {
    /// What was there; `nil`: nothing.
    public let node: ModelNode?
    /// After which entry of the log.
    public let index: LogIndex
    /// How long ago a leader said that this is everything; `nil`: none has yet. What the network took to tell is not in it.
    public let age: Duration?
  }

  /// As ``read(_:timeout:)``, without asking anybody: what is known here, which may be old.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``.
  public func readStale(_ path: String? = nil) throws(ModelError) -> Stale {
    let path = try ModelPath(orRoot: path)
    return link.withState { state in
      let now = Timestamp.now
      let machine = state.machine
      return Stale(
        node: machine.state.document.read(path), index: machine.applied,
        age: machine.currentTime(now).map { now.since($0).duration })
    }
  }

  // MARK: Changing

  /// Replaces what is at a path, and below, by a value.
  ///
  /// - Returns: The entry of the log with which it was decided.
  /// - Throws: ``ModelError``, ``QuorumFailure``, `CancellationError`. After ``QuorumFailure/unknown(_:missing:)`` it may have happened.
  @discardableResult
  public func set(_ path: String, to value: ModelValue, timeout: Duration? = nil) async throws -> LogIndex {
    try await commit([.set(try ModelPath(path), value)], timeout: timeout)
  }

  /// Removes what is at a path, and below. Throws as ``set(_:to:timeout:)``.
  @discardableResult
  public func delete(_ path: String, timeout: Duration? = nil) async throws -> LogIndex {
    try await commit([.delete(try ModelPath(path))], timeout: timeout)
  }

  /// Adds to a counter, or makes one. Throws as ``set(_:to:timeout:)``.
  @discardableResult
  public func increment(_ path: String, by amount: Int64 = 1, timeout: Duration? = nil) async throws -> LogIndex {
    try await commit([.increment(try ModelPath(path), amount)], timeout: timeout)
  }

  /// Adds an element to a set, or makes one. Throws as ``set(_:to:timeout:)``.
  @discardableResult
  public func add(_ element: ModelValue, to path: String, timeout: Duration? = nil) async throws -> LogIndex {
    try await commit([.add(try ModelPath(path), element)], timeout: timeout)
  }

  /// Removes an element from a set. Throws as ``set(_:to:timeout:)``.
  @discardableResult
  public func remove(_ element: ModelValue, from path: String, timeout: Duration? = nil) async throws -> LogIndex {
    try await commit([.remove(try ModelPath(path), element)], timeout: timeout)
  }

  /// Replaces a value if it is what is expected (`nil`: nothing is there); by nothing, if `value` is `nil`.
  ///
  /// - Returns: Whether it was.
  /// - Throws: As ``set(_:to:timeout:)``.
  public func compareAndSet(
    _ path: String, expecting expected: ModelValue?, to value: ModelValue?, timeout: Duration? = nil
  ) async throws -> Bool {
    let path = try ModelPath(path)
    do {
      try await commit(
        [value.map { .set(path, $0) } ?? .delete(path)], if: [.value(path, expected)], timeout: timeout)
      return true
    } catch QuorumFailure.rejected(.conditionFailed) {
      return false
    }
  }

  /// Makes several changes at once, if all conditions hold; or none.
  ///
  /// - Returns: The entry of the log with which it was decided.
  /// - Throws: ``QuorumFailure/rejected(_:)`` with the first condition that did not hold; and as ``set(_:to:timeout:)``.
  @discardableResult
  public func commit(_ edits: [ModelEdit], if conditions: [QuorumCondition] = [], timeout: Duration? = nil) async throws
    -> LogIndex
  {
    guard case .committed(let index) = try await submit(.transaction(conditions, edits), timeout: timeout) else {
      return 0
    }
    return index
  }

  /// Makes several changes as one transaction, which depend on what it reads: it is decided only if all of that is there still. Else the closure
  /// runs once more, so it should do nothing else.
  ///
  /// ```swift
  /// try await vault.update { edits in
  ///   guard let balance = try edits.read("accounts/ada")?.int, balance >= 10 else { return }
  ///   try edits.increment("accounts/ada", by: -10)
  ///   try edits.increment("accounts/bob", by: 10)
  /// }
  /// ```
  ///
  /// - Parameter timeout: For all attempts together.
  /// - Returns: What the closure returns.
  /// - Throws: As ``set(_:to:timeout:)``, or what the closure throws; ``QuorumFailure/changedMeanwhile(attempts:)`` if others change what it reads
  ///   each time, a hundred times or until the time is over.
  @discardableResult
  public func update<R>(timeout: Duration? = nil, _ body: (inout QuorumEdits) throws -> R) async throws -> R {
    let deadline = Timestamp.now + span(timeout)
    for attempt in 0..<Self.attempts {
      if attempt > 0, Timestamp.now >= deadline { throw QuorumFailure.changedMeanwhile(attempts: attempt) }
      try await catchUp(timeout: deadline.since(.now).duration)
      var edits = QuorumEdits(link)
      let result: R
      do {
        result = try body(&edits)
      } catch {
        // What it has read may not have been of one moment.
        if edits.isOfOneMoment { throw error }
        continue
      }
      // A lock that it requires is looked at where that is decided.
      let needsLock = edits.conditions.contains { if case .held = $0 { true } else { false } }
      if edits.list.isEmpty, edits.isOfOneMoment, !needsLock { return result }
      do {
        try await commit(edits.list, if: edits.conditions, timeout: deadline.since(.now).duration)
        return result
      } catch QuorumFailure.rejected(.conditionFailed(let index, let subject)) {
        // A lock that is not held any more will not be.
        if edits.conditions.indices.contains(index), case .held = edits.conditions[index] {
          throw QuorumFailure.rejected(.conditionFailed(index, subject))
        }
      }
    }
    throw QuorumFailure.changedMeanwhile(attempts: Self.attempts)
  }

  /// How often a transaction is tried whose reads change all the time. Each failure means that another change was made.
  private static let attempts = 100

  /// What became of a request of which ``QuorumFailure/unknown(_:missing:)`` was said. If nothing is decided about it yet, it is decided that it does not
  /// happen.
  ///
  /// A lock that was granted is given back then: whoever asked for it has not got its token. If it is over already, the answer is `nil`.
  ///
  /// - Returns: The entry with which it was decided; `nil`: it has not happened, and never will.
  /// - Throws: ``QuorumFailure/rejected(_:)`` with what was decided then, or with `forgotten` after ten minutes;
  ///   ``QuorumFailure/notDone(_:)``; `CancellationError`.
  public func resolve(_ token: QuorumToken, timeout: Duration? = nil) async throws -> LogIndex? {
    let span = span(timeout)
    let result = try await link.ask { $0.resolve(token, timeout: span, at: $1) }
    switch result {
    case .committed(let index): return index
    case .rejected(.settled): return nil
    default:
      if let failure = QuorumFailure(result) { throw failure }
      return nil
    }
  }
}

/// The changes of a transaction, in order, and what they depend on.
public struct QuorumEdits: Sendable {
  private(set) var list: [ModelEdit] = []
  private(set) var conditions: [QuorumCondition] = []
  /// After which entry something was read first.
  private var index: LogIndex?
  private let link: QuorumLink

  init(_ link: QuorumLink) { self.link = link }

  /// Whether everything that was read was there at the same time, for all that is known.
  var isOfOneMoment: Bool { index.map { index in link.withState { $0.machine.applied == index } } ?? true }

  /// What there was at a path before the transaction, with everything below it; `nil`: nothing.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``.
  public mutating func read(_ path: String? = nil) throws(ModelError) -> ModelNode? {
    let path = try ModelPath(orRoot: path)
    let (node, applied) = link.withState { ($0.machine.state.document.read(path), $0.machine.applied) }
    if index == nil { index = applied }
    conditions.append(.node(path, node))
    return node
  }

  /// Has the transaction happen only while a lock is held.
  public mutating func require(_ lock: QuorumLock) { conditions.append(.held(lock: lock.name, token: lock.token)) }

  /// Replaces what is at a path, and below, by a value.
  public mutating func set(_ path: String, to value: ModelValue) throws(ModelError) {
    list.append(.set(try ModelPath(path), value))
  }
  /// Removes what is at a path, and below.
  public mutating func delete(_ path: String) throws(ModelError) { list.append(.delete(try ModelPath(path))) }
  /// Adds to a counter, or makes one.
  public mutating func increment(_ path: String, by amount: Int64 = 1) throws(ModelError) {
    list.append(.increment(try ModelPath(path), amount))
  }
  /// Adds an element to a set, or makes one.
  public mutating func add(_ element: ModelValue, to path: String) throws(ModelError) {
    list.append(.add(try ModelPath(path), element))
  }
  /// Removes an element from a set.
  public mutating func remove(_ element: ModelValue, from path: String) throws(ModelError) {
    list.append(.remove(try ModelPath(path), element))
  }
  /// Makes a map that is there even if it is empty.
  public mutating func makeMap(_ path: String) throws(ModelError) { list.append(.makeMap(try ModelPath(path))) }
}
