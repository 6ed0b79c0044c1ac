/// Something that can be fed with hostile input. The input is always bytes; a target that exercises operations takes the
/// bytes for a script of operations. Then keeping, replaying and mutating inputs is the same for all targets.
public protocol FuzzTarget {
  /// Names the target in file names and reports.
  static var name: String { get }

  /// Fills the empty `input`. It must depend on nothing but the generator, so that seed and iteration replay it.
  mutating func makeInput(_ input: inout [UInt8], using generator: inout SplitMix64)

  /// Runs the input. A trap is a failure, and so is a result: it says which invariant does not hold.
  mutating func execute(_ input: UnsafeRawBufferPointer) -> String?
}

/// A small seeded generator (Steele, Lea, Flood 2014). The same numbers on every platform and in every version.
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// Begins a sequence.
  public init(seed: UInt64) { state = seed }

  /// The sequence of one iteration of a run: independent of the iterations before it.
  public init(seed: UInt64, iteration: UInt64) {
    var mixer = SplitMix64(seed: seed)
    state = mixer.next() ^ (iteration &* 0xD1B5_4A32_D192_ED03)
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number of 0 ..< `bound`; 0 if the bound is not positive.
  public mutating func below(_ bound: Int) -> Int {
    bound > 0 ? Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high) : 0
  }

  /// Eight random bits.
  public mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: next()) }
}
