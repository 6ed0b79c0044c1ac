import GlueModel

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
    let queue: ChangeQueue<[ModelChange]>
    /// Whoever watches keeps it open.
    private let model: Model

    init(_ queue: ChangeQueue<[ModelChange]>, _ model: Model) {
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
    let queue = ChangeQueue<[ModelChange]>(under: path)
    let snapshot = link.withState { state -> ModelNode? in
      if state.isClosed { queue.finish() } else { state.watchers.append(queue) }
      return state.machine.document.read(path)
    }
    return ModelChanges(snapshot: snapshot, reader: ModelChanges.Reader(queue, self))
  }
}
