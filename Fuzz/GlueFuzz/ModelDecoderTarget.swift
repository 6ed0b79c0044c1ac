import GlueCore
import GlueModel

/// Every decoder of models, fed with every input. Whatever decodes must encode, to no more bytes, and decode to the same again; values and sets of dots
/// have one encoding only.
public struct ModelDecoderTarget: FuzzTarget {
  /// The name on the command line.
  public static let name = "model-decoder"

  /// So many worlds of replicas lend their messages.
  private static let worlds: UInt64 = 40
  /// So many messages of each.
  private static let messagesPerWorld = 100
  /// Longer ones are few, and alike.
  private static let messageBytes = 4_000

  private var messages: [[UInt8]]

  /// Begins from a corpus, and from what replicas say to each other.
  public init(corpus: Corpus) {
    messages = corpus.modelVectors.map(\.bytes)
    for seed in 0..<Self.worlds {
      var generator = SplitMix64(seed: seed)
      let input = (0..<600).map { _ in generator.byte() }
      input.withUnsafeBytes { script in
        let world = ReplicaWorld(script: Script(script))
        _ = world.run()
        messages += world.sent.filter { $0.count <= Self.messageBytes }.prefix(Self.messagesPerWorld)
      }
    }
  }

  // MARK: Input

  /// Random bytes after a valid header, or a damaged message.
  public mutating func makeInput(_ input: inout [UInt8], using generator: inout SplitMix64) {
    if generator.below(8) == 0 {
      input = [1, UInt8(generator.below(9))]
      for _ in 0..<generator.below(200) { input.append(generator.byte()) }
      return
    }
    input = messages[generator.below(messages.count)]
    let donor = messages[generator.below(messages.count)]
    for _ in 0...generator.below(4) { Mutator.mutate(&input, donor: donor, using: &generator) }
  }

  // MARK: Execution

  /// Decodes the input as a message, and what follows its header, and a request's number, as everything else it could be.
  public mutating func execute(_ input: UnsafeRawBufferPointer) -> String? {
    if let problem = checkMessage(input) { return problem }
    for skipped in [0, 1, 2, 10, 18] where skipped <= input.count {
      let bytes = UnsafeRawBufferPointer(rebasing: input[skipped...])
      if let problem = checkParts(bytes) { return problem }
    }
    return nil
  }

  private func checkMessage(_ bytes: UnsafeRawBufferPointer) -> String? {
    guard let once = ReplicaMachine.reencoded(bytes) else { return nil }
    guard let twice = once.withUnsafeBytes({ ReplicaMachine.reencoded($0) }) else {
      return "a message is none any more when it is encoded again"
    }
    return once == twice && once.count <= bytes.count ? nil : "a message has two encodings: \(once), \(twice)"
  }

  private func checkParts(_ bytes: UnsafeRawBufferPointer) -> String? {
    if let delta = try? Delta(encoded: bytes) {
      // Paths may tell more than differs from the one before.
      let encoded = delta.encoded()
      guard encoded.count <= bytes.count, encoded.withUnsafeBytes({ try? Delta(encoded: $0) }) == delta else {
        return "\(delta) changes when it is encoded"
      }
      if let problem = check(delta) { return problem }
    }
    if let dots = try? DotSet(encoded: bytes), !dots.encoded().elementsEqual(bytes) {
      return "\(dots) has another encoding"
    }
    // What a generation covers need not be named.
    if let context = try? CausalContext(encoded: bytes), context.encoded().count > bytes.count {
      return "\(context) has a longer encoding"
    }
    if let value = try? ModelValue(encoded: bytes) {
      guard value.encoded().elementsEqual(bytes), value.encodedBytes == bytes.count else {
        return "\(value) has another encoding"
      }
    }
    if let text = String(validating: bytes, as: UTF8.self), let path = try? ModelPath(text) {
      guard (try? ModelPath(path.levels.joined(separator: "/"))) == path,
        path.levels.allSatisfy({
          ModelPath.level(forKey: ModelPath.key(ofLevel: $0)) == $0 || $0.utf8.contains(UInt8(ascii: "~"))
        })
      else { return "\(path) has other levels" }
    }
    return nil
  }

  /// Whatever decodes merges, and the document that it makes says the same to others.
  private func check(_ delta: Delta) -> String? {
    var document = Document(replica: ReplicaID(endpoint: EndpointID(1), number: 1))
    _ = document.merge(delta)
    var other = Document(replica: ReplicaID(endpoint: EndpointID(2), number: 1))
    _ = other.merge(document.state())
    guard other.stateBytes() == document.stateBytes(), other.digest == document.digest else {
      return "what \(delta) makes is another state when it is told"
    }
    return document.merge(delta).isNew ? "\(delta) is new a second time" : nil
  }
}
