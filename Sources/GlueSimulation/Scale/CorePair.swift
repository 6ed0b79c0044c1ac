import GlueAddress
import GlueCore

/// A publisher's and a subscriber's core in one thread and virtual time, without faults: they hand each other their datagrams at once. What they
/// do follows from what they are told alone, so that its instructions can be counted.
package final class CorePair {
  /// Why it cannot go on.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  private static let group = SocketAddress(ip: IPAddress(v4: 0xEFC0_8901), port: 27_320)
  private static let addresses = [1, 2].map { SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: 5_000 + $0) }
  private static let patience = Timestamp(nanoseconds: 10_000_000_000)
  /// Between two bursts.
  private static let pause = Nanoseconds.microseconds(200)

  private let machines: [EndpointMachine]
  private let publications: [PublicationID]
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: WireLimits.datagramBytes, alignment: 16)
  private var now = Timestamp(nanoseconds: 1_000)
  private var deliveries: [Delivery] = []
  private var received = 0

  /// Lets the two meet.
  ///
  /// - Parameter topics: how many are published to, in turns.
  package init(topics: Int = 1) throws {
    let now = now
    machines = ([1, 2] as [UInt64]).map { number in
      var configuration = EndpointConfiguration(id: EndpointID(number), name: "core-\(number)")
      configuration.discovery.targets = [Self.group]
      configuration.receiveBufferBytes = 4 << 20
      return EndpointMachine(
        configuration: configuration, incarnation: Incarnation(number), seed: number, now: now, wallMicroseconds: 0)
    }
    let publisher = machines[0]
    publications = try (0..<topics).map {
      try publisher.advertise("bench/core/\($0)", options: PublicationOptions(), at: now)
    }
    _ = try machines[1].subscribe("bench/core/+", options: SubscriptionOptions(), at: now)
    for machine in machines { machine.start(at: now) }
    while publications.contains(where: { publisher.matchedSubscribers(of: $0) == 0 }) {
      guard self.now < Self.patience else { throw Failure(description: "the two cores have not met within 10 s") }
      step()
    }
  }

  deinit { buffer.deallocate() }

  /// Publishes messages, so many at once, and sees to it that all arrive.
  package func send(_ payload: [UInt8], count: Int, atOnce: Int) throws {
    var sent = 0
    let start = received
    while sent < count {
      let end = min(count, sent + atOnce)
      while sent < end {
        let publication = publications[sent % publications.count]
        let result = try payload.withUnsafeBytes { try machines[0].publish($0, on: publication, at: now) }
        guard case .admitted = result else { throw Failure(description: "there was no room for a message") }
        sent += 1
      }
      exchange()
      now = now + Self.pause
      for machine in machines {
        if let due = machine.nextWakeup, due <= now { machine.advance(to: now) }
      }
      exchange()
    }
    while received - start < count { step() }
  }

  /// Goes to the next time at which one of the two has something to do.
  private func step() {
    exchange()
    if let next = machines.compactMap(\.nextWakeup).min(), next > now { now = next }
    for machine in machines { machine.advance(to: now) }
    exchange()
  }

  /// Hands over datagrams until neither has any.
  private func exchange() {
    var isQuiet = false
    while !isQuiet {
      isQuiet = true
      for index in 0...1 {
        let other = machines[1 - index]
        while let datagram = machines[index].nextDatagram(into: buffer, at: now) {
          isQuiet = false
          other.receive(
            UnsafeRawBufferPointer(rebasing: buffer[..<datagram.byteCount]), from: Self.addresses[index],
            arrival: datagram.destination == Self.group ? .group : .unicast, at: now, receivedAt: now)
          other.takeDeliveries(into: &deliveries)
          received += deliveries.count
          deliveries.removeAll(keepingCapacity: true)
        }
        while machines[index].nextEvent() != nil {}
      }
    }
  }
}
