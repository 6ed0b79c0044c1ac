/// Delivers a message at most once per (subscription, publisher, incarnation, topic, sequence).
package struct AtMostOnce {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Edge: Hashable {
    var subscription: SubscriptionKey
    var stream: StreamKey
  }
  private var seen: [Edge: Set<UInt64>] = [:]

  /// Nothing delivered yet.
  package init() {}

  /// A message was delivered.
  package mutating func delivered(to subscription: SubscriptionKey, _ stream: StreamKey, sequence: UInt64) -> String? {
    checks += 1
    let isNew = seen[Edge(subscription: subscription, stream: stream), default: []].insert(sequence).inserted
    guard !isNew else { return nil }
    return "delivered \(sequence) of life \(stream.publisher), topic \(stream.topic), twice to life "
      + "\(subscription.life), subscription \(subscription.number)"
  }
}
