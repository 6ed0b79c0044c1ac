import GlueAddress
import GlueCore
import GlueSimulation
import Testing

@Suite(.apart) struct DiscoveryScenarios {
  /// A restarted UDP peer was never recovered (Zenoh #496).
  @Test func aRestartedPeerIsRecoveredAtOnce() throws {
    let scenario = Scenario(hosts: 2, seed: 496)
    let publisher = try scenario.start(0, publishes: [0])
    try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(3))
    scenario.publish(200, from: publisher, every: .milliseconds(50))
    for round in 0..<20 {
      scenario.run(.milliseconds(400))
      // The same address and ID, a new incarnation.
      let subscriber = try scenario.start(1, subscribes: ["t"])
      let start = scenario.simulation.now
      scenario.run(.seconds(2), until: { !subscriber.received.isEmpty })
      #expect(scenario.simulation.now.since(start) < .seconds(1), "round \(round)")
    }
    #expect(publisher.machine.bufferedBytes < 64 << 10)
  }

  /// From start to the first message, in both orders.
  @Test(arguments: [true, false])
  func theFirstMessageArrivesSoon(publisherFirst: Bool) throws {
    var spans: [Nanoseconds] = []
    for seed in 1...25 as ClosedRange<UInt64> {
      let scenario = Scenario(hosts: 4, seed: seed)
      for host in 2..<4 { try scenario.start(host) }
      let old = publisherFirst ? try scenario.start(0, publishes: [0]) : try scenario.start(1, subscribes: ["t"])
      scenario.run(.milliseconds(7_000 + seed * 37))
      let start = scenario.simulation.now
      let new = publisherFirst ? try scenario.start(1, subscribes: ["t"]) : try scenario.start(0, publishes: [0])
      let (publisher, subscriber) = publisherFirst ? (old, new) : (new, old)
      let publication = publisher.publications[0].id
      scenario.run(.seconds(3), until: { publisher.machine.matchedSubscribers(of: publication) == 1 })
      publisher.publish(topic: 0, bytes: 10)
      scenario.run(.seconds(3), until: { !subscriber.received.isEmpty })
      // The first message after the match is never lost.
      #expect(scenario.numbers(at: subscriber) == [0])
      spans.append(scenario.simulation.now.since(start))
    }
    #expect(spans.sorted()[spans.count / 2] <= .milliseconds(50), "\(spans.sorted().map(\.wholeMilliseconds))")
  }

  /// A subscriber that was matched misses nothing that is published from then on, whatever the network loses meanwhile.
  @Test func whatIsPublishedAfterTheMatchIsNeverLost() throws {
    for seed in 1...20 as ClosedRange<UInt64> {
      let scenario = Scenario(hosts: 2, seed: seed)
      scenario.links { $0.lossPerMillion = 200_000 }
      let publisher = try scenario.start(0, publishes: [0])
      let subscriber = try scenario.start(1, subscribes: ["t"])
      let publication = publisher.publications[0].id
      scenario.run(.seconds(20), until: { publisher.machine.matchedSubscribers(of: publication) == 1 })
      scenario.publish(20, from: publisher, every: .milliseconds(5))
      scenario.run(.seconds(8))
      #expect(scenario.numbers(at: subscriber) == Array(0..<20), "seed \(seed)")
    }
  }

  /// Announcements under forged addresses must not make endpoints flood their owners (CVE-2021-38425).
  @Test func forgedAnnouncementsAreNotAmplified() throws {
    let scenario = Scenario(hosts: 8, seed: 38_425)
    for host in 0..<8 { try scenario.start(host) }
    scenario.run(.seconds(3))
    let victim = SocketAddress(ip: IPAddress(v4: 0x0A42_0001), port: 53)
    var sentToVictim = 0
    scenario.simulation.onDatagram = { bytes, _, destination in
      if destination == victim { sentToVictim += bytes.count }
    }
    var received = 0
    for number in 0..<300 as Range<UInt64> {
      let bytes = announcement(id: 1_000 + number, incarnation: 5_000 + number)
      received += bytes.count * 8
      scenario.simulation.schedule(after: .milliseconds(number * 10)) { simulation in
        for host in 0..<8 { simulation.inject(bytes, from: victim, to: host, isGroup: true) }
      }
    }
    scenario.run(.seconds(5))
    #expect(sentToVictim > 0)
    #expect(sentToVictim < received / 5, "\(sentToVictim) of \(received)")
    for endpoint in scenario.simulation.alive {
      #expect(endpoint.machine.peers.count == 7)
      #expect(endpoint.machine.unprovenEntries == 0)
    }
  }

  private func announcement(id: UInt64, incarnation: UInt64) -> [UInt8] {
    var storage = [UInt8](repeating: 0, count: 1_200)
    return storage.withUnsafeMutableBytes { storage in
      var writer = WireWriter(storage)
      LongHeader(networkTag: 1, sender: EndpointID(id), incarnation: Incarnation(incarnation), packetNumber: 1)
        .write(to: &writer)
      _ = writer.frame(.announce, Announcement(name: "nobody-\(id)"))
      writer.pad(to: WireLimits.announceDatagramBytes)
      return [UInt8](writer.written)
    }
  }

  /// A copy of an old datagram, sent again from elsewhere, moved the replay window of the session, whose real datagrams
  /// were taken for duplicates from then on (seed 54).
  @Test func replaysFromElsewhereDoNotDisturbASession() throws {
    let scenario = Scenario(hosts: 2, seed: 54)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    let attacker = SocketAddress(ip: IPAddress(v4: 0x0A42_0007), port: 666)
    var forged = 0
    scenario.simulation.onDatagram = { bytes, endpoint, _ in
      guard endpoint === publisher, bytes[0] >= 0x80, bytes.count > 9 else { return }
      // With a packet number that is far ahead.
      var copy = [UInt8](bytes)
      copy[7] = 0x40
      forged += 1
      scenario.simulation.inject(copy, from: attacker, to: 1, after: .microseconds(10))
    }
    scenario.publish(50, from: publisher, every: .milliseconds(20))
    scenario.run(.seconds(2))
    #expect(forged > 0)
    #expect(scenario.numbers(at: subscriber) == Array(0..<50))
  }

  /// An endpoint that gets another address is found there.
  @Test func aMovedSubscriberGoesOn() throws {
    let scenario = Scenario(hosts: 2, seed: 17)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    scenario.publish(200, from: publisher, every: .milliseconds(20))
    scenario.run(.seconds(1))
    scenario.simulation.network.move(host: 1, to: SimulatedNetwork.address(host: 1, move: 9))
    scenario.simulation.trouble(host: 1)
    scenario.run(.seconds(8))
    #expect(scenario.numbers(at: subscriber) == Array(0..<200))
  }

  /// A second endpoint with a live ID is refused, and the holder notices nothing but an event.
  @Test func aCloneLosesAndTheHolderGoesOn() throws {
    let scenario = Scenario(hosts: 3, seed: 18)
    let holder = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(3))
    scenario.publish(100, from: holder, every: .milliseconds(20))
    try scenario.start(2) { $0.id = EndpointID(1) }
    scenario.run(.seconds(3))
    #expect(scenario.simulation.endpoints[2] == nil)
    #expect(scenario.simulation.endpoints[0] === holder)
    #expect(scenario.numbers(at: subscriber) == Array(0..<100))
  }
}
