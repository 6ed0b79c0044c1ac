import GlueCore
import GlueModel
import GlueQuorum

/// What was decided at a path and below, in the order of the log: nothing is left out, and nothing comes that is not decided.
///
/// It ends when the model is closed, or the task is cancelled. Who is slow, or was cut off so long that the entries are gone everywhere, gets what
/// several entries did as one (``QuorumChanges/isOneEntry``).
public struct QuorumChangeSequence: AsyncSequence, Sendable {
  /// What was there when the changes began: with them it gives what is there.
  public let snapshot: ModelNode?
  /// After which entry of the log.
  public let index: LogIndex
  private let reader: Reader

  fileprivate init(snapshot: ModelNode?, index: LogIndex, reader: Reader) {
    self.snapshot = snapshot
    self.index = index
    self.reader = reader
  }

  /// The changes from where the last iterator stopped: several share them.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }

  /// Takes what one entry did after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let reader: Reader

    /// Waits for the next changes. `nil` when the model is closed or the task is cancelled.
    public func next() async -> QuorumChanges? { await next(isolation: nil) }

    /// Waits for the next changes. `nil` when the model is closed or the task is cancelled.
    public func next(isolation actor: isolated (any Actor)?) async -> QuorumChanges? {
      await reader.queue.next(isolation: actor)
    }
  }

  /// Stops the watching when the last copy of the sequence and its iterators is gone.
  fileprivate final class Reader: Sendable {
    let queue: ChangeQueue<QuorumChanges>
    /// Whoever watches keeps it open.
    private let quorum: Quorum

    init(_ queue: ChangeQueue<QuorumChanges>, _ quorum: Quorum) {
      self.queue = queue
      self.quorum = quorum
    }

    deinit {
      quorum.link.withState { state in
        state.watchers.removeAll { $0 === queue }
        state.machine.isWatched = !state.watchers.isEmpty
      }
    }
  }
}

extension Quorum {
  /// What is decided at a path and below, from now on; without a path: everything. What is there now is the sequence's
  /// ``QuorumChangeSequence/snapshot``.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)``.
  public func changes(under path: String? = nil) throws(ModelError) -> QuorumChangeSequence {
    let path = try ModelPath(orRoot: path)
    let queue = ChangeQueue<QuorumChanges>(under: path)
    let (snapshot, index) = link.withState { state -> (ModelNode?, LogIndex) in
      if state.isClosed { queue.finish() } else { state.watchers.append(queue) }
      state.machine.isWatched = true
      return (state.machine.state.document.read(path), state.machine.applied)
    }
    return QuorumChangeSequence(
      snapshot: snapshot, index: index, reader: QuorumChangeSequence.Reader(queue, self))
  }
}

extension QuorumChanges: WatchedChanges {
  static func joining(_ changes: [ModelChange], upTo last: QuorumChanges) -> QuorumChanges {
    QuorumChanges(index: last.index, changes: changes, isOneEntry: false)
  }
}
