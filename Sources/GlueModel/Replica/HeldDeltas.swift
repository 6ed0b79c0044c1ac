import DequeModule
import GlueCore

/// Received deltas that wait for earlier ones.
///
/// A delta is merged when all that its writer had seen and replaced is merged: the causal delta-merging condition (Almeida, Shoker, Baquero 2018,
/// definition 6). Only then does a context that covers a change tell that its effects are there too, which is what everything else relies on.
struct HeldDeltas: Sendable {
  private struct Queue: Sendable {
    let sender: EndpointID
    var deltas: Deque<(delta: Delta, byteCount: Int)> = []
    /// When the first one began to wait; nil once what is missing has been asked for.
    var waitsSince: Timestamp?
  }

  /// In the order of endpoint IDs; none is empty.
  private var queues: [Queue] = []
  /// Encoded bytes of all.
  private(set) var byteCount = 0

  /// Whether nothing waits.
  var isEmpty: Bool { queues.isEmpty }

  /// Whether something waits that a peer has sent: what it sends next has to wait too.
  func contains(from sender: EndpointID) -> Bool { queues.contains { $0.sender == sender } }

  mutating func append(_ delta: Delta, byteCount: Int, from sender: EndpointID, at now: Timestamp) {
    let index = queues.firstIndex { $0.sender >= sender } ?? queues.count
    if index == queues.count || queues[index].sender != sender {
      queues.insert(Queue(sender: sender, waitsSince: now), at: index)
    }
    queues[index].deltas.append((delta, byteCount))
    self.byteCount += byteCount
  }

  /// Takes one that need not wait any longer. Of each sender only the first may: its deltas are its own changes, one after the other.
  mutating func next(in context: CausalContext, at now: Timestamp) -> (sender: EndpointID, delta: Delta)? {
    for index in queues.indices where queues[index].deltas[0].delta.follows(context) {
      let sender = queues[index].sender
      let (delta, bytes) = queues[index].deltas.removeFirst()
      byteCount -= bytes
      if queues[index].deltas.isEmpty { queues.remove(at: index) } else { queues[index].waitsSince = now }
      return (sender, delta)
    }
    return nil
  }

  /// When something has waited for this long.
  func nextDeadline(after delay: Nanoseconds) -> Timestamp? {
    queues.lazy.compactMap(\.waitsSince).min().map { $0 + delay }
  }

  /// From whom something has waited for this long, each told once.
  mutating func overdue(after delay: Nanoseconds, at now: Timestamp) -> [EndpointID] {
    var senders: [EndpointID] = []
    for index in queues.indices {
      guard let since = queues[index].waitsSince, since + delay <= now else { continue }
      queues[index].waitsSince = nil
      senders.append(queues[index].sender)
    }
    return senders
  }

  /// Drops what a peer has sent. Returns whether there was something.
  mutating func remove(from sender: EndpointID) -> Bool {
    guard let index = queues.firstIndex(where: { $0.sender == sender }) else { return false }
    byteCount -= queues.remove(at: index).deltas.reduce(0) { $0 + $1.byteCount }
    return true
  }

  /// Drops all.
  mutating func removeAll() { self = HeldDeltas() }
}

extension Delta {
  /// Whether all that came before it is in the context: the writer's earlier changes, and what it removes.
  func follows(_ context: CausalContext) -> Bool {
    guard let operation else { return false }
    let isNext =
      context.generationCovers(operation.replica)
      || operation.counters.lowerBound <= context.seen[operation.replica].firstMissing
    return isNext && context.covers(CausalContext(seen: dependencies))
  }
}
