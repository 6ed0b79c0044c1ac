// The topic layer alone: filters, types and subscriptions, in virtual time and without a network.

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
var received = 0

/// The drain rule, for both: hands each datagram to the other, shows deliveries and events.
func drain() {
  for (index, machine) in machines.enumerated() {
    while let datagram = machine.nextDatagram(into: buffer, at: now) {
      let other = machines[1 - index]
      other.receive(
        UnsafeRawBufferPointer(rebasing: buffer[..<datagram.byteCount]), from: addresses[index],
        arrival: datagram.destination == group ? .group : .unicast, at: now, receivedAt: now)
      var deliveries: [Delivery] = []
      other.takeDeliveries(into: &deliveries)
      for delivery in deliveries {
        print("\(delivery.stream.topic) #\(delivery.sequence): \(String(decoding: delivery.payload, as: UTF8.self))")
        received += 1
      }
      drain()
    }
    while let event = machine.nextEvent() {
      if case .typeMismatch(let mismatch) = event { print("\(machine.configuration.name) was told: \(mismatch)") }
    }
  }
}

let (publisher, subscriber) = (machines[0], machines[1])
let payload = Array("21.5".utf8)
let text = PublicationOptions(type: "text")
let kitchen = try publisher.advertise("home/kitchen/temperature", options: text, at: now)
let cellar = try publisher.advertise("home/cellar/humidity", options: text, at: now)
_ = try subscriber.subscribe("home/+/temperature", options: SubscriptionOptions(type: "text"), at: now)
_ = try subscriber.subscribe("home/#", options: SubscriptionOptions(type: "number"), at: now)
machines.forEach { $0.start(at: now) }
while received == 0, now < Timestamp(nanoseconds: 5_000_000_000) {
  drain()
  if publisher.matchedSubscribers(of: kitchen) > 0 {
    for topic in [kitchen, cellar] { _ = try payload.withUnsafeBytes { try publisher.publish($0, on: topic, at: now) } }
  }
  now = max(machines.compactMap(\.nextWakeup).min()!, now)
  machines.forEach { $0.advance(to: now) }
}
