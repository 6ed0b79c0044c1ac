import GlueCore
import GlueModel

/// A document that endpoints share: every one of them may read and change it at any time, without waiting for anybody, and all that are
/// connected hold the same.
///
/// ```swift
/// let home = try await endpoint.model("home")
/// try home.set("lights/kitchen", to: "on")
/// try home.increment("visitors")
/// for await change in home.changes(under: "lights") { print(change) }
/// ```
///
/// What is written here is there at once, and with the others as soon as they can be reached. Of values that were written concurrently all are
/// kept until somebody writes over them; what is shown meanwhile, the model's ``Settings/policies`` say. docs/model.md has the rules.
///
/// It is open as long as there is a reference to it, or until ``close()``. All methods can be called from any thread and task.
public final class Model: Sendable {
  /// How a model is kept and shown here. Replicas may differ in all of it.
  public struct Settings: Sendable {
    /// What a path shows where several values were written concurrently: the last one, if nothing else is said.
    public var policies = ModelPolicies()
    /// Where this replica is kept beyond the life of the process; `nil`: in memory only.
    public var store: (any ModelStore)?
    /// How large the document may become.
    public var document = DocumentLimits()
    /// How this replica behaves towards others, and its limits.
    public var replica = ReplicaConfiguration()
    /// By how much the wall clock is taken to be ahead. For tests of wrong clocks.
    package var clockOffset = Duration.zero

    /// The defaults.
    public init() {}
  }

  /// The model's name.
  public let name: String
  let link: ModelLink

  init(_ link: ModelLink) {
    name = link.name
    self.link = link
  }

  deinit { close() }

  /// Closes this replica: the others keep what they have. What is to be stored is written before this returns.
  public func close() {
    link.close()
    link.endpoint.driver.models.withLock { models in
      if models[name] == ObjectIdentifier(link) { models[name] = nil }
    }
  }

  /// Why a text names no model and no quorum model; `nil` if it does. Those names are topic names that do not begin with `$`.
  public static func problem(withName name: String) -> String? {
    TopicName.problem(withTopic: name) ?? (name.hasPrefix("$") ? "it begins with $" : nil)
  }

  // MARK: Reading

  /// What there is at a path, with everything below it; `nil`: nothing. Without a path: everything.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``.
  public func read(_ path: String? = nil) throws(ModelError) -> ModelNode? {
    let path = try ModelPath(orRoot: path)
    return link.withState { $0.machine.document.read(path) }
  }

  /// What there is at a path; `nil`: nothing, or the text is no path.
  public subscript(path: String) -> ModelNode? { (try? read(path)) ?? nil }

  /// The paths at which concurrent writes have left more than one thing, at a path and below.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``.
  public func conflicts(under path: String? = nil) throws(ModelError) -> [ModelConflict] {
    let path = try ModelPath(orRoot: path)
    return link.withState { $0.machine.document.conflicts(under: path) }
  }

  // MARK: Changing

  /// Replaces what is at a path, and below, by a value.
  ///
  /// - Throws: ``ModelError``; nothing has changed then.
  public func set(_ path: String, to value: ModelValue) throws(ModelError) {
    try apply { (edits) throws(ModelError) in try edits.set(path, to: value) }
  }

  /// Removes what is at a path, and below. What others write there concurrently stays.
  ///
  /// - Throws: ``ModelError``.
  public func delete(_ path: String) throws(ModelError) {
    try apply { (edits) throws(ModelError) in try edits.delete(path) }
  }

  /// Adds to a counter, or makes one.
  ///
  /// - Throws: ``ModelError``.
  public func increment(_ path: String, by amount: Int64 = 1) throws(ModelError) {
    try apply { (edits) throws(ModelError) in try edits.increment(path, by: amount) }
  }

  /// Adds an element to a set, or makes one. It stays if another endpoint removes the element at the same time.
  ///
  /// - Throws: ``ModelError``.
  public func add(_ element: ModelValue, to path: String) throws(ModelError) {
    try apply { (edits) throws(ModelError) in try edits.add(element, to: path) }
  }

  /// Removes an element from a set.
  ///
  /// - Throws: ``ModelError``.
  public func remove(_ element: ModelValue, from path: String) throws(ModelError) {
    try apply { (edits) throws(ModelError) in try edits.remove(element, from: path) }
  }

  /// Ends a conflict: this value replaces all that were written concurrently.
  ///
  /// - Throws: ``ModelError``.
  public func resolve(_ path: String, to value: ModelValue) throws(ModelError) {
    try resolve(path, .value(value))
  }

  /// Ends a conflict: by a value, or by what there is of one kind.
  ///
  /// - Throws: ``ModelError``.
  public func resolve(_ path: String, _ resolution: ModelResolution) throws(ModelError) {
    try apply { (edits) throws(ModelError) in try edits.resolve(path, resolution) }
  }

  private func apply(_ body: (inout ModelEdits) throws(ModelError) -> Void) throws(ModelError) {
    var edits = ModelEdits(link)
    try body(&edits)
    try link.change { (machine, time) throws(ModelError) in try machine.apply(edits.list, at: time) }
  }

  /// Makes several changes as one transaction: every replica gets all of them at once, or none.
  ///
  /// ```swift
  /// try home.update { edits in
  ///   guard let level = try edits.read("tank/level")?.int, level < 10 else { return }
  ///   try edits.set("tank/pump", to: "on")
  ///   try edits.increment("tank/filled")
  /// }
  /// ```
  ///
  /// What it reads is what there was before the transaction. If any of that has become different here when the closure returns, because of
  /// another thread or of changes that have arrived, the closure runs once more; so it should do nothing else. What other replicas change at
  /// the same time and has not arrived is merged as always: where only one may decide, a model does not help.
  ///
  /// - Returns: What the closure returns.
  /// - Throws: ``ModelError``, or what the closure throws; nothing has changed then.
  ///   ``ModelError/changedMeanwhile(attempts:)`` if what it read has changed each time.
  @discardableResult
  public func update<R>(_ body: (inout ModelEdits) throws -> R) throws -> R {
    for _ in 0..<Self.attempts {
      var edits = ModelEdits(link)
      let result: R
      do {
        result = try body(&edits)
      } catch {
        // What it has read may not have been of one moment.
        if link.withState({ edits.isCurrent(in: $0.machine) }) { throw error }
        continue
      }
      let isDone = try link.change { (machine, time) throws(ModelError) in
        guard edits.isCurrent(in: machine) else { return false }
        try machine.apply(edits.list, at: time)
        return true
      }
      if isDone { return result }
    }
    throw ModelError.changedMeanwhile(attempts: Self.attempts)
  }

  /// How often a transaction is tried whose reads change all the time. Each failure means that another change was made.
  private static let attempts = 100

  // MARK: Others

  /// The endpoints that have the model open, as far as they are reached now; without those that do so for a moment only, as a command does
  /// (``ReplicaConfiguration/isTransient``).
  public var replicas: [EndpointID] { link.withState { $0.machine.peerIDs } }

  /// Those of them that have told to have everything that was changed here when ``flush(timeout:)`` was called last.
  public var holders: [EndpointID] { link.withState { $0.machine.confirmedPeerIDs } }

  /// Waits until this replica has everything that the other replicas it has met have, and has met so many.
  ///
  /// - Throws: ``EndpointFailure/timedOut(waitingFor:)``, ``EndpointFailure/stopped`` or `CancellationError`.
  public func awaitSync(replicas: Int = 0, timeout: Duration? = nil) async throws {
    let outcome = await link.wait(for: .inSync(replicas: replicas), timeout: timeout)
    try outcome.check(waitingFor: "\(replicas) replicas of \(name) in sync", failure: link.endpoint.failure)
  }

  /// Waits until everything that was changed since the model was opened is merged in every replica that is there (``replicas``). Who has it then,
  /// ``holders`` tells: nobody, if there is nobody.
  ///
  /// - Returns: With whom it is not, if the time was up, or all who had it or were to get it have left.
  public func flush(timeout: Duration? = nil) async -> Acknowledgement {
    let asked = link.input { (state, time) in
      state.machine.askForConfirmation(at: time)
      return state.machine.unconfirmedPeerIDs
    }
    let outcome = await link.wait(for: .confirmed, timeout: timeout)
    let (missing, holders) = link.withState { ($0.machine.unconfirmedPeerIDs, $0.machine.confirmedPeerIDs) }
    if case .ready = outcome, asked.isEmpty || !holders.isEmpty { return .acknowledged }
    return .unacknowledged(by: missing.isEmpty ? asked : missing)
  }

  /// From now on others do not rely on this replica to keep what they write: it is about to be closed.
  public func prepareToClose() { link.input { (state, time) in state.machine.becomeTransient(at: time) } }

  /// Waits until everything that this replica has now is written to its store.
  ///
  /// - Throws: ``EndpointFailure/timedOut(waitingFor:)``, ``EndpointFailure/stopped`` or `CancellationError`.
  public func awaitStored(timeout: Duration? = nil) async throws {
    guard link.settings.store != nil else { return }
    let revision = link.withState { $0.machine.revision }
    let outcome = await link.wait(for: .stored(revision: revision), timeout: timeout)
    if case .timedOut = outcome, let reason = link.withState({ $0.storeFailure }) {
      throw EndpointFailure.store(reason)
    }
    try outcome.check(waitingFor: "the store of \(name)", failure: link.endpoint.failure)
  }

  /// Behaves as if some endpoints could not be reached. For demonstrations.
  package func part(from endpoints: Set<EndpointID>) { link.part(from: endpoints) }

  /// What can be said of this replica as a whole.
  public var status: ModelStatus {
    link.withState { state in
      let machine = state.machine
      return ModelStatus(
        hash: machine.document.stateHash, keys: machine.document.keyCount, replicas: machine.peerIDs,
        isInSync: machine.isInSync, generation: machine.document.context.generation,
        pastReplicas: machine.document.context.seen.parts.count, counters: machine.counters)
    }
  }
}

/// What can be said of a replica as a whole.
public struct ModelStatus: Hashable, Sendable {
  /// 64 bits that are equal where the contents, and all that was ever seen, are equal.
  public let hash: UInt64
  /// Paths, and elements of sets, that hold something.
  public let keys: Int
  /// The endpoints that have the model open, as far as they are reached now.
  public let replicas: [EndpointID]
  /// Whether nothing is missing here that one of them is known to have.
  public let isInSync: Bool
  /// How often the memory of past replicas was cleaned up.
  public let generation: UInt32
  /// Of how many replicas, past ones among them, changes are remembered.
  public let pastReplicas: Int
  /// What this replica has done.
  public let counters: ReplicaCounters
}

extension Endpoint {
  /// Opens a model: from here on this endpoint has a replica of it, which holds what is stored of it, and as soon as other replicas are met
  /// what they have.
  ///
  /// - Parameters:
  ///   - name: Which model: a topic name without `$` at the beginning.
  ///   - settings: How it is kept and shown here.
  /// - Throws: ``EndpointFailure/invalidTopic(_:reason:)``; ``EndpointFailure/modelIsOpen(_:)``: at most once per endpoint at a time;
  ///   ``EndpointFailure/store(_:)`` if the store cannot be read; ``EndpointFailure/stopped``.
  public func model(_ name: String, _ settings: Model.Settings = Model.Settings()) async throws -> Model {
    if let problem = Model.problem(withName: name) { throw EndpointFailure.invalidTopic(name, reason: problem) }
    let stored: StoredReplica?
    do {
      stored = try settings.store?.load()
    } catch {
      throw EndpointFailure.store("\(error)")
    }
    let link = try ModelLink(name, at: self, settings, stored: stored)
    let isNew = driver.models.withLock { models in
      guard models[name] == nil else { return false }
      models[name] = ObjectIdentifier(link)
      return true
    }
    guard isNew else {
      link.close()
      throw EndpointFailure.modelIsOpen(name)
    }
    let model = Model(link)
    try link.open()
    return model
  }
}
