import Glue
import Synchronization
import Testing

/// What publishers and readers promise of each other when one reader takes nothing for a while.
@Suite("EndToEnd: readers that do not read", .serialized, .timeLimit(.minutes(2)))
struct EndToEndSlowReaderTests {
  /// How a reader does not read.
  enum Reader: CaseIterable { case sequence, callback }

  private static let messageBytes = 1_024
  private static let payload = [UInt8](repeating: 7, count: messageBytes)
  private static let windowBytes = 64 << 10
  private static let queueBytes = 32 << 10
  private static let total: UInt64 = 2_000

  private static func small(_ settings: inout Endpoint.Configuration) {
    settings.transport.streamWindowBytes = windowBytes
    settings.transport.sendBufferBytes = 256 << 10
    settings.eventQueueLimit = 10 * Int(total)  // losses may come one by one
  }

  /// A subscription that takes nothing, but perhaps a first message, until it is let go.
  private final class Stuck: Sendable {
    let received = Collected<UInt64>()
    private let gate = Gate()
    private let subscription = Mutex<Subscription?>(nil)
    private let reading = Mutex<Task<Void, Never>?>(nil)

    init(_ kind: Reader, to filter: String, of endpoint: Endpoint, _ buffering: Buffering) throws {
      switch kind {
      case .sequence:
        let sequence = try endpoint.subscribe(to: filter, buffering: buffering)
        subscription.withLock { $0 = sequence }
      case .callback:
        try endpoint.subscribe(to: filter, buffering: buffering) { [received, gate] message in
          gate.pass()
          received.append(message.sequence)
        }
      }
    }

    func letGo() {
      gate.open()
      guard let sequence = subscription.withLock({ $0.take() }) else { return }
      let task = Task { [received] in for await message in sequence { received.append(message.sequence) } }
      reading.withLock { $0 = task }
    }
  }

  @Test(
    "The publisher waits as its settings say, others get everything, memory is bounded, and each loss is told",
    arguments: Reader.allCases, [TopicSettings.WhenFull.block(timeout: .milliseconds(50)), .dropOldest, .latest])
  func otherEndpoints(reader: Reader, whenFull: TopicSettings.WhenFull) async throws {
    let network = LoopbackNetwork()
    let (publisher, slow) = try await network.pair(Self.small)
    var settings = network.configuration()
    settings.discoveryTimeoutMultiplier = 100
    let healthy = try await Endpoint(settings)
    try await healthy.start()
    let losses = EventLog(slow)
    let stuck = try Stuck(reader, to: "t", of: slow, .block(bytes: Self.queueBytes))
    let others = Collected<UInt64>()
    try healthy.subscribe(to: "t") { others.append($0.sequence) }
    let publication = try publisher.publication("t", TopicSettings(whenFull: whenFull))
    try await publication.awaitSubscribers(2, timeout: .seconds(10))
    try await publication.publish(Self.payload)
    if reader == .callback {
      try await eventually("stuck") { slow.counter("driver.relievedCallbacks") == 1 }
    }
    var published: UInt64 = 1
    while published < Self.total {
      let started = ContinuousClock.now
      try await publication.publish(Self.payload)
      #expect(ContinuousClock.now - started < .seconds(5))
      published += 1
      // The healthy one keeps up, so that only the other is to blame for a full buffer.
      let expected = Int(published)
      if published % 50 == 0 { try await eventually("the others have it") { others.count == expected } }
    }
    try await eventually("the others have it") { others.all == Array(0..<Self.total) }
    // What the queue holds, a window beyond it, and the message that exceeds each.
    let most = (Self.queueBytes + Self.windowBytes) / Self.messageBytes + 4
    #expect(slow.counter("messages_delivered") <= UInt64(most))
    #expect(stuck.received.count == 0)
    stuck.letGo()
    try await eventually("the last one, and the losses") {
      stuck.received.all.last == Self.total - 1
        && losses.losses.reduce(stuck.received.count) { $0 + $1.sequences.count } == Int(Self.total)
    }
    #expect(stuck.received.all == stuck.received.all.sorted())
    #expect(losses.losses.allSatisfy { $0.filters == ["t"] && ($0.reason == .evicted || $0.reason == .dropped) })
    #expect(!losses.losses.isEmpty)
    for endpoint in [publisher, slow, healthy] { await endpoint.shutdown() }
  }

  @Test("A stuck callback drops as its buffering says, and holds nobody back", arguments: [1, 3])
  func droppingBuffers(kept: Int) async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair(Self.small)
    let events = EventLog(subscriber)
    let buffering: Buffering = kept == 1 ? .latest : .dropOldest(messages: kept)
    let stuck = try Stuck(.callback, to: "t", of: subscriber, buffering)
    let publication = try publisher.publication("t", TopicSettings(whenFull: .block(timeout: .seconds(20))))
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    try await publication.publish(Self.payload)
    try await eventually("stuck") { subscriber.counter("driver.relievedCallbacks") == 1 }
    for _ in 1..<Self.total { try await publication.publish(Self.payload) }
    try await eventually("all have arrived") { subscriber.counter("messages_delivered") == Self.total }
    try await eventually("the losses") {
      events.losses.reduce(0) { $0 + $1.sequences.count } == Int(Self.total) - 1 - kept
    }
    #expect(events.losses.allSatisfy { $0.reason == .dropped && $0.filters == ["t"] })
    stuck.letGo()
    try await eventually("the newest") { stuck.received.all == [0] + Array((Self.total - UInt64(kept))..<Self.total) }
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("A stuck callback does not stop others of its endpoint that get the same messages")
  func sharedTopic() async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair(Self.small)
    let events = EventLog(subscriber)
    let stuck = try Stuck(.callback, to: "t", of: subscriber, .block(bytes: Self.queueBytes))
    let (callback, sequence) = (Collected<UInt64>(), Collected<UInt64>())
    try subscriber.subscribe(to: "#") { callback.append($0.sequence) }
    let messages = try subscriber.subscribe(to: "+")
    let reading = Task { for await message in messages { sequence.append(message.sequence) } }
    let publication = try publisher.publication("t", TopicSettings(whenFull: .block(timeout: .seconds(20))))
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    try await publication.publish(Self.payload)
    try await eventually("stuck") { subscriber.counter("driver.relievedCallbacks") == 1 }
    for _ in 1..<Self.total { try await publication.publish(Self.payload) }
    try await eventually("the others have all") {
      callback.all == Array(0..<Self.total) && sequence.all == Array(0..<Self.total)
    }
    stuck.letGo()
    try await eventually("it has what there was room for") {
      events.losses.reduce(stuck.received.count) { $0 + $1.sequences.count } == Int(Self.total)
    }
    #expect(stuck.received.count <= Self.queueBytes / Self.messageBytes + 2)
    #expect(stuck.received.all == Array(0..<UInt64(stuck.received.count)))
    #expect(events.losses.allSatisfy { $0.reason == .dropped && $0.filters == ["t"] })
    await publisher.shutdown()
    await subscriber.shutdown()
    await reading.value
  }

  @Test("An endpoint's own stuck reader holds up its publisher once, then loses messages", arguments: Reader.allCases)
  func ownReader(reader: Reader) async throws {
    var settings = LoopbackNetwork().configuration()
    Self.small(&settings)
    let endpoint = try await Endpoint(settings)
    try await endpoint.start()
    let events = EventLog(endpoint)
    let stuck = try Stuck(reader, to: "t", of: endpoint, .block(bytes: Self.queueBytes))
    let publication = try endpoint.publication("t", TopicSettings(whenFull: .block(timeout: .milliseconds(100))))
    try await publication.publish(Self.payload)
    if reader == .callback {
      try await eventually("stuck") { endpoint.counter("driver.relievedCallbacks") == 1 }
    }
    let started = ContinuousClock.now
    for _ in 1..<Self.total { try await publication.publish(Self.payload) }
    // Not 100 ms for each of them.
    #expect((.milliseconds(100) ... .seconds(20)).contains(ContinuousClock.now - started))
    stuck.letGo()
    try await eventually("what there was room for, and the losses") {
      events.losses.reduce(stuck.received.count) { $0 + $1.sequences.count } == Int(Self.total)
    }
    let most = (Self.queueBytes + Self.windowBytes) / Self.messageBytes + 4
    #expect(stuck.received.count <= most)
    await endpoint.shutdown()
  }

  @Test("Best effort fills the queue of a stuck reader, and no more", arguments: Reader.allCases)
  func bestEffort(reader: Reader) async throws {
    let (publisher, subscriber) = try await LoopbackNetwork().pair(Self.small)
    let events = EventLog(subscriber)
    let stuck = try Stuck(reader, to: "t", of: subscriber, .block(bytes: Self.queueBytes))
    let publication = try publisher.publication("t", TopicSettings(reliability: .bestEffort))
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    try await publication.publish(Self.payload)
    if reader == .callback {
      try await eventually("stuck") { subscriber.counter("driver.relievedCallbacks") == 1 }
    } else {
      try await eventually("the first") { subscriber.counter("messages_delivered") == 1 }
    }
    for _ in 1..<Self.total { try await publication.publish(Self.payload) }
    try await eventually("drops") { subscriber.counter("driver.droppedByBuffering") > 100 }
    stuck.letGo()
    try await eventually("what there was room for") { stuck.received.count > 0 }
    // Which ones depends on what the network has dropped before.
    try await eventually("the losses") { events.losses.contains { $0.reason == .dropped && $0.filters == ["t"] } }
    await publisher.shutdown()
    await subscriber.shutdown()
  }
}
