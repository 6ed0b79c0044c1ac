import GlueAddress
import GlueCore
import GlueSimulation
import Testing

/// Topics that retain their last value: partitions, caches that were away, clocks that are wrong.
@Suite(.apart) struct RetainedScenarios {
  private let topics = [SimulatedTopic("t", history: .retained)]

  private func start(_ host: Int, in scenario: Scenario, publishes: Bool = false, clock: LocalClock = LocalClock())
    throws -> SimulatedEndpoint
  {
    var configuration = EndpointConfiguration(id: EndpointID(UInt64(host + 1)), name: "endpoint-\(host)")
    configuration.transport.maximumDatagramBytes = 1_472
    configuration.discovery.targets = [SimulatedNetwork.group]
    let endpoint = scenario.simulation.start(on: host, configuration, clock: clock)
    endpoint.keepsEvents = true
    if publishes { try endpoint.advertise(0) }
    return endpoint
  }

  private func subscribe(_ host: Int, in scenario: Scenario, filter: String = "t") throws -> SimulatedEndpoint {
    let endpoint = try start(host, in: scenario)
    try endpoint.subscribe(filter, options: SubscriptionOptions(history: .retained))
    return endpoint
  }

  /// Cuts some hosts off from all others, or joins them again.
  private func cut(_ hosts: Set<Int>, in scenario: Scenario, _ isCut: Bool = true) {
    let count = scenario.simulation.network.hostCount
    for from in 0..<count {
      for to in 0..<count where from != to && hosts.contains(from) != hosts.contains(to) {
        scenario.simulation.network[from, to].isUnicastBlocked = isCut
        scenario.simulation.network[from, to].isGroupBlocked = isCut
      }
    }
    scenario.simulation.noteLinks()
  }

  private func publish(_ publisher: SimulatedEndpoint, in scenario: Scenario, isClear: Bool = false) {
    publisher.publish(topic: 0, bytes: 100, isClear: isClear)
    scenario.run(.milliseconds(500))
  }

  /// The endpoint's own count of values, newest last: serial numbers, and nil for a clear.
  private func values(_ endpoint: SimulatedEndpoint) -> [UInt64?] {
    endpoint.received.map { $0.isCleared ? nil : $0.serial }
  }

  private func stamp(_ endpoint: SimulatedEndpoint) -> RetainedStamp? {
    endpoint.machine.retainedValue(of: "t")?.stamp
  }

  /// Each side has its publisher, which ends, and its subscriber. Both values go over; the higher one stays.
  @Test(arguments: [true, false]) func twoRetainedValuesWrittenOnBothSidesOfAPartition(publishersLive: Bool) throws {
    let scenario = Scenario(hosts: 5, topics: topics, seed: 61)
    let publishers = try [0, 1].map { try start($0, in: scenario, publishes: true) }
    let subscribers = try [2, 3].map { try subscribe($0, in: scenario) }
    scenario.run(.seconds(2))
    publish(publishers[0], in: scenario)
    cut([1, 3], in: scenario)
    scenario.run(.seconds(10))
    publish(publishers[1], in: scenario)
    publish(publishers[0], in: scenario)
    if !publishersLive { for publisher in publishers { scenario.simulation.end(publisher) } }
    scenario.run(.seconds(10))
    #expect(stamp(subscribers[0]) != stamp(subscribers[1]))
    cut([1, 3], in: scenario, false)
    scenario.run(.seconds(5))
    // Serials count in the whole run: 1 before, 2 by the second publisher, 3 by the first.
    #expect(values(subscribers[0]) == [1, 3])
    #expect(values(subscribers[1]) == [1, 2, 3])
    #expect(stamp(subscribers[0]) == stamp(subscribers[1]))
    let joiner = try subscribe(4, in: scenario)
    scenario.run(.seconds(3))
    #expect(values(joiner) == [3])
    for endpoint in scenario.simulation.alive { #expect(endpoint.machine.retainedValuesHeld(of: "t") <= 1) }
    for host in 2...4 { #expect(scenario.losses(at: host).isEmpty) }
  }

  /// The cache that holds the value sleeps through its end, in memory (cut off) or on disk (killed).
  @Test(arguments: [true, false]) func aRetainedValueClearedWhileItsCacheIsAway(onDisk: Bool) throws {
    let scenario = Scenario(hosts: 5, topics: topics, seed: 62)
    if onDisk { scenario.simulation.giveDisk(to: 1) }
    let publisher = try start(0, in: scenario, publishes: true)
    var cache = try subscribe(1, in: scenario, filter: "#")
    scenario.run(.seconds(2))
    publish(publisher, in: scenario)
    scenario.run(.seconds(3))
    scenario.simulation.end(publisher)
    if onDisk { scenario.simulation.end(cache) } else { cut([1], in: scenario) }
    scenario.run(.seconds(8))
    // Somebody else clears it, who knows nothing of it, as does the one who holds that.
    let cleaner = try start(2, in: scenario, publishes: true)
    let holder = try subscribe(3, in: scenario)
    scenario.run(.seconds(2))
    publish(cleaner, in: scenario, isClear: true)
    scenario.simulation.end(cleaner)
    scenario.run(.seconds(8))
    if onDisk { cache = try subscribe(1, in: scenario, filter: "#") } else { cut([1], in: scenario, false) }
    scenario.run(.seconds(5))
    #expect(cache.machine.retainedValue(of: "t")?.isCleared == true)
    #expect(cache.machine.retainedValuesHeld(of: "t") == 1)
    #expect(values(cache) == [1, nil])
    #expect(values(holder).allSatisfy { $0 == nil }, "the old value has come back")
    let joiner = try subscribe(4, in: scenario)
    scenario.run(.seconds(3))
    #expect(values(joiner) == [])
    // The cache alone knows it as well.
    scenario.simulation.end(holder)
    scenario.simulation.end(joiner)
    if onDisk {
      scenario.run(.seconds(3))
      scenario.simulation.end(cache)
      cache = try subscribe(1, in: scenario, filter: "#")
      scenario.run(.seconds(8))
      #expect(cache.machine.retainedValue(of: "t")?.isCleared == true)
      #expect(values(cache) == [])
    }
  }

  @Test func aPublisherThatRestartsIn1970WinsOverWhatItKnowsOf() throws {
    let scenario = Scenario(hosts: 4, topics: topics, seed: 63)
    var publisher = try start(0, in: scenario, publishes: true)
    let subscriber = try subscribe(1, in: scenario)
    scenario.run(.seconds(2))
    publish(publisher, in: scenario)
    scenario.simulation.end(publisher)
    var clock = LocalClock()
    clock.wallOrigin = 0
    publisher = try start(0, in: scenario, publishes: true, clock: clock)
    let id = publisher.publications[0].id
    scenario.run(.seconds(10), until: { publisher.peers.count == 1 && publisher.machine.knowsValue(of: id) })
    let before = try #require(stamp(publisher))
    publish(publisher, in: scenario)
    #expect(values(subscriber) == [1, 2])
    #expect(stamp(subscriber).map { $0.time } == before.time + 1)
    // Its clock is behind; so it takes the others' for one that is far ahead, and says so once.
    let leads = publisher.events.compactMap { if case .timeAhead(_, let lead) = $0 { lead } else { nil } }
    #expect(leads.count == 1 && leads[0] > .seconds(3_600))
    #expect(!subscriber.events.contains { if case .timeAhead = $0 { true } else { false } })
  }

  /// The publisher and all that held the value go one after the other; it stays.
  @Test func aValueOutlivesEverybodyWhoSawItPublished() throws {
    let scenario = Scenario(hosts: 8, topics: topics, seed: 64)
    let publisher = try start(0, in: scenario, publishes: true)
    var last = try subscribe(1, in: scenario)
    scenario.run(.seconds(2))
    publish(publisher, in: scenario)
    scenario.simulation.end(publisher)
    for host in 2..<8 {
      let next = try subscribe(host, in: scenario)
      // Whoever holds it tells so when he takes the publisher for gone.
      scenario.run(.seconds(10), until: { !next.received.isEmpty })
      #expect(values(next) == [1])
      scenario.simulation.end(last)
      last = next
    }
  }

  /// What is lost on the way, and later values that come before it, change nothing.
  @Test func lossDoesNotHoldUpANewerValue() throws {
    let scenario = Scenario(hosts: 3, topics: topics, seed: 65)
    let publishers = try [0, 1].map { try start($0, in: scenario, publishes: true) }
    let subscriber = try subscribe(2, in: scenario)
    scenario.run(.seconds(2))
    scenario.links { $0.lossPerMillion = 200_000 }
    for number in 0..<200 as Range<UInt64> {
      scenario.simulation.schedule(after: .milliseconds(10) * number) { _ in
        publishers[Int(number % 2)].publish(topic: 0, bytes: 1_000)
      }
    }
    scenario.run(.seconds(6))
    #expect(values(subscriber).last == 200)
    #expect(stamp(publishers[0]) == stamp(subscriber))
    #expect(stamp(publishers[1]) == stamp(subscriber))
  }
}
