import GlueAddress
import Testing

@testable import GlueCore

/// Hostile input: state, rates and sizes stay within their limits.
@Suite struct DiscoveryFloodTests {
  private func machine() -> Discovery {
    var machine = Discovery(
      configuration: DiscoveryConfiguration(),
      local: LocalIdentity(id: EndpointID(1), name: "a", incarnation: Incarnation(9)), seed: 1)
    machine.start(at: milliseconds(0))
    while machine.nextAction() != nil {}
    return machine
  }

  private func header(_ id: Int, number: UInt64 = 1) -> LongHeader {
    LongHeader(
      networkTag: 1, sender: EndpointID(UInt64(id)), incarnation: Incarnation(UInt64(id)), packetNumber: number)
  }

  /// Sends so far, each with its size as the owner would make it.
  private func sends(_ machine: inout Discovery) -> [(to: SocketAddress, bytes: Int, frames: [DiscoveryFrame])] {
    var sends: [(SocketAddress, Int, [DiscoveryFrame])] = []
    while let action = machine.nextAction() {
      guard case .send(let frames, let to, let minimum) = action else { continue }
      sends.append((to, max(minimum, frames.reduce(WireLimits.longHeaderBytes) { $0 + $1.byteCount }), frames))
    }
    return sends
  }

  @Test(.apart, arguments: [Arrival.group, .unicast])
  func floodOfAnnouncementsIsBounded(arrival: Arrival) {
    let network = DiscoveryNetwork()
    network.add(id: 1)
    network.add(id: 2)
    network.start(0)
    network.start(1)
    network.run(milliseconds: 2_000)
    let limits = DiscoveryLimits()
    let before = network.nodes[0].machine.counters.challengesSent
    for second in 0..<8 {
      for n in 0..<10_000 {
        let id = 1_000 + second * 10_000 + n
        network.nodes[0].machine.receive(
          .announce(Announcement(name: "x")), header: header(id), from: address(id), arrival: arrival,
          datagramBytes: 128, at: network.time)
        #expect(network.nodes[0].machine.pendingChallenges.count <= limits.pendingChallenges)
      }
      network.drain(0)
      network.run(milliseconds: 1_000)
    }
    let sent = network.nodes[0].machine.counters.challengesSent - before
    #expect(sent <= limits.challengeBurst + limits.challengesPerSecond * 8)
    #expect(network.nodes[0].machine.handshakeCount == 0)
    #expect(network.agree(0, 1) && network.removals(0).isEmpty)
    #expect(Limit.allCases.reduce(0) { $0 + network.nodes[0].machine.limits[$1] } > 70_000)
    let reports = network.nodes[0].events.count { if case .limit = $0 { true } else { false } }
    #expect(reports <= 4 * 8)
  }

  /// Among few a newcomer is answered at once; a thousand that answered within 20 ms would overflow its socket.
  @Test func answersAreSpreadByTheSizeOfTheGroup() {
    var machine = machine()
    let now = milliseconds(10)
    for n in 0..<1_000 {
      machine.receive(
        .announce(Announcement(name: "x")), header: header(100 + n), from: address(100 + n), arrival: .group,
        datagramBytes: 128, at: now)
    }
    let delays = machine.pendingChallenges.map { $0.dueAt.since(now) }
    #expect(delays.count == 1_000)
    for (index, delay) in delays.enumerated() {
      let group = UInt64(index + 1)
      #expect(delay <= max(min(.milliseconds(20), .milliseconds(1) * group), .microseconds(200) * group))
    }
    #expect(delays[..<100].max()! <= .milliseconds(20))
    // Half of the last hundred come later than half of their span.
    #expect((20...80).contains(delays.suffix(100).count { $0 > .milliseconds(100) }))
  }

  @Test func oneSourceGetsFewReplies() {
    var machine = machine()
    var replies = 0
    for n in 0..<1_000 {
      machine.receive(
        .announce(Announcement(name: "x")), header: header(100 + n, number: UInt64(n)), from: address(5),
        arrival: .unicast, datagramBytes: 128, at: milliseconds(UInt64(n * 10)))
      replies += sends(&machine).count
    }
    // A burst of 20, and then 5 a second for 10 s.
    #expect((60...70).contains(replies))
  }

  /// Before the proof every reply fits into what caused it, whatever the frames in the datagram.
  @Test func repliesAreNoLargerThanTheirCause() {
    let challenge = DiscoveryFrame.challenge(token: 1)
    let announce = DiscoveryFrame.announce(Announcement(name: "x"))
    let welcome = DiscoveryFrame.welcome(
      Welcome(
        session: 5, yourSession: 0, addressee: machine().local.incarnation, receiveBufferBytes: 1,
        acceptsGroupTag: true,
        announcement: Announcement(name: "x"))
    )
    let cases: [[DiscoveryFrame]] = [
      [announce], [challenge], [welcome], [challenge, challenge], [challenge, challenge, challenge],
      [announce, challenge], [challenge, announce], [announce, announce, welcome], [welcome, challenge, challenge],
      [.answer(token: 7, incarnation: Incarnation(9)), challenge],
    ]
    for (number, frames) in cases.enumerated() {
      for size in [40, 60, 75, 76, 100, 127, 128, 300] {
        for arrival in [Arrival.unicast, .group] {
          for drainsEachFrame in [true, false] {
            var machine = machine()
            var replied = 0
            for frame in frames {
              machine.receive(
                frame, header: header(2, number: UInt64(number + 1)), from: address(2), arrival: arrival,
                datagramBytes: size, at: milliseconds(10))
              if drainsEachFrame { replied += sends(&machine).reduce(0) { $0 + $1.bytes } }
            }
            machine.advance(to: milliseconds(31))
            replied += sends(&machine).reduce(0) { $0 + $1.bytes }
            #expect(replied <= size, "\(frames) in \(size)")
          }
        }
      }
    }
  }

  /// Those who can answer, thousands of them, and never send a WELCOME.
  @Test func handshakesAreBounded() {
    var machine = machine()
    var accepted = 0
    for n in 0..<2_000 {
      let now = milliseconds(10 + UInt64(n))
      machine.receive(
        .announce(Announcement(name: "x")), header: header(100 + n), from: address(100 + n), arrival: .unicast,
        datagramBytes: 128, at: now)
      for send in sends(&machine) {
        guard send.to == address(100 + n), case .challenge(let token)? = send.frames.first else { continue }
        machine.receive(
          .answer(token: token, incarnation: Incarnation(9)), header: header(100 + n, number: 2), from: send.to,
          arrival: .unicast, datagramBytes: 60, at: now)
        accepted += 1
      }
      machine.advance(to: now)
      #expect(machine.handshakeCount <= 64)
    }
    #expect(accepted > 500)
    machine.advance(to: milliseconds(5_000))
    #expect(machine.handshakeCount == 0 && machine.peerCount == 0)
  }

  @Test func fullTableTakesNobodyAndLosesNobody() {
    let network = DiscoveryNetwork()
    network.add(id: 1) { $0.limits.peers = 3 }
    for id in 2...6 { network.add(id: UInt64(id)) }
    for index in network.nodes.indices {
      network.start(index)
      network.run(milliseconds: 100)
    }
    network.run(milliseconds: 10_000)
    #expect(network.nodes[0].machine.peerCount == 3)
    #expect(network.removals(0).isEmpty)
    #expect(network.nodes[0].events.contains { if case .limit(.peers, _) = $0 { true } else { false } })
  }

  @Test func tokensAreBoundToEverything() {
    let tokens = AddressToken(key: (1, 2), window: .seconds(10))
    let (id, life) = (EndpointID(5), Incarnation(6))
    for origin in [PeerInfo.Origin.group, .unicast, .introduction, .contact] {
      let now = milliseconds(9_999)
      let token = tokens.make(for: id, life, at: address(1), origin: origin, now: now)
      #expect(tokens.check(token, for: id, life, at: address(1), now: now) == origin)
      #expect(tokens.check(token, for: id, life, at: address(1), now: milliseconds(15_000)) == origin)
      #expect(tokens.check(token, for: id, life, at: address(1), now: milliseconds(20_000)) == nil)
      #expect(tokens.check(token, for: id, life, at: address(2), now: now) == nil)
      #expect(tokens.check(token, for: EndpointID(6), life, at: address(1), now: now) == nil)
      #expect(tokens.check(token, for: id, Incarnation(7), at: address(1), now: now) == nil)
      #expect(tokens.check(token ^ 1, for: id, life, at: address(1), now: now) == nil)
    }
  }
}
