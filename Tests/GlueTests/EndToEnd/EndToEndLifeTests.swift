import Glue
import ServiceLifecycle
import Testing

@Suite("EndToEnd: life of an endpoint", .serialized, .timeLimit(.minutes(5)))
struct EndToEndLifeTests {
  @Test("Peers are added, and removed when they say goodbye")
  func peersComeAndGo() async throws {
    let network = LoopbackNetwork()
    let one = try await network.start("one", id: 1)
    let events = one.events
    let other = try await network.start("other", id: 2)
    try await eventually("the peer") { one.peers.map(\.name) == ["other"] && other.peers.map(\.name) == ["one"] }
    await other.shutdown()
    try await eventually("no peer") { one.peers.isEmpty }
    let told = try await within {
      var told: [String] = []
      for await event in events {
        switch event {
        case .peerAdded(let peer): told.append("added \(peer.id)")
        case .peerRemoved(let peer, let reason): return told + ["removed \(peer.id) \(reason)"]
        default: continue
        }
      }
      return told
    }
    #expect(told == ["added 2", "removed 2 bye"])
    await one.shutdown()
  }

  @Test("A shutdown ends sequences and waits, and what follows is refused")
  func shutdownEndsEverything() async throws {
    let endpoint = try await LoopbackNetwork().start()
    let messages = try endpoint.subscribe(to: "t")
    let (events, direct) = (endpoint.events, try endpoint.receive())
    let publication = try endpoint.publication("t2")
    let reading = Task { for await _ in messages {} }
    let watching = Task { for await _ in events {} }
    let receiving = Task { for await _ in direct {} }
    let waiting = Task { try await publication.awaitSubscribers(1) }
    try await within { await endpoint.shutdown() }
    try await within {
      await reading.value
      await watching.value
      await receiving.value
    }
    await #expect(throws: EndpointFailure.stopped) { try await waiting.value }
    #expect(throws: EndpointFailure.stopped) { try publication.tryPublish("late") }
    #expect(throws: EndpointFailure.stopped) { try endpoint.subscribe(to: "t") }
    await #expect(throws: EndpointFailure.alreadyStarted) { try await endpoint.start() }
    await endpoint.shutdown()
  }

  @Test("A wait that began before the start ends in time")
  func waitsBeforeTheStart() async throws {
    let endpoint = try await Endpoint(LoopbackNetwork().configuration())
    let publication = try endpoint.publication("t")
    await #expect(throws: EndpointFailure.timedOut(waitingFor: "1 subscribers of t")) {
      try await within { try await publication.awaitSubscribers(1, timeout: .milliseconds(20)) }
    }
    await endpoint.shutdown()
  }

  @Test("A shutdown waits for acknowledgements: nothing published before it is lost")
  func shutdownDelivers() async throws {
    let network = LoopbackNetwork()
    let (publisher, subscriber) = (try await network.start(), try await network.start())
    let received = Collected<UInt64>()
    try subscriber.subscribe(to: "t") { received.append($0.sequence) }
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    for _ in 0..<5_000 { try await publication.publish([UInt8](repeating: 1, count: 500)) }
    await publisher.shutdown()
    #expect(received.all == Array(0..<5_000))
    await subscriber.shutdown()
  }

  @Test("run() starts, and returns when the endpoint is shut down or its task is cancelled")
  func runReturns() async throws {
    let network = LoopbackNetwork()
    let one = try await Endpoint(network.configuration())
    let running = Task { try await one.run() }
    try await one.publish("before the start or after it", to: "t")
    let other = try await network.start()
    try await eventually("the peer") { other.peers.count == 1 }
    running.cancel()
    try await within { try await running.value }
    try await eventually("goodbye") { other.peers.isEmpty }

    let third = try await Endpoint(network.configuration())
    let group = ServiceGroup(configuration: .init(services: [.init(service: third)], logger: .init(label: "test")))
    let service = Task { try await group.run() }
    try await eventually("the peer") { other.peers.count == 1 }
    await group.triggerGracefulShutdown()
    try await within { try await service.value }
    try await eventually("goodbye") { other.peers.isEmpty }
    await other.shutdown()
  }

  @Test("withEndpoint shuts down, also when its closure throws")
  func scoped() async throws {
    let network = LoopbackNetwork()
    let observer = try await network.start()
    try await withEndpoint(network.configuration()) { endpoint in
      try await eventually("the peer") { observer.peers.map(\.id) == [endpoint.id] }
    }
    try await eventually("goodbye") { observer.peers.isEmpty }
    await #expect(throws: Timeout.self) {
      try await withEndpoint(network.configuration()) { _ in throw Timeout(description: "on purpose") }
    }
    await observer.shutdown()
  }

  @Test("An endpoint that nobody holds any more leaves by itself")
  func abandoned() async throws {
    let network = LoopbackNetwork()
    let observer = try await network.start()
    weak var left: Endpoint?
    do {
      let endpoint = try await network.start()
      left = endpoint
      try await eventually("the peer") { observer.peers.count == 1 }
    }
    try await eventually("goodbye") { observer.peers.isEmpty }
    #expect(left == nil)
    await observer.shutdown()
  }

  @Test("Many callers publish at once")
  func concurrentCallers() async throws {
    let network = LoopbackNetwork()
    let (publisher, subscriber) = (try await network.start(), try await network.start())
    let received = Collected<UInt64>()
    try subscriber.subscribe(to: "t") { received.append($0.sequence) }
    let publication = try publisher.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(5))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<2_000 { try await publication.publish([1, 2, 3]) }
        }
      }
      try await group.waitForAll()
    }
    try await eventually("8000 messages") { received.count == 8_000 }
    #expect(received.all == Array(0..<8_000))
    await publisher.shutdown()
    await subscriber.shutdown()
  }

  @Test("The start tells which interface is used, and why")
  func interfaceChoice() async throws {
    let endpoint = try await Endpoint(LoopbackNetwork().configuration())
    let events = endpoint.events
    try await endpoint.start()
    let choice = try await within {
      for await event in events {
        if case .interfaces(let choice) = event { return choice }
      }
      throw Timeout(description: "the events ended")
    }
    #expect(choice == endpoint.interfaceChoice)
    #expect(choice.used.map(\.name) == ["lo"] && choice.reason == .setting)
    #expect("\(choice)".hasPrefix("lo, as set: 127.0.0.1"))
    await endpoint.shutdown()
  }

  @Test("An endpoint runs and ends without its interface")
  func missingInterface() async throws {
    var configuration = LoopbackNetwork().configuration()
    configuration.listenInterfaces = .named(["nosuch0"])
    let endpoint = try await Endpoint(configuration)
    try await endpoint.start()
    try endpoint.subscribe(to: "t") { _ in }
    #expect(endpoint.interfaceChoice.interfaces.first?.obstacle == .missing)
    #expect(endpoint.failure == nil)
    await endpoint.shutdown()
  }
}
