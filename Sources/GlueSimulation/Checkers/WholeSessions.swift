import GlueCore

/// Half-open sessions heal: that one end has a session which the other has not lasts no longer than two leases, as long as
/// the path between them is sound.
package struct WholeSessions {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Pair: Hashable {
    var one: Life
    var other: Life
  }
  private var halfSince: [Pair: Timestamp] = [:]

  /// No sessions yet.
  package init() {}

  /// Two live endpoints were looked at. `isHalf`: one has a session with the other that the other does not share.
  package mutating func sampled(
    _ one: Life, _ other: Life, isHalf: Bool, isSound: Bool, lease: Nanoseconds, at now: Timestamp
  ) -> String? {
    checks += 1
    let pair = Pair(one: one, other: other)
    guard isHalf, isSound else {
      halfSince[pair] = nil
      return nil
    }
    let since = halfSince[pair] ?? now
    halfSince[pair] = since
    guard now.since(since) > lease * 2 + .seconds(1) else { return nil }
    halfSince[pair] = nil
    return "life \(one) has a session with life \(other), which has none with it, since \(since.secondsText)"
  }
}
