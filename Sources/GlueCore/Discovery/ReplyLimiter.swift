import GlueAddress

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
}

/// Limits replies to each unproven address with bounded memory: a direct-mapped table, in which a newer source takes the
/// place of an older one that hashes alike. So a flood of sources buys fresh budgets, which the budget for all challenges
/// bounds; and it cannot lock anybody out.
struct ReplyLimiter: Sendable {
  private struct Entry: Sendable {
    var address: SocketAddress
    var bucket: TokenBucket
  }
  private var entries: [Entry?]
  private let key: (UInt64, UInt64)
  private let perSecond: Int
  private let burst: Int

  init(entries: Int, perSecond: Int, burst: Int, key: (UInt64, UInt64)) {
    self.entries = Array(repeating: nil, count: max(1, entries))
    self.key = key
    self.perSecond = perSecond
    self.burst = burst
  }

  /// Takes one of the replies to an address, if one is left.
  mutating func take(for address: SocketAddress, at now: Timestamp) -> Bool {
    let hash = SipHash.hash(address.ip.high, address.ip.low, address.word, key: key)
    let index = Int(hash % UInt64(entries.count))
    if entries[index]?.address != address {
      entries[index] = Entry(address: address, bucket: TokenBucket(perSecond: perSecond, burst: burst, at: now))
    }
    return entries[index]!.bucket.take(at: now)
  }
}

extension SocketAddress {
  /// All but the IP address's number, for hashing.
  var word: UInt64 { UInt64(scope) << 32 | UInt64(ip.family.rawValue) << 16 | UInt64(port) }
}
