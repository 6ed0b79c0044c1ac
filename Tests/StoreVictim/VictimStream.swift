import GlueCore
import GlueStore

/// A stream of numbered batches of which every message is known beforehand.
struct VictimStream {
  /// Messages in a batch.
  var messages: Int
  /// Bytes of a message's body; 8 or more.
  var bytes: Int
  /// How many batches are kept. Each tenth batch lets those before them go.
  var kept = 20

  let stream = StoredStream(
    origin: StreamOrigin(publisher: EndpointID(.max), incarnation: Incarnation(7), name: "victim", number: 1),
    topic: "victim/numbers", type: nil, epochMicroseconds: 0, history: .last(1_000))

  /// A failed expectation.
  struct Unexpected: Error {
    var text: String
  }

  /// The batch of a number, counted from 0.
  func batch(_ number: Int) -> StoreBatch {
    var writes: [StoreWrite] = [.stream(stream)]
    writes += (0..<messages).map { .message(message(UInt64(number * messages + $0)), of: stream.hash) }
    let first = firstKept(after: number)
    if number % 10 == 0, first > 0 { writes.append(.forget(stream.hash, below: UInt64(first * messages))) }
    return StoreBatch(number: UInt64(number + 1), writes: writes)
  }

  /// The batches that are there. Throws if one of them is there in part, was changed, or has a neighbour missing.
  func batches(in contents: StoredContents) throws -> Range<Int> {
    guard contents.expired == 0, contents.undatable.isEmpty else { throw Unexpected(text: "messages were dropped") }
    guard let loaded = contents.streams.first else { return 0..<0 }
    guard contents.streams.count == 1, loaded.stream == stream else { throw Unexpected(text: "another stream") }
    guard let first = loaded.messages.first?.message.sequence else { throw Unexpected(text: "half a batch") }
    for (index, found) in loaded.messages.enumerated() {
      var expected = message(first + UInt64(index))
      expected.publishedAt = found.message.publishedAt
      guard found.message == expected else {
        throw Unexpected(text: "\(found.message.sequence) instead of \(expected.sequence), or of other content")
      }
    }
    let end = Int(first) + loaded.messages.count
    guard Int(first) % messages == 0, end % messages == 0 else {
      throw Unexpected(text: "half a batch at \(first)..<\(end)")
    }
    guard Int(first) / messages == firstKept(after: end / messages - 1) else {
      throw Unexpected(text: "half a forgetting")
    }
    return Int(first) / messages..<end / messages
  }

  /// Throws unless just these batches were written, and are there as far as they were kept.
  func expect(_ written: Range<Int>, in store: SQLiteStore) throws {
    let found = try batches(in: store.load(now: .current()))
    guard found.upperBound == written.upperBound else { throw Unexpected(text: "\(found), not \(written)") }
    guard store.byteCount == found.count * messages * bytes else { throw Unexpected(text: "\(store.byteCount) bytes") }
  }

  /// The first batch that is kept when one has been written.
  private func firstKept(after number: Int) -> Int { max(number / 10 * 10 - kept, 0) }

  private func message(_ sequence: UInt64) -> StoredMessage {
    // Each has bytes of its own, made fast also without optimisation.
    let body = [UInt8](repeating: UInt8(truncatingIfNeeded: sequence &* 31), count: bytes - 8)
    return StoredMessage(
      sequence: sequence, position: sequence * 2, timeMicroseconds: sequence, lifetimeMicroseconds: nil,
      publishedAt: Timestamp(nanoseconds: 0), hasAttributes: false,
      body: withUnsafeBytes(of: sequence.bigEndian, Array.init) + body)
  }
}
