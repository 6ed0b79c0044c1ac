import CGlueNetwork

/// The clocks that everything on this host is timed with.
public enum MonotonicClock {
  /// Nanoseconds since an arbitrary moment, the same for all processes until the next boot. Never goes back, is not set
  /// by anybody, and counts the time the computer sleeps.
  public static func nowNanoseconds() -> UInt64 { cglue_monotonic_nanoseconds() }

  /// Nanoseconds since 1970 by the host's clock, which may be wrong and may jump. Kernel receive times are of this clock.
  public static func wallNanoseconds() -> UInt64 { cglue_wall_nanoseconds() }
}
