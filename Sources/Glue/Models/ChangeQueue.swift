import GlueModel
import Synchronization

/// Changes that become visible together, and can be told as one with those that follow.
protocol WatchedChanges: Sendable {
  var changes: [ModelChange] { get set }
  /// What several did, told as one, which stands where the last one stood.
  static func joining(_ changes: [ModelChange], upTo last: Self) -> Self
}

extension [ModelChange]: WatchedChanges {
  var changes: [ModelChange] {
    get { self }
    set { self = newValue }
  }
  static func joining(_ changes: [ModelChange], upTo last: [ModelChange]) -> [ModelChange] { changes }
}

/// The changes that wait for somebody who watches a model.
final class ChangeQueue<Changes: WatchedChanges>: Sendable {
  /// When so many changes wait they become one. A watcher that is not stuck takes what comes.
  private var longest: Int { 1_024 }

  private let path: ModelPath
  private let mailbox = Mailbox<Changes>()
  /// How many were left when they were last joined. They are joined again when they are twice as many, so that each costs little.
  private let joinedCount = Mutex(0)

  init(under path: ModelPath) { self.path = path }

  func put(_ all: Changes) {
    var some = all
    some.changes.removeAll { !path.contains($0.path) }
    guard !some.changes.isEmpty else { return }
    mailbox.put(some) { [some] state in
      state.elements.append(some)
      state.byteCount += some.changes.count
      joinedCount.withLock { before in
        guard state.byteCount > max(longest, 2 * before), state.elements.count > 1 else { return }
        let joined = ModelChange.joined(state.elements.lazy.map(\.changes).joined())
        state.elements = joined.isEmpty ? [] : [Changes.joining(joined, upTo: all)]
        state.byteCount = joined.count
        before = joined.count
      }
    }
  }

  func next(isolation: isolated (any Actor)?) async -> Changes? {
    await mailbox.next(size: { $0.changes.count }, isolation: isolation)?.element
  }

  func finish() { mailbox.finish(discarding: false) }
}
