import GlueAddress
import Testing

@testable import GlueCore

/// Endpoints in a row, each of which hears its neighbours only, when all have met.
final class RelayRow {
  let segment = Segment()

  init(of count: Int, keys: [NetworkKey] = [], configure: (inout EndpointConfiguration) -> Void = { _ in }) {
    segment.passes = { abs($0 - $1) <= 1 }
    for index in 0..<count {
      segment.start(id: UInt64(index + 1), name: "endpoint-\(index)", keys: keys, configure: configure)
    }
    segment.run(for: .seconds(30), until: { self.segment.machines.allSatisfy { $0!.peers.count == count - 1 } })
  }

  func name(_ index: Int) -> RelayedEndpoint {
    RelayedEndpoint(segment.machines[index]!.configuration.id, segment.machines[index]!.incarnation)
  }

  /// A machine gets a RELAY of a neighbour's making, with a datagram of so many zeros in it, or with this one.
  func send(
    from: Int, to: Int, _ header: RelayHeader, bytes: Int = 100, datagram: [UInt8]? = nil,
    after span: Nanoseconds = .zero
  ) {
    let id = segment.machines[to]!.configuration.id
    let forged = segment.machines[from]!.forgedDatagram(to: id) { writer in
      _ = writer.frame(.relay) {
        header.write(to: &$0)
        $0.bytes(datagram ?? [UInt8](repeating: 0, count: bytes))
      }
    }
    receive(forged!.bytes, at: to, from: segment.address(from), after: span)
  }

  /// - Parameter span: how long it has lain in the socket.
  func receive(_ bytes: [UInt8], at index: Int, from source: SocketAddress, after span: Nanoseconds = .zero) {
    bytes.withUnsafeBytes {
      segment.machines[index]!.receive(
        $0, from: source, arrival: .unicast, at: segment.now, receivedAt: segment.now - span)
    }
  }

  func counter(_ name: String, _ index: Int) -> UInt64 {
    segment.machines[index]!.counters.first { $0.name == name }!.value
  }

  /// By how much counters of a machine grow: datagrams passed on, dropped, taken.
  func growth(at index: Int, _ body: () -> Void) -> [UInt64] {
    let names = ["relays_forwarded", "relays_dropped", "relays_received"]
    let before = names.map { counter($0, index) }
    body()
    return zip(names, before).map { counter($0, index) - $1 }
  }
}

@Suite struct RelayTests {
  private func header(_ row: RelayRow, _ hops: UInt8, to: Int, from: Int) -> RelayHeader {
    RelayHeader(hopsLeft: hops, destination: row.name(to), origin: row.name(from))
  }

  @Test func thoseInARowMeet() {
    let row = RelayRow(of: 3)
    let peer = row.segment.machines[0]!.peers[1]
    #expect(peer.id == EndpointID(3) && peer.address == row.name(2).address && peer.relay == EndpointID(2))
    // That it is not heard says nothing about multicast.
    row.segment.run(for: .seconds(15))
    #expect(row.segment.machines[0]!.multicast.state == .works)
    #expect(row.segment.machines[0]!.peers[1].hearing == .unicast)
  }

  @Test func hopsAreCounted() {
    let row = RelayRow(of: 3)
    #expect(row.growth(at: 1) { row.send(from: 0, to: 1, header(row, 0, to: 2, from: 0)) } == [0, 1, 0])
    var hopsLeft: UInt8?
    row.segment.tap = { sender, bytes in
      guard sender == 1, bytes.count == 100 + RelayHeader.prefixBytes else { return }
      hopsLeft = bytes[WireLimits.shortHeaderBytes + WireLimits.frameHeaderBytes]
    }
    #expect(row.growth(at: 1) { row.send(from: 0, to: 1, header(row, 3, to: 2, from: 0)) } == [1, 0, 0])
    row.segment.drain(1)
    #expect(hopsLeft == 2)
  }

  @Test(arguments: [(0, 3_000, 3_000_000), (5, 1, 1_005), (4_294_967_290, 1, .max)] as [(UInt32, UInt64, UInt32)])
  func howLongItLayIsTold(before: UInt32, milliseconds: UInt64, after: UInt32) {
    let row = RelayRow(of: 3)
    var header = header(row, 8, to: 2, from: 0)
    header.heldMicroseconds = before
    var told: UInt32?
    row.segment.tap = { sender, bytes in
      guard sender == 1, bytes.count == 100 + RelayHeader.prefixBytes else { return }
      told = bytes[(RelayHeader.prefixBytes - 4)..<RelayHeader.prefixBytes].reversed().reduce(0) {
        $0 << 8 | UInt32($1)
      }
    }
    row.send(from: 0, to: 1, header, after: .milliseconds(milliseconds))
    row.segment.drain(1)
    #expect(told == after)
  }

  @Test func nothingGoesBackOrRound() {
    let row = RelayRow(of: 4)
    // To where it came from, directly or by way of the sender; of its own; to nobody.
    #expect(row.growth(at: 1) { row.send(from: 0, to: 1, header(row, 8, to: 0, from: 3)) } == [0, 1, 0])
    #expect(row.growth(at: 1) { row.send(from: 2, to: 1, header(row, 8, to: 3, from: 0)) } == [0, 1, 0])
    #expect(row.growth(at: 1) { row.send(from: 2, to: 1, header(row, 8, to: 0, from: 1)) } == [0, 1, 0])
    let nobody = RelayHeader(
      hopsLeft: 8, destination: RelayedEndpoint(id: EndpointID(3), tag: 99), origin: row.name(0))
    #expect(row.growth(at: 1) { row.send(from: 0, to: 1, nobody) } == [0, 1, 0])
  }

  @Test func whatIsAddedIsAHeaderAFrameAndATag() {
    #expect(RelayHeader.prefixBytes + DatagramSeal.tagBytes == WireLimits.relayBytes)
  }

  /// Else hops within hops would have no end.
  @Test func aRelayWithinARelayIsDropped() {
    let row = RelayRow(of: 3)
    let inner = row.segment.machines[0]!.forgedDatagram(to: EndpointID(3)) { writer in
      _ = writer.frame(.relay) {
        header(row, 8, to: 2, from: 0).write(to: &$0)
        $0.bytes([UInt8](repeating: 0, count: 20))
      }
    }
    let growth = row.growth(at: 2) {
      row.send(from: 1, to: 2, header(row, 7, to: 2, from: 0), datagram: inner!.bytes)
    }
    #expect(growth == [0, 1, 1])
  }

  @Test func whatDoesNotFitTheNextPathIsDropped() {
    let row = RelayRow(of: 3) { $0.transport.maximumDatagramBytes = 1_200 }
    let fits = WireLimits.relayedBaseBytes
    #expect(row.growth(at: 1) { row.send(from: 0, to: 1, header(row, 8, to: 2, from: 0), bytes: fits) } == [1, 0, 0])
    #expect(
      row.growth(at: 1) { row.send(from: 0, to: 1, header(row, 8, to: 2, from: 0), bytes: fits + 1) } == [0, 1, 0])
  }

  @Test func whatIsPassedOnTakesTurnsWithWhatIsOnesOwn() throws {
    let row = RelayRow(of: 3)
    let relay = row.segment.machines[1]!
    let publication = try relay.advertise("t", options: PublicationOptions(), at: row.segment.now)
    _ = try row.segment.machines[2]!.subscribe("t", options: SubscriptionOptions(), at: row.segment.now)
    row.segment.run(for: .seconds(1))
    for _ in 0..<20 { row.send(from: 0, to: 1, header(row, 8, to: 2, from: 0), bytes: 1_000) }
    let payload = [UInt8](repeating: 1, count: 20_000)
    _ = try payload.withUnsafeBytes { try relay.publish($0, on: publication, at: row.segment.now) }
    var order: [Bool] = []
    row.segment.tap = { sender, bytes in
      if sender == 1 { order.append(bytes.count == 1_000 + RelayHeader.prefixBytes) }
    }
    row.segment.drain(1)
    #expect(order.count { $0 } == 20)
    // Neither waits for all of the other.
    let first = order.prefix(20).count { $0 }
    #expect((9...11).contains(first), "\(order)")
  }

  @Test func nobodySendsFromTheAddressThatStandsForAnEndpoint() {
    let row = RelayRow(of: 2)
    let before = row.counter("datagrams_received", 1)
    row.receive([UInt8](repeating: 0x80, count: 40), at: 1, from: row.name(0).address)
    row.receive([UInt8](repeating: 0x80, count: 40), at: 1, from: RelayedEndpoint(id: EndpointID(77), tag: 1).address)
    #expect(row.counter("datagrams_received", 1) == before)
  }

  @Test func nobodyIsIntroducedWithSuchAnAddress() throws {
    let row = RelayRow(of: 2) { $0.discovery.relays = false }
    let machine = row.segment.machines[0]!
    let before = row.counter("challenges_sent", 0)
    let introduction = Introduction(
      endpoint: EndpointID(50), incarnation: Incarnation(51), heldMilliseconds: 0,
      locators: [RelayedEndpoint(id: EndpointID(2), tag: 3).address, address(77)], hops: 0)
    machine.discovery.receive(introduction, from: EndpointID(2), at: row.segment.now)
    machine.drainDiscovery(at: row.segment.now)
    row.segment.run(for: .seconds(3))
    // One for the address that is one. The introducer passes nothing on, so it is not asked to.
    #expect(row.counter("challenges_sent", 0) == before + 1)
    #expect(row.counter("relays_sent", 0) == 0)
  }

  /// Most of those that are introduced answer directly: what is not sent is not counted.
  @Test func introducedEndpointsAreChallengedOnceEachAtFirst() {
    let limits = 6
    let row = RelayRow(of: 2) {
      $0.discovery.limits.challengeBurst = limits
      $0.discovery.limits.challengesPerSecond = 1
    }
    row.segment.run(for: .seconds(20))
    let machine = row.segment.machines[1]!
    for number in 50..<56 as Range<UInt64> {
      let introduction = Introduction(
        endpoint: EndpointID(number), incarnation: Incarnation(number), heldMilliseconds: 0,
        locators: [SocketAddress(ip: IPAddress(v4: 0x0A00_0000 + UInt32(number)), port: 7_000)])
      machine.discovery.receive(introduction, from: EndpointID(1), at: row.segment.now)
    }
    #expect(machine.discovery.limits[.challengesPerSecond] == 0)
    #expect(machine.unprovenEntries == limits)
    // The rest is, and does not exceed what there is.
    row.segment.run(for: .seconds(1))
    #expect(machine.discovery.limits[.challengesPerSecond] > 0)
    #expect(machine.unprovenEntries == 0)
  }

  @Test func goodbyesAreStillPassedOn() {
    let row = RelayRow(of: 4)
    row.segment.machines[0]!.stop(at: row.segment.now)
    row.segment.drain(0)
    row.segment.run(for: .milliseconds(50))
    for index in 1..<4 { #expect(row.segment.machines[index]!.peers.count == 2) }
  }
}

@Suite struct RouteTableTests {
  private let endpoint = RelayedEndpoint(id: EndpointID(9), tag: 9)
  private func peers(_ table: RouteTable) -> [UInt64] { table[endpoint].map(\.via.rawValue) }

  @Test func fewerHopsGoFirstAndFailuresLast() {
    var table = RouteTable(capacity: 10)
    for (via, hops) in [(1, 2), (2, 0), (3, 1), (4, 0), (5, 0)] as [(UInt64, UInt8)] {
      table.note(Route(via: EndpointID(via), hops: hops), to: endpoint, at: milliseconds(0))
    }
    #expect(peers(table) == [2, 4, 5, 3])
    table.failed(via: EndpointID(2), to: endpoint)
    #expect(peers(table) == [4, 5, 3, 2])
    // That it is told of again does not make it good.
    table.note(Route(via: EndpointID(2), hops: 0), to: endpoint, at: milliseconds(1))
    #expect(peers(table) == [4, 5, 3, 2])
    table.removeAll(via: EndpointID(5))
    #expect(peers(table) == [4, 3, 2])
    table.prefer(via: EndpointID(2), to: endpoint)
    #expect(peers(table) == [2, 4, 3])
    table.removeAll(to: endpoint)
    #expect(peers(table).isEmpty)
  }

  @Test func aNewWayGoesBeforeThoseThatLedNowhere() {
    var table = RouteTable(capacity: 10)
    for via in 1...5 as ClosedRange<UInt64> {
      table.note(Route(via: EndpointID(via), hops: 0), to: endpoint, at: milliseconds(0))
    }
    #expect(peers(table) == [1, 2, 3, 5])
  }

  @Test func whatIsOnlySaidGoesBehindAWayThatWorks() {
    var table = RouteTable(capacity: 10)
    let working = EndpointID(1)
    table.note(Route(via: working, hops: 2), to: endpoint, at: milliseconds(0))
    for (via, hops) in [(2, 1), (3, 0), (4, 3)] as [(UInt64, UInt8)] {
      table.note(Route(via: EndpointID(via), hops: hops), to: endpoint, behind: working, at: milliseconds(0))
    }
    #expect(peers(table) == [1, 3, 2, 4])
    // Nor does it take its place.
    table.failed(via: working, to: endpoint)
    table.note(Route(via: EndpointID(5), hops: 4), to: endpoint, behind: working, at: milliseconds(0))
    #expect(peers(table) == [3, 2, 1, 5])
  }

  @Test func whoIsMadeUpTakesNoPlaceFromAPeer() {
    var table = RouteTable(capacity: 2)
    let endpoints = (1...4 as ClosedRange<UInt64>).map { RelayedEndpoint(id: EndpointID($0), tag: 1) }
    for (index, endpoint) in endpoints.enumerated() {
      if table.isFull(for: endpoint) { table.makeRoom { $0 == endpoints[0] } }
      table.note(Route(via: EndpointID(7), hops: 0), to: endpoint, at: milliseconds(UInt64(index)))
    }
    #expect(endpoints.map { !table[$0].isEmpty } == [true, false, false, true])
  }

  @Test func theNewestDirectAddressIsRemembered() {
    var table = RouteTable(capacity: 2)
    func note(_ number: Int, asOf time: UInt64) -> Bool {
      table.note(directAddress: address(number), of: endpoint, asOf: milliseconds(time), at: milliseconds(9))
    }
    #expect(note(1, asOf: 5) && !note(1, asOf: 6) && note(2, asOf: 6) && !note(3, asOf: 5))
    #expect(table.directAddress(of: endpoint) == address(2))
  }

  @Test func whatNobodySpeaksOfIsForgotten() {
    var table = RouteTable(capacity: 2)
    for id in 1...3 as ClosedRange<UInt64> {
      let endpoint = RelayedEndpoint(id: EndpointID(id), tag: 1)
      #expect(table.isFull(for: endpoint) == (id == 3))
      table.note(Route(via: EndpointID(7), hops: 0), to: endpoint, at: milliseconds(id))
    }
    table.forget(notedBefore: milliseconds(2)) { $0.id == EndpointID(3) }
    #expect(table[RelayedEndpoint(id: EndpointID(1), tag: 1)].isEmpty)
    #expect(table[RelayedEndpoint(id: EndpointID(2), tag: 1)].count == 1)
    #expect(table[RelayedEndpoint(id: EndpointID(3), tag: 1)].isEmpty)
  }
}
