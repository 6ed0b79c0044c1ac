/// A 64-bit number that names an endpoint within its network: the service role. Constant across reboots if configured.
public struct EndpointID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The number; never 0 in a valid endpoint.
  public let rawValue: UInt64
  /// Wraps a number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// Wraps a number.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  /// Orders by number.
  public static func < (a: EndpointID, b: EndpointID) -> Bool { a.rawValue < b.rawValue }
  /// The number in decimal.
  public var description: String { String(rawValue) }
}

/// 64 random bits, new at every start of an endpoint: tells one life of an endpoint ID from the next.
public struct Incarnation: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The number; never 0 in a valid endpoint.
  public let rawValue: UInt64
  /// Wraps a number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// Wraps a number.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  /// Orders by number.
  public static func < (a: Incarnation, b: Incarnation) -> Bool { a.rawValue < b.rawValue }
  /// The number in hexadecimal.
  public var description: String { String(rawValue, radix: 16) }
}

/// A moment on the clock that is passed into the core: nanoseconds since an arbitrary origin, monotonic, counting sleep.
public struct Timestamp: Hashable, Comparable, Sendable, BitwiseCopyable {
  /// Nanoseconds since the clock's origin.
  public var nanoseconds: UInt64
  /// Wraps a number of nanoseconds.
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
  /// Orders by time.
  public static func < (a: Timestamp, b: Timestamp) -> Bool { a.nanoseconds < b.nanoseconds }
  /// The moment a span later; saturates.
  public static func + (a: Timestamp, b: Nanoseconds) -> Timestamp {
    let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.count)
    return Timestamp(nanoseconds: overflow ? .max : sum)
  }
  /// The moment a span earlier; saturates.
  public static func - (a: Timestamp, b: Nanoseconds) -> Timestamp {
    Timestamp(nanoseconds: a.nanoseconds > b.count ? a.nanoseconds - b.count : 0)
  }
  /// The span from an earlier moment to this one; zero if `earlier` is later.
  public func since(_ earlier: Timestamp) -> Nanoseconds {
    Nanoseconds(nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0)
  }
}

/// A non-negative span of time. `Duration` has 128 bits and attoseconds; on the packet path this is cheaper.
public struct Nanoseconds: Hashable, Comparable, Sendable {
  /// The number of nanoseconds.
  public var count: UInt64
  /// Wraps a number of nanoseconds.
  public init(_ count: UInt64) { self.count = count }
  /// From a `Duration`; negative ones become zero, those beyond 584 years the maximum.
  public init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    guard seconds >= 0, attoseconds >= 0 else {
      self.count = 0
      return
    }
    let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, overflow2) = whole.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
    count = overflow || overflow2 ? .max : sum
  }
  /// So many microseconds; saturates.
  public static func microseconds(_ n: UInt64) -> Nanoseconds { scaled(n, 1_000) }
  /// So many milliseconds; saturates.
  public static func milliseconds(_ n: UInt64) -> Nanoseconds { scaled(n, 1_000_000) }
  /// So many seconds; saturates.
  public static func seconds(_ n: UInt64) -> Nanoseconds { scaled(n, 1_000_000_000) }
  /// No time.
  public static let zero = Nanoseconds(0)
  /// Whole microseconds, rounded down.
  public var wholeMicroseconds: UInt64 { count / 1_000 }
  /// Whole milliseconds, rounded down.
  public var wholeMilliseconds: UInt64 { count / 1_000_000 }
  /// As a `Duration`.
  public var duration: Duration { .nanoseconds(Int64(clamping: count)) }
  /// Orders by length.
  public static func < (a: Nanoseconds, b: Nanoseconds) -> Bool { a.count < b.count }
  /// The sum; saturates.
  public static func + (a: Nanoseconds, b: Nanoseconds) -> Nanoseconds {
    let (sum, overflow) = a.count.addingReportingOverflow(b.count)
    return Nanoseconds(overflow ? .max : sum)
  }
  /// A multiple; saturates.
  public static func * (a: Nanoseconds, factor: UInt64) -> Nanoseconds { scaled(factor, a.count) }

  private static func scaled(_ n: UInt64, _ unit: UInt64) -> Nanoseconds {
    let (product, overflow) = n.multipliedReportingOverflow(by: unit)
    return Nanoseconds(overflow ? .max : product)
  }
}
