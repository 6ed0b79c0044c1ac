import GlueCore

/// Discovery costs at most c·N packets a period: an endpoint announces itself to its targets at start and then at its
/// interval, and says the rest only to those who ask.
package struct AnnouncementRate {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0
  /// Announcements beyond one an interval: those at start, and as many again when everybody was lost and found.
  package static let allowance: UInt64 = 8

  private var counts: [Life: UInt64] = [:]

  /// Nothing sent yet.
  package init() {}

  /// A life sent an announcement to its target.
  package mutating func announced(_ life: Life, uptime: Nanoseconds, interval: Nanoseconds) -> String? {
    checks += 1
    counts[life, default: 0] += 1
    let regular = uptime.count / max(1, interval.count)
    let allowed = regular + regular / 10 + Self.allowance
    guard counts[life]! > allowed else { return nil }
    return "life \(life) announced itself \(counts[life]!) times in \(uptime.wholeMilliseconds) ms"
  }
}
