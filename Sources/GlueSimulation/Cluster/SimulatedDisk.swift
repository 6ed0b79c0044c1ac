import GlueCore

/// The disk of a host, on which its endpoints store what they keep. Each batch is there as a whole or not at all; the one that is being
/// written when its endpoint ends may be either.
package final class SimulatedDisk {
  /// The store's number.
  package let id: StoreID
  /// Whether it refuses what is to be written.
  package var isFailing = false
  private var streams: [StreamHash: (facts: StoredStream, messages: [UInt64: StoredMessage])] = [:]
  /// What was ever safe on it.
  private var written: [StreamHash: Set<UInt64>] = [:]
  private var underWay: StoreBatch?
  private var dice: Dice

  init(host: Int, seed: UInt64) {
    dice = Dice(seed: seed &+ UInt64(host), concern: .disks)
    id = StoreID(rawValue: dice.next())
  }

  /// Whether a message was ever safe here.
  package func has(_ sequence: UInt64, of stream: StreamHash) -> Bool { written[stream]?.contains(sequence) ?? false }

  /// Bytes of everything that is on it.
  var byteCount: Int { streams.values.reduce(0) { $0 + $1.messages.values.reduce(0) { $0 + $1.body.count + 512 } } }

  // MARK: Writing

  /// Begins to write. Returns how long it will take.
  func begin(_ batch: StoreBatch) -> Nanoseconds {
    underWay = batch
    return dice.chance(percent: 5)
      ? dice.span(.milliseconds(100) ... .seconds(2)) : dice.span(.zero ... .milliseconds(40))
  }

  /// The time is over: whether what was begun is safe now.
  func end() -> Bool {
    guard let batch = underWay else { return false }
    underWay = nil
    guard !isFailing, !dice.chance(percent: 3) else { return false }
    apply(batch)
    return true
  }

  /// Whoever writes has ended.
  func crash() {
    if let batch = underWay, !isFailing, dice.chance(percent: 50) { apply(batch) }
    underWay = nil
  }

  private func apply(_ batch: StoreBatch) {
    for write in batch.writes {
      switch write {
      case .stream(let facts): if streams[facts.hash] == nil { streams[facts.hash] = (facts, [:]) }
      case .message(let message, let hash):
        precondition(streams[hash] != nil, "a message of a stream that the store was not told of")
        if streams[hash]?.messages[message.sequence] == nil { streams[hash]?.messages[message.sequence] = message }
        written[hash, default: []].insert(message.sequence)
      case .forget(let hash, let sequence):
        let rest = streams[hash]?.messages.filter { $0.key >= sequence }
        if let rest { streams[hash]?.messages = rest }
      case .forgetStream(let hash): streams[hash] = nil
      }
    }
  }

  // MARK: Reading

  /// What lives on it, dated by the clock of its host.
  func load(at now: Timestamp) -> [LoadedStream] {
    streams.values.sorted { $0.facts.hash < $1.facts.hash }.map { stream in
      LoadedStream(
        stream: stream.facts,
        messages: stream.messages.values.sorted { $0.sequence < $1.sequence }.compactMap { message in
          let expires = message.lifetimeMicroseconds.map { message.publishedAt + .microseconds($0) }
          return expires.map { $0 <= now } ?? false ? nil : LoadedMessage(message: message, expiresAt: expires)
        })
    }
  }
}
