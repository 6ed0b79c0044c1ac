import GlueAddress
import Testing

@testable import GlueCore

/// What diagnostics ask for, and that nobody else notices.
@Suite struct InspectionTests {
  @Test func subscriptionsOfPeersAreKnown() throws {
    let pair = Pair()
    _ = try pair.machines[1].inquire(about: "#", at: pair.now)
    _ = try pair.machines[1].subscribe("a/#", options: SubscriptionOptions(type: "A"), at: pair.now)
    pair.settle()
    let told = pair.machines[0].inspectPeers(includingSubscriptions: true)[0].subscriptions
    #expect(told.count == 1 && told[0].filter == "a/#" && told[0].type == "A", "\(told)")
  }

  @Test func pathIsMeasuredBySize() {
    let pair = Pair()
    pair.drops = { _, bytes in bytes.count >= 1_000 }
    pair.machines[0].measurePath(to: EndpointID(2), sizes: [100, 1_200], count: 20, at: pair.now)
    #expect(!pair.machines[0].inspectPeers()[0].isMeasured)
    pair.run(for: .seconds(5), until: { pair.machines[0].inspectPeers()[0].isMeasured })
    let inspected = pair.machines[0].inspectPeers()[0]
    #expect(inspected.isMeasured)
    #expect(inspected.echoes.map(\.bytes) == [100, 1_200])
    #expect(inspected.echoes[0].sent == 20 && inspected.echoes[0].answered == 20)
    // What is hopeless is given up.
    #expect(inspected.echoes[1].sent == EchoProbes.hopeless && inspected.echoes[1].answered == 0)
    #expect(inspected.roundTrip == pair.delay * 2)
    // Nothing above the transport has noticed.
    #expect(pair.received[1].isEmpty && pair.machines[1].bufferedBytes == 0)
    let sent = pair.datagrams
    pair.run(for: .seconds(5))
    #expect(pair.datagrams == sent, "the measurement goes on")
  }

  @Test func lossIsCounted() {
    let pair = Pair()
    var count = 0
    pair.drops = { from, bytes in
      guard from == 0, bytes.count == 300 else { return false }
      count += 1
      return count % 2 == 0
    }
    pair.machines[0].measurePath(to: EndpointID(2), sizes: [300], count: 20, at: pair.now)
    pair.run(for: .seconds(10), until: { pair.machines[0].inspectPeers()[0].isMeasured })
    let echoes = pair.machines[0].inspectPeers()[0].echoes
    #expect(echoes[0].sent == 20 && echoes[0].answered == 10)
  }

  @Test func wallClocksAreCompared() {
    let segment = Segment()
    segment.start(id: 1, name: "one")
    segment.wallOffset = 3_600_000_000
    segment.start(id: 2, name: "two")
    segment.run(for: .seconds(3))
    let leads = segment.machines.map { $0!.inspectPeers()[0].info.clockLeadMicroseconds ?? 0 }
    let hour: Int64 = 3_600_000_000
    #expect(abs(leads[0] - hour) < 1_000 && abs(leads[1] + hour) < 1_000, "\(leads)")
    // It is no attribute that changes each second.
    #expect(segment.machines[0]!.peers[0].attributes.entries.isEmpty)
    let updates = segment.events[0].count { if case .peerUpdated = $0 { true } else { false } }
    segment.run(for: .seconds(10))
    #expect(segment.events[0].count { if case .peerUpdated = $0 { true } else { false } } == updates)
  }

  @Test func announcementsTellWhetherThereIsMulticastToHear() {
    let segment = Segment()
    let meetingPoint = segment.start(id: 1, name: "one", isRendezvous: true)
    segment.start(id: 2, name: "two", rendezvous: segment.address(meetingPoint))
    segment.start(id: 3, name: "three")
    segment.run(for: .seconds(3))
    let peers = segment.machines[meetingPoint]!.inspectPeers()
    #expect(peers.map { $0.info.capabilities.contains(.announcesToGroup) } == [false, true])
    // Nothing but unicast comes from there, and tells the clock all the same.
    #expect(segment.machines[1]!.inspectPeers().allSatisfy { $0.info.clockLeadMicroseconds != nil })
    #expect(
      segment.machines[2]!.peers.first { $0.id == EndpointID(1) }!.capabilities.contains(.announcesToGroup) == false)
  }

  @Test func datagramsAreSightedByTheirHeaders() {
    func machine(_ id: UInt64, network: UInt64 = 1, key: UInt8? = nil) -> EndpointMachine {
      var configuration = EndpointConfiguration(id: EndpointID(id), name: "endpoint-\(id)")
      configuration.networkID = network
      configuration.discovery.targets = [Segment.group]
      if let key { configuration.keys = [NetworkKey([UInt8](repeating: key, count: 32))!] }
      let machine = EndpointMachine(
        configuration: configuration, incarnation: Incarnation(id << 8), keySalt: id, seed: id,
        now: Timestamp(nanoseconds: 1), wallMicroseconds: 0)
      machine.start(at: Timestamp(nanoseconds: 1))
      return machine
    }
    func announcement(of machine: EndpointMachine) -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: 65_507)
      let count = bytes.withUnsafeMutableBytes {
        machine.nextDatagram(into: $0, at: Timestamp(nanoseconds: 1))!.byteCount
      }
      return [UInt8](bytes[..<count])
    }
    func sighting(of other: EndpointMachine, by machine: EndpointMachine) -> EndpointMachine.Sighting {
      announcement(of: other).withUnsafeBytes { machine.sight($0) }
    }
    let two = EndpointID(2)
    let (open, sealed) = (machine(1), machine(1, key: 7))
    #expect(sighting(of: open, by: open) == .own && sighting(of: sealed, by: sealed) == .own)
    #expect(sighting(of: machine(2), by: open) == .network(sender: two))
    #expect(sighting(of: machine(2, key: 7), by: sealed) == .network(sender: two))
    #expect(sighting(of: machine(2, key: 8), by: sealed) == .keyMismatch(.otherKey, sender: two))
    #expect(sighting(of: machine(2), by: sealed) == .keyMismatch(.open, sender: two))
    #expect(sighting(of: machine(2, key: 7), by: open) == .keyMismatch(.sealed, sender: two))
    #expect(sighting(of: machine(2, network: 9), by: open) == .otherNetwork(id: 9, sender: two))
    #expect(sighting(of: machine(2, network: 9, key: 7), by: sealed) == .otherNetwork(id: nil, sender: two))
    #expect([UInt8]().withUnsafeBytes { open.sight($0) } == .unreadable)
    // Damaged, it has no more than the right tag.
    var damaged = announcement(of: machine(2, key: 7))
    damaged[damaged.count - 1] ^= 1
    #expect(damaged.withUnsafeBytes { sealed.sight($0) } == .keyMismatch(.otherKey, sender: two))
  }
}
