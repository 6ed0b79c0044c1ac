import Testing

@testable import GlueCore

/// What is kept is written to a store, confirmed when it is safe, and served after a restart.
@Suite struct StoringTests {
  /// A publisher, and a cache with a store that is written only when the test says so.
  private final class Scene {
    let pair: Pair
    let publication: PublicationID
    let disk = SimulatedDisk()

    init(
      history: HistoryPolicy = .untilExpiry, _ change: @escaping (inout EndpointConfiguration) -> Void = { _ in }
    ) throws {
      let id = disk.id
      pair = Pair {
        if $0.id == EndpointID(2) { $0.store = id }
        change(&$0)
      }
      publication = try pair.machines[0].advertise("t", options: PublicationOptions(history: history), at: pair.now)
      try Self.subscribe(pair.machines[1], at: pair.now)
      pair.settle()
    }

    static func subscribe(_ machine: EndpointMachine, at now: Timestamp) throws {
      _ = try machine.subscribe("#", options: SubscriptionOptions(history: .all), at: now)
    }

    var cache: EndpointMachine { pair.machines[1] }

    func publish(_ numbers: Range<Int>, lifetime: Nanoseconds? = .seconds(60)) throws {
      for number in numbers { try pair.publish(pattern(700, seed: number), on: publication, lifetime: lifetime) }
    }

    /// Writes all that there is to write.
    func store() {
      while let batch = cache.nextStoreBatch() {
        disk.write(batch)
        cache.stored(batch.number, at: pair.now)
      }
      pair.settle()
    }

    func storedCount(_ sequences: Range<UInt64>) -> Int {
      pair.machines[0].storedCount(of: publication, sequences) ?? -1
    }

    /// The cache is killed and started again with what is on its disk.
    func restartCache(after pause: Nanoseconds = .zero) throws {
      let id = disk.id
      try pair.restart(1, after: pause) {
        $0.store = id
      } before: { machine in
        machine.restore(disk.load(at: pair.now), at: pair.now)
        try Self.subscribe(machine, at: pair.now)
      }
    }

    /// The publisher is killed, and somebody comes in its place who asks for history.
    func replacePublisherByJoiner(after pause: Nanoseconds = .zero) throws {
      try pair.restart(0, after: pause, before: { try Self.subscribe($0, at: pair.now) })
      pair.run(for: .seconds(10))
    }

    var joinersNumbers: [UInt64] { pair.received[0].map(\.sequence) }
  }

  @Test func whatIsStoredIsConfirmedOnlyThen() throws {
    let scene = try Scene()
    try scene.publish(0..<10)
    scene.pair.settle()
    #expect(scene.pair.machines[0].isAcknowledged(scene.publication, below: 20), "that does not wait for the disk")
    let batch = try #require(scene.cache.nextStoreBatch())
    scene.pair.settle()
    #expect(scene.storedCount(0..<1) == 0)
    #expect(!scene.cache.hasToStore && scene.cache.nextStoreBatch() == nil, "one batch at a time")
    scene.disk.write(batch)
    scene.cache.stored(batch.number, at: scene.pair.now)
    scene.pair.settle()
    #expect(scene.storedCount(0..<10) == 1)
    #expect(scene.storedCount(0..<11) == 0)
    #expect(scene.pair.events[0].contains { if case .stored(scene.publication) = $0 { true } else { false } })
  }

  @Test func whatWasConfirmedIsServedAfterARestart() throws {
    let scene = try Scene()
    try scene.publish(0..<100)
    scene.pair.settle()
    scene.store()
    #expect(scene.storedCount(0..<100) == 1)
    // These are on their way to the disk when it is killed.
    try scene.publish(100..<110)
    scene.pair.settle()
    #expect(scene.cache.nextStoreBatch() != nil)
    // The publisher is gone first, so that nobody else has them.
    try scene.pair.restart(0)
    try scene.restartCache()
    try scene.replacePublisherByJoiner()
    #expect(scene.joinersNumbers == Array(0..<100))
    #expect(scene.pair.received[0].map(\.payload) == (0..<100).map { pattern(700, seed: $0) })
  }

  @Test func aRestartedCacheGoesOnWhereItsDiskEnds() throws {
    let scene = try Scene()
    try scene.publish(0..<10)
    scene.pair.settle()
    scene.store()
    try scene.publish(10..<20)
    scene.pair.settle()
    try scene.restartCache()
    // Its own subscription gets what comes from the disk too, then what it has missed.
    #expect(scene.pair.received[1].map(\.sequence) == Array(0..<20))
    #expect(scene.storedCount(0..<20) == 0)
    scene.store()
    #expect(scene.storedCount(0..<20) == 1)
    #expect(scene.disk.sequences == Array(0..<20))
  }

  @Test func aConfirmationThatGotLostIsToldAgain() throws {
    let scene = try Scene()
    try scene.publish(0..<10)
    scene.pair.settle()
    let batch = try #require(scene.cache.nextStoreBatch())
    scene.disk.write(batch)
    // Killed after the sync, before a word of it has left.
    try scene.restartCache()
    #expect(scene.storedCount(0..<10) == 1, "one store, in whichever life")
  }

  @Test func aBatchThatFailsComesAgain() throws {
    let scene = try Scene()
    try scene.publish(0..<10)
    scene.pair.settle()
    let failed = try #require(scene.cache.nextStoreBatch())
    try scene.publish(10..<20)
    scene.pair.settle()
    scene.cache.storingFailed(failed.number)
    scene.cache.stored(failed.number, at: scene.pair.now)
    scene.pair.settle()
    #expect(scene.storedCount(0..<1) == 0)
    scene.store()
    #expect(scene.disk.sequences == Array(0..<20))
    #expect(scene.storedCount(0..<20) == 1)
  }

  @Test func aDiskThatHangsCostsNoMemoryAndHoldsUpNobody() throws {
    let scene = try Scene { $0.topics.historyBytes = 100_000 }
    try scene.publish(0..<10)
    scene.pair.settle()
    let first = try #require(scene.cache.nextStoreBatch())
    try scene.publish(10..<1_000)
    scene.pair.settle()
    #expect(scene.pair.received[1].count == 1_000)
    #expect(scene.cache.bufferedBytes <= 110_000)
    scene.cache.storingFailed(first.number)
    scene.store()
    let held = scene.disk.sequences
    // What was pushed out before it could be stored is not confirmed.
    #expect(held.last == 999 && held.count < 200 && held == Array(held[0]...999))
    #expect(scene.storedCount(held[0]..<1_000) == 1)
    #expect(scene.storedCount(held[0] - 1..<1_000) == 0)
  }

  @Test func whatIsLetGoLeavesTheDisk() throws {
    let scene = try Scene(history: .last(5))
    try scene.publish(0..<20, lifetime: nil)
    scene.pair.settle()
    scene.store()
    #expect(scene.disk.sequences == Array(15..<20))
    try scene.publish(20..<22, lifetime: nil)
    scene.pair.settle()
    scene.store()
    #expect(scene.disk.sequences == Array(17..<22))
    try scene.restartCache()
    try scene.replacePublisherByJoiner()
    #expect(scene.joinersNumbers == Array(17..<22))
  }

  @Test func expiryCountsTheTimeTheCacheWasDown() throws {
    let scene = try Scene()
    try scene.publish(0..<10, lifetime: .seconds(10))
    try scene.publish(10..<20, lifetime: .seconds(120))
    scene.pair.settle()
    scene.store()
    try scene.restartCache(after: .seconds(30))
    scene.pair.run(for: .seconds(2))
    try scene.replacePublisherByJoiner(after: .seconds(10))
    #expect(scene.joinersNumbers == Array(10..<20))
    let published = scene.pair.now.since(Timestamp(nanoseconds: 1_000_000_000))
    #expect(published > .seconds(40))
    scene.store()
    scene.pair.run(for: .seconds(120))
    scene.store()
    #expect(scene.disk.sequences.isEmpty)
  }

  /// It is stored as it lies between others, but goes with them.
  @Test func whatIsNotKeptForItsOwnSakeIsNotConfirmed() throws {
    let scene = try Scene()
    try scene.publish(0..<2)
    try scene.publish(2..<3, lifetime: nil)
    try scene.publish(3..<4)
    scene.pair.settle()
    scene.store()
    #expect(scene.disk.sequences == Array(0..<4))
    #expect(scene.storedCount(0..<2) == 1 && scene.storedCount(3..<4) == 1)
    #expect(scene.storedCount(2..<3) == 0)
  }

  @Test func largeStreamsAreStoredInSeveralBatches() throws {
    let scene = try Scene()
    for number in 0..<40 {
      try scene.pair.publish(pattern(100_000, seed: number), on: scene.publication, lifetime: .seconds(60))
      scene.pair.settle()
    }
    var batches = 0
    while let batch = scene.cache.nextStoreBatch() {
      batches += 1
      let bytes = batch.writes.reduce(0) {
        if case .message(let message, _) = $1 { $0 + message.body.count } else { $0 }
      }
      #expect(bytes <= StoreQueue.batchBytes + 100_000)
      scene.disk.write(batch)
      scene.cache.stored(batch.number, at: scene.pair.now)
    }
    scene.pair.settle()
    #expect(batches == 4)
    #expect(scene.storedCount(0..<40) == 1)
  }

  @Test func aPeerCannotConfirmWhatIsNotThereNorForManyStores() throws {
    let scene = try Scene()
    try scene.publish(0..<10)
    scene.pair.settle()
    let publisher = scene.pair.machines[0]
    let session = try #require(publisher.sessionsByPeer[EndpointID(2)])
    let hash = try #require(publisher.topics.publications[scene.publication.rawValue]).info.hash
    func tell(_ store: UInt64, _ range: Range<UInt64>) {
      publisher.receive(
        [StoredRange(stream: hash, first: range.lowerBound, end: range.upperBound)], in: StoreID(rawValue: store),
        of: session, at: scene.pair.now)
    }
    tell(1, 0..<100)
    tell(2, 0..<10)
    #expect(scene.storedCount(0..<10) == 1)
    try scene.publish(10..<20)
    #expect(scene.storedCount(0..<11) == 0)
    tell(1, 5..<20)
    #expect(scene.storedCount(0..<20) == 1)
  }

  @Test func nothingIsWrittenWithoutAStore() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(history: .last(9)), at: pair.now)
    _ = try pair.machines[1].subscribe("#", options: SubscriptionOptions(history: .all), at: pair.now)
    try pair.publish([1], on: publication)
    pair.settle()
    #expect(!pair.machines[1].hasToStore && pair.machines[1].nextStoreBatch() == nil)
  }

  @Test func rangesJoin() {
    var ranges = StoredRanges()
    for range in [5..<10, 20..<30, 10..<12, 15..<16, 0..<5, 12..<21] as [Range<UInt64>] { ranges.insert(range) }
    #expect(ranges.ranges == [0..<30])
    ranges.remove(below: 7)
    #expect(ranges.ranges == [7..<30])
    for number in 0..<200 as Range<UInt64> { ranges.insert(number * 2 + 100..<number * 2 + 101) }
    #expect(ranges.ranges.count == StoredRanges.limit && ranges.contains(498..<499))
  }
}

/// A store in memory. What is written is there at once; what is not written never is.
final class SimulatedDisk {
  let id = StoreID(rawValue: 77)
  private var streams: [StreamHash: (facts: StoredStream, messages: [StoredMessage])] = [:]

  func write(_ batch: StoreBatch) {
    for write in batch.writes {
      switch write {
      case .stream(let facts): if streams[facts.hash] == nil { streams[facts.hash] = (facts, []) }
      case .message(let message, let hash):
        guard streams[hash] != nil else {
          Issue.record("a message of an unknown stream")
          continue
        }
        if streams[hash]?.messages.contains(where: { $0.sequence == message.sequence }) == false {
          streams[hash]?.messages.append(message)
        }
      case .forget(let hash, let sequence): streams[hash]?.messages.removeAll { $0.sequence < sequence }
      case .forgetStream(let hash): streams[hash] = nil
      }
    }
  }

  func load(at now: Timestamp) -> [LoadedStream] {
    streams.values.map { stream in
      LoadedStream(
        stream: stream.facts,
        messages: stream.messages.sorted { $0.sequence < $1.sequence }.compactMap { message in
          let expires = message.lifetimeMicroseconds.map { message.publishedAt + .microseconds($0) }
          return expires.map { $0 <= now } ?? false ? nil : LoadedMessage(message: message, expiresAt: expires)
        })
    }
  }

  /// Of all streams together.
  var sequences: [UInt64] { streams.values.flatMap { $0.messages.map(\.sequence) }.sorted() }
}
