import GlueCore

/// How one host tells the time: its own origin, a drift, and a wall clock that may be wrong.
package struct LocalClock: Sendable {
  /// What the clock shows at virtual time zero, in nanoseconds.
  package var origin: UInt64
  /// How much faster than virtual time it runs, in millionths; −10,000 is one per cent slow.
  package var driftPerMillion: Int64
  /// What the wall clock shows at virtual time zero, microseconds since 1970.
  package var wallOrigin: UInt64

  /// A right clock.
  package init(origin: UInt64 = 1_000_000_000, driftPerMillion: Int64 = 0, wallOrigin: UInt64 = Self.rightWallOrigin) {
    self.origin = origin
    self.driftPerMillion = driftPerMillion
    self.wallOrigin = wallOrigin
  }

  /// When every simulation takes place by right wall clocks.
  package static let rightWallOrigin: UInt64 = 1_700_000_000_000_000

  /// What the clock shows at a virtual time.
  package func local(_ virtual: Timestamp) -> Timestamp {
    let drift = Int64(virtual.nanoseconds / 1_000) * driftPerMillion / 1_000
    return Timestamp(nanoseconds: origin + UInt64(Int64(virtual.nanoseconds) + drift))
  }

  /// The first virtual time at which the clock shows this or more; at least the time given.
  package func virtual(_ local: Timestamp, notBefore now: Timestamp) -> Timestamp {
    guard local.nanoseconds < UInt64.max / 2 else { return Timestamp(nanoseconds: .max) }
    guard local > self.local(now) else { return now }
    let elapsed = local.nanoseconds - origin
    var guess = UInt64(Double(elapsed) / (1 + Double(driftPerMillion) / 1_000_000))
    guess -= min(guess, 2_000)
    // The estimate is a little early on purpose; the clock itself decides.
    while self.local(Timestamp(nanoseconds: guess)) < local {
      guess += max(1, (local.nanoseconds - self.local(Timestamp(nanoseconds: guess)).nanoseconds) * 99 / 100)
    }
    return max(Timestamp(nanoseconds: guess), now)
  }

  /// What the wall clock shows at a virtual time.
  package func wallMicroseconds(_ virtual: Timestamp) -> UInt64 { wallOrigin + virtual.nanoseconds / 1_000 }
}
