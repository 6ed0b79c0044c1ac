import GlueAddress
import Testing

@testable import GlueCore

/// Endpoints with IPv4, with IPv6 and with both.
@Suite struct DiscoveryFamilyTests {
  private let both = [group, groupV6]

  private func add(_ network: DiscoveryNetwork, _ count: Int) {
    for id in 1...count {
      let index = network.add(id: UInt64(id), targets: both)
      network.addV6(index)
    }
  }

  private func family(_ network: DiscoveryNetwork, _ a: Int, of b: Int) -> IPAddress.Family? {
    network.peerAddress(a, of: b)?.ip.family
  }

  @Test(.apart, arguments: 0..<40)
  func twoFamiliesMakeOneSessionThatStays(seed: Int) throws {
    let network = DiscoveryNetwork()
    network.generator = SeededGenerator(seed: UInt64(seed))
    add(network, 3)
    let loss = seed % 4 * 10
    // Neither family is always the faster one, so that two may well meet at different ones.
    network.link = { _, random in
      random.next() % 100 < loss ? [] : [.microseconds(100 + random.next() % 5_000)]
    }
    let gap = UInt64(seed % 3)
    for index in 0..<3 {
      network.start(index)
      network.run(milliseconds: gap)
    }
    network.talk(milliseconds: 6_000)
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
      #expect(network.agree(a, b), "\(a) \(b)")
      #expect(family(network, a, of: b) == family(network, b, of: a), "\(a) \(b)")
    }
    let before = network.moves
    #expect(before <= 6)
    network.talk(milliseconds: 10_000)
    #expect(network.moves == before)
    #expect(network.nodes.indices.allSatisfy { network.removals($0).isEmpty })
  }

  @Test func eachReachesWhomItCan() {
    let network = DiscoveryNetwork()
    add(network, 4)
    network.nodes[0].addressV6 = nil
    network.nodes[1].hasV4 = false
    for index in 0..<4 { network.start(index) }
    network.talk(milliseconds: 3_000)
    #expect(!network.knows(0, 1) && !network.knows(1, 0))
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] { #expect(network.agree(a, b), "\(a) \(b)") }
    #expect(family(network, 2, of: 0) == .v4)
    #expect(family(network, 2, of: 1) == .v6)
    network.talk(milliseconds: 20_000)
    #expect(network.moves == 0)
  }

  @Test(arguments: [IPAddress.Family.v4, .v6], [false, true])
  func sessionGoesToTheOtherFamilyWhenOneIsCut(cut: IPAddress.Family, isOneWay: Bool) {
    let network = DiscoveryNetwork()
    add(network, 2)
    if cut == .v6 { network.link = { packet, _ in packet.source.ip.family == .v4 ? [] : [.milliseconds(1)] } }
    for index in 0..<2 { network.start(index) }
    network.talk(milliseconds: 3_000)
    #expect(family(network, 0, of: 1) == cut)
    network.link = { packet, _ in
      packet.source.ip.family == cut && (!isOneWay || packet.from == 0) ? [] : [.milliseconds(1)]
    }
    network.talk(milliseconds: 4_000)
    let other: IPAddress.Family = cut == .v4 ? .v6 : .v4
    #expect(family(network, 0, of: 1) == other && family(network, 1, of: 0) == other)
    #expect(network.removals(0).isEmpty && network.removals(1).isEmpty)
    network.link = { _, _ in [.milliseconds(1)] }
    let before = network.moves
    network.talk(milliseconds: 10_000)
    #expect(network.moves == before)
    #expect(network.agree(0, 1))
  }

  @Test func linkOfAnIntroducedAddressIsThatOfTheIntroducer() {
    for isOnTheLink in [true, false] {
      let network = DiscoveryNetwork()
      let meeting = isOnTheLink ? addressV6(1) : address(1)
      network.add(id: 1, targets: [], inGroup: false) { $0.isRendezvous = true }
      network.addV6(0)
      network.add(id: 2, targets: [meeting], inGroup: false)
      network.addV6(1)
      network.start(0)
      network.start(1)
      network.run(milliseconds: 100)
      let local = network.nodes[0].machine.local
      let sent = network.nodes[1].machine.counters.challengesSent
      let introduction = Introduction(
        endpoint: EndpointID(9), incarnation: Incarnation(9), heldMilliseconds: 0,
        locators: [SocketAddress(ip: addressV6(9).ip, port: 4_000)])
      network.nodes[1].machine.receive(introduction, from: local.id, at: network.time)
      #expect(network.nodes[1].machine.counters.challengesSent == sent + (isOnTheLink ? 1 : 0))
      if isOnTheLink {
        guard case .send(_, let destination, _) = network.nodes[1].machine.nextAction() else {
          Issue.record("nothing was sent")
          return
        }
        #expect(destination == addressV6(9))
      }
    }
  }
}
