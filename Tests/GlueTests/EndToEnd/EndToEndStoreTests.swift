import Glue
import GlueCore
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

@Suite("EndToEnd: an endpoint with a store", .serialized, .timeLimit(.minutes(5)))
struct EndToEndStoreTests {
  private func startCache(
    _ network: LoopbackNetwork, _ store: TestStore
  ) async throws -> (Endpoint, CallbackSubscription, Collected<UInt64>) {
    var configuration = network.configuration("cache")
    configuration.store = store
    let cache = try await Endpoint(configuration)
    let received = Collected<UInt64>()
    let subscription = try cache.subscribe(to: "#", history: .all) { received.append($0.sequence) }
    try await cache.start()
    return (cache, subscription, received)
  }

  @Test("A receipt is stored after the store has written, not before, and a restarted cache goes on with what it has")
  func storedAndServed() async throws {
    let network = LoopbackNetwork()
    let store = TestStore()
    let (cache, subscription, _) = try await startCache(network, store)
    let publisher = try await network.start("publisher")
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    store.state.withLock { $0.isStuck = true }
    let first = try await publication.publish("one", expiry: .seconds(60))
    let second = try await publication.publish("two", expiry: .seconds(60))
    #expect(await second.acknowledged(timeout: .seconds(10)) == .acknowledged)
    await #expect(throws: EndpointFailure.notStored(sequence: 1, stores: 0, wanted: 1)) {
      try await second.stored(by: 1, since: first, timeout: .milliseconds(200))
    }
    store.state.withLock { $0.isStuck = false }
    try await second.stored(by: 1, since: first, timeout: .seconds(10))
    #expect(first.storedCount == 1)
    await #expect(throws: EndpointFailure.notStored(sequence: 1, stores: 1, wanted: 2)) {
      try await second.stored(by: 2, timeout: .milliseconds(100))
    }
    withExtendedLifetime(subscription) {}
    await cache.shutdown()
    await publisher.shutdown()

    let (again, newSubscription, received) = try await startCache(network, store)
    let joiner = try await network.start("joiner")
    let texts = Collected<String>()
    let joining = try joiner.subscribe(to: "t", history: .all) { texts.append($0.text) }
    try await eventually("what was stored") { texts.all == ["one", "two"] }
    #expect(received.all == [0, 1])
    withExtendedLifetime((newSubscription, joining)) {}
    await joiner.shutdown()
    await again.shutdown()
  }

  @Test("A store that fails is an event; messages flow on, and are stored when it works again")
  func failingStore() async throws {
    let network = LoopbackNetwork()
    let store = TestStore()
    store.state.withLock { $0.failure = "the disk is full" }
    let (cache, subscription, received) = try await startCache(network, store)
    let events = cache.events
    let publisher = try await network.start("publisher")
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    var last: Receipt?
    for number in 0..<100 { last = try await publication.publish("\(number)", expiry: .seconds(60)) }
    let receipt = try #require(last)
    #expect(await receipt.acknowledged(timeout: .seconds(10)) == .acknowledged)
    try await eventually("all messages") { received.all == Array(0..<100) }
    #expect(receipt.storedCount == 0)
    let told = try await within {
      var told: [String] = []
      for await event in events {
        switch event {
        case .storeFailing(let reason):
          told.append(reason)
          store.state.withLock { $0.failure = nil }
        case .storeRecovered: return told
        default: continue
        }
      }
      return told
    }
    #expect(told == ["the disk is full"])
    try await receipt.stored(by: 1, timeout: .seconds(10))
    #expect(cache.counters.first { $0.name == "driver.storeFailures" }?.value ?? 0 > 0)
    withExtendedLifetime(subscription) {}
    await publisher.shutdown()
    await cache.shutdown()
  }

  @Test("What is left is written before the endpoint is closed")
  func shutdownWritesTheRest() async throws {
    let network = LoopbackNetwork()
    let store = TestStore()
    let (cache, subscription, received) = try await startCache(network, store)
    let publisher = try await network.start("publisher")
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    store.state.withLock { $0.isStuck = true }
    for number in 0..<100 { try await publication.publish("\(number)", expiry: .seconds(60)) }
    try await eventually("all messages") { received.count == 100 }
    let closing = Task { await cache.shutdown() }
    store.state.withLock { $0.isStuck = false }
    await closing.value
    #expect(store.count == 100)
    withExtendedLifetime(subscription) {}
    await publisher.shutdown()
  }

  @Test("A store that hangs does not keep the endpoint from ending, which is told")
  func hangingStore() async throws {
    let network = LoopbackNetwork()
    let store = TestStore()
    let (cache, subscription, received) = try await startCache(network, store)
    let events = cache.events
    let publisher = try await network.start("publisher")
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    store.state.withLock { $0.isStuck = true }
    try await publication.publish("never stored", expiry: .seconds(60))
    try await eventually("the message") { received.count == 1 }
    await cache.shutdown()
    let reasons = try await within {
      var reasons: [String] = []
      for await case .storeFailing(let reason) in events { reasons.append(reason) }
      return reasons
    }
    #expect(reasons.count == 1 && reasons[0].contains("5.0 seconds"), "\(reasons)")
    // Its thread may end now.
    store.state.withLock { $0.isStuck = false }
    withExtendedLifetime(subscription) {}
    await publisher.shutdown()
  }

  @Test("A store that cannot be read is an error when the endpoint is made")
  func unreadableStore() async throws {
    let store = TestStore()
    store.state.withLock { $0.isUnreadable = true }
    var configuration = LoopbackNetwork().configuration()
    configuration.store = store
    await #expect(throws: EndpointFailure.store("damaged")) { _ = try await Endpoint(configuration) }
  }
}

/// A store in memory that fails, or takes its time, when it is told to.
private final class TestStore: MessageStore {
  struct State {
    var streams: [StoredStream] = []
    var messages: [(StreamHash, StoredMessage)] = []
    var failure: String?
    var isStuck = false
    var isUnreadable = false
  }

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  let id = StoreID(rawValue: 1)
  let state = Mutex(State())

  var count: Int { state.withLock { $0.messages.count } }

  func load() throws -> StoredContents {
    try state.withLock { state in
      if state.isUnreadable { throw Failure(description: "damaged") }
      var contents = StoredContents()
      contents.streams = state.streams.map { stream in
        LoadedStream(
          stream: stream,
          messages: state.messages.filter { $0.0 == stream.hash }.map { LoadedMessage(message: $0.1, expiresAt: nil) })
      }
      return contents
    }
  }

  func write(_ batch: StoreBatch) throws {
    while state.withLock(\.isStuck) { pause() }
    try state.withLock { state in
      if let failure = state.failure { throw Failure(description: failure) }
      for write in batch.writes {
        switch write {
        case .stream(let stream): if !state.streams.contains(stream) { state.streams.append(stream) }
        case .message(let message, let hash): state.messages.append((hash, message))
        case .forget(let hash, let sequence): state.messages.removeAll { $0.0 == hash && $0.1.sequence < sequence }
        case .forgetStream(let hash): state.streams.removeAll { $0.hash == hash }
        }
      }
    }
  }

  /// On the store's own thread, which has nothing else to do.
  private func pause() { usleep(1_000) }
}
