/// Damages bytes in the ways that decoders are known to fall for.
public enum Mutator {
  /// What no length, count or number should be, as varints and as plain bytes.
  private static let nastyBytes: [[UInt8]] = [
    [0x00], [0x01], [0x7F], [0x80], [0xFF], [0xFF, 0xFF], [0x00, 0x80], [0xFF, 0x7F],
    [0xFF, 0xFF, 0xFF, 0xFF], [0x80, 0x80, 0x80, 0x80, 0x08], [0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40],  // 2⁶²
    [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],  // 2⁶³ − 1
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],  // 2⁶³
    [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],  // 2⁶⁴ − 1
    [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02],  // 2⁶⁴ and more
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],  // 11 bytes
    [0xC3, 0x28], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],  // not UTF-8
  ]

  /// Changes the bytes once. `donor` lends bytes for splices.
  public static func mutate(_ bytes: inout [UInt8], donor: [UInt8], using generator: inout SplitMix64) {
    let place = generator.below(bytes.count)
    switch generator.below(10) {
    case 0 where !bytes.isEmpty:
      bytes[place] ^= 1 << UInt8(generator.below(8))
    case 1 where !bytes.isEmpty:
      bytes[place] = generator.byte()
    case 2 where !bytes.isEmpty:
      bytes[place] &+= generator.below(2) == 0 ? 1 : .max
    case 3, 4:
      let nasty = nastyBytes[generator.below(nastyBytes.count)]
      let replaced = min(bytes.count - place, nasty.count, generator.below(nasty.count + 1))
      bytes.replaceSubrange(place..<(place + replaced), with: nasty)
    case 5:
      bytes.removeLast(generator.below(bytes.count + 1))
    case 6:
      bytes.removeSubrange(place..<(place + generator.below(min(8, bytes.count - place) + 1)))
    case 7:
      let end = place + generator.below(min(32, bytes.count - place) + 1)
      bytes.insert(contentsOf: Array(bytes[place..<end]), at: generator.below(bytes.count + 1))
    case 8:
      let start = generator.below(donor.count)
      let count = generator.below(min(64, donor.count - start) + 1)
      bytes.insert(contentsOf: donor[start..<(start + count)], at: place)
    default:
      for _ in 0..<generator.below(16) { bytes.insert(generator.byte(), at: place) }
    }
  }
}
