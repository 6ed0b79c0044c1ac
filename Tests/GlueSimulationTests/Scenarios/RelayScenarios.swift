import GlueAddress
import GlueCore
import GlueSimulation
import Testing

@Suite(.apart) struct RelayScenarios {
  private static let key = NetworkKey([UInt8](repeating: 7, count: NetworkKey.byteCount))!

  /// Hosts in a row, each of which hears the next one only; the first publishes, the last subscribes.
  private func chain(of count: Int, seed: UInt64 = 1, isSealed: Bool = false) throws -> Scenario {
    let scenario = Scenario(hosts: count, seed: seed)
    for a in 0..<count { for b in 0..<count where b > a + 1 { scenario.block(a, b) } }
    for host in 0..<count {
      try scenario.start(host, publishes: host == 0 ? [0] : [], subscribes: host == count - 1 ? ["t"] : []) {
        if isSealed { $0.keys = [Self.key] }
      }
    }
    return scenario
  }

  private func isMatched(_ scenario: Scenario) -> Bool {
    scenario.simulation[0].machine.matchedSubscribers(of: scenario.simulation[0].publications[0].id) == 1
  }

  /// Datagrams that were passed on, and that their ends sent, by all together.
  private func relayed(_ scenario: Scenario) -> (forwarded: UInt64, sent: UInt64, dropped: UInt64) {
    let alive = scenario.simulation.alive
    func sum(_ name: String) -> UInt64 { alive.reduce(0) { $0 + scenario.counter(name, of: $1) } }
    return (sum("relays_forwarded"), sum("relays_sent"), sum("relays_dropped"))
  }

  @Test(arguments: [false, true]) func aThirdOnePassesOnWhatTwoDoNotHear(isSealed: Bool) throws {
    let scenario = try chain(of: 3, isSealed: isSealed)
    let (publisher, subscriber) = (scenario.simulation[0], scenario.simulation[2])
    scenario.run(.seconds(20), until: { isMatched(scenario) })
    #expect(scenario.simulation.now < Timestamp(nanoseconds: 9_000_000_000))
    var worst = Nanoseconds.zero
    scenario.simulation.onMessage = { _, message in
      worst = max(worst, scenario.simulation.now.since(message.publishedAt))
    }
    scenario.publish(500, from: publisher, every: .milliseconds(10))
    scenario.run(.seconds(6))
    #expect(scenario.numbers(at: subscriber) == Array(0..<500))
    #expect(worst < .milliseconds(5), "\(worst)")
    // The one between subscribes to nothing and has nothing of it.
    #expect(scenario.simulation[1].machine.topicStreams == 0)
    let (forwarded, sent, _) = relayed(scenario)
    #expect(forwarded > 500 && forwarded <= sent)
    #expect(scenario.losses(at: 2).isEmpty)
  }

  @Test(arguments: [50_000, 200_000]) func lossOnTheWayIsRepairedByTheEnds(lossPerMillion: Int) throws {
    let scenario = try chain(of: 3, seed: 2)
    scenario.links { $0.lossPerMillion = lossPerMillion }
    scenario.run(.seconds(40), until: { isMatched(scenario) })
    scenario.publish(500, from: scenario.simulation[0], bytes: 700, every: .milliseconds(10))
    scenario.run(.seconds(15))
    #expect(scenario.numbers(at: scenario.simulation[2]) == Array(0..<500))
  }

  @Test func largeMessagesPassInDatagramsThatFit() throws {
    let scenario = try chain(of: 3, seed: 3)
    scenario.run(.seconds(20), until: { isMatched(scenario) })
    var largest = 0
    scenario.simulation.onDatagram = { bytes, _, _ in largest = max(largest, bytes.count) }
    scenario.publish(20, from: scenario.simulation[0], bytes: 100_000, every: .milliseconds(50))
    scenario.run(.seconds(10))
    #expect(scenario.numbers(at: scenario.simulation[2]) == Array(0..<20))
    #expect(largest <= 1_472)
    let inspection = scenario.simulation[0].machine.inspectPeers().first { $0.info.relay != nil }
    #expect(inspection?.pathBytes == 1_472 - WireLimits.relayBytes)
  }

  /// A session that is cut goes on by way of a third one before its lease ends, and comes back.
  @Test(arguments: [false, true]) func aCutSessionGoesOnAndComesBack(isRendezvous: Bool) throws {
    let scenario = Scenario(hosts: 4, seed: 4)
    for host in [3, 0, 1, 2] {
      try scenario.start(host, publishes: host == 0 ? [0] : [], subscribes: host == 2 ? ["t"] : []) {
        guard isRendezvous else { return }
        $0.discovery.targets = host == 3 ? [] : [SimulatedNetwork.address(host: 3)]
        $0.discovery.isRendezvous = host == 3
      }
    }
    scenario.run(.seconds(10), until: { isMatched(scenario) })
    scenario.run(.seconds(6))
    scenario.publish(3_000, from: scenario.simulation[0], every: .milliseconds(10))
    scenario.run(.seconds(2))
    scenario.block(0, 2)
    scenario.run(.seconds(4))
    let before = scenario.numbers(at: scenario.simulation[2]).count
    #expect(before > 500)
    scenario.run(.seconds(8))
    let during = scenario.numbers(at: scenario.simulation[2]).count - before
    #expect((790...810).contains(during), "\(during)")
    #expect(scenario.simulation[2].machine.peers.first { $0.id == EndpointID(1) }?.relay != nil)
    scenario.join(0, 2)
    scenario.run(.seconds(6))
    let quiet = relayed(scenario)
    #expect(scenario.simulation[2].machine.peers.allSatisfy { $0.relay == nil && !$0.address.isRelayed })
    scenario.run(.seconds(14))
    #expect(relayed(scenario).sent == quiet.sent)
    #expect(scenario.numbers(at: scenario.simulation[2]) == Array(0..<3_000))
    for host in 0..<4 {
      for case .peerRemoved(let peer, let reason) in scenario.simulation[host].events {
        Issue.record("\(host) lost \(peer.name): \(reason)")
      }
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64]) func aChainOfFive(seed: UInt64) throws {
    let scenario = try chain(of: 5, seed: seed)
    scenario.run(.seconds(30), until: { scenario.simulation.alive.allSatisfy { $0.machine.peers.count == 4 } })
    let met = scenario.simulation.now
    #expect(met < Timestamp(nanoseconds: 25_000_000_000), "\(met)")
    scenario.run(.seconds(1))
    scenario.publish(500, from: scenario.simulation[0], every: .milliseconds(10))
    scenario.run(.seconds(7))
    #expect(scenario.numbers(at: scenario.simulation[4]) == Array(0..<500))
    let (forwarded, sent, _) = relayed(scenario)
    #expect(forwarded <= sent * 3)
  }

  /// The one that passed datagrams on is gone: another one does.
  @Test func anotherOneTakesOver() throws {
    let scenario = Scenario(hosts: 4, seed: 6)
    scenario.block(0, 1)
    for host in 0..<4 { try scenario.start(host, publishes: host == 0 ? [0] : [], subscribes: host == 1 ? ["t"] : []) }
    scenario.run(.seconds(20), until: { isMatched(scenario) })
    scenario.run(.seconds(8))
    scenario.publish(2_000, from: scenario.simulation[0], every: .milliseconds(10))
    scenario.run(.seconds(2))
    let relay = try #require(scenario.simulation[0].machine.peers.first { $0.id == EndpointID(2) }?.relay)
    scenario.simulation.end(scenario.simulation[Int(relay.rawValue) - 1])
    scenario.run(.seconds(24))
    #expect(scenario.numbers(at: scenario.simulation[1]) == Array(0..<2_000))
  }

  @Test func whoDoesNotWantToPassesNothingOn() throws {
    let scenario = Scenario(hosts: 3, seed: 7)
    scenario.block(0, 2)
    for host in 0..<3 { try scenario.start(host) { $0.discovery.relays = host != 1 } }
    scenario.run(.seconds(30))
    #expect(scenario.simulation.alive.map(\.machine.peers.count) == [1, 2, 1])
    #expect(relayed(scenario) == (0, 0, 0))
  }

  /// Two halves and one between them. When all have met there are announcements, and what passes them on; and no more of
  /// these than that.
  @Test func twoHalvesMakeNoStorm() throws {
    let scenario = Scenario(hosts: 11, seed: 8)
    for a in 0..<5 { for b in 5..<10 { scenario.block(a, b) } }
    for host in 0..<11 { try scenario.start(host) }
    scenario.run(.seconds(30), until: { scenario.simulation.alive.allSatisfy { $0.machine.peers.count == 10 } })
    scenario.run(.seconds(60))
    #expect(scenario.simulation.alive.allSatisfy { $0.machine.peers.count == 10 })
    let before = (relayed(scenario), scenario.simulation.recorder.report.datagrams)
    scenario.run(.seconds(20))
    let after = (relayed(scenario), scenario.simulation.recorder.report.datagrams)
    // 50 announcements a second that are passed on once each, now and then an introduction and a challenge.
    #expect(after.0.forwarded - before.0.forwarded <= 20 * 50 * 5 / 4)
    #expect(after.0.sent - before.0.sent <= 20 * 50 * 5 / 4)
    #expect(after.1 - before.1 <= 20 * (11 + 2 * 50) * 3 / 2, "\(after.1 - before.1)")
  }
}
