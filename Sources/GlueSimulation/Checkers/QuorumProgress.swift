import GlueCore
import GlueQuorum

/// Where a majority of the voters is connected, directly or by way of one other endpoint, a write is committed within a bound.
package struct QuorumProgress {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0
  /// How long it may take when the network has been sound for long enough: an election at default settings ends within 3 s, and what was asked
  /// before is asked again within half a second.
  static let bound = Nanoseconds.seconds(5)

  /// Nothing asked yet.
  package init() {}

  /// The bound is over: how a write ended that was asked for at its beginning; nil: it has not.
  package mutating func settled(_ opening: Opening, _ result: QuorumResult?, isRelayed: Bool) -> String? {
    checks += 1
    if case .committed = result { return nil }
    let what = result.map { "ended with \($0)" } ?? "has not ended"
    return "a write of opening \(opening) \(what) after \(Self.bound.count / 1_000_000_000) s"
      + (isRelayed ? ", where all are connected by way of one" : "")
  }
}
