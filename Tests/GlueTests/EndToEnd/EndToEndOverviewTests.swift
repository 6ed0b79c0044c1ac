import Glue
import Testing

@Suite("EndToEnd: overview of topics", .serialized, .timeLimit(.minutes(5)))
struct EndToEndOverviewTests {
  @Test("Publishers, subscribers, what is kept and what is held of the dead are told, and rates measured")
  func overview() async throws {
    let network = LoopbackNetwork()
    let publisher = try await network.start("pump", id: 7)
    let holder = try await network.start("holder", id: 8)
    _ = try holder.subscribe(to: "plant/#", onMessage: { _ in })
    let stranger = try holder.subscribe(to: "plant/pressure", type: "Bar")
    let lost = try holder.subscribe(to: "palnt/#")
    var settings = TopicSettings()
    settings.history = .last(10)
    let pressure = try publisher.publication("plant/pressure", type: "Pascal", settings)
    try await pressure.awaitSubscribers(1, timeout: .seconds(5))
    for _ in 0..<25 { try await pressure.publish([UInt8](repeating: 1, count: 100)) }
    let asker = try await network.start("asker", id: 9)
    _ = try asker.subscribe(to: "plant/nobody", onMessage: { _ in })
    try await eventually("the peers") { asker.peers.count == 2 }

    let before = try await asker.topics(timeout: .seconds(10))
    #expect(before.incomplete.isEmpty && before.peers == 2)
    #expect(before.topics.map(\.name) == ["plant/nobody", "plant/pressure"])
    #expect(before.topics[0].publishers.isEmpty)
    #expect(before.topics[0].subscriptions.map(\.filter) == ["plant/#", "plant/nobody"])
    #expect(before.topics[0].subscriptions.map(\.party.name) == ["holder", "asker"])
    let topic = before.topics[1]
    #expect(topic.types == ["Pascal"])
    let subscriptions = topic.subscriptions.filter { $0.party.id == EndpointID(8) }
    #expect(Set(subscriptions.map(\.filter)) == ["plant/#", "plant/pressure"])
    let alive = try #require(topic.publishers.first)
    #expect(alive.party.name == "pump" && alive.party.incarnation == publisher.incarnation && alive.isPresent)
    #expect(subscriptions.filter { $0.takes(alive) }.map(\.filter) == ["plant/#"])
    let kept = try #require(alive.kept)
    #expect(alive.history == .last(10) && kept.first == 15 && kept.count == 10 && kept.bytes >= 1_000)
    #expect(alive.published == PublishedMessages(messages: 25, bytes: 2_500))
    #expect(alive.messagesPerSecond == nil && alive.holders.isEmpty)
    #expect(before.unmatched.map(\.filter) == ["palnt/#"] && before.unmatched.map(\.party.name) == ["holder"])
    // The question leaves nothing behind, and makes nobody a subscriber.
    #expect(pressure.matchedSubscribers == 1)

    let publishing = Task {
      while !Task.isCancelled {
        try await pressure.publish([UInt8](repeating: 2, count: 100))
        try await Task.sleep(for: .milliseconds(5))
      }
    }
    let measured = try await asker.topics(matching: "plant/+", measuringFor: .milliseconds(500), timeout: .seconds(10))
    publishing.cancel()
    let busy = try #require(measured.topics.last?.publishers.first)
    let rate = try #require(busy.messagesPerSecond)
    // At most one each 5 ms; a busy machine makes fewer.
    #expect(rate > 0 && rate <= 201, "\(rate)")
    #expect(abs(try #require(busy.bytesPerSecond) - rate * 100) < 0.001)

    await publisher.shutdown()
    try await eventually("the holder to tell of the dead") {
      let after = try await asker.topics(matching: "plant/pressure", timeout: .seconds(10))
      guard let gone = after.topics.first?.publishers.first, !gone.isPresent, let held = gone.holders.first else {
        return false
      }
      return gone.party.name == "pump" && gone.party.id == EndpointID(7) && gone.type == "Pascal" && gone.kept == nil
        && held.party.name == "holder" && held.held.count == 10
    }
    stranger.cancel()
    lost.cancel()
    await holder.shutdown()
    await asker.shutdown()
  }

  @Test("What is no filter is refused; a task that is cancelled, or an endpoint that is shut down, does not wait on")
  func refusals() async throws {
    let endpoint = try await LoopbackNetwork().start("alone")
    await #expect(throws: EndpointFailure.self) { try await endpoint.topics(matching: "a/#/b") }
    #expect(try await endpoint.topics().topics.isEmpty)
    let waiting = Task { try await endpoint.topics(measuringFor: .seconds(3_600)) }
    waiting.cancel()
    await #expect(throws: CancellationError.self) { try await waiting.value }
    await endpoint.shutdown()
    await #expect(throws: EndpointFailure.stopped) { try await endpoint.topics() }
  }
}
