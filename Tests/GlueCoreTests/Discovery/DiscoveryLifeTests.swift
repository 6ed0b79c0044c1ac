import GlueAddress
import Testing

@testable import GlueCore

/// Leases, goodbyes, moves, forgotten sessions, rendezvous.
@Suite struct DiscoveryLifeTests {
  /// Two endpoints, the first of which follows the second one to other addresses.
  private func pair() -> DiscoveryNetwork {
    let network = DiscoveryNetwork()
    network.add(id: 1, incarnation: 1)
    network.add(id: 2, incarnation: 2)
    network.start(0)
    network.start(1)
    network.run(milliseconds: 2_000)
    return network
  }

  @Test func silentPeerExpiresWithItsLease() throws {
    let network = pair()
    let deadline = try #require(network.nodes[0].machine.peer(EndpointID(2))).leaseDeadline
    network.crash(1)
    network.run(milliseconds: (deadline.nanoseconds - network.now) / 1_000_000 - 1)
    #expect(network.knows(0, 1))
    network.run(milliseconds: 2)
    #expect(network.removals(0) == [.expired])
    #expect(network.nodes[0].machine.nextWakeup != nil)
  }

  @Test func sessionDatagramsExtendTheLease() throws {
    let network = pair()
    let session = try #require(network.nodes[0].machine.peer(EndpointID(2))).localSession
    network.crash(1)
    for _ in 0..<20 {
      network.run(milliseconds: 1_000)
      #expect(network.nodes[0].machine.signOfLife(session: session, from: address(2), at: network.time) != nil)
    }
    #expect(network.knows(0, 1))
    #expect(network.nodes[0].machine.signOfLife(session: session &+ 1 << 20, from: address(2), at: network.time) == nil)
    network.run(milliseconds: 6_000)
    #expect(network.removals(0) == [.expired])
  }

  /// An endpoint that was suspended finds all leases over; its peers live all the same.
  @Test func ownSuspensionCostsNoPeers() {
    let network = pair()
    network.nodes[0].isUp = false
    let silent = network.nodes[1].machine.local.id
    network.run(milliseconds: 4_500)
    network.link = { packet, _ in packet.from == 1 && packet.arrival == .group ? [] : [.milliseconds(1)] }
    network.nodes[0].isUp = true
    network.now += 20_000_000_000
    network.nodes[0].machine.advance(to: network.time)
    network.drain(0)
    #expect(network.nodes[0].machine.peer(silent) != nil)
    network.run(milliseconds: 250)
    #expect(network.removals(0).isEmpty)
  }

  @Test func byeRemovesAtOnce() {
    let network = pair()
    network.stop(1)
    network.run(milliseconds: 2)
    #expect(network.removals(0) == [.bye])
    network.run(milliseconds: 5_000)
    #expect(network.removals(0) == [.bye])
    #expect(network.nodes[0].machine.handshakeCount == 0)
  }

  @Test func leavingAnnouncementIsOnlyAHint() {
    // The BYE is lost: the announcement's hint is confirmed by silence.
    let network = pair()
    network.link = { packet, _ in if case .bye = packet.payload { [] } else { [.milliseconds(1)] } }
    network.stop(1)
    network.run(milliseconds: 250)
    #expect(network.knows(0, 1))
    network.run(milliseconds: 100)
    #expect(network.removals(0) == [.bye])

    // The announcement is forged: the peer answers.
    let other = pair()
    var forged = Announcement(name: "endpoint 2")
    forged.isLeaving = true
    let header = LongHeader(
      networkTag: 1, sender: EndpointID(2), incarnation: other.nodes[1].machine.local.incarnation, packetNumber: 999)
    other.nodes[0].machine.receive(
      .announce(forged), header: header, from: address(2), arrival: .group, datagramBytes: 128, at: other.time)
    other.drain(0)
    other.run(milliseconds: 2_000)
    #expect(other.removals(0).isEmpty)
  }

  @Test func movedPeerKeepsItsSession() throws {
    let network = pair()
    let session = try #require(network.nodes[0].machine.peer(EndpointID(2))).localSession
    network.move(1, to: 77)
    let took = network.run(atMost: 5_000) { network.nodes[0].machine.peer(EndpointID(2))?.address == address(77) }
    #expect(took != nil && took! <= 3_000)
    #expect(network.nodes[0].machine.peer(EndpointID(2))?.localSession == session)
    #expect(network.removals(0).isEmpty)
    #expect(
      network.nodes[0].events.contains {
        if case .peerUpdated(let info) = $0 { info.address == address(77) } else { false }
      })

    // A session datagram from the new address moves it within a round trip.
    network.move(1, to: 78)
    network.nodes[0].machine.signOfLife(session: session, from: address(78), at: network.time)
    network.drain(0)
    network.run(milliseconds: 5)
    #expect(network.nodes[0].machine.peer(EndpointID(2))?.address == address(78))
  }

  /// The one of two that follows does so at once; the other asks at the old address first.
  @Test(arguments: [(1, 5), (3, 310)] as [(UInt64, UInt64)])
  func peerThatTellsOfItsNewAddressIsFollowed(incarnation: UInt64, limit: UInt64) {
    let network = DiscoveryNetwork()
    network.add(id: 1, incarnation: incarnation)
    network.add(id: 2, incarnation: 2)
    network.start(0)
    network.start(1)
    network.run(milliseconds: 3_000)
    network.move(1, to: 77)
    network.nodes[1].machine.networkChanged(at: network.time)
    network.drain(1)
    let took = network.run(atMost: 1_000) { network.nodes[0].machine.peer(EndpointID(2))?.address == address(77) }
    #expect(took != nil && took! <= limit)
    network.run(milliseconds: 10_000)
    #expect(network.agree(0, 1))
    #expect(network.removals(0).isEmpty && network.removals(1).isEmpty)
  }

  @Test func forgedMoveMovesNothing() {
    let network = pair()
    network.run(milliseconds: 3_000)
    let header = LongHeader(
      networkTag: 1, sender: EndpointID(2), incarnation: network.nodes[1].machine.local.incarnation, packetNumber: 999)
    for second in 0..<10 {
      if second == 5 { network.crash(1) }
      network.nodes[0].machine.receive(
        .announce(Announcement(name: "endpoint 2")), header: header, from: address(99), arrival: .group,
        datagramBytes: 128, at: network.time)
      network.drain(0)
      #expect(network.nodes[0].machine.peer(EndpointID(2))?.address != address(99))
      network.run(milliseconds: 1_000)
    }
    // Nor does it keep the dead one alive.
    network.run(milliseconds: 1_000)
    #expect(network.removals(0) == [.expired])
  }

  /// One side forgets the other (here: it expired during a one-way failure). Both get a new session.
  @Test func forgottenSessionIsReplacedOnBothSides() {
    let network = pair()
    network.link = { packet, _ in packet.from == 0 && packet.to == 1 ? [] : [.milliseconds(1)] }
    network.run(milliseconds: 8_000)
    #expect(network.knows(0, 1) && !network.knows(1, 0))
    network.link = { _, _ in [.milliseconds(1)] }
    #expect(network.run(atMost: 5_000) { network.agree(0, 1) } != nil)
    #expect(network.removals(0) == [.sessionLost])
    #expect(network.removals(1) == [.expired])
    network.run(milliseconds: 10_000)
    #expect(network.agree(0, 1))
    #expect(network.removals(0).count == 1 && network.removals(1).count == 1)
  }

  @Test func resetRaisesDoubtOnly() throws {
    let network = pair()
    let info = try #require(network.nodes[0].machine.peer(EndpointID(2)))
    // A wrong number, and a wrong source.
    network.nodes[0].machine.receiveReset(connection: info.remoteSession &+ 1, from: info.address, at: network.time)
    network.nodes[0].machine.receiveReset(connection: info.remoteSession, from: address(50), at: network.time)
    #expect(network.nodes[0].machine.nextAction() == nil)
    // The right one from a peer that no longer answers ends nothing either.
    network.crash(1)
    network.nodes[0].machine.receiveReset(connection: info.remoteSession, from: info.address, at: network.time)
    network.drain(0)
    network.run(milliseconds: 1_000)
    #expect(network.removals(0).isEmpty)
    // From one that answers it starts both sides anew.
    let other = pair()
    let peer = try #require(other.nodes[0].machine.peer(EndpointID(2)))
    other.nodes[0].machine.receiveReset(connection: peer.remoteSession, from: peer.address, at: other.time)
    other.drain(0)
    #expect(other.run(atMost: 200) { other.removals(0) == [.sessionLost] && other.agree(0, 1) } != nil)
  }

  // MARK: Rendezvous

  @Test(arguments: [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
  func rendezvousMakesAllThreePeers(order: [Int]) {
    let network = DiscoveryNetwork()
    network.add(id: 1, targets: [], inGroup: false) { $0.isRendezvous = true }
    network.add(id: 2, targets: [address(1)], inGroup: false)
    network.add(id: 3, targets: [address(1)], inGroup: false)
    var toStrangers = 0
    network.onSend = { packet in
      // Between the two that were only named to each other nothing but small handshake frames goes before the proof.
      guard case .frames(let frames, _, let bytes) = packet.payload, packet.from != 0, packet.to != 0 else { return }
      if case .challenge? = frames.first, toStrangers < 2 {
        toStrangers += 1
        #expect(frames.count == 1 && bytes == WireLimits.challengeDatagramBytes)
      } else {
        #expect(toStrangers > 0)
      }
    }
    for index in order {
      network.start(index)
      network.run(milliseconds: 700)
    }
    #expect(network.run(atMost: 3_000) { network.agree(0, 1) && network.agree(0, 2) && network.agree(1, 2) } != nil)
    #expect(network.nodes[1].machine.peer(EndpointID(3))?.address == address(3))
    // Leases hold without any group, and nobody is introduced twice.
    network.run(milliseconds: 30_000)
    #expect(network.agree(0, 1) && network.agree(0, 2) && network.agree(1, 2))
    #expect(network.nodes.indices.allSatisfy { network.removals($0).isEmpty })
    #expect(network.introductions(0) == 2)
    #expect(network.introductions(1) == 0)
  }

  @Test func lostIntroductionIsRepeated() {
    let network = DiscoveryNetwork()
    network.add(id: 1, targets: [], inGroup: false) { $0.isRendezvous = true }
    for id in 2...3 { network.add(id: UInt64(id), targets: [address(1)], inGroup: false) }
    network.link = { packet, _ in packet.from != 0 && packet.to != 0 ? [] : [.milliseconds(1)] }
    for index in 0..<3 { network.start(index) }
    network.run(milliseconds: 10_000)
    #expect(!network.knows(1, 2))
    network.link = { _, _ in [.milliseconds(1)] }
    #expect(network.run(atMost: 17_000) { network.agree(1, 2) } != nil)
  }

  @Test func introductionNamesTheSeenAddressFirst() {
    let network = DiscoveryNetwork()
    network.add(id: 1, targets: [], inGroup: false) { $0.isRendezvous = true }
    for id in 2...3 { network.add(id: UInt64(id), targets: [address(1)], inGroup: false) }
    network.nodes[1].machine.networkChanged(locators: [address(40)], at: network.time)
    for index in 0..<3 { network.start(index) }
    network.run(milliseconds: 500)
    let introductions = network.nodes[0].events.compactMap { action -> [SocketAddress]? in
      guard case .introduce(.introduce(let introduction), _) = action, introduction.endpoint == EndpointID(2) else {
        return nil
      }
      return introduction.locators
    }
    #expect(introductions == [[address(2), address(40)]])
  }

  @Test func thoseWhoHearEachOtherAreNotIntroduced() {
    let network = DiscoveryNetwork()
    // The first is in the group and is a rendezvous for the fourth.
    network.add(id: 1) { $0.isRendezvous = true }
    network.add(id: 2)
    network.add(id: 3)
    for index in 0..<3 { network.start(index) }
    network.run(milliseconds: 30_000)
    #expect((0..<3).allSatisfy { network.introductions($0) == 0 })
    network.add(id: 4, targets: [address(1)], inGroup: false)
    network.start(3)
    #expect(network.run(atMost: 2_000) { (0..<3).allSatisfy { network.agree($0, 3) } } != nil)
    #expect(network.introductions(0) == 4)
    network.run(milliseconds: 10_000)
    #expect((0..<3).allSatisfy { network.agree($0, 3) })
  }

  /// Two that do not hear each other by multicast, and one that hears both.
  @Test func bystanderIntroducesThoseWhoAreDeafToEachOther() {
    let network = DiscoveryNetwork()
    for id in 1...3 { network.add(id: UInt64(id)) }
    network.link = { packet, _ in
      packet.arrival == .group && packet.from + packet.to == 3 && packet.from != 0 && packet.to != 0
        ? [] : [.milliseconds(1)]
    }
    for index in 0..<3 { network.start(index) }
    network.run(milliseconds: 3_000)
    #expect(!network.knows(1, 2))
    #expect(network.run(atMost: 6_000) { network.agree(1, 2) } != nil)
    network.run(milliseconds: 30_000)
    #expect(network.agree(1, 2))
    #expect(network.removals(1).isEmpty && network.removals(2).isEmpty)
  }
}
