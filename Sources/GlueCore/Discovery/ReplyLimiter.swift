import GlueAddress

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

  /// Takes one of the replies to an address, if one is left. Says too whether another source lost its place, and with it what
  /// was counted against it.
  mutating func take(for address: SocketAddress, at now: Timestamp) -> (isGranted: Bool, hasReplacedOther: Bool) {
    let hash = SipHash.hash(address.ip.high, address.ip.low, address.word, key: key)
    let index = Int(hash % UInt64(entries.count))
    var hasReplacedOther = false
    if entries[index]?.address != address {
      hasReplacedOther = entries[index].map { !$0.bucket.isFull(at: now) } ?? false
      entries[index] = Entry(address: address, bucket: TokenBucket(perSecond: perSecond, burst: burst, at: now))
    }
    return (entries[index]!.bucket.take(at: now), hasReplacedOther)
  }
}

extension SocketAddress {
  /// All but the IP address's number, for hashing.
  var word: UInt64 { UInt64(scope) << 32 | UInt64(ip.family.rawValue) << 16 | UInt64(port) }
}
