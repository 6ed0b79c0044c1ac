import GlueCore

/// Who meets again exchanges what was missed: within a bound after the network has become sound, a subscription has got, or was told
/// that it will not get, everything of a stream that somebody holds and that was published since it began.
package struct Reunion {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing held yet.
  package init() {}

  /// The bound is over. Somebody holds these numbers of a stream; of what he holds, the subscription wants those from `first` on;
  /// everything below `next` has reached it or was reported to it.
  package mutating func settled(
    _ subscription: SubscriptionKey, _ stream: StreamKey, held: Range<UInt64>, by holder: Life, from first: UInt64,
    next: UInt64?
  ) -> String? {
    guard first < held.upperBound else { return nil }
    checks += 1
    let reached = next ?? 0
    guard reached < held.upperBound else { return nil }
    return "life \(holder) holds \(held) of life \(stream.publisher), topic \(stream.topic), but life "
      + "\(subscription.life), subscription \(subscription.number), which wants it from \(first) on, "
      + (next.map { "has it up to \($0)" } ?? "has got nothing of it")
  }
}
