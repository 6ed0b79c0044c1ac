import GlueAddress
import Testing

@testable import GlueCore

/// Restarts, and rivals for an ID or a name.
@Suite struct DiscoveryClaimTests {
  // MARK: Restart

  @Test func restartReplacesTheSilentOne() throws {
    let network = DiscoveryNetwork()
    network.add(id: 1)
    network.add(id: 2, name: "robot")
    network.start(0)
    network.start(1)
    network.run(milliseconds: 3_000)
    network.crash(1)
    let next = network.add(id: 2, name: "robot")
    network.start(next)
    let took = try #require(network.run(atMost: 2_000) { network.agree(0, next) })
    #expect(took >= 300 && took <= 300 + 20 + 10)
    let changes = network.nodes[0].events.filter(\.isPeerChange)
    guard changes.count == 3, case .peerRemoved(let old, .replaced) = changes[1], case .peerAdded(let new) = changes[2]
    else {
      Issue.record("\(changes)")
      return
    }
    #expect(old.incarnation == network.nodes[1].machine.local.incarnation)
    #expect(new.incarnation == network.nodes[next].machine.local.incarnation)
    #expect(network.clashes(0).isEmpty && network.isDefeated(next) == nil)
  }

  @Test func restartAtTheSameAddressNeedsNoProbe() {
    let network = DiscoveryNetwork()
    network.add(id: 1)
    network.add(id: 2)
    network.start(0)
    network.start(1)
    network.run(milliseconds: 3_000)
    network.crash(1)
    let next = network.add(id: 2, at: 2)
    network.start(next)
    #expect(network.run(atMost: 40) { network.agree(0, next) } != nil)
    #expect(network.removals(0) == [.replaced])
  }

  @Test func restartAfterByeIsImmediate() {
    let network = DiscoveryNetwork()
    network.add(id: 1)
    network.add(id: 2)
    network.start(0)
    network.start(1)
    network.run(milliseconds: 3_000)
    network.stop(1)
    network.crash(1)
    network.run(milliseconds: 5)
    let next = network.add(id: 2)
    network.start(next)
    #expect(network.run(atMost: 40) { network.agree(0, next) } != nil)
    #expect(network.removals(0) == [.bye])
  }

  @Test func replayedAnnouncementsOfTheDeadDoNothing() {
    let network = DiscoveryNetwork()
    network.add(id: 1)
    network.add(id: 2)
    network.start(0)
    network.start(1)
    network.run(milliseconds: 2_000)
    for (number, source) in [address(2), address(30), address(2), address(31)].enumerated() {
      let header = LongHeader(
        networkTag: 1, sender: EndpointID(2), incarnation: Incarnation(77), packetNumber: UInt64(number))
      var announcement = Announcement(name: "endpoint 2")
      announcement.uptimeMilliseconds = 1_000_000
      network.nodes[0].machine.receive(
        .announce(announcement), header: header, from: source, arrival: .group, datagramBytes: 128, at: network.time)
      network.drain(0)
      network.run(milliseconds: 700)
    }
    #expect(network.removals(0).isEmpty && network.agree(0, 1))
    #expect(network.nodes[0].machine.peerCount == 1 && network.nodes[0].machine.handshakeCount == 0)
    #expect(network.isDefeated(1) == nil)
  }

  // MARK: Live rivals

  @Test(arguments: [true, false])
  func youngerRivalStops(byID: Bool) throws {
    let network = DiscoveryNetwork()
    let holder = network.add(id: 7, name: "robot", incarnation: 5)
    let bystander = network.add(id: 1)
    network.start(holder)
    network.start(bystander)
    network.run(milliseconds: 5_000)
    let claimant = network.add(id: byID ? 7 : 8, name: byID ? "other" : "robot", incarnation: 900)
    network.start(claimant)
    #expect(network.run(atMost: 1_000) { network.isDefeated(claimant) != nil } != nil)
    let report = try #require(network.isDefeated(claimant))
    #expect(report.holder.id == EndpointID(7) && report.holder.name == "robot")
    #expect(report.holder.incarnation == Incarnation(5))
    #expect(report.holder.uptime >= .seconds(4))
    #expect(report.kind == (byID ? .endpointID : .name))
    network.run(milliseconds: 5_000)
    #expect(network.isDefeated(holder) == nil)
    #expect(network.agree(holder, bystander))
    #expect(network.removals(bystander).allSatisfy { $0 == .lostClash })
    #expect(network.clashes(holder).count + network.clashes(bystander).count >= 1)
  }

  /// Holder and claimant cannot hear each other; a bystander hears both.
  @Test(arguments: [true, false], [true, false])
  func bystanderRefusesTheYounger(byID: Bool, claimantIsStrong: Bool) throws {
    let network = DiscoveryNetwork()
    let holder = network.add(id: 7, name: "robot", incarnation: 5)
    let bystander = network.add(id: 1)
    let claimant = network.add(
      id: byID ? 7 : 8, name: byID ? "other" : "robot", incarnation: claimantIsStrong ? 900 : 2)
    network.link = { packet, _ in
      [packet.from, packet.to].sorted() == [holder, claimant] ? [] : [.milliseconds(1)]
    }
    network.start(holder)
    network.start(bystander)
    network.run(milliseconds: 5_000)
    network.start(claimant)
    let took = try #require(network.run(atMost: 1_000) { network.isDefeated(claimant) != nil })
    #expect(took <= 60)
    #expect(network.isDefeated(claimant)?.holder.id == EndpointID(7))
    #expect(network.clashes(bystander).count == 1)
    network.run(milliseconds: 5_000)
    #expect(network.agree(holder, bystander) && network.isDefeated(holder) == nil)
    #expect(network.clashes(bystander).count == 1)
  }

  /// Two halves with a clone in each meet again: the younger one stops, whoever notices first.
  @Test(arguments: 0..<12)
  func healedPartitionHasOneWinner(seed: Int) {
    let network = DiscoveryNetwork()
    network.generator = SeededGenerator(seed: UInt64(seed))
    let old = network.add(id: 7, name: "robot")
    let (x, y) = (network.add(id: 1), network.add(id: 2))
    let young = network.add(id: 7, name: "robot")
    let left = [old, x]
    var isSplit = true
    network.link = { packet, random in
      if isSplit && left.contains(packet.from) != left.contains(packet.to) { return [] }
      return random.next() % 10 == 0 ? [] : [.microseconds(200 + random.next() % 3_000)]
    }
    for index in [old, x, y] { network.start(index) }
    network.run(milliseconds: 4_000)
    network.start(young)
    network.run(milliseconds: 8_000)
    #expect(network.knows(x, old) && network.knows(y, young))
    isSplit = false
    #expect(network.run(atMost: 8_000) { network.isDefeated(young) != nil } != nil)
    #expect(network.run(atMost: 8_000) { network.agree(x, old) && network.agree(y, old) && network.agree(x, y) } != nil)
    #expect(network.isDefeated(old) == nil)
  }

  /// Clones that start together, with delays that differ each way: exactly one stays.
  @Test(arguments: [0, 1, 3, 200, 600, 900, 990, 1_000, 1_010, 1_049, 1_051, 1_200, 1_600], [true, false])
  func nearlyEqualUptimesHaveOneWinner(gap: UInt64, firstIsStrong: Bool) {
    for seed in 0..<4 {
      let network = DiscoveryNetwork()
      network.generator = SeededGenerator(seed: UInt64(seed))
      network.link = { _, random in [.microseconds(100 + random.next() % 60_000)] }
      let first = network.add(id: 7, name: "robot", incarnation: firstIsStrong ? 9 : 5)
      let second = network.add(id: 7, name: "robot", incarnation: firstIsStrong ? 5 : 9)
      let bystander = network.add(id: 1)
      network.start(bystander)
      network.run(milliseconds: 1_500)
      network.start(first)
      network.run(milliseconds: gap)
      network.start(second)
      network.run(milliseconds: 10_000)
      let defeated = [first, second].filter { network.isDefeated($0) != nil }
      #expect(defeated.count == 1, "gap \(gap) seed \(seed)")
      if gap >= 1_300 { #expect(defeated == [second]) }
      #expect(network.nodes[bystander].machine.peerCount == 1)
    }
  }

  /// Verdicts of any number of bystanders, however wrong, cannot stop both.
  @Test func theRuleNeverStopsBoth() {
    var random = SeededGenerator(seed: 3)
    for _ in 0..<20_000 {
      let base = 5_000 + random.next() % 1_000
      let older = base + random.next() % 2_500
      func party(_ id: UInt64, _ uptime: UInt64) -> Seniority {
        Seniority(id: EndpointID(id), incarnation: Incarnation(4), uptime: .milliseconds(uptime))
      }
      let olderIsStrong = random.next() % 2 == 0
      let (o, y): (UInt64, UInt64) = olderIsStrong ? (2, 1) : (1, 2)
      let (d1, d2) = (random.next() % 400, random.next() % 400)
      let olderStops = party(o, older).concedes(to: party(y, base - d1), isOwnWord: false)
      let youngerStops = party(y, base).concedes(to: party(o, older - d2), isOwnWord: false)
      #expect(!(olderStops && youngerStops))
      // Who stands tells the other itself, and that is enough where third parties' word is not.
      if !olderStops && !youngerStops && !olderIsStrong && d1 + d2 < 500 {
        #expect(party(y, base).concedes(to: party(o, older - d2), isOwnWord: true))
      }
      if olderIsStrong { #expect(!olderStops) }
    }
  }

  @Test func clashFromStrangersIsIgnored() {
    var machine = Discovery(
      configuration: DiscoveryConfiguration(),
      local: LocalIdentity(id: EndpointID(7), name: "robot", incarnation: Incarnation(9)), seed: 1)
    machine.start(at: milliseconds(0))
    let header = LongHeader(networkTag: 1, sender: EndpointID(2), incarnation: Incarnation(8), packetNumber: 1)
    for token in [0, 12345] as [UInt64] {
      let clash = Clash(
        kind: .endpointID, token: token, holder: EndpointID(7), incarnation: Incarnation(3),
        uptimeMilliseconds: 1_000_000, name: "robot")
      machine.receive(
        .clash(clash), header: header, from: address(2), arrival: .unicast, datagramBytes: 100, at: milliseconds(9))
    }
    #expect(machine.nextAction() == nil)
    #expect(machine.counters.ignoredClashes == 2)
  }

  /// A rival that claims in turn under many incarnations does not exhaust the holder's patience with the bystander.
  @Test func manyClaimsDoNotKillTheLiveHolder() {
    let network = DiscoveryNetwork()
    let holder = network.add(id: 7, name: "robot", incarnation: 5)
    let bystander = network.add(id: 1)
    network.start(holder)
    network.start(bystander)
    network.run(milliseconds: 3_000)
    let rivals = (0..<80).map { network.add(id: 7, name: "rival \($0)", incarnation: UInt64(1_000 + $0)) }
    for rival in rivals { network.start(rival) }
    network.run(milliseconds: 6_000)
    #expect(network.agree(holder, bystander))
    #expect(network.removals(bystander).isEmpty && network.isDefeated(holder) == nil)
    #expect(rivals.allSatisfy { network.isDefeated($0) != nil })
  }
}
