import Glue
import Testing

@Suite("EndToEnd: topics that retain their last value", .serialized, .timeLimit(.minutes(5)))
struct EndToEndRetainedTests {
  private let settings = TopicSettings(history: .retained)

  @Test(
    "A value is retained when somebody else holds it, reaches whoever comes after its publisher, and can be cleared")
  func retained() async throws {
    let network = LoopbackNetwork()
    let publisher = try await network.start("publisher")
    let publication = try publisher.publication("t", settings)
    let alone = try await publication.publish("nobody hears it")
    await #expect(throws: EndpointFailure.notHeld(sequence: 0, holders: 0, wanted: 1)) {
      try await alone.held(timeout: .milliseconds(200))
    }
    let holder = try await network.start("holder")
    let held = try holder.subscribe(to: "#") { _ in }
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    try await publication.publish("on").held(by: 1, timeout: .seconds(10))
    await publisher.shutdown()

    // By default a subscription asks for it.
    let joiner = try await network.start("joiner")
    let seen = Collected<String>()
    let joining = try joiner.subscribe(to: "t") { seen.append($0.isCleared ? "cleared" : $0.text) }
    try await eventually("the value") { seen.all == ["on"] }

    let other = try await network.start("other")
    let second = try other.publication("t", settings)
    try await second.awaitSubscribers(2, timeout: .seconds(10))
    try await second.awaitValue(timeout: .seconds(10))
    try await second.clear().held(by: 2, timeout: .seconds(10))
    try await eventually("the clear") { seen.all == ["on", "cleared"] }
    let late = Collected<String>()
    let nothing = try other.subscribe(to: "t") { late.append($0.text) }
    try await second.publish("off").held(by: 2, timeout: .seconds(10))
    try await eventually("the next value") { seen.all == ["on", "cleared", "off"] && late.all == ["off"] }
    withExtendedLifetime((held, joining, nothing)) {}
    for endpoint in [holder, joiner, other] { await endpoint.shutdown() }
  }

  @Test("A value that another publisher's replaces says so")
  func superseded() async throws {
    let network = LoopbackNetwork()
    let first = try await network.start("first")
    let second = try await network.start("second")
    let publications = try [first, second].map { try $0.publication("t", settings) }
    for publication in publications { try await publication.awaitSubscribers(1, timeout: .seconds(10)) }
    let receipt = try await publications[0].publish("one")
    try await receipt.held(timeout: .seconds(10))
    try await publications[1].publish("two").held(timeout: .seconds(10))
    // Of two others there is only one; and by now it holds another value.
    await #expect(throws: EndpointFailure.superseded(sequence: 0)) {
      try await receipt.held(by: 2, timeout: .seconds(10))
    }
    for endpoint in [first, second] { await endpoint.shutdown() }
  }

  @Test("Only what is retained can be cleared, or held")
  func notRetained() async throws {
    let network = LoopbackNetwork()
    let endpoint = try await network.start("endpoint")
    let publication = try endpoint.publication("t")
    await #expect(throws: EndpointFailure.notRetained(topic: "t")) { try await publication.clear() }
    let receipt = try await publication.publish("one", expiry: .seconds(60))
    await #expect(throws: EndpointFailure.notHeld(sequence: 0, holders: 0, wanted: 1)) { try await receipt.held() }
    await endpoint.shutdown()
  }

  @Test("A typed subscription passes over a clear, which is no value")
  func typed() async throws {
    let network = LoopbackNetwork()
    let publisher = try await network.start("publisher")
    let subscriber = try await network.start("subscriber")
    let topic = Topic<Int>("number")
    let publication = try publisher.publication(topic, settings)
    let values = Collected<Int>()
    let subscription = try subscriber.subscribe(to: topic)
    let reading = Task { for await element in subscription { values.append(element.value) } }
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    try await publication.publish(1)
    try await publication.clear()
    try await publication.publish(2)
    try await eventually("both values") { values.all == [1, 2] }
    reading.cancel()
    for endpoint in [publisher, subscriber] { await endpoint.shutdown() }
  }
}
