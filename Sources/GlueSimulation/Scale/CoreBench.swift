import GlueAddress
import GlueCore

/// The cores of a publisher and its subscribers in one thread and virtual time, without faults: they hand each other their datagrams at once. What
/// they do follows from what they are told alone, so that its instructions can be counted.
package final class CoreBench {
  /// Why it cannot go on.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  private static let group = SocketAddress(ip: IPAddress(v4: 0xEFC0_8901), port: 27_320)
  private static let patience = Nanoseconds.seconds(10)
  /// Until several subscribers are known to hear the group, and are served by it.
  private static let settling = Nanoseconds.seconds(5)
  /// Between two bursts.
  private static let pause = Nanoseconds.microseconds(200)

  private let machines: [EndpointMachine]
  private let addresses: [SocketAddress]
  private var publisher: EndpointMachine { machines[0] }
  private let publications: [PublicationID]
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: WireLimits.datagramBytes, alignment: 16)
  private var now = Timestamp(nanoseconds: 1_000)
  private var deliveries: [Delivery] = []
  private var received = 0
  /// Datagrams that the publisher has sent.
  package private(set) var publisherDatagrams = 0

  /// Lets them meet.
  ///
  /// - Parameters:
  ///   - topics: how many are published to, in turns.
  ///   - subscribers: how many read them all.
  package init(topics: Int = 1, subscribers: Int = 1) throws {
    let now = now
    machines = (0...UInt64(subscribers)).map { index in
      var configuration = EndpointConfiguration(id: EndpointID(index + 1), name: "core-\(index)")
      configuration.discovery.targets = [Self.group]
      configuration.dataGroups = [Self.group]
      configuration.receiveBufferBytes = 4 << 20
      return EndpointMachine(
        configuration: configuration, incarnation: Incarnation(index + 1), seed: index + 1, now: now,
        wallMicroseconds: 0)
    }
    addresses = machines.indices.map { SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: 5_000 + UInt16($0)) }
    let publisher = machines[0]
    publications = try (0..<topics).map {
      try publisher.advertise("bench/core/\($0)", options: PublicationOptions(), at: now)
    }
    for machine in machines.dropFirst() {
      _ = try machine.subscribe("bench/core/+", options: SubscriptionOptions(), at: now)
    }
    for machine in machines { machine.start(at: now) }
    let end = now + Self.patience
    while publications.contains(where: { publisher.matchedSubscribers(of: $0) < subscribers }) {
      guard self.now < end else { throw Failure(description: "the cores have not met within 10 s") }
      step()
    }
    let settled = self.now + Self.settling
    while self.now < settled { step() }
  }

  deinit { buffer.deallocate() }

  /// Publishes messages, so many at once, and sees to it that all arrive.
  package func send(_ payload: [UInt8], count: Int, atOnce: Int) throws {
    var sent = 0
    let start = received
    let subscribers = machines.count - 1
    while sent < count {
      let end = min(count, sent + atOnce)
      try publish(payload, sent..<end)
      sent = end
      exchange()
      now = now + Self.pause
      for index in machines.indices {
        if let due = machines[index].nextWakeup, due <= now { advance(index) }
      }
      exchange()
    }
    while received - start < count * subscribers { step() }
  }

  /// Goes to the next time at which one of them has something to do.
  private func step() {
    exchange()
    if let next = machines.compactMap(\.nextWakeup).min(), next > now { now = next }
    for index in machines.indices { advance(index) }
    exchange()
  }

  /// Hands over datagrams until nobody has any.
  private func exchange() {
    var isQuiet = false
    while !isQuiet {
      isQuiet = true
      for index in machines.indices {
        while let datagram = nextDatagram(of: index) {
          isQuiet = false
          if index == 0 { publisherDatagrams += 1 }
          let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<datagram.byteCount])
          let isGroup = datagram.destination == Self.group
          for other in machines.indices
          where other != index && (isGroup || datagram.destination == addresses[other]) {
            receive(bytes, from: index, at: other, isGroup: isGroup)
          }
        }
      }
    }
  }

  // MARK: One of them

  // What the publisher does is in functions of its own, so that its instructions can be counted alone.

  @inline(never)
  private func publish(_ payload: [UInt8], _ messages: Range<Int>) throws {
    for message in messages {
      let publication = publications[message % publications.count]
      let result = try payload.withUnsafeBytes { try publisher.publish($0, on: publication, at: now) }
      guard case .admitted = result else { throw Failure(description: "there was no room for a message") }
    }
  }

  private func advance(_ index: Int) {
    if index == 0 { advancePublisher() } else { machines[index].advance(to: now) }
  }

  private func nextDatagram(of index: Int) -> OutgoingDatagram? {
    index == 0 ? nextOfPublisher() : machines[index].nextDatagram(into: buffer, at: now)
  }

  private func receive(_ bytes: UnsafeRawBufferPointer, from sender: Int, at index: Int, isGroup: Bool) {
    if index == 0 {
      receiveAsPublisher(bytes, from: sender, isGroup: isGroup)
    } else {
      take(bytes, from: sender, at: machines[index], isGroup: isGroup)
    }
  }

  @inline(__always)
  private func take(_ bytes: UnsafeRawBufferPointer, from sender: Int, at machine: EndpointMachine, isGroup: Bool) {
    machine.receive(bytes, from: addresses[sender], arrival: isGroup ? .group : .unicast, at: now, receivedAt: now)
    machine.takeDeliveries(into: &deliveries)
    received += deliveries.count
    deliveries.removeAll(keepingCapacity: true)
    while machine.nextEvent() != nil {}
  }

  @inline(never)
  private func advancePublisher() { publisher.advance(to: now) }

  @inline(never)
  private func nextOfPublisher() -> OutgoingDatagram? { publisher.nextDatagram(into: buffer, at: now) }

  @inline(never)
  private func receiveAsPublisher(_ bytes: UnsafeRawBufferPointer, from sender: Int, isGroup: Bool) {
    take(bytes, from: sender, at: publisher, isGroup: isGroup)
  }
}
