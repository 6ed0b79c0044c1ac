import GlueCore

/// Who meets again exchanges what was missed: within a bound after the network has become sound, a subscription has got, or was told
/// that it will not get, every message of a stream that somebody holds and that it wants.
package struct Reunion {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Edge: Hashable {
    var subscription: SubscriptionKey
    var stream: StreamKey
  }
  /// What reached a subscription, as message or as loss.
  private var settled: [Edge: Set<UInt64>] = [:]
  /// Subscriptions that were told that they may have missed something, and nobody knows what.
  private var unknown: Set<Edge> = []
  /// Losses longer than this are not entered one by one; nothing that long is ever held.
  private static let longestLoss: UInt64 = 10_000

  /// Nothing held yet.
  package init() {}

  /// A subscription goes on where an earlier one stopped, which had everything before.
  package mutating func resumed(_ subscription: SubscriptionKey, _ stream: StreamKey, at sequence: UInt64) {
    settled[Edge(subscription: subscription, stream: stream), default: []].formUnion(0..<sequence)
  }

  /// A message was delivered.
  package mutating func delivered(to subscription: SubscriptionKey, _ stream: StreamKey, sequence: UInt64) {
    settled[Edge(subscription: subscription, stream: stream), default: []].insert(sequence)
  }

  /// Messages were reported lost.
  package mutating func lost(to subscription: SubscriptionKey, _ stream: StreamKey, _ range: Range<UInt64>) {
    if range.isEmpty { unknown.insert(Edge(subscription: subscription, stream: stream)) }
    guard range.upperBound - range.lowerBound <= Self.longestLoss else { return }
    settled[Edge(subscription: subscription, stream: stream), default: []].formUnion(range)
  }

  /// The first message that reached a subscription.
  package func first(of subscription: SubscriptionKey, _ stream: StreamKey) -> UInt64? {
    settled[Edge(subscription: subscription, stream: stream)]?.min()
  }

  /// The bound is over. Somebody holds these messages of a stream, and the subscription wants them.
  package mutating func judged(
    _ subscription: SubscriptionKey, _ stream: StreamKey, held: some Sequence<UInt64>, by holder: Life
  ) -> String? {
    checks += 1
    guard !unknown.contains(Edge(subscription: subscription, stream: stream)) else { return nil }
    let present = settled[Edge(subscription: subscription, stream: stream)] ?? []
    let missing = held.filter { !present.contains($0) }
    guard let first = missing.first else { return nil }
    return
      "\(missing.count) messages from \(first) on of life \(stream.publisher), topic \(stream.topic), which life \(holder) "
      + "holds, have neither reached life \(subscription.life), subscription \(subscription.number), nor been reported lost"
  }
}
