import Glue
import Testing

@Suite("EndToEnd: topics", .serialized, .timeLimit(.minutes(5)))
struct EndToEndTopicTests {
  @Test("A subscriber that is there first gets the first message")
  func subscriberFirst() async throws {
    let network = LoopbackNetwork()
    let subscriber = try await network.start("subscriber")
    let messages = try subscriber.subscribe(to: "some_topic", type: "some_type")
    let publisher = try await network.start("publisher", id: 7)
    let publication = try publisher.publication("some_topic", type: "some_type")
    try await publication.awaitSubscribers(1, timeout: .seconds(5))

    try await publication.publish("Hello, world.", expiry: .seconds(20))
    let message = try await within { await messages.first { _ in true } }
    #expect(message?.text == "Hello, world.")
    #expect(message?.topic == "some_topic")
    #expect(message?.type == "some_type")
    #expect(message?.publisher.name == "publisher")
    #expect(message?.publisher.id == EndpointID(7))
    #expect(message?.publisher.incarnation == publisher.incarnation)
    #expect(message?.sequence == 0)
    #expect(try #require(message).age < .seconds(20))
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("A subscriber that comes later gets what is published once it is known")
  func publisherFirst() async throws {
    let network = LoopbackNetwork()
    let publisher = try await network.start()
    let publication = try publisher.publication("a/b")
    for number in 0..<3 { try await publication.publish("before \(number)") }
    let subscriber = try await network.start()
    let messages = try subscriber.subscribe(to: "a/+")
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    try await publication.publish("after")
    let message = try await within { await messages.first { _ in true } }
    #expect(message?.text == "after")
    #expect(message?.sequence == 3)
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("Many messages arrive once each and in order", arguments: [16, 1_000, 70_000])
  func inOrder(size: Int) async throws {
    let network = LoopbackNetwork()
    let (publisher, subscriber) = (try await network.start(), try await network.start())
    let messages = try subscriber.subscribe(to: "#")
    let publication = try publisher.publication("stream")
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    let count = size > 10_000 ? 200 : 20_000
    async let received = within(.seconds(30)) {
      var sequences: [UInt64] = []
      for await message in messages {
        if message.bytes.count != size { throw Timeout(description: "a message of \(message.bytes.count) bytes") }
        sequences.append(message.sequence)
        if sequences.count == count { break }
      }
      return sequences
    }
    let payload = [UInt8](repeating: 0x5A, count: size)
    var last: Receipt?
    for _ in 0..<count { last = try await publication.publish(payload) }
    #expect(try await received == Array(0..<UInt64(count)))
    #expect(await last?.acknowledged(timeout: .seconds(5)) == .acknowledged)
    #expect(last?.isAcknowledged == true)
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  struct Temperature: Codable, Equatable { var celsius: Double }

  @Test("Values arrive as values; what is none is skipped and reported")
  func typedTopic() async throws {
    let network = LoopbackNetwork()
    let (publisher, subscriber) = (try await network.start(), try await network.start())
    let topic = Topic<Temperature>("home/kitchen")
    #expect(topic.type == "Temperature")
    let values = try subscriber.subscribe(to: topic)
    let events = subscriber.events
    let publication = try publisher.publication(topic)
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    try await publication.publication.publish("no JSON")
    try await publisher.publish(Temperature(celsius: 21.5), to: topic)

    let element = try await within { await values.first { _ in true } }
    #expect(element?.value == Temperature(celsius: 21.5))
    #expect(element?.message.sequence == 1)
    try await within {
      for await event in events {
        if case .undecodable(let topic, _, let sequence, _) = event {
          #expect(topic == "home/kitchen")
          #expect(sequence == 0)
          return
        }
      }
    }
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("A callback may publish; the answers come back")
  func callbackPublishes() async throws {
    let network = LoopbackNetwork()
    let (one, other) = (try await network.start(), try await network.start())
    let (ping, pong) = (try one.publication("ping"), try other.publication("pong"))
    let answers = Collected<UInt64>()
    try other.subscribe(to: "ping") { message in
      message.withUnsafeBytes { bytes in _ = try? pong.tryPublish(bytes) }
    }
    try one.subscribe(to: "pong") { message in
      answers.append(message.sequence)
      if message.sequence < 99 { _ = try? ping.tryPublish("again") }
    }
    try await ping.awaitSubscribers(1, timeout: .seconds(5))
    try await pong.awaitSubscribers(1, timeout: .seconds(5))
    try await ping.publish("first")
    try await eventually("100 round trips") { answers.count == 100 }
    #expect(answers.all == Array(0..<100))
    await one.shutdown()
    await other.shutdown()
  }

  @Test("An endpoint hears itself, in callbacks that publish too, without nesting")
  func hearsItself() async throws {
    let endpoint = try await LoopbackNetwork().start()
    let publication = try endpoint.publication("loop")
    let seen = Collected<String>()
    try endpoint.subscribe(to: "loop") { message in
      seen.append("in \(message.sequence)")
      if message.sequence < 3 { _ = try? publication.tryPublish("next") }
      seen.append("out \(message.sequence)")
    }
    try await publication.publish("start")
    try await eventually("four messages") { seen.count == 8 }
    #expect(seen.all == (0..<4).flatMap { ["in \($0)", "out \($0)"] })
    await endpoint.shutdown()
  }

  @Test("A wrong type is an event on both ends, and nothing is delivered")
  func typeMismatch() async throws {
    let network = LoopbackNetwork()
    let (publisher, subscriber) = (try await network.start("p", id: 1), try await network.start("s", id: 2))
    let ends = [publisher.events, subscriber.events]
    try subscriber.subscribe(to: "t", type: "Fahrenheit") { _ in Issue.record("delivered") }
    try await publisher.publish("21", to: "t", type: "Celsius")
    for events in ends {
      let mismatch = try await within {
        for await event in events {
          if case .typeMismatch(let mismatch) = event { return mismatch }
        }
        throw Timeout(description: "the events ended")
      }
      #expect(mismatch.publisherType == "Celsius")
      #expect(mismatch.subscriberType == "Fahrenheit")
      #expect(mismatch.publisher == EndpointID(1))
    }
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("Attributes travel with their message")
  func attributes() async throws {
    let network = LoopbackNetwork()
    let (publisher, subscriber) = (try await network.start(), try await network.start())
    let messages = try subscriber.subscribe(to: "t")
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    let attributes = Attributes([.init(key: 64, value: [1, 2, 3])])
    try await publication.publish([9], attributes: attributes)
    let message = try await within { await messages.first { _ in true } }
    #expect(message?.attributes == attributes)
    #expect(message?.bytes == [9])
    await publisher.shutdown()
    await subscriber.shutdown()
  }
}
