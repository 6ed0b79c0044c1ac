/// SipHash-2-4 (Aumasson and Bernstein 2012): a short keyed hash. The standard library's `Hasher` has neither a key of ours
/// nor the same result in the next process, and tokens must replay with a seed.
struct SipHash {
  private var v0: UInt64
  private var v1: UInt64
  private var v2: UInt64
  private var v3: UInt64

  init(key: (UInt64, UInt64)) {
    v0 = key.0 ^ 0x736f_6d65_7073_6575
    v1 = key.1 ^ 0x646f_7261_6e64_6f6d
    v2 = key.0 ^ 0x6c79_6765_6e65_7261
    v3 = key.1 ^ 0x7465_6462_7974_6573
  }

  /// Takes eight bytes, the first one lowest.
  mutating func combine(_ word: UInt64) {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }

  /// Takes the last `byteCount % 8` bytes, and gives the hash of all `byteCount` bytes.
  mutating func finish(tail: UInt64 = 0, byteCount: Int) -> UInt64 {
    combine(UInt64(truncatingIfNeeded: byteCount) << 56 | tail)
    v2 ^= 0xFF
    for _ in 0..<4 { round() }
    return v0 ^ v1 ^ v2 ^ v3
  }

  /// The hash of words.
  static func hash(_ words: UInt64..., key: (UInt64, UInt64)) -> UInt64 {
    var hash = SipHash(key: key)
    for word in words { hash.combine(word) }
    return hash.finish(byteCount: words.count * 8)
  }

  private mutating func round() {
    v0 &+= v1
    v2 &+= v3
    v1 = SipHash.rotate(v1, 13) ^ v0
    v3 = SipHash.rotate(v3, 16) ^ v2
    v0 = SipHash.rotate(v0, 32)
    v2 &+= v1
    v0 &+= v3
    v1 = SipHash.rotate(v1, 17) ^ v2
    v3 = SipHash.rotate(v3, 21) ^ v0
    v2 = SipHash.rotate(v2, 32)
  }

  private static func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { (x << n) | (x >> (64 - n)) }
}
