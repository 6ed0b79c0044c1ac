import GRDB
import GlueCore
import GlueStore
import Testing

/// What is written is what is loaded.
@Suite struct ContentTests {
  let directory: TemporaryDirectory
  let store: SQLiteStore

  init() throws {
    directory = try TemporaryDirectory()
    store = try SQLiteStore(directory: directory.store)
  }

  /// Closes the store and opens it again.
  private func reopened() throws -> SQLiteStore {
    try store.close()
    return try SQLiteStore(directory: directory.store)
  }

  @Test func anEmptyStoreHoldsNothing() throws {
    #expect(try store.load(now: .current()) == StoredContents())
    #expect(store.byteCount == 0)
    #expect(try reopened().load(now: .current()) == StoredContents())
  }

  @Test func everyFieldSurvives() throws {
    let streams = [
      StoredStream(
        origin: StreamOrigin(
          publisher: EndpointID(.max), incarnation: Incarnation(1 << 63), name: "n\0ï", number: .max - 1),
        topic: "ü/ber", type: "t\0", epochMicroseconds: .max, history: .last(.max)),
      .sample(publisher: 2, type: nil, history: .none), .sample(publisher: 3, type: "", history: .untilExpiry),
      .sample(publisher: 4, history: .last(0)), .sample(publisher: 5, history: .last(-1)),
    ]
    let messages = [
      StoredMessage(
        sequence: 0, position: 0, timeMicroseconds: 0, lifetimeMicroseconds: nil, publishedAt: .seconds(1),
        hasAttributes: false,
        body: []),
      StoredMessage(
        sequence: .max, position: .max, timeMicroseconds: .max, lifetimeMicroseconds: .max, publishedAt: .seconds(100),
        hasAttributes: true, body: (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }),
    ]
    try store.write(streams.map { .stream($0) } + messages.map { .message($0, of: streams[0].hash) }, at: .first(100))
    let store = try reopened()
    let contents = try store.load(now: .first(100))
    #expect(Set(contents.streams.map(\.stream)) == Set(streams))
    let first = try #require(contents.streams.first { $0.stream == streams[0] })
    #expect(first.messages.map(\.message) == messages)
    #expect(first.messages.map(\.expiresAt) == [nil, Timestamp(nanoseconds: .max)])
    #expect(contents.expired == 0 && contents.undatable.isEmpty)
    #expect(store.byteCount == 100_000)
  }

  @Test func messagesAreInOrderOfUnsignedSequenceNumbers() throws {
    let (one, other) = (StoredStream.sample(publisher: 1), StoredStream.sample(publisher: 2))
    let sequences: [UInt64] = [0, 1, 127, 1 << 32, 1 << 62, (1 << 63) - 1, 1 << 63, .max]
    try store.write([.stream(one), .stream(other)])
    for sequence in sequences.reversed() {
      try store.write([.message(.sample(sequence), of: one.hash), .message(.sample(sequence), of: other.hash)])
    }
    #expect(try store.sequences(of: one) == sequences)
    try store.write([.forget(one.hash, below: 1 << 63)])
    #expect(try store.sequences(of: one) == [1 << 63, .max])
    #expect(try store.sequences(of: other) == sequences)
    try store.write([.forget(one.hash, below: .max)])
    #expect(try store.sequences(of: one) == [.max])
  }

  @Test func forgettingAStreamLeavesTheOthers() throws {
    let (one, other) = (StoredStream.sample(publisher: 1), StoredStream.sample(publisher: 2))
    try store.write([
      .stream(one), .stream(other), .message(.sample(1), of: one.hash), .message(.sample(1), of: other.hash),
      .forgetStream(one.hash), .forgetStream(StreamHash(rawValue: 5)), .forget(StreamHash(rawValue: 5), below: 9),
    ])
    let store = try reopened()
    #expect(try store.load(now: .first(100)).streams.map(\.stream) == [other])
    #expect(store.byteCount == 3)
  }

  @Test func writesOfABatchHappenInTheirOrder() throws {
    let stream = StoredStream.sample()
    try store.write([
      .stream(stream), .message(.sample(1), of: stream.hash), .forget(stream.hash, below: 9),
      .message(.sample(2), of: stream.hash),
      .forgetStream(stream.hash), .stream(stream), .message(.sample(3), of: stream.hash),
    ])
    #expect(try store.sequences(of: stream) == [3])
  }

  @Test func whatIsStoredAlreadyStaysAsItIs() throws {
    let stream = StoredStream.sample()
    try store.write([.stream(stream), .message(.sample(1, body: [1]), of: stream.hash)])
    try store.write([
      .stream(stream), .message(.sample(1, body: [2, 2]), of: stream.hash), .message(.sample(2), of: stream.hash),
    ])
    #expect(try store.load(now: .first(100)).streams.first?.messages.map(\.message.body) == [[1], [1, 2, 3]])
    #expect(store.byteCount == 4)
  }

  @Test func aBatchWithAMessageOfAnUnknownStreamIsNotMade() throws {
    let (known, unknown) = (StoredStream.sample(publisher: 1), StoredStream.sample(publisher: 2))
    try store.write([.stream(known), .message(.sample(1), of: known.hash)])
    let error = #expect(throws: StoreError.self) {
      try store.write([
        .message(.sample(2), of: known.hash), .forget(known.hash, below: 2), .message(.sample(1), of: unknown.hash),
      ])
    }
    #expect(error?.kind == .unknownStream)
    #expect(try store.sequences(of: known) == [1])
    #expect(store.byteCount == 3)
    try store.write([.message(.sample(3), of: known.hash)])
    #expect(try store.sequences(of: known) == [1, 3])
  }

  @Test func bytesAreCountedThroughEveryChange() throws {
    let stream = StoredStream.sample()
    try store.write(
      [.stream(stream)]
        + (1...10).map { .message(.sample($0, body: [UInt8](repeating: 7, count: Int($0))), of: stream.hash) })
    #expect(store.byteCount == 55)
    try store.write([.forget(stream.hash, below: 5)])
    #expect(store.byteCount == 45)
    let store = try reopened()
    #expect(store.byteCount == 45)
    try store.write([.forgetStream(stream.hash)])
    #expect(store.byteCount == 0)
  }

  @Test func everyCallOfAClosedStoreFails() throws {
    try store.close()
    #expect(throws: StoreError.self) { try store.write([.stream(.sample())]) }
    let error = #expect(throws: StoreError.self) { try store.load(now: .current()) }
    #expect(error?.kind == .closed)
  }

  /// The settings on which the promises stand.
  @Test(arguments: [
    ("journal_mode", "wal"), ("synchronous", "2"), ("locking_mode", "exclusive"), ("auto_vacuum", "2"),
    ("foreign_keys", "1"),
    ("fullfsync", "1"), ("checkpoint_fullfsync", "1"),
  ]) func theDatabaseIsSetUp(_ pragma: String, _ value: String) throws {
    #expect(try store.setting(pragma) == value)
    #expect(try reopened().setting(pragma) == value)
  }
}
