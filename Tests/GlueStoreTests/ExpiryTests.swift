import GlueCore
import GlueStore
import Testing

/// Expiry goes on while the store is closed, through reboots and wrong clocks.
@Suite struct ExpiryTests {
  let directory: TemporaryDirectory
  let store: SQLiteStore
  let stream = StoredStream.sample(publisher: 77, topic: "t")

  init() throws {
    directory = try TemporaryDirectory()
    store = try SQLiteStore(directory: directory.store)
  }

  /// Stores at 100 s of the first boot.
  private func store(_ messages: StoredMessage...) throws {
    try store.write([.stream(stream)] + messages.map { .message($0, of: stream.hash) }, at: .first(100))
  }

  /// The messages that are left, by sequence number: publication and expiry in seconds of the current boot.
  private func left(at clock: StoreClock) throws -> [UInt64: [Double?]] {
    let messages = try store.load(now: clock).streams[0].messages
    return Dictionary(
      uniqueKeysWithValues: messages.map { ($0.message.sequence, [$0.publishedSeconds, $0.expirySeconds]) })
  }

  @Test func inTheSameBootTheBootClockCounts() throws {
    try store(.sample(1, at: 90, lifetime: 30), .sample(2, at: 90), .sample(3, at: 90, lifetime: 29))
    var clock = StoreClock.first(119.5)
    clock.wallMicroseconds = 0  // of no importance
    #expect(try left(at: clock) == [1: [90, 120], 2: [90, nil]])
  }

  @Test func aMessageExpiresAtItsExpiry() throws {
    try store(.sample(1, at: 90, lifetime: 30))
    #expect(try left(at: .first(119.999_999)) == [1: [90, 120]])
    #expect(try left(at: .first(120)).isEmpty)
  }

  @Test func theTimeBetweenBootsCounts() throws {
    // Published 10 s before 1,000,100 s by the wall clock; loaded at 2,000,050 s.
    let age = 999_960.0
    try store(.sample(1, at: 90, lifetime: age + 20), .sample(2, at: 90, lifetime: age - 1), .sample(3, at: 90))
    #expect(try left(at: .second(50)) == [1: [0, 70], 3: [0, nil]])
  }

  @Test func aPublicationWithinTheBootOfTheLoadIsExact() throws {
    // The host was moved to another boot whose clock began earlier: publication is within its reach.
    try store(.sample(1, at: 90, lifetime: 60))
    let clock = StoreClock(bootID: "older", boot: .seconds(5_000), wallMicroseconds: 1_000_110_000_000)
    #expect(try left(at: clock) == [1: [4_980, 5_040]])
  }

  @Test func theExpiredAreCountedAndDeleted() throws {
    try store(.sample(1, at: 90, lifetime: 10), .sample(2, at: 90, lifetime: 20), .sample(3, at: 90, lifetime: 30))
    let contents = try store.load(now: .first(115))
    #expect(contents.expired == 2 && contents.undatable.isEmpty)
    #expect(store.byteCount == 3)
    // They are gone, even for a clock by which they would not have expired.
    let again = try store.load(now: .first(100))
    #expect(again.expired == 0)
    #expect(again.streams[0].messages.map(\.message.sequence) == [3])
  }

  @Test func aStreamWhoseMessagesHaveExpiredIsStillThere() throws {
    try store(.sample(1, at: 90, lifetime: 10))
    #expect(try store.load(now: .first(115)).streams == [LoadedStream(stream: stream, messages: [])])
  }

  @Test func aWallClockThatWasSetBackDatesNothing() throws {
    let other = StoredStream.sample(publisher: 78)
    try store(.sample(1, at: 90, lifetime: 1e6), .sample(2, at: 90), .sample(3, at: 90, lifetime: 1e6))
    try store.write([.stream(other), .message(.sample(1), of: other.hash)])
    let clock = StoreClock(bootID: "second", boot: .seconds(50), wallMicroseconds: 1_000_098_000_000)
    let contents = try store.load(now: clock)
    #expect(contents.undatable == [UndatableMessages(topic: "t", publisher: EndpointID(77), count: 2)])
    #expect(contents.expired == 0)
    // What has no expiry needs no date.
    #expect(try store.sequences(of: stream, at: clock) == [2])
    #expect(try store.sequences(of: other, at: clock) == [1])
    #expect(store.byteCount == 6)
    #expect(try store.load(now: .second(50)).undatable.isEmpty)
  }

  @Test func aWallClockThatIsALittleBehindStillDates() throws {
    try store(.sample(1, at: 90, lifetime: 20))
    // 0.9 s before it was stored, which is impossible: it is as old as it was then, at the least.
    let clock = StoreClock(bootID: "second", boot: .seconds(50), wallMicroseconds: 1_000_099_100_000)
    #expect(try left(at: clock) == [1: [40, 60]])
  }

  @Test func aPublicationInTheNearFutureIsYoung() throws {
    try store(.sample(1, at: 100.5, lifetime: 20))
    #expect(try left(at: .first(100)).keys.sorted() == [1])
    let later = StoreClock(bootID: "second", boot: .seconds(50), wallMicroseconds: 1_000_110_500_000)
    #expect(try left(at: later) == [1: [40, 60]])
  }

  @Test func aBootClockThatWentBackIsAnother() throws {
    // The name of the boot is the same, but its clock is not: the wall clock counts.
    try store(.sample(1, at: 90, lifetime: 30))
    let clock = StoreClock(bootID: "first", boot: .seconds(5), wallMicroseconds: 1_000_110_000_000)
    #expect(try left(at: clock) == [1: [0, 15]])
  }

  @Test func aHostWithoutBootIDsGoesByTheWallClock() throws {
    let stream = stream
    try store.write(
      [.stream(stream), .message(.sample(1, at: 90, lifetime: 30), of: stream.hash)],
      at: StoreClock(bootID: "", boot: .seconds(100), wallMicroseconds: 1_000_100_000_000))
    let clock = StoreClock(bootID: "", boot: .seconds(200), wallMicroseconds: 1_000_105_000_000)
    #expect(try left(at: clock) == [1: [185, 215]])
  }

  @Test func absurdClocksTrapNothing() throws {
    let clocks: [StoreClock] = [0, 1, 1 << 63, .max].flatMap { (boot: UInt64) in
      [0, 1, 1 << 62, 1 << 63, .max].map {
        StoreClock(bootID: "\(boot % 2)", boot: Timestamp(nanoseconds: boot), wallMicroseconds: $0)
      }
    }
    try store.write([.stream(stream)])
    for (index, clock) in clocks.enumerated() {
      for published: UInt64 in [0, 1 << 63, .max] {
        var message = StoredMessage.sample(UInt64(index), lifetime: 1)
        message.publishedAt = Timestamp(nanoseconds: published)
        message.lifetimeMicroseconds = published
        try store.write([.message(message, of: stream.hash)], at: clock)
        for later in clocks { _ = try store.load(now: later) }
      }
    }
  }

  @Test func theHostsClockAdvances() {
    let (first, second) = (StoreClock.current(), StoreClock.current())
    #expect(!first.bootID.isEmpty && first.bootID == second.bootID)
    #expect(first.boot <= second.boot && first.boot.nanoseconds > 0)
    #expect(first.wallMicroseconds > 1_600_000_000_000_000)
  }
}

extension LoadedMessage {
  fileprivate var publishedSeconds: Double { Double(message.publishedAt.nanoseconds) / 1e9 }
  fileprivate var expirySeconds: Double? { expiresAt.map { Double($0.nanoseconds) / 1e9 } }
}
