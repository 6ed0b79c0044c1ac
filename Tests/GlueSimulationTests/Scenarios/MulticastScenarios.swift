import GlueAddress
import GlueCore
import GlueSimulation
import Testing

/// Data that is sent once for several subscribers.
@Suite(.apart) struct MulticastScenarios {
  private static func usesMulticast(_ configuration: inout EndpointConfiguration) {
    configuration.dataGroups = [SimulatedNetwork.group]
  }

  /// A publisher on host 0 and subscribers on the others, all of whom have had something.
  private func group(
    of subscribers: Int, seed: UInt64, _ topic: SimulatedTopic = SimulatedTopic("t"),
    _ change: (inout EndpointConfiguration) -> Void = { _ in }
  ) throws -> (Scenario, publisher: SimulatedEndpoint, subscribers: [SimulatedEndpoint]) {
    let scenario = Scenario(hosts: subscribers + 1, topics: [topic], seed: seed)
    func configure(_ configuration: inout EndpointConfiguration) {
      Self.usesMulticast(&configuration)
      change(&configuration)
    }
    let publisher = try scenario.start(0, publishes: [0], configure)
    let subscribers = try (1...subscribers).map { try scenario.start($0, subscribes: ["t"], configure) }
    scenario.run(.seconds(3))
    scenario.publish(30, from: publisher, every: .milliseconds(10))
    scenario.run(.seconds(1))
    return (scenario, publisher, subscribers)
  }

  private func data(_ scenario: Scenario, _ publisher: SimulatedEndpoint) -> UInt64 {
    scenario.counter("datagrams_sent", of: publisher)
  }

  /// What a publisher sends does not grow with those who read it.
  @Test(arguments: [false, true]) func oneDatagramServesAll(isSealed: Bool) throws {
    var sent: [UInt64] = []
    for count in [2, 8] {
      let (scenario, publisher, subscribers) = try group(of: count, seed: 1) { configuration in
        if isSealed { configuration.keys = [NetworkKey([UInt8](repeating: 7, count: 32))!] }
      }
      let before = (data(scenario, publisher), scenario.counter("group_datagrams_sent", of: publisher))
      scenario.publish(500, from: publisher, every: .milliseconds(1))
      scenario.run(.seconds(2))
      for subscriber in subscribers { #expect(scenario.numbers(at: subscriber) == Array(0..<530)) }
      #expect(scenario.counter("group_datagrams_sent", of: publisher) - before.1 == 500)
      sent.append(data(scenario, publisher) - before.0)
    }
    #expect(Double(sent[1]) < Double(sent[0]) * 1.1, "\(sent)")
  }

  @Test func oneSubscriberIsServedByUnicast() throws {
    let (scenario, publisher, subscribers) = try group(of: 1, seed: 2)
    #expect(scenario.counter("group_datagrams_sent", of: publisher) == 0)
    #expect(scenario.numbers(at: subscribers[0]) == Array(0..<30))
  }

  /// What one loses is repeated to it, and to nobody else. Of 3 % lost more than a twentieth of some 256 datagrams would be, every third time.
  @Test func whatOneMemberLosesIsRepeatedToItAlone() throws {
    let (scenario, publisher, subscribers) = try group(of: 4, seed: 3)
    scenario.simulation.network[0, 1].lossPerMillion = 20_000
    scenario.simulation.noteLinks()
    scenario.publish(2_000, from: publisher, every: .milliseconds(2))
    scenario.run(.seconds(6))
    for subscriber in subscribers { #expect(scenario.numbers(at: subscriber) == Array(0..<2_030)) }
    let repeated = scenario.counter("fragments_repeated", of: publisher)
    #expect(repeated > 0 && repeated < 200, "\(repeated) were repeated")
    for other in subscribers.dropFirst() { #expect(scenario.counter("fragments_duplicate", of: other) == 0) }
    #expect(scenario.counter("groups_left", of: publisher) == 0)
  }

  /// More than a twentieth lost by multicast is worse than a datagram for each.
  @Test func whoLosesMuchIsServedByUnicast() throws {
    let (scenario, publisher, subscribers) = try group(of: 3, seed: 4)
    scenario.simulation.network[0, 1].lossPerMillion = 200_000
    scenario.simulation.noteLinks()
    scenario.publish(2_000, from: publisher, every: .milliseconds(1))
    scenario.run(.seconds(4))
    for subscriber in subscribers { #expect(scenario.numbers(at: subscriber) == Array(0..<2_030)) }
    #expect(scenario.counter("groups_left", of: publisher) >= 1)
  }

  /// Multicast to one of them ends, as on a switch that forgets a member: it gets everything, soon, and the others still by multicast.
  @Test func whomMulticastNoLongerReachesIsServedByUnicast() throws {
    let (scenario, publisher, subscribers) = try group(of: 3, seed: 5)
    scenario.simulation.network[0, 1].isGroupBlocked = true
    scenario.simulation.noteLinks()
    scenario.publish(400, from: publisher, every: .milliseconds(5))
    scenario.run(.seconds(4))
    for subscriber in subscribers { #expect(scenario.numbers(at: subscriber) == Array(0..<430)) }
    let times = subscribers[0].received.map(\.at)
    #expect(zip(times, times.dropFirst()).dropFirst(30).allSatisfy { $1.since($0) < .milliseconds(150) })
    #expect(scenario.counter("groups_left", of: publisher) >= 1)
    #expect(scenario.counter("group_datagrams_sent", of: publisher) > 300)
  }

  /// One stops taking what comes: the others go on, by multicast.
  @Test func aMemberThatIsSlowHoldsUpTheOthersForAMomentOnly() throws {
    let (scenario, publisher, subscribers) = try group(of: 3, seed: 6) {
      $0.transport.streamWindowBytes = 64 << 10
    }
    // Its path is cut both ways, as if it stood still.
    scenario.block(0, 1)
    scenario.publish(400, from: publisher, bytes: 2_000, every: .milliseconds(5))
    scenario.run(.seconds(3))
    for other in subscribers.dropFirst() {
      #expect(scenario.numbers(at: other) == Array(0..<430))
      let times = other.received.map(\.at)
      #expect(zip(times, times.dropFirst()).dropFirst(30).allSatisfy { $1.since($0) < .milliseconds(100) })
    }
  }

  /// Who subscribes later becomes a member, also while the publisher sends as fast as it may.
  @Test func whoComesLaterJoins() throws {
    let scenario = Scenario(hosts: 5, seed: 7)
    let publisher = try scenario.start(0, publishes: [0], Self.usesMulticast)
    for host in 1...3 { try scenario.start(host, subscribes: ["t"], Self.usesMulticast) }
    scenario.run(.seconds(3))
    scenario.publish(4_000, from: publisher, bytes: 1_000, every: .microseconds(500))
    scenario.run(.milliseconds(500))
    let late = try scenario.start(4, subscribes: ["t"], Self.usesMulticast)
    scenario.run(.seconds(3))
    let before = data(scenario, publisher)
    scenario.publish(100, from: publisher, every: .milliseconds(1))
    scenario.run(.seconds(1))
    #expect(scenario.numbers(at: late).last == 4_099)
    #expect(data(scenario, publisher) - before < 130)
  }

  @Test func bestEffortGoesToTheGroupToo() throws {
    let (scenario, publisher, subscribers) = try group(of: 3, seed: 8, SimulatedTopic("t", reliability: .bestEffort))
    let before = scenario.counter("group_datagrams_sent", of: publisher)
    scenario.publish(100, from: publisher, every: .milliseconds(1))
    scenario.run(.seconds(1))
    for subscriber in subscribers { #expect(scenario.numbers(at: subscriber).suffix(100) == Array(30..<130)) }
    #expect(scenario.counter("group_datagrams_sent", of: publisher) - before == 100)
  }
}
