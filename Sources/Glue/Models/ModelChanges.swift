import GlueModel
import Synchronization

/// The changes of a model at a path and below, in the order in which they became visible here.
///
/// It ends when the model is closed, or the task is cancelled. Who is slow gets several transactions as one, in which each path changes once:
/// from what it was to what it is. So nothing is lost, and no more waits than the model has paths.
public struct ModelChanges: AsyncSequence, Sendable {
  /// What was there when the changes began: with them it gives what is there.
  public let snapshot: ModelNode?
  fileprivate let reader: Reader

  /// The changes from where the last iterator stopped: several share them. Whoever wants all of them calls ``Model/changes(under:)`` himself.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }

  /// Takes one change after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let reader: Reader
    private var rest: ArraySlice<ModelChange> = []

    fileprivate init(reader: Reader) { self.reader = reader }

    /// Waits for the next change. `nil` when the model is closed or the task is cancelled.
    public mutating func next() async -> ModelChange? { await next(isolation: nil) }

    /// Waits for the next change. `nil` when the model is closed or the task is cancelled.
    public mutating func next(isolation actor: isolated (any Actor)?) async -> ModelChange? {
      if rest.isEmpty { rest = (await reader.queue.next(isolation: actor) ?? [])[...] }
      return rest.popFirst()
    }
  }

  /// The same, transaction by transaction.
  public var transactions: ModelTransactions { ModelTransactions(snapshot: snapshot, reader: reader) }

  /// Stops the watching when the last copy of the sequence and its iterators is gone.
  fileprivate final class Reader: Sendable {
    let queue: ModelChangeQueue
    /// Whoever watches keeps it open.
    private let model: Model

    init(_ queue: ModelChangeQueue, _ model: Model) {
      self.queue = queue
      self.model = model
    }

    deinit { model.link.withState { $0.watchers.removeAll { $0 === queue } } }
  }
}

/// The changes of a model at a path and below, those of a transaction together.
public struct ModelTransactions: AsyncSequence, Sendable {
  /// What was there when the changes began.
  public let snapshot: ModelNode?
  fileprivate let reader: ModelChanges.Reader

  /// The transactions from where the last iterator stopped: several share them.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }

  /// Takes one transaction after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let reader: ModelChanges.Reader

    /// Waits for the next transaction. `nil` when the model is closed or the task is cancelled.
    public func next() async -> [ModelChange]? { await next(isolation: nil) }

    /// Waits for the next transaction. `nil` when the model is closed or the task is cancelled.
    public func next(isolation actor: isolated (any Actor)?) async -> [ModelChange]? {
      await reader.queue.next(isolation: actor)
    }
  }
}

extension Model {
  /// The changes at a path and below, from now on; without a path: all. What is there now is the sequence's ``ModelChanges/snapshot``.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``.
  public func changes(under path: String? = nil) throws(ModelError) -> ModelChanges {
    let path = try ModelPath(orRoot: path)
    let queue = ModelChangeQueue(under: path)
    let snapshot = link.withState { state -> ModelNode? in
      if state.isClosed { queue.finish() } else { state.watchers.append(queue) }
      return state.machine.document.read(path)
    }
    return ModelChanges(snapshot: snapshot, reader: ModelChanges.Reader(queue, self))
  }
}

/// The transactions that wait for somebody who watches.
final class ModelChangeQueue: Sendable {
  /// When so many changes wait they become one transaction. A watcher that is not stuck takes what comes.
  static let longest = 1_024

  private let path: ModelPath
  private let mailbox = Mailbox<[ModelChange]>()
  /// How many were left when they were last joined. They are joined again when they are twice as many, so that each costs little.
  private let joinedCount = Mutex(0)

  init(under path: ModelPath) { self.path = path }

  func put(_ changes: [ModelChange]) {
    let changes = changes.filter { path.contains($0.path) }
    guard !changes.isEmpty else { return }
    mailbox.put(changes) { state in
      state.elements.append(changes)
      state.byteCount += changes.count
      joinedCount.withLock { before in
        guard state.byteCount > max(Self.longest, 2 * before), state.elements.count > 1 else { return }
        let joined = ModelChange.joined(state.elements.joined())
        state.elements = joined.isEmpty ? [] : [joined]
        state.byteCount = joined.count
        before = joined.count
      }
    }
  }

  func next(isolation: isolated (any Actor)?) async -> [ModelChange]? {
    await mailbox.next(size: { $0.count }, isolation: isolation)?.element
  }

  func finish() { mailbox.finish(discarding: false) }
}

extension ModelChange {
  /// What a leaf is told by: its path, and in a set its element.
  private struct Key: Hashable {
    let path: ModelPath
    let element: ModelValue?

    init(_ change: ModelChange) {
      path = change.path
      element = if case .element(let value)? = change.new ?? change.old { value } else { nil }
    }
  }

  /// One change for each leaf that is different after several, in the order of the first ones.
  static func joined(_ changes: some Sequence<ModelChange>) -> [ModelChange] {
    var places: [Key: Int] = [:]
    var joined: [ModelChange] = []
    for change in changes {
      let key = Key(change)
      if let place = places[key] {
        joined[place] = ModelChange(
          path: change.path, old: joined[place].old, new: change.new, writer: change.writer, time: change.time,
          cause: change.cause)
      } else {
        places[key] = joined.count
        joined.append(change)
      }
    }
    return joined.filter { $0.old != $0.new || $0.cause == .merged }
  }
}
