/// Finds the largest datagram that a path carries (docs/protocol.md §5.5): tries the largest first, then the usual sizes
/// downward; falls back when large datagrams vanish.
struct PathProbe {
  /// Sizes worth trying, in bytes of UDP payload: loopback; jumbo frames; Ethernet with IPv4, with IPv6, with PPPoE or a tunnel.
  static let usualSizes = [65_507, 8_972, 1_472, 1_452, 1_392]
  /// How often one size is tried: with 20 % loss each way, three tries fail in one of 20 sessions, and are tried again later.
  static let attempts = 3
  /// When to look again after the search ended below the maximum, or fell back.
  static let searchAgain = Nanoseconds.seconds(60)
  /// Unanswered probe timeouts in a row that bring the path back to the base. At 20 % loss a probe or its answer is lost six
  /// times in a row once in 500 times.
  static let fallbackAfter = 6
  /// Round trips in a row with requests for repetition, without progress and without an acknowledgement of a larger datagram that
  /// do the same.
  static let fallbackAfterRequests = 5

  private(set) var current: Int
  /// What the path is taken to carry before it has been probed.
  let base: Int
  private var candidates: [Int]
  private let maximum: Int
  /// What whoever passes the datagrams on adds to them.
  private let overhead: Int
  private var attempt = 0
  private(set) var nextAt: Timestamp

  /// - Parameter isRelayed: whether the path is by way of others.
  init(maximum: Int, isRelayed: Bool = false, at now: Timestamp) {
    overhead = isRelayed ? WireLimits.relayBytes : 0
    base = WireLimits.baseDatagramBytes - overhead
    self.maximum = maximum - overhead
    current = base
    candidates = []
    nextAt = now
    candidates = sizes
  }

  /// What may be tried, the largest first.
  private var sizes: [Int] {
    guard maximum > base else { return [] }
    return [maximum] + Self.usualSizes.map { $0 - overhead }.filter { $0 < maximum }
  }

  /// The size to probe now, if one is due.
  mutating func takeDue(at now: Timestamp, interval: Nanoseconds) -> Int? {
    guard nextAt <= now else { return nil }
    if attempt >= Self.attempts, !candidates.isEmpty {
      candidates.removeFirst()
      attempt = 0
    }
    candidates.removeAll { $0 <= current }
    guard let size = candidates.first else {
      // The search is over. Larger sizes are tried again after a while: routes change.
      if current < maximum {
        candidates = sizes
        attempt = 0
        nextAt = now + Self.searchAgain
      } else {
        nextAt = Timestamp(nanoseconds: .max)
      }
      return nil
    }
    attempt += 1
    nextAt = now + interval
    return size
  }

  mutating func replied(size: Int) {
    guard size > current, size <= maximum else { return }
    current = size
    attempt = 0
  }

  /// The system refused a datagram of this size.
  mutating func refused(size: Int, at now: Timestamp) {
    candidates.removeAll { $0 >= size }
    attempt = 0
    if current >= size { current = base }
    nextAt = min(nextAt, now)
  }

  /// Large datagrams vanish.
  mutating func fallBack(at now: Timestamp) {
    current = base
    candidates = sizes
    attempt = 0
    nextAt = now + .seconds(1)
  }
}
