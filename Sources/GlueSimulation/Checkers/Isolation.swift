import GlueCore

/// One slow or dead peer, or one busy topic, does not delay others: between two endpoints without trouble of their own a
/// small message arrives soon, whatever happens elsewhere.
package struct Isolation {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0
  /// Longest time from admission to delivery on a sound path.
  package var bound = Nanoseconds.milliseconds(250)

  /// The default bound.
  package init() {}

  /// A small reliable message arrived between two endpoints whose path and hosts have been sound for a while.
  package mutating func delivered(
    _ stream: StreamKey, sequence: UInt64, to reader: Life, after latency: Nanoseconds
  ) -> String? {
    checks += 1
    guard latency > bound else { return nil }
    return
      "\(sequence) of life \(stream.publisher), topic \(stream.topic), took \(latency.wholeMilliseconds) ms to life "
      + "\(reader), although nothing is wrong between the two"
  }
}
