import GlueAddress
import Testing

@testable import GlueCore

/// Endpoint machines on one multicast segment with a fixed delay, in virtual time.
final class Segment {
  static let group = SocketAddress(ip: IPAddress(v4: 0xEFC0_8901), port: 27_320)
  var machines: [EndpointMachine?] = []
  var now = Timestamp(nanoseconds: 1_000_000_000)
  var delay = Nanoseconds.microseconds(100)
  var received: [[(topic: String, payload: [UInt8])]] = []
  var events: [[EndpointEvent]] = []
  var datagrams = 0
  /// By how much the wall clocks of endpoints started from now on are off, in microseconds.
  var wallOffset: UInt64 = 0
  /// Sees each datagram that is sent: by whom, and its bytes.
  var tap: (Int, [UInt8]) -> Void = { _, _ in }
  /// Whether anything gets from one to another.
  var passes: (Int, Int) -> Bool = { _, _ in true }
  private var inFlight: [(at: Timestamp, order: Int, to: Int, from: SocketAddress, group: Bool, bytes: [UInt8])] = []
  private var order = 0
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_507, alignment: 16)

  deinit { buffer.deallocate() }

  func address(_ index: Int) -> SocketAddress {
    SocketAddress(ip: IPAddress(v4: 0x0A00_0001 + UInt32(index)), port: 7_000)
  }

  @discardableResult
  func start(
    id: UInt64, name: String, at place: Int? = nil, rendezvous: SocketAddress? = nil, isRendezvous: Bool = false,
    keys: [NetworkKey] = [], configure: (inout EndpointConfiguration) -> Void = { _ in }
  )
    -> Int
  {
    var configuration = EndpointConfiguration(id: EndpointID(id), name: name)
    configuration.transport.maximumDatagramBytes = 1_472
    configuration.discovery.targets = isRendezvous ? [] : [rendezvous ?? Self.group]
    configuration.discovery.isRendezvous = isRendezvous
    configuration.keys = keys
    configure(&configuration)
    order += 1
    let machine = EndpointMachine(
      configuration: configuration, incarnation: Incarnation(UInt64(order) << 32 | id), keySalt: UInt64(order) << 7,
      seed: UInt64(order), now: now, wallMicroseconds: wallOffset + now.nanoseconds / 1_000)
    let index = place ?? machines.count
    if index == machines.count {
      machines.append(machine)
      received.append([])
      events.append([])
    } else {
      machines[index] = machine
    }
    machine.start(at: now)
    drain(index)
    return index
  }

  func drain(_ index: Int) {
    guard let machine = machines[index] else { return }
    while let datagram = machine.nextDatagram(into: buffer, at: now) {
      datagrams += 1
      let bytes = [UInt8](buffer[..<datagram.byteCount])
      tap(index, bytes)
      let isGroup = datagram.destination == Self.group
      for other in machines.indices
      where (isGroup || address(other) == datagram.destination) && passes(index, other) {
        order += 1
        inFlight.append((now + delay, order, other, address(index), isGroup, bytes))
      }
    }
    var deliveries: [Delivery] = []
    machine.takeDeliveries(into: &deliveries)
    for delivery in deliveries { received[index].append((delivery.stream.topic, [UInt8](delivery.payload))) }
    while let event = machine.nextEvent() { events[index].append(event) }
  }

  func run(for span: Nanoseconds, until condition: () -> Bool = { false }) {
    let end = now + span
    for index in machines.indices { drain(index) }
    while !condition() {
      var next = end
      for machine in machines { if let due = machine?.nextWakeup { next = min(next, max(due, now)) } }
      inFlight.sort { ($0.at, $0.order) < ($1.at, $1.order) }
      if let first = inFlight.first { next = min(next, max(first.at, now)) }
      now = next
      if let first = inFlight.first, first.at <= now {
        inFlight.removeFirst()
        first.bytes.withUnsafeBytes {
          machines[first.to]?.receive(
            $0, from: first.from, arrival: first.group ? .group : .unicast, at: now, receivedAt: now)
        }
        drain(first.to)
        continue
      }
      if now >= end { break }
      for (index, machine) in machines.enumerated() {
        machine?.advance(to: now)
        drain(index)
      }
    }
  }

  func publish(_ payload: [UInt8], on publication: PublicationID, of index: Int) throws {
    _ = try payload.withUnsafeBytes { try machines[index]!.publish($0, on: publication, at: now) }
    drain(index)
  }
}

@Suite struct EndpointTests {
  @Test func aNewPublisherFindsAnOldSubscriberAtOnce() throws {
    let segment = Segment()
    let subscriber = segment.start(id: 1, name: "sub")
    _ = try segment.machines[subscriber]!.subscribe("t", options: SubscriptionOptions(), at: segment.now)
    segment.run(for: .seconds(7))
    let start = segment.now
    let publisher = segment.start(id: 2, name: "pub")
    let publication = try segment.machines[publisher]!.advertise("t", options: PublicationOptions(), at: segment.now)
    segment.run(
      for: .seconds(1), until: { segment.machines[publisher]!.matchedSubscribers(of: publication) == 1 })
    try segment.publish([1], on: publication, of: publisher)
    segment.run(for: .seconds(1), until: { segment.received[subscriber].count == 1 })
    #expect(segment.now.since(start) < .milliseconds(50), "\(segment.now.since(start))")
  }

  @Test func aNewSubscriberFindsAnOldPublisherAtOnce() throws {
    let segment = Segment()
    let publisher = segment.start(id: 2, name: "pub")
    let publication = try segment.machines[publisher]!.advertise("t", options: PublicationOptions(), at: segment.now)
    segment.run(for: .seconds(7))
    let start = segment.now
    let subscriber = segment.start(id: 1, name: "sub")
    _ = try segment.machines[subscriber]!.subscribe("t", options: SubscriptionOptions(), at: segment.now)
    segment.run(
      for: .seconds(1), until: { segment.machines[publisher]!.matchedSubscribers(of: publication) == 1 })
    try segment.publish([1], on: publication, of: publisher)
    segment.run(for: .seconds(1), until: { segment.received[subscriber].count == 1 })
    #expect(segment.now.since(start) < .milliseconds(50))
  }

  @Test func aRendezvousBringsTheOthersTogether() throws {
    let segment = Segment()
    let target = segment.address(0)
    segment.start(id: 1, name: "rendezvous", isRendezvous: true)
    for id in 2...4 as ClosedRange<UInt64> { segment.start(id: id, name: "peer-\(id)", rendezvous: target) }
    segment.run(for: .seconds(2))
    for machine in segment.machines { #expect(machine!.peers.count == 3) }
  }

  /// Others have given it up meanwhile. It announces itself as at its start, so that they find it even if one datagram is lost.
  @Test func whoResumesIsFoundAtOnce() throws {
    let segment = Segment()
    for id in 1...2 as ClosedRange<UInt64> { segment.start(id: id, name: "endpoint-\(id)") }
    segment.run(for: .seconds(7))
    let sleeper = try #require(segment.machines[0])
    segment.machines[0] = nil
    segment.run(for: .seconds(8))
    #expect(segment.machines[1]!.peers.isEmpty)
    segment.machines[0] = sleeper
    let before = sleeper.discovery.counters.announcementsSent
    sleeper.resumed(at: segment.now)
    segment.drain(0)
    #expect(sleeper.discovery.counters.announcementsSent == before + 1)
    segment.run(for: .milliseconds(600))
    #expect(sleeper.discovery.counters.announcementsSent >= before + 3)
    #expect(segment.machines[1]!.peers.count == 1)
  }

  @Test func aRestartIsRecognizedSoon() throws {
    let segment = Segment()
    let publisher = segment.start(id: 1, name: "pub")
    let publication = try segment.machines[publisher]!.advertise("t", options: PublicationOptions(), at: segment.now)
    let subscriber = segment.start(id: 2, name: "sub")
    _ = try segment.machines[subscriber]!.subscribe("t", options: SubscriptionOptions(), at: segment.now)
    segment.run(for: .seconds(3))
    segment.machines[subscriber] = nil
    segment.run(for: .milliseconds(200))
    let start = segment.now
    segment.start(id: 2, name: "sub", at: subscriber)
    _ = try segment.machines[subscriber]!.subscribe("t", options: SubscriptionOptions(), at: segment.now)
    segment.run(for: .seconds(5), until: { segment.machines[subscriber]!.peers.count == 1 })
    segment.run(for: .milliseconds(20))
    try segment.publish([1], on: publication, of: publisher)
    segment.run(for: .seconds(1), until: { segment.received[subscriber].count == 1 })
    #expect(segment.now.since(start) < .milliseconds(500))
  }

  @Test func aSecondHolderOfAnIDIsRefused() throws {
    let segment = Segment()
    segment.start(id: 1, name: "holder")
    segment.start(id: 3, name: "bystander")
    segment.run(for: .seconds(2))
    let claimant = segment.start(id: 1, name: "other")
    segment.run(for: .seconds(2))
    let defeats = segment.events.map { $0.contains { if case .defeated = $0 { true } else { false } } }
    #expect(defeats == [false, false, true])
    #expect(segment.machines[0]!.peers.map(\.id) == [EndpointID(3)])
    guard
      case .defeated(let report)? = segment.events[claimant].first(where: {
        if case .defeated = $0 { true } else { false }
      })
    else { return }
    #expect(report.holder.name == "holder")
  }

  @Test func goodbyeEndsAtOnceAndQuietMeansAnnouncementsOnly() throws {
    let segment = Segment()
    for id in 1...3 as ClosedRange<UInt64> { segment.start(id: id, name: "peer-\(id)") }
    segment.run(for: .seconds(10))
    let before = segment.datagrams
    segment.run(for: .seconds(10))
    #expect(segment.datagrams - before <= 33)
    segment.machines[2]!.stop(at: segment.now)
    segment.drain(2)
    segment.run(for: .milliseconds(10))
    #expect(segment.machines[0]!.peers.map(\.id) == [EndpointID(2)])
  }
}
