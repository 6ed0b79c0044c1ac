import GlueAddress

@testable import GlueCore

/// Two endpoint machines with a session between them, joined by a wire with a delay and, on demand, faults. Time is
/// virtual: the wire advances it from event to event.
final class Pair {
  private(set) var machines: [EndpointMachine] = []
  private var incarnations: [UInt64] = [1_001, 1_002]
  let addresses: [SocketAddress]
  var now = Timestamp(nanoseconds: 1_000_000_000)
  var delay: Nanoseconds
  /// Whether to drop this datagram: sender, bytes.
  var drops: (Int, UnsafeRawBufferPointer) -> Bool = { _, _ in false }
  /// Whether machines are told that all that had arrived was received when time passes.
  var isCaughtUp = true
  /// How many more datagrams the first machine's socket takes.
  var room = Int.max
  /// What happens to the bytes of a datagram on its way.
  var damages: (inout [UInt8]) -> Void = { _ in }
  /// Extra delay for this datagram.
  var extraDelay: (Int) -> Nanoseconds = { _ in .zero }
  var received: [[(sequence: UInt64, payload: [UInt8], topic: String, subscription: SubscriptionID?)]] = [[], []]
  /// Sees each delivery.
  var takes: (Delivery) -> Void = { _ in }
  var events: [[EndpointEvent]] = [[], []]
  var datagrams = 0
  var bytes = 0
  private var inFlight: [(at: Timestamp, order: Int, to: Int, bytes: [UInt8])] = []
  private var order = 0
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_507, alignment: 16)

  init(delay: Nanoseconds = .microseconds(100), _ change: (inout EndpointConfiguration) -> Void = { _ in }) {
    self.delay = delay
    addresses = [1, 2].map { SocketAddress(ip: IPAddress(v4: 0x0A00_0000 + UInt32($0)), port: 7000) }
    machines = [0, 1].map { makeMachine($0, change) }
    connect()
  }

  private func makeMachine(_ index: Int, _ change: (inout EndpointConfiguration) -> Void) -> EndpointMachine {
    let number = UInt64(index + 1)
    var configuration = EndpointConfiguration(id: EndpointID(number), name: "endpoint-\(number)")
    configuration.transport.maximumDatagramBytes = 1_472
    change(&configuration)
    return EndpointMachine(
      configuration: configuration, incarnation: Incarnation(incarnations[index]), seed: number,
      now: now,
      wallMicroseconds: 1_700_000_000_000_000 + now.since(Timestamp(nanoseconds: 1_000_000_000)).wholeMicroseconds)
  }

  /// One of the two is killed, and after a while another life of it begins.
  func restart(
    _ index: Int, after pause: Nanoseconds = .zero, _ change: (inout EndpointConfiguration) -> Void = { _ in },
    before connection: (EndpointMachine) throws -> Void = { _ in }
  ) rethrows {
    machines[1 - index].removeSession(with: peer(of: 1 - index), reason: .expired, at: now)
    inFlight = []
    incarnations[index] += 1_000
    received[index] = []
    events[index] = []
    let end = now + pause
    while now < end {
      now = now + min(.milliseconds(500), end.since(now))
      machines[1 - index].advance(to: now)
      drain(1 - index)
    }
    machines[index] = makeMachine(index, change)
    try connection(machines[index])
    renumber()
    connect()
  }

  deinit { buffer.deallocate() }

  func connect() {
    for (index, machine) in machines.enumerated() {
      machine.addSession(with: peer(of: index), at: now)
    }
    settle()
  }

  /// Sessions made from now on have other numbers.
  func renumber() { firstSession += 2 }
  private var firstSession: UInt32 = 100

  func peer(of index: Int) -> PeerInfo {
    let other = 1 - index
    return PeerInfo(
      id: EndpointID(UInt64(other + 1)), name: "endpoint-\(other + 1)", incarnation: Incarnation(incarnations[other]),
      address: addresses[other], slot: 0, localSession: firstSession + UInt32(index),
      remoteSession: firstSession + UInt32(other),
      version: 1, receiveBufferBytes: 1 << 20, capabilities: [], interestVersion: 0, locators: [],
      attributes: Attributes(), origin: .group, since: now, interval: .seconds(1), leaseDeadline: .distantFuture,
      hearing: .bothWays, hasUniqueTag: true, acceptsGroupTag: true, startEstimate: 0)
  }

  func drain(_ index: Int) {
    let machine = machines[index]
    while index == 1 || room > 0, let datagram = machine.nextDatagram(into: buffer, at: now) {
      if index == 0 { room -= 1 }
      let written = UnsafeRawBufferPointer(rebasing: buffer[..<datagram.byteCount])
      datagrams += 1
      bytes += datagram.byteCount
      if drops(index, written) { continue }
      order += 1
      var bytes = [UInt8](written)
      damages(&bytes)
      inFlight.append((now + delay + extraDelay(index), order, 1 - index, bytes))
    }
    var deliveries: [Delivery] = []
    machine.takeDeliveries(into: &deliveries)
    for delivery in deliveries {
      takes(delivery)
      received[index].append(
        (delivery.sequence, [UInt8](delivery.payload), delivery.stream.topic, delivery.subscription))
    }
    while let event = machine.nextEvent() { events[index].append(event) }
  }

  /// Lets time pass until nothing is due within a span, or the condition holds.
  func run(for span: Nanoseconds, until condition: () -> Bool = { false }) {
    let end = now + span
    for index in machines.indices { drain(index) }
    while !condition() {
      var next = end
      for machine in machines {
        // What waits for what lies in a socket is due all the time.
        if let due = machine.nextWakeup, isCaughtUp || due > now { next = min(next, max(due, now)) }
      }
      inFlight.sort { ($0.at, $0.order) < ($1.at, $1.order) }
      if let first = inFlight.first { next = min(next, max(first.at, now)) }
      now = next
      if let first = inFlight.first, first.at <= now {
        inFlight.removeFirst()
        first.bytes.withUnsafeBytes {
          machines[first.to].receive($0, from: addresses[1 - first.to], arrival: .unicast, at: now, receivedAt: now)
          drain(first.to)
        }
        continue
      }
      if now >= end { break }
      for (index, machine) in machines.enumerated() {
        machine.advance(to: now, isCaughtUp: isCaughtUp)
        drain(index)
      }
    }
  }

  func settle() { run(for: .milliseconds(500)) }

  func publish(_ payload: [UInt8], on publication: PublicationID, lifetime: Nanoseconds? = nil) throws {
    let result = try payload.withUnsafeBytes {
      try machines[0].publish($0, on: publication, lifetime: lifetime, at: now)
    }
    guard result != .full else { throw EndpointError.limitReached(name: "sendBufferBytes", limit: 0) }
    drain(0)
  }

  var losses: [Loss] {
    events[1].compactMap { if case .loss(let loss) = $0 { loss } else { nil } }
  }
}

func pattern(_ count: Int, seed: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ seed &* 17) }
}
