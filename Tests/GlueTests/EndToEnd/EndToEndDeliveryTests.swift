import Glue
import Synchronization
import Testing

@Suite("EndToEnd: delivery", .serialized, .timeLimit(.minutes(5)))
struct EndToEndDeliveryTests {
  @Test("A receipt completes when every subscriber has the message")
  func receipts() async throws {
    let network = LoopbackNetwork()
    let publisher = try await network.start()
    let subscribers = [try await network.start(), try await network.start()]
    let received = Collected<UInt64>()
    for subscriber in subscribers { try subscriber.subscribe(to: "t") { received.append($0.sequence) } }
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(2, timeout: .seconds(5))
    #expect(publication.matchedSubscribers == 2)
    let receipt = try await publication.publish("x")
    #expect(await receipt.acknowledged(timeout: .seconds(5)) == .acknowledged)
    // Acknowledged means that the endpoints have it; the callback may be a moment later.
    try await eventually("both have it") { received.count == 2 }
    for endpoint in [publisher] + subscribers { await endpoint.shutdown() }
  }

  @Test("A message that nobody subscribes to is acknowledged at once")
  func receiptWithoutSubscribers() async throws {
    let endpoint = try await LoopbackNetwork().start()
    let receipt = try await endpoint.publish("x", to: "t")
    #expect(receipt.isAcknowledged)
    #expect(await receipt.acknowledged() == .acknowledged)
    await endpoint.shutdown()
  }

  @Test("Waiting for subscribers times out, and ends with its task")
  func awaitingSubscribers() async throws {
    let endpoint = try await LoopbackNetwork().start()
    let publication = try endpoint.publication("t")
    let started = ContinuousClock.now
    await #expect(throws: EndpointFailure.timedOut(waitingFor: "1 subscribers of t")) {
      try await publication.awaitSubscribers(1, timeout: .milliseconds(50))
    }
    #expect((.milliseconds(50) ... .seconds(30)).contains(ContinuousClock.now - started))
    let waiting = Task { try await publication.awaitSubscribers(1) }
    waiting.cancel()
    await #expect(throws: CancellationError.self) { try await waiting.value }
    try await endpoint.awaitKnownSubscriptions(timeout: .seconds(1))
    await endpoint.shutdown()
  }

  @Test("`latest` and `dropOldest` keep the newest messages, and report the others")
  func droppingBuffers() async throws {
    let network = LoopbackNetwork()
    let (publisher, subscriber) = (try await network.start(), try await network.start())
    let latest = try subscriber.subscribe(to: "t", buffering: .latest)
    let last = try subscriber.subscribe(to: "t", buffering: .dropOldest(messages: 3))
    let all = try subscriber.subscribe(to: "t")
    let losses = Collected<LossReport>()
    let events = subscriber.events
    let watching = Task {
      for await event in events {
        if case .loss(let report) = event { losses.append(report) }
      }
    }
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    for _ in 0..<10 { try await publication.publish("x") }
    let everything = try await within { await all.prefix(10).reduce(into: []) { $0.append($1.sequence) } }
    #expect(everything == Array(0..<10))
    try await eventually("the losses") { losses.all.reduce(0) { $0 + $1.sequences.count } == 9 + 7 }
    #expect(losses.all.allSatisfy { $0.reason == .dropped && $0.filters == ["t"] && $0.topic == "t" })
    #expect(try await within { await latest.first { _ in true }?.sequence } == 9)
    #expect(try await within { await last.prefix(3).reduce(into: []) { $0.append($1.sequence) } } == [7, 8, 9])
    await publisher.shutdown()
    await subscriber.shutdown()
    await watching.value
  }

  @Test("`block` holds the publisher back, and nothing is lost")
  func holdingBack() async throws {
    let network = LoopbackNetwork()
    var small = network.configuration()
    small.transport.streamWindowBytes = 128 << 10
    small.transport.sendBufferBytes = 256 << 10
    let publisher = try await Endpoint(small)
    let subscriber = try await Endpoint(small)
    try await publisher.start()
    try await subscriber.start()
    let messages = try subscriber.subscribe(to: "t", buffering: .block(bytes: 16 << 10))
    let publication = try publisher.publication("t", TopicSettings(whenFull: .block(timeout: .seconds(20))))
    try await publication.awaitSubscribers(1, timeout: .seconds(5))

    let payload = [UInt8](repeating: 7, count: 1_024)
    let total: UInt64 = 3_000
    let published = Mutex<UInt64>(0)
    let publishing = Task {
      for _ in 0..<total {
        try await publication.publish(payload)
        published.withLock { $0 += 1 }
      }
    }
    try await eventually("the publisher has to wait") {
      let before = published.withLock { $0 }
      try await Task.sleep(for: .milliseconds(100))
      return before > 0 && published.withLock { $0 } == before
    }
    #expect(published.withLock { $0 } < 1_000)
    let sequences = try await within(.seconds(20)) {
      await messages.prefix(Int(total)).reduce(into: []) { $0.append($1.sequence) }
    }
    #expect(sequences == Array(0..<total))
    try await publishing.value
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("A reader that does not read costs a blocking publisher its timeout, then loses messages, and is told")
  func blockTimesOut() async throws {
    let network = LoopbackNetwork()
    var small = network.configuration()
    small.transport.streamWindowBytes = 64 << 10
    small.transport.sendBufferBytes = 128 << 10
    let publisher = try await Endpoint(small)
    let subscriber = try await Endpoint(small)
    try await publisher.start()
    try await subscriber.start()
    let unread = try subscriber.subscribe(to: "t", buffering: .block(bytes: 0))
    let events = subscriber.events
    let publication = try publisher.publication("t", TopicSettings(whenFull: .block(timeout: .milliseconds(20))))
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    let payload = [UInt8](repeating: 7, count: 8 << 10)
    // Full for good: nothing more is taken for a while, as nobody reads.
    var refusals = 0
    while refusals < 20 {
      refusals = try publication.tryPublish(payload) == nil ? refusals + 1 : 0
      if refusals > 0 { try await Task.sleep(for: .milliseconds(5)) }
    }
    let started = ContinuousClock.now
    try await publication.publish(payload)
    #expect((.milliseconds(20) ... .seconds(5)).contains(ContinuousClock.now - started))
    // It is told of the loss as soon as it reads on.
    let reading = Task { for await _ in unread {} }
    let reason = try await within {
      for await event in events {
        if case .loss(let report) = event { return report.reason }
      }
      throw Timeout(description: "the events ended")
    }
    #expect(reason == .evicted || reason == .dropped)
    unread.cancel()
    await reading.value
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("What expires before it is taken is not delivered, but reported")
  func expiryInTheQueue() async throws {
    let network = LoopbackNetwork()
    let (publisher, subscriber) = (try await network.start(), try await network.start())
    let messages = try subscriber.subscribe(to: "t")
    let events = subscriber.events
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    let expired = try await publication.publish("gone", expiry: .milliseconds(30))
    #expect(await expired.acknowledged(timeout: .seconds(5)) == .acknowledged)
    try await Task.sleep(for: .milliseconds(40))
    try await publication.publish("stays", expiry: .seconds(60))
    let message = try await within { await messages.first { _ in true } }
    #expect(message?.text == "stays")
    let report = try await within {
      for await event in events {
        if case .loss(let report) = event { return report }
      }
      throw Timeout(description: "the events ended")
    }
    #expect(report.reason == .expired)
    #expect(report.sequences == 0..<1)
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("Direct messages go to one peer, by ID or by name")
  func direct() async throws {
    let network = LoopbackNetwork()
    let sender = try await network.start("sender", id: 1)
    let receiver = try await network.start("receiver", id: 2)
    try await eventually("the peers") { !sender.peers.isEmpty && !receiver.peers.isEmpty }
    let messages = try receiver.receive()
    #expect(throws: EndpointFailure.alreadyReceiving) { try receiver.receive() }
    let receipt = try await sender.send([1, 2], to: EndpointID(2))
    try await sender.send([3], toPeerNamed: "receiver")
    let received = try await within { await messages.prefix(2).reduce(into: [Message]()) { $0.append($1) } }
    #expect(received.map(\.bytes) == [[1, 2], [3]])
    #expect(received.map(\.publisher.name) == ["sender", "sender"])
    #expect(received.allSatisfy { $0.isDirect && $0.topic.isEmpty })
    #expect(await receipt.acknowledged(timeout: .seconds(5)) == .acknowledged)
    await #expect(throws: EndpointFailure.unknownPeer("9")) { try await sender.send([], to: EndpointID(9)) }
    await #expect(throws: EndpointFailure.unknownPeer("\"nobody\"")) {
      try await sender.send([], toPeerNamed: "nobody")
    }
    await sender.shutdown()
    await receiver.shutdown()
  }

  @Test("A callback that takes long is an event")
  func slowCallback() async throws {
    let endpoint = try await LoopbackNetwork().start()
    let events = endpoint.events
    try endpoint.subscribe(to: "t") { _ in
      let end = ContinuousClock.now + .milliseconds(15)
      while ContinuousClock.now < end {}
    }
    try await endpoint.publish("x", to: "t")
    let duration = try await within {
      for await event in events {
        if case .slowCallback("t", let duration, isOver: true) = event { return duration }
      }
      throw Timeout(description: "the events ended")
    }
    #expect(duration >= .milliseconds(15))
    await endpoint.shutdown()
  }

  @Test("A cancelled subscription gets nothing more; others do")
  func unsubscribing() async throws {
    let network = LoopbackNetwork()
    let (publisher, subscriber) = (try await network.start(), try await network.start())
    let (one, other) = (Collected<UInt64>(), Collected<UInt64>())
    let subscription = try subscriber.subscribe(to: "t") { one.append($0.sequence) }
    try subscriber.subscribe(to: "#") { other.append($0.sequence) }
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    try await publication.publish("x")
    try await eventually("one each") { one.count == 1 && other.count == 1 }
    subscription.cancel()
    try await publication.publish("x")
    try await eventually("the other goes on") { other.count == 2 }
    #expect(one.count == 1)
    await publisher.shutdown()
    await subscriber.shutdown()
  }
}
