import GlueCore

/// A message is not delivered after its expiry. No clocks are synchronized: the error is that of the one-way delay and of
/// the clocks' drift.
package struct Expiry {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing delivered yet.
  package init() {}

  /// A message with a lifetime was handed over. `delay` is the longest time that a datagram between the two was under way
  /// lately.
  package mutating func delivered(
    _ stream: StreamKey, sequence: UInt64, publishedAt: Timestamp, lifetime: Nanoseconds, at now: Timestamp,
    delay: Nanoseconds
  ) -> String? {
    checks += 1
    let drift = Nanoseconds(lifetime.count / 50)
    let latest = publishedAt + lifetime + delay + drift + .milliseconds(2)
    guard now >= latest else { return nil }
    return "delivered \(sequence) of life \(stream.publisher), topic \(stream.topic), "
      + "\(now.since(publishedAt).wholeMilliseconds) ms old with a lifetime of \(lifetime.wholeMilliseconds) ms"
  }
}
