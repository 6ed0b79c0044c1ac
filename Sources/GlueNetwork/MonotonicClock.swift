import CGlueNetwork

/// The clocks that everything on this host is timed with.
public enum MonotonicClock {
  /// Nanoseconds since an arbitrary moment, long before the boot, and the same for all processes until the next one. Never goes
  /// back, is not set by anybody, and counts the time the computer sleeps.
  public static func nowNanoseconds() -> UInt64 { yearsBeforeBoot + cglue_monotonic_nanoseconds() }

  /// What was published before this host booted has its place on the clock too: it starts at 100 years.
  private static let yearsBeforeBoot: UInt64 = 100 * 365 * 86_400 * 1_000_000_000

  /// Nanoseconds since 1970 by the host's clock, which may be wrong and may jump. Kernel receive times are of this clock.
  public static func wallNanoseconds() -> UInt64 { cglue_wall_nanoseconds() }
}
