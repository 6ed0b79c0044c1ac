/// A budget that fills at a rate up to a burst. Starts full.
struct TokenBucket: Sendable {
  private let perSecond: UInt64
  private let burst: UInt64
  /// In billionths, so that no time is lost in rounding.
  private var level: UInt64
  private var updated: Timestamp

  init(perSecond: Int, burst: Int, at now: Timestamp = Timestamp(nanoseconds: 0)) {
    // Rates beyond a billion a second are no limit and would overflow.
    self.perSecond = UInt64(min(max(0, perSecond), 1_000_000_000))
    self.burst = UInt64(min(max(0, burst), 1_000_000_000)) * 1_000_000_000
    level = self.burst
    updated = now
  }

  /// Takes one if there is one.
  mutating func take(at now: Timestamp) -> Bool {
    let (gain, overflow) = now.since(updated).count.multipliedReportingOverflow(by: perSecond)
    level = overflow ? burst : min(burst, level + min(gain, burst))
    updated = max(updated, now)
    guard level >= 1_000_000_000 else { return false }
    level -= 1_000_000_000
    return true
  }

  /// Whether nothing is missing, so that a new one would be the same.
  func isFull(at now: Timestamp) -> Bool {
    let (gain, overflow) = now.since(updated).count.multipliedReportingOverflow(by: perSecond)
    return overflow || gain >= burst - level
  }
}
