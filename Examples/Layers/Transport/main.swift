// The transport layer alone: messages addressed by endpoint ID over a network that drops a fifth of all datagrams, in
// virtual time. No topics: `send` goes to one peer.

import GlueAddress
import GlueCore

let group = SocketAddress(ip: IPAddress(v4: 0xEFC0_8901), port: 27_320)
let addresses = (1...2).map { SocketAddress(ip: IPAddress(v4: 0x0A00_0000 + UInt32($0)), port: 5_000) }
var now = Timestamp(nanoseconds: 1)
let machines = (1...2).map { number in
  var configuration = EndpointConfiguration(id: EndpointID(UInt64(number)), name: "endpoint-\(number)")
  configuration.discovery.targets = [group]
  return EndpointMachine(
    configuration: configuration, incarnation: Incarnation(UInt64(number)), seed: UInt64(number), now: now,
    wallMicroseconds: 0)
}
let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: WireLimits.datagramBytes, alignment: 16)
var dropped = 0
var datagrams = 0
var received: [UInt64] = []

/// The drain rule, for both: hands each datagram to the other, but for every fifth.
func drain() {
  var isQuiet = false
  while !isQuiet {
    isQuiet = true
    for (index, machine) in machines.enumerated() {
      while let datagram = machine.nextDatagram(into: buffer, at: now) {
        isQuiet = false
        datagrams += 1
        if datagrams % 5 == 0 {
          dropped += 1
          continue
        }
        machines[1 - index].receive(
          UnsafeRawBufferPointer(rebasing: buffer[..<datagram.byteCount]), from: addresses[index],
          arrival: datagram.destination == group ? .group : .unicast, at: now, receivedAt: now)
        var deliveries: [Delivery] = []
        machines[1 - index].takeDeliveries(into: &deliveries)
        received += deliveries.map(\.sequence)
      }
    }
  }
}

machines.forEach { $0.start(at: now) }
var sent = 0
while received.count < 100, now < Timestamp(nanoseconds: 60_000_000_000) {
  drain()
  while sent < 100, machines[0].peers.contains(where: { $0.id == EndpointID(2) }) {
    _ = try Array("message \(sent)".utf8).withUnsafeBytes { try machines[0].send($0, to: EndpointID(2), at: now) }
    sent += 1
  }
  drain()
  now = max(machines.compactMap(\.nextWakeup).min()!, now)
  machines.forEach { $0.advance(to: now) }
}
print("\(received.count) of \(sent) arrived, in order: \(received == received.sorted()); \(dropped) datagrams dropped")
