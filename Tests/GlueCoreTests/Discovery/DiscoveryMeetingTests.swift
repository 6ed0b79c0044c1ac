import GlueAddress
import Testing

@testable import GlueCore

@Suite struct DiscoveryMeetingTests {
  @Test(arguments: [0, 1, 130, 3_000] as [UInt64])
  func twoFindEachOtherByMulticast(secondStartsAfter gap: UInt64) throws {
    let network = DiscoveryNetwork()
    let (a, b) = (network.add(id: 1), network.add(id: 2))
    network.start(a)
    network.run(milliseconds: gap)
    network.start(b)
    let took = try #require(network.run(atMost: 1_000) { network.arePeers(a, b) && network.agree(a, b) })
    // One-way delay is 1 ms: announcement, jitter, challenge, answer, WELCOME both ways.
    #expect(took <= 20 + 7)
    network.run(milliseconds: 10_000)
    #expect(network.nodes.allSatisfy { $0.events.count { $0.isPeerChange } == 1 })
  }

  @Test func bothStartOrdersWork() {
    for first in 0..<2 {
      let network = DiscoveryNetwork()
      network.add(id: 1)
      network.add(id: 2)
      network.start(first)
      network.run(milliseconds: 500)
      network.start(1 - first)
      #expect(network.run(atMost: 40) { network.agree(0, 1) } != nil)
    }
  }

  /// Every single datagram of the handshake is lost once, in its own run.
  @Test func anySingleLossHeals() throws {
    for lost in 0..<14 {
      let network = DiscoveryNetwork()
      let (a, b) = (network.add(id: 1), network.add(id: 2))
      var seen = 0
      network.link = { packet, _ in
        guard packet.from != packet.to else { return [.milliseconds(1)] }
        defer { seen += 1 }
        return seen == lost ? [] : [.milliseconds(1)]
      }
      network.start(a)
      network.start(b)
      let took = try #require(network.run(atMost: 3_000) { network.agree(a, b) }, "lost \(lost)")
      #expect(took <= 300, "lost \(lost)")
      network.run(milliseconds: 3_000)
      #expect(network.agree(a, b))
      #expect(network.removals(a).isEmpty && network.removals(b).isEmpty, "lost \(lost)")
    }
  }

  @Test(arguments: 0..<20)
  func duplicatesReorderingAndLossAreHarmless(seed: Int) {
    let network = DiscoveryNetwork()
    network.generator = SeededGenerator(seed: UInt64(seed))
    let places = (1...4).map { network.add(id: UInt64($0)) }
    network.link = { _, random in
      if random.next() % 100 < 20 { return [] }
      let copies = random.next() % 100 < 30 ? 2 : 1
      return (0..<copies).map { _ in .microseconds(100 + random.next() % 40_000) }
    }
    for place in places { network.start(place) }
    network.run(milliseconds: 8_000)
    for a in places {
      for b in places where a < b { #expect(network.agree(a, b), "\(a) \(b)") }
      // Nothing that was delayed makes a session look forgotten.
      #expect(network.removals(a).isEmpty)
    }
  }

  @Test func ownAnnouncementsAreIgnored() {
    let network = DiscoveryNetwork()
    let a = network.add(id: 1)
    network.start(a)
    network.run(milliseconds: 5_000)
    #expect(network.nodes[a].machine.counters.challengesSent == 0)
    #expect(network.nodes[a].events.isEmpty)
  }

  @Test func noCommonVersionMakesNoPeer() {
    var machine = Discovery(
      configuration: DiscoveryConfiguration(),
      local: LocalIdentity(id: EndpointID(1), name: "a", incarnation: Incarnation(9)),
      seed: 1)
    machine.start(at: milliseconds(0))
    var announcement = Announcement(name: "b")
    announcement.minimumVersion = 2
    announcement.maximumVersion = 3
    let header = LongHeader(networkTag: 1, sender: EndpointID(2), incarnation: Incarnation(8), packetNumber: 1)
    machine.receive(
      .announce(announcement), header: header, from: address(2), arrival: .group, datagramBytes: 128,
      at: milliseconds(5))
    machine.advance(to: milliseconds(30))
    #expect(machine.nextAction() == .incompatible(EndpointID(2), name: "b", versions: 2...3))
    #expect(machine.nextAction() == nil)
  }

  @Test func aQuietNetworkSendsAnnouncementsOnly() {
    let network = DiscoveryNetwork()
    for id in 1...5 { network.add(id: UInt64(id)) }
    for index in network.nodes.indices { network.start(index) }
    network.run(milliseconds: 3_000)
    let before = network.nodes.map { ($0.sentFrames, $0.announcements) }
    network.run(milliseconds: 20_000)
    for (node, (frames, announcements)) in zip(network.nodes, before) {
      #expect(node.sentFrames - frames == node.announcements - announcements)
      // One per interval, which is up to a tenth shorter.
      #expect((19...23).contains(node.announcements - announcements))
      #expect(node.machine.peers.allSatisfy { $0.hearing == .bothWays })
    }
  }

  @Test(.apart) func twoHundredJoinWithinThreeSeconds() {
    let network = DiscoveryNetwork()
    for id in 1...200 { network.add(id: UInt64(id)) }
    for index in network.nodes.indices { network.start(index) }
    let took = network.run(atMost: 3_000) { network.nodes.allSatisfy { $0.machine.peerCount == 199 } }
    #expect(took != nil)
    let join = network.nodes.map(\.sentFrames)
    // CHALLENGE or ANSWER, WELCOME and its answer for each peer, and some that crossed on the way.
    #expect(join.max()! <= 200 * 4)
    network.run(milliseconds: 5_000)
    let before = network.nodes.reduce(0) { $0 + $1.sentFrames }
    network.run(milliseconds: 8_000)
    let sent = network.nodes.reduce(0) { $0 + $1.sentFrames } - before
    // 200 peers stretch the interval to almost 4 s: each announces two or three times in 8 s.
    #expect(sent <= 3 * 200)
    #expect(network.nodes.allSatisfy { $0.machine.peerCount == 199 })
    #expect(network.nodes[0].machine.peers[0].interval >= .milliseconds(3_900))
  }
}

extension Discovery.Action {
  var isPeerChange: Bool {
    switch self {
    case .peerAdded, .peerRemoved: true
    default: false
    }
  }
}
