import GlueAddress
import GlueNetwork
import Testing

let deadlineNanoseconds: UInt64 = 5_000_000_000

func loopback() throws -> NetworkInterface {
  try #require(try NetworkInterface.all().first { $0.isLoopback && $0.isUp })
}

/// A socket on a free port of 127.0.0.1.
func localSocket(
  _ options: DatagramSocket.Options = .init(), ip: IPAddress = .loopbackV4
) throws -> DatagramSocket {
  try DatagramSocket(binding: SocketAddress(ip: ip, port: 0), options: options)
}

/// A datagram as the tests compare it.
struct Arrival: Equatable {
  var bytes: [UInt8]
  var source: SocketAddress
  var destination: IPAddress?
  var interfaceIndex: UInt32
  var kernelTime: UInt64?
}

extension SendBatch {
  /// Appends a datagram of these bytes.
  func append(_ bytes: [UInt8], to destination: SocketAddress, interfaceIndex: UInt32 = 0) {
    nextBuffer.copyBytes(from: bytes)
    append(byteCount: bytes.count, to: destination, interfaceIndex: interfaceIndex)
  }
}

/// Receives until `count` datagrams have arrived or the deadline passes.
func receive(_ count: Int, on socket: DatagramSocket, slots: Int = 16) throws -> [Arrival] {
  let poller = try Poller()
  let slot = try poller.add(socket)
  let batch = ReceiveBatch(slots: slots)
  var arrivals: [Arrival] = []
  let deadline = MonotonicClock.nowNanoseconds() + deadlineNanoseconds
  while arrivals.count < count {
    let now = MonotonicClock.nowNanoseconds()
    guard now < deadline else { break }
    guard try poller.wait(timeoutNanoseconds: deadline - now).isReadable(slot) else { continue }
    for index in 0..<(try socket.receive(into: batch)) {
      let datagram = batch[index]
      arrivals.append(
        Arrival(
          bytes: Array(datagram.bytes), source: datagram.source, destination: datagram.destination,
          interfaceIndex: datagram.interfaceIndex, kernelTime: datagram.kernelReceiveTimeNanoseconds))
    }
  }
  return arrivals
}

/// Bytes that tell which datagram they belong to.
func payload(_ seed: Int, count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: seed &* 31 &+ $0 &* 7) }
}
