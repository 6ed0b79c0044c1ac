import GlueCore

/// Everybody knows everybody within a bound after the network is sound; and two who do not hear each other know each other as long
/// as a third one knows both, on sound paths.
package struct Convergence {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Pair: Hashable {
    var one: Life
    var other: Life
  }
  private var apartSince: [Pair: Timestamp] = [:]

  /// Nothing known yet.
  package init() {}

  /// Two live endpoints were looked at. `hasWay`: a third one knows both, and nothing is wrong between it and each.
  package mutating func sampled(
    _ one: Life, _ other: Life, isKnown: Bool, hasWay: Bool, patience: Nanoseconds, at now: Timestamp
  ) -> String? {
    let pair = Pair(one: one, other: other)
    guard !isKnown, hasWay else {
      if hasWay { checks += 1 }
      apartSince[pair] = nil
      return nil
    }
    let since = apartSince[pair] ?? now
    apartSince[pair] = since
    guard now.since(since) > patience else { return nil }
    apartSince[pair] = nil
    return "life \(one) does not know life \(other), though a third one knows both, since \(since.secondsText)"
  }

  /// The bound is over: a life knows these of those that are alive, itself aside.
  package mutating func settled(_ life: Life, knows known: [Life], of alive: [Life]) -> String? {
    checks += 1
    if let missing = alive.first(where: { $0 != life && !known.contains($0) }) {
      return "life \(life) does not know life \(missing)"
    }
    if let ghost = known.first(where: { !alive.contains($0) }) {
      return "life \(life) still knows life \(ghost), which is over"
    }
    return nil
  }
}
