import GlueCore
import GlueFuzz
import Testing

/// Random and damaged bytes from seeds, through every decoder. `GlueFuzz decoder` does the same for as long as one likes.
@Suite struct HostileBytesTests {
  @Test(arguments: [1, 2, 3, 4] as [UInt64]) func decodersAreTotal(seed: UInt64) throws {
    var target = DecoderTarget(corpus: try Corpus())
    var input: [UInt8] = []
    for iteration in 0..<2_500 as Range<UInt64> {
      var generator = SplitMix64(seed: seed, iteration: iteration)
      input.removeAll(keepingCapacity: true)
      target.makeInput(&input, using: &generator)
      if let violation = input.withUnsafeBytes({ target.execute($0) }) {
        Issue.record("seed \(seed), iteration \(iteration): \(violation)")
      }
    }
  }

  @Test func everyCutOfEveryVector() throws {
    var target = DecoderTarget(corpus: try Corpus())
    for vector in Vector.all {
      let bytes = [UInt8](hex: vector.hex)
      for count in 0...bytes.count {
        let violation = bytes.withUnsafeBytes { target.execute(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        if let violation { Issue.record("\(vector.name), first \(count) bytes: \(violation)") }
      }
    }
  }

  @Test(.apart) func everyByteOfEveryShortVectorReplaced() throws {
    var target = DecoderTarget(corpus: try Corpus())
    for vector in Vector.all where vector.hex.count <= 120 {
      var bytes = [UInt8](hex: vector.hex)
      for index in bytes.indices {
        let original = bytes[index]
        for value in [0x00, 0x01, 0x7F, 0x80, 0xFF, original ^ 1, original &+ 1] as [UInt8] {
          bytes[index] = value
          let violation = bytes.withUnsafeBytes { target.execute($0) }
          if let violation { Issue.record("\(vector.name), byte \(index) as \(value): \(violation)") }
        }
        bytes[index] = original
      }
    }
  }
}
