// The network layer alone: two sockets on loopback, no protocol. One joins a multicast group, the other sends to it.

import GlueAddress
import GlueNetwork

let loopback = try NetworkInterface.all().first { $0.isLoopback }!
print("using \(loopback)")

var options = DatagramSocket.Options.sharedPort
options.multicastInterface = loopback
let group = IPAddress(v4: 0xEFC0_8903)  // 239.192.137.3
let listener = try DatagramSocket(binding: SocketAddress(ip: group, port: 27_400), options: options)
try listener.join(group: group, on: loopback)
options.reusePort = false
options.reuseAddress = false
let sender = try DatagramSocket(binding: SocketAddress(ip: .anyV4, port: 0), options: options)

// Many datagrams go out by as few system calls as the system allows.
let outgoing = SendBatch()
for number in 1...3 {
  let text = Array("datagram \(number)".utf8)
  outgoing.nextBuffer.copyBytes(from: text)
  outgoing.append(byteCount: text.count, to: listener.localAddress)
}
_ = sender.send(outgoing)

let poller = try Poller()
let slot = try poller.add(listener)
let incoming = ReceiveBatch()
var received = 0
while received < 3, try poller.wait(timeoutNanoseconds: 1_000_000_000).isReadable(slot) {
  for index in 0..<(try listener.receive(into: incoming)) {
    let datagram = incoming[index]
    print("\(String(decoding: datagram.bytes, as: UTF8.self)) from \(datagram.source)")
    received += 1
  }
}
precondition(received == 3, "only \(received) datagrams arrived")
