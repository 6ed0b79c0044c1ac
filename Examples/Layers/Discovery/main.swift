// The discovery layer alone: two machines that meet, in virtual time and without a network. What one sends to the group
// is handed to the other.

import GlueAddress
import GlueCore

/// A machine, and the address from which its datagrams come.
struct Participant {
  var machine: Discovery
  let address: SocketAddress
  var packetNumber: UInt64 = 0
}

let group = SocketAddress(ip: IPAddress(v4: 0xEFC0_8901), port: 27_320)
var now = Timestamp(nanoseconds: 0)
var participants = (1...2).map { number in
  var configuration = DiscoveryConfiguration()
  configuration.targets = [group]
  let identity = LocalIdentity(
    id: EndpointID(UInt64(number)), name: "endpoint-\(number)", incarnation: Incarnation(UInt64(number) << 32))
  return Participant(
    machine: Discovery(configuration: configuration, local: identity, seed: UInt64(number)),
    address: SocketAddress(ip: IPAddress(v4: 0x0A00_0000 + UInt32(number)), port: 5_000))
}

/// The drain rule: after every input, take the actions until there are none.
func drain(_ index: Int) {
  while let action = participants[index].machine.nextAction() {
    switch action {
    case .send(let frames, let destination, let minimumBytes):
      participants[index].packetNumber += 1
      let sender = participants[index]
      let header = LongHeader(
        networkTag: 1, sender: sender.machine.local.id, incarnation: sender.machine.local.incarnation,
        packetNumber: sender.packetNumber)
      for frame in frames {
        participants[1 - index].machine.receive(
          frame, header: header, from: sender.address, arrival: destination == group ? .group : .unicast,
          datagramBytes: max(minimumBytes, WireLimits.longHeaderBytes + frame.byteCount), at: now)
      }
      drain(1 - index)
    case .peerAdded(let peer):
      print("\(now.nanoseconds / 1_000) µs: \(participants[index].machine.local.name) found \(peer.name)")
    default: break
    }
  }
}

for index in 0...1 {
  participants[index].machine.start(at: now)
  drain(index)
}
while participants.contains(where: { $0.machine.peerCount == 0 }), now < Timestamp(nanoseconds: 5_000_000_000) {
  now = participants.compactMap(\.machine.nextWakeup).min()!
  for index in 0...1 {
    participants[index].machine.advance(to: now)
    drain(index)
  }
}
