import GlueCore

/// One holder for each ID and each name; and a live holder gives way only to an older live one, never to a stale or forged
/// claim.
package struct OneHolder {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0
  /// By how much ages may be misjudged beyond the clocks' drift.
  package static let tolerance = Nanoseconds.seconds(1)

  /// A contender for an ID or name.
  package struct Contender: Sendable {
    package var life: Life
    package var startedAt: Timestamp
    package var endedAt: Timestamp?

    /// All fields.
    package init(life: Life, startedAt: Timestamp, endedAt: Timestamp?) {
      self.life = life
      self.startedAt = startedAt
      self.endedAt = endedAt
    }
  }

  /// Nobody yet.
  package init() {}

  /// A life gave way to a holder; nil: to one that never was. `grace`: how long ago the holder may have ended.
  package mutating func defeated(
    _ loser: Contender, by holder: Contender?, grace: Nanoseconds, at now: Timestamp
  ) -> String? {
    checks += 1
    guard let holder else { return "life \(loser.life) gave way to a holder that never was" }
    let drift = Nanoseconds(now.since(loser.startedAt).count / 40)
    guard holder.startedAt < loser.startedAt + drift + Self.tolerance else {
      return "life \(loser.life) gave way to life \(holder.life), which is younger"
    }
    guard let end = holder.endedAt, now.since(end) > grace else { return nil }
    return "life \(loser.life) gave way to life \(holder.life), which ended at \(end.secondsText)"
  }

  /// The bound after healing is over; these lives claim the same ID or name.
  package mutating func settled(_ claimants: [Life], what: String) -> String? {
    checks += 1
    return claimants.count > 1 ? "lives \(claimants) all hold \(what)" : nil
  }
}
