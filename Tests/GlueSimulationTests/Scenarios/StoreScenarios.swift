import GlueCore
import GlueSimulation
import Testing

/// Caches with disks that are killed at any moment.
@Suite(.apart) struct StoreScenarios {
  private let topics = [SimulatedTopic("t", history: .untilExpiry)]

  private func cache(_ host: Int, in scenario: Scenario) throws -> SimulatedEndpoint {
    let endpoint = try scenario.start(host)
    try endpoint.subscribe("#", options: SubscriptionOptions(history: .all))
    return endpoint
  }

  private func publish(_ count: Int, from publisher: SimulatedEndpoint, in scenario: Scenario) {
    for number in 0..<count {
      scenario.simulation.schedule(after: .milliseconds(5 * UInt64(number))) { _ in
        publisher.publish(topic: 0, bytes: 100, lifetime: .seconds(60))
      }
    }
  }

  private func storedCount(_ publisher: SimulatedEndpoint, _ sequences: Range<UInt64>) -> Int {
    publisher.machine.storedCount(of: publisher.publications[0].id, sequences) ?? 0
  }

  /// Killed again and again while 1,000 messages are published, in the middle of writing as well.
  @Test(arguments: [51, 52, 53, 54] as [UInt64]) func aCacheThatIsKilledServesAllThatItHadConfirmed(seed: UInt64) throws
  {
    let scenario = Scenario(hosts: 3, topics: topics, seed: seed)
    scenario.simulation.giveDisk(to: 1)
    let publisher = try scenario.start(0, publishes: [0])
    var holder = try cache(1, in: scenario)
    scenario.run(.seconds(2))
    scenario.links { $0.lossPerMillion = 50_000 }
    publish(1_000, from: publisher, in: scenario)
    for round in 0..<5 as Range<UInt64> {
      scenario.run(.milliseconds(800 + 37 * round))
      scenario.simulation.end(holder)
      holder = try cache(1, in: scenario)
    }
    scenario.run(.seconds(20), until: { storedCount(publisher, 0..<1_000) == 1 })
    #expect(storedCount(publisher, 0..<1_000) == 1)
    scenario.simulation.end(publisher)
    scenario.simulation.end(holder)
    scenario.run(.seconds(5))
    _ = try cache(1, in: scenario)
    let joiner = try cache(2, in: scenario)
    scenario.run(.seconds(10), until: { scenario.numbers(at: joiner).count == 1_000 })
    #expect(scenario.numbers(at: joiner) == Array(0..<1_000))
    #expect(scenario.losses(at: 2).isEmpty)
  }

  @Test func twoStoresAreCountedAsTwoAndOneThatRestartsAsOne() throws {
    let scenario = Scenario(hosts: 3, topics: topics, seed: 55)
    for host in 1...2 { scenario.simulation.giveDisk(to: host) }
    let publisher = try scenario.start(0, publishes: [0])
    let first = try cache(1, in: scenario)
    scenario.run(.seconds(2))
    publish(50, from: publisher, in: scenario)
    scenario.run(.seconds(5), until: { storedCount(publisher, 0..<50) == 1 })
    scenario.simulation.end(first)
    _ = try scenario.start(1, subscribes: ["#"]) { $0.id = EndpointID(99) }
    scenario.run(.seconds(15))
    #expect(storedCount(publisher, 0..<50) == 1)
    _ = try cache(2, in: scenario)
    scenario.run(.seconds(10), until: { storedCount(publisher, 0..<50) == 2 })
    #expect(storedCount(publisher, 0..<50) == 2)
  }

  @Test func aDiskThatFailsForAWhileHoldsUpNothing() throws {
    let scenario = Scenario(hosts: 2, topics: topics, seed: 56)
    scenario.simulation.giveDisk(to: 1)
    let publisher = try scenario.start(0, publishes: [0])
    let holder = try cache(1, in: scenario)
    scenario.run(.seconds(2))
    let disk = try #require(scenario.simulation.disks[1])
    disk.isFailing = true
    publish(500, from: publisher, in: scenario)
    scenario.run(.seconds(4))
    #expect(scenario.numbers(at: holder) == Array(0..<500))
    #expect(storedCount(publisher, 0..<1) == 0)
    disk.isFailing = false
    scenario.run(.seconds(5), until: { storedCount(publisher, 0..<500) == 1 })
    #expect(storedCount(publisher, 0..<500) == 1)
  }
}
