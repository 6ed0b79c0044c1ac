import GlueAddress
import Testing

@testable import GlueCore

/// Links by which multicast passes one way only or not at all: worked around by unicast, measured, and told.
@Suite struct DiscoveryHearingTests {
  /// So many endpoints that have met by multicast.
  private func met(_ count: Int) -> DiscoveryNetwork {
    let network = DiscoveryNetwork()
    for id in 1...count { network.add(id: UInt64(id)) }
    for index in network.nodes.indices { network.start(index) }
    network.run(milliseconds: 5_000)
    return network
  }

  /// Lets multicast pass only where it may; unicast passes always.
  private func block(_ network: DiscoveryNetwork, lossPercent: UInt64 = 0, _ isBlocked: @escaping (Int, Int) -> Bool) {
    network.link = { packet, random in
      if random.next() % 100 < lossPercent { return [] }
      return packet.arrival == .group && packet.from != packet.to && isBlocked(packet.from, packet.to)
        ? [] : [.milliseconds(1)]
    }
  }

  private func hearing(_ network: DiscoveryNetwork, _ a: Int, of b: Int) -> Hearing? {
    network.nodes[a].machine.peer(network.nodes[b].machine.local.id)?.hearing
  }

  private func reports(_ network: DiscoveryNetwork, _ index: Int) -> [MulticastReport.State] {
    network.nodes[index].events.compactMap { if case .multicast(let report) = $0 { report.state } else { nil } }
  }

  /// Announcements by unicast within a span, by sender.
  private func copies(_ network: DiscoveryNetwork, milliseconds: UInt64) -> [Int: Int] {
    var copies: [Int: Int] = [:]
    network.onSend = { packet in
      guard case .frames(let frames, _, _) = packet.payload, case .announce? = frames.first else { return }
      if packet.arrival == .unicast { copies[packet.from, default: 0] += 1 }
    }
    network.run(milliseconds: milliseconds)
    network.onSend = nil
    return copies
  }

  private func nobodyIsLost(_ network: DiscoveryNetwork) -> Bool {
    network.nodes.indices.allSatisfy { network.removals($0).isEmpty }
  }

  @Test func whereMulticastWorksThereIsNothingToTell() {
    let network = met(5)
    #expect(copies(network, milliseconds: 30_000).isEmpty)
    for index in 0..<5 {
      #expect(network.nodes[index].machine.multicast.state == .works)
      #expect(network.nodes[index].machine.multicast.bothWays == 4)
      #expect(network.nodes[index].events.count { !$0.isPeerChange } == 0)
    }
  }

  /// Data for several goes by multicast only to those that have said that they hear it: whoever begins to publish as it starts need not wait for their next
  /// announcements.
  @Test func whoStartsIsToldByTheWelcomeThatItIsHeard() {
    let network = DiscoveryNetwork()
    for id in 1...4 { network.add(id: UInt64(id)) }
    for index in 0..<3 { network.start(index) }
    network.run(milliseconds: 3_000)
    // From now on the others tell nothing by multicast.
    block(network) { from, _ in from != 3 }
    network.start(3)
    network.run(milliseconds: 400)
    for index in 0..<3 {
      #expect(network.nodes[3].machine.isHeard(by: EndpointID(UInt64(index + 1))))
      #expect(!network.nodes[index].machine.isHeard(by: EndpointID(4)))
    }
  }

  /// How a peer was met says nothing about whether it is heard now.
  @Test func aSessionThatBeginsAnewMakesNobodyHeard() {
    let network = met(2)
    block(network) { from, _ in from == 0 }
    network.run(milliseconds: 10_000)
    #expect(!network.nodes[0].machine.isHeard(by: EndpointID(2)))
    let info = network.nodes[1].machine.peer(EndpointID(1))!
    network.nodes[1].machine.receiveReset(connection: info.remoteSession, from: info.address, at: network.time)
    network.run(milliseconds: 500)
    #expect(network.removals(1) == [.sessionLost])
    #expect(network.nodes[0].machine.peer(EndpointID(2)) != nil)
    #expect(!network.nodes[0].machine.isHeard(by: EndpointID(2)))
  }

  @Test func oneDirectionDiesAndComesBack() {
    let network = met(2)
    block(network) { from, _ in from == 0 }
    network.run(milliseconds: 20_000)
    #expect(nobodyIsLost(network))
    #expect(hearing(network, 0, of: 1) == .onlyUs)
    #expect(hearing(network, 1, of: 0) == .onlyThem)
    #expect(reports(network, 0) == [.unheard])
    #expect(reports(network, 1) == [.deaf])
    // Copies in the direction that needs them, and none in the other.
    let during = copies(network, milliseconds: 10_000)
    #expect((9...12).contains(during[0] ?? 0))
    #expect(during[1] == nil)
    block(network) { _, _ in false }
    network.run(milliseconds: 3_000)
    #expect(hearing(network, 0, of: 1) == .bothWays && hearing(network, 1, of: 0) == .bothWays)
    #expect(reports(network, 0) == [.unheard, .works])
    #expect(reports(network, 1) == [.deaf, .works])
    network.run(milliseconds: 3_000)
    #expect(copies(network, milliseconds: 10_000).isEmpty)
    #expect(nobodyIsLost(network))
  }

  @Test func bothDirectionsDieAndComeBack() {
    let network = met(3)
    block(network) { _, _ in true }
    network.run(milliseconds: 30_000)
    #expect(nobodyIsLost(network))
    for index in 0..<3 {
      #expect(reports(network, index) == [.dead])
      #expect(network.nodes[index].machine.multicast.unicast == 2)
    }
    block(network) { _, _ in false }
    network.run(milliseconds: 3_000)
    #expect((0..<3).allSatisfy { reports(network, $0) == [.dead, .works] })
    network.run(milliseconds: 3_000)
    #expect(copies(network, milliseconds: 10_000).isEmpty)
    #expect(nobodyIsLost(network))
  }

  /// One port of a switch lets no multicast in, or none out: it is that host's trouble, and for the others news of one peer.
  @Test(arguments: [true, false])
  func onePortIsBlocked(inward: Bool) {
    let network = met(4)
    block(network) { from, to in inward ? to == 2 : from == 2 }
    network.run(milliseconds: 20_000)
    #expect(nobodyIsLost(network))
    #expect(reports(network, 2) == [inward ? .deaf : .unheard])
    for index in [0, 1, 3] {
      #expect(reports(network, index).isEmpty)
      #expect(hearing(network, index, of: 2) == (inward ? .onlyUs : .onlyThem))
      #expect(hearing(network, index, of: 1 - min(index, 1)) == .bothWays)
    }
    let copies = copies(network, milliseconds: 10_000)
    // To the deaf one by each of the others; or by the unheard one to each.
    #expect(copies.keys.sorted() == (inward ? [0, 1, 3] : [2]))
    #expect(copies.values.reduce(0, +) <= 3 * 12)
  }

  /// One way from the start: the two meet by the direction that works.
  @Test func oneWayFromTheStart() {
    let network = DiscoveryNetwork()
    for id in 1...2 { network.add(id: UInt64(id)) }
    block(network) { from, _ in from == 0 }
    network.start(0)
    network.run(milliseconds: 3_000)
    network.start(1)
    #expect(network.run(atMost: 100) { network.agree(0, 1) } != nil)
    network.run(milliseconds: 4_500)
    // Known soon, told when it is sure.
    #expect(hearing(network, 0, of: 1) == .onlyUs && hearing(network, 1, of: 0) == .onlyThem)
    network.run(milliseconds: 10_000)
    #expect(reports(network, 0) == [.unheard] && reports(network, 1) == [.deaf])
    #expect(nobodyIsLost(network))
  }

  /// More peers than a list has room for: who is deaf says so himself, and need not wait for his turn in lists.
  @Test(.apart) func aLargeGroupIsNoSlower() {
    let network = met(40)
    block(network) { _, to in to == 7 }
    let deaf = network.nodes[7].machine.local.id
    network.run(milliseconds: 9_000)
    #expect(network.nodes.indices.allSatisfy { $0 == 7 || network.nodes[$0].machine.table[deaf].deafSince != nil })
    network.run(milliseconds: 20_000)
    #expect(reports(network, 7) == [.deaf])
    #expect(nobodyIsLost(network))
    block(network) { _, _ in false }
    network.run(milliseconds: 10_000)
    #expect(copies(network, milliseconds: 10_000).isEmpty)
    #expect(reports(network, 7) == [.deaf, .works])
    #expect(network.nodes.indices.allSatisfy { $0 == 7 || reports(network, $0).isEmpty })
  }

  /// Loss is no wall: nothing is told of multicast, and hardly more is sent.
  @Test(arguments: 0..<8)
  func lossIsNotTakenForAWall(seed: Int) {
    let network = DiscoveryNetwork()
    network.generator = SeededGenerator(seed: UInt64(seed))
    for id in 1...(2 + seed % 4) { network.add(id: UInt64(id)) }
    block(network, lossPercent: 30) { _, _ in false }
    for index in network.nodes.indices { network.start(index) }
    network.run(milliseconds: 120_000)
    #expect(network.nodes.indices.allSatisfy { reports(network, $0).isEmpty })
  }

  /// With loss on top, the workaround holds all the same.
  @Test(arguments: 0..<10)
  func deadMulticastAndLoss(seed: Int) {
    let network = met(4)
    network.generator = SeededGenerator(seed: UInt64(seed))
    block(network, lossPercent: 10) { _, _ in true }
    network.run(milliseconds: 60_000)
    #expect(nobodyIsLost(network))
    #expect((0..<4).allSatisfy { reports(network, $0) == [.dead] })
  }

  /// Copies of announcements that somebody sends to the group arrive by multicast, so it works for those; the wall is told once
  /// they have stopped.
  @Test func copiesByMulticastAreHeard() {
    let network = met(2)
    var last: [Int: DiscoveryNetwork.Packet] = [:]
    network.onSend = { packet in
      if packet.arrival == .group, packet.from != packet.to { last[packet.to] = packet }
    }
    network.run(milliseconds: 2_000)
    network.onSend = nil
    block(network) { _, _ in true }
    for _ in 0..<30 {
      network.run(milliseconds: 1_000)
      for index in 0..<2 {
        guard case .frames(let frames, let header, let bytes)? = last[index]?.payload else { continue }
        for frame in frames {
          network.nodes[index].machine.receive(
            frame, header: header, from: address(99), arrival: .group, datagramBytes: bytes, at: network.time)
        }
        network.drain(index)
      }
    }
    #expect(last.count == 2)
    #expect((0..<2).allSatisfy { hearing(network, $0, of: 1 - $0) == .bothWays && reports(network, $0).isEmpty })
    network.run(milliseconds: 18_000)
    #expect((0..<2).allSatisfy { reports(network, $0) == [.dead] })
  }

  /// Endpoints that are not there any more are not the fault of multicast, however long their lease is.
  @Test func theDeadAreNotTakenForDeaf() {
    let network = DiscoveryNetwork()
    for id in 1...3 { network.add(id: UInt64(id)) { $0.leaseMultiplier = 60 } }
    for index in 0..<3 { network.start(index) }
    network.run(milliseconds: 5_000)
    network.crash(1)
    network.crash(2)
    network.run(milliseconds: 50_000)
    #expect(network.knows(0, 1) && network.knows(0, 2))
    #expect(reports(network, 0).isEmpty)
    #expect(hearing(network, 0, of: 1) == .bothWays)
  }

  /// Who was suspended has not listened.
  @Test func ownSuspensionSaysNothing() {
    let network = met(3)
    network.nodes[0].isUp = false
    network.run(milliseconds: 3_000)
    network.now += 3_600_000_000_000
    network.nodes[0].isUp = true
    network.nodes[0].machine.advance(to: network.time)
    network.drain(0)
    network.run(milliseconds: 30_000)
    #expect(network.nodes.indices.allSatisfy { reports(network, $0).isEmpty })
  }

  /// Where nobody uses multicast nothing is said about it.
  @Test func rendezvousHaveNoMulticastToMiss() {
    let network = DiscoveryNetwork()
    network.add(id: 1, targets: [], inGroup: false) { $0.isRendezvous = true }
    for id in 2...3 { network.add(id: UInt64(id), targets: [address(1)], inGroup: false) }
    for index in 0..<3 { network.start(index) }
    network.run(milliseconds: 30_000)
    for index in 0..<3 {
      #expect(network.nodes[index].machine.multicast.state == .unknown)
      #expect(network.nodes[index].machine.peers.allSatisfy { $0.hearing == .unicast })
      #expect(network.nodes[index].events.count { if case .peerUpdated = $0 { true } else { false } } == 0)
    }
  }

  /// An endpoint that announces to one other only, among those that use multicast.
  @Test func onePeerWithoutMulticastIsNoAlarm() {
    let network = met(2)
    network.add(id: 3, targets: [address(1)], inGroup: false)
    network.start(2)
    network.run(milliseconds: 40_000)
    #expect(network.agree(0, 2) && network.agree(1, 2))
    #expect(nobodyIsLost(network))
    #expect((0..<3).allSatisfy { reports(network, $0).isEmpty })
    #expect(hearing(network, 0, of: 2) == .unicast && hearing(network, 2, of: 0) == .unicast)
  }
}

extension PeerTable {
  fileprivate subscript(id: EndpointID) -> Peer { self[slot(of: id)!] }
}
