/// Moves the bits of a varint of up to eight bytes (unsigned LEB128) to their places, and back, without a loop: groups of 7 bits are
/// joined to groups of 14, these to groups of 28, and these to 56.
enum Varint {
  /// The bits that say of each of eight bytes that another one follows.
  static let continuationBits: UInt64 = 0x8080_8080_8080_8080
  /// The most that ``spread(_:)`` takes.
  static let maximum: UInt64 = (1 << 56) - 1

  /// The number whose groups of 7 bits are in the low bits of the word's bytes.
  @inline(__always)
  static func joined(_ word: UInt64) -> UInt64 {
    let sevens = word & ~continuationBits
    let fourteens = (sevens & 0x007F_007F_007F_007F) | ((sevens & 0x7F00_7F00_7F00_7F00) >> 1)
    let halves = (fourteens & 0x0000_3FFF_0000_3FFF) | ((fourteens & 0x3FFF_0000_3FFF_0000) >> 2)
    return (halves & 0x0FFF_FFFF) | ((halves & 0x0FFF_FFFF_0000_0000) >> 4)
  }

  /// The reverse: groups of 7 bits of a number below 2⁵⁶, in the low bits of the word's bytes.
  @inline(__always)
  static func spread(_ value: UInt64) -> UInt64 {
    let halves = (value & 0x0FFF_FFFF) | ((value & 0x00FF_FFFF_F000_0000) << 4)
    let fourteens = (halves & 0x0000_3FFF_0000_3FFF) | ((halves & 0x0FFF_C000_0FFF_C000) << 2)
    return (fourteens & 0x007F_007F_007F_007F) | ((fourteens & 0x3F80_3F80_3F80_3F80) << 1)
  }
}
