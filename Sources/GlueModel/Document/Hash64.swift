/// A hash that is the same everywhere and always, unlike `Hasher`. Not for input of whoever wants collisions.
package struct Hash64 {
  /// The hash of what was taken in so far.
  package private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  /// Of nothing.
  package init() {}

  /// Takes in 64 bits, mixed as in SplitMix64 (Steele, Lea, Flood 2014).
  @inline(__always)
  package mutating func combine(_ word: UInt64) {
    var z = (value ^ word) &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    value = z ^ (z >> 31)
  }

  mutating func combine(_ replica: ReplicaID) {
    combine(replica.endpoint.rawValue)
    combine(replica.number)
    combine(UInt64(replica.generation))
  }

  /// Takes in bytes, and their number.
  package mutating func combine(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { bytes in
      for start in stride(from: 0, to: bytes.count - 7, by: 8) {
        combine(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)))
      }
      var rest = UInt64(bytes.count) << 56
      for index in (bytes.count & ~7)..<bytes.count { rest = rest ^ UInt64(bytes[index]) << UInt64(8 * (index & 7)) }
      combine(rest)
    }
  }
}

extension LiveDot {
  var hash64: UInt64 {
    var hash = Hash64()
    hash.combine(dot.replica)
    hash.combine(dot.counter)
    hash.combine(UInt64(folds))
    return hash.value
  }
}

extension CausalContext {
  /// 64 bits over the context: O(ranges). Equal contexts have equal ones.
  public var digest: UInt64 {
    var hash = Hash64()
    hash.combine(UInt64(generation))
    for part in seen.parts {
      hash.combine(part.replica)
      for range in part.counters.ranges {
        hash.combine(range.lowerBound)
        hash.combine(range.upperBound)
      }
    }
    return hash.value
  }
}
