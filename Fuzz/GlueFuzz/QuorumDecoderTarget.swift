import GlueCore
import GlueQuorum

/// Every decoder of quorum models, fed with every input. Whatever decodes must encode, to no more bytes, and decode to the same again; states have one
/// encoding only.
public struct QuorumDecoderTarget: FuzzTarget {
  /// The name on the command line.
  public static let name = "quorum-decoder"

  /// So many worlds of openings lend their messages and states.
  private static let worlds: UInt64 = 30
  /// So many messages of each.
  private static let messagesPerWorld = 200
  /// Longer ones are few, and alike.
  private static let messageBytes = 4_000
  /// Where the parts of messages begin, after version, kind and cluster: from there on they are tried as each part as well.
  private static let offsets = [0, 1, 2, 18, 19, 20, 34]

  private var samples: [[UInt8]]

  /// Begins from a corpus, and from what openings say to each other and have decided.
  public init(corpus: Corpus) {
    samples = corpus.quorumVectors.map(\.bytes)
    for seed in 0..<Self.worlds {
      var generator = SplitMix64(seed: seed)
      let input = (0..<600).map { _ in generator.byte() }
      input.withUnsafeBytes { script in
        let world = QuorumWorld(script: Script(script))
        _ = world.run()
        samples += world.sent.filter { $0.count <= Self.messageBytes }.suffix(Self.messagesPerWorld)
        samples += world.states.filter { $0.count <= Self.messageBytes }
      }
    }
  }

  // MARK: Input

  /// Random bytes after a valid header, or a damaged message or state.
  public mutating func makeInput(_ input: inout [UInt8], using generator: inout SplitMix64) {
    if generator.below(8) == 0 {
      input = [1, UInt8(generator.below(17))]
      for _ in 0..<generator.below(200) { input.append(generator.byte()) }
      return
    }
    input = samples[generator.below(samples.count)]
    let donor = samples[generator.below(samples.count)]
    for _ in 0...generator.below(4) { Mutator.mutate(&input, donor: donor, using: &generator) }
  }

  // MARK: Execution

  /// Decodes the input as everything it could be, also what follows the header of a message.
  public mutating func execute(_ input: UnsafeRawBufferPointer) -> String? {
    for offset in Self.offsets where offset <= input.count {
      let bytes = UnsafeRawBufferPointer(rebasing: input[offset...])
      for part in QuorumPart.allCases {
        guard let once = part.reencoded(bytes) else { continue }
        guard once.withUnsafeBytes({ part.reencoded($0) }) == once, once.count <= bytes.count else {
          return "a \(part) changes when it is encoded again: \(Array(bytes)), \(once)"
        }
      }
    }
    return nil
  }
}
