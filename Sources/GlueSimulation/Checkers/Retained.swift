import GlueCore

/// The values of a topic that retains its last one: each subscription gets them in ascending order, whoever published them, and all
/// subscriptions agree in the end.
package struct Retained {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Edge: Hashable {
    var subscription: SubscriptionKey
    var topic: Int
  }
  private var last: [Edge: (stamp: RetainedStamp, isCleared: Bool)] = [:]

  /// Nothing delivered yet.
  package init() {}

  /// A value, or word that there is none, was delivered.
  package mutating func delivered(
    _ mark: RetainedMark?, of stream: StreamKey, as stamp: RetainedStamp, to subscription: SubscriptionKey
  ) -> String? {
    checks += 1
    guard let mark else { return "delivered a value without a time of life \(stream.publisher), topic \(stream.topic)" }
    let edge = Edge(subscription: subscription, topic: stream.topic)
    if let before = last[edge]?.stamp, before >= stamp {
      return "delivered the value dated \(stamp.time) of life \(stream.publisher), topic \(stream.topic), to life "
        + "\(subscription.life), subscription \(subscription.number), after the one dated \(before.time) of \(before.publisher)"
    }
    last[edge] = (stamp, mark.isCleared)
    return nil
  }

  /// The bound is over. This is the highest value of a topic that anybody holds; the subscription wants it. One that has
  /// no value need not be told once more that there is none.
  package mutating func settled(
    _ subscription: SubscriptionKey, topic: Int, highest: RetainedStamp, isCleared: Bool
  ) -> String? {
    checks += 1
    let got = last[Edge(subscription: subscription, topic: topic)]
    if isCleared, got?.isCleared ?? true { return nil }
    if let got, got.stamp >= highest { return nil }
    return "life \(subscription.life), subscription \(subscription.number), has "
      + (got.map { "the value dated \($0.stamp.time) of \($0.stamp.publisher)" } ?? "no value")
      + " of topic \(topic), and not the "
      + "\(isCleared ? "clear" : "value") dated \(highest.time) of \(highest.publisher)"
  }

  /// An endpoint holds so many values of a topic.
  package mutating func held(_ count: Int, by life: Life, topic: Int) -> String? {
    checks += 1
    return count > 1 ? "life \(life) holds \(count) values of topic \(topic)" : nil
  }
}
