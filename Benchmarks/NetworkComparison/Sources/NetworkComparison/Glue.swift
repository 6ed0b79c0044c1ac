import GlueAddress
import GlueNetwork
import Synchronization

/// Our sockets: one thread on each side.
struct GlueWay: Way {
  let name = "Glue"

  private func open(offload: Bool) throws -> DatagramSocket {
    var options = DatagramSocket.Options()
    options.sendOffload = offload
    options.receiveOffload = offload
    return try DatagramSocket(binding: SocketAddress(ip: .loopbackV4, port: 0), options: options)
  }

  func roundTrips(size: Int, nanoseconds: UInt64) throws -> [UInt32] {
    let near = try open(offload: true)
    let far = try open(offload: true)
    let echo = onThread { stop in
      let poller = try Poller()
      _ = try poller.add(far)
      let received = ReceiveBatch(slots: 16)
      let batch = SendBatch()
      while !stop.load(ordering: .relaxed) {
        _ = try poller.wait(timeoutNanoseconds: 100_000_000)
        for index in 0..<(try far.receive(into: received)) {
          let datagram = received[index]
          batch.nextBuffer.copyMemory(from: datagram.bytes)
          batch.append(byteCount: datagram.bytes.count, to: datagram.source)
        }
        _ = far.send(batch)
        batch.removeAll()
      }
    }
    let poller = try Poller()
    _ = try poller.add(near)
    let received = ReceiveBatch(slots: 16)
    let batch = SendBatch()
    batch.append(byteCount: size, to: far.localAddress)
    var samples: [UInt32] = []
    samples.reserveCapacity(1 << 18)
    let end = MonotonicClock.nowNanoseconds() + nanoseconds
    var start = MonotonicClock.nowNanoseconds()
    while start < end {
      _ = near.send(batch)
      while try near.receive(into: received, waitingOn: poller) == 0 {}
      samples.append(UInt32(MonotonicClock.nowNanoseconds() - start))
      start = MonotonicClock.nowNanoseconds()
    }
    echo.stop()
    return samples
  }

  func oneWay(size: Int, nanoseconds: UInt64, offload: Bool) throws -> Rate {
    let near = try open(offload: offload)
    let far = try open(offload: offload)
    let total = Total()
    let receiver = onThread { stop in
      let poller = try Poller()
      _ = try poller.add(far)
      let batch = ReceiveBatch(slots: 16)
      while !stop.load(ordering: .relaxed) {
        _ = try poller.wait(timeoutNanoseconds: 100_000_000)
        let count = try far.receive(into: batch)
        for index in 0..<count where batch[index].bytes.count == size { total.datagrams += 1 }
      }
    }
    let datagrams = offload ? 4 * min(64, DatagramSocket.maximumDatagramBytes / size) : 64
    let batch = SendBatch(capacityBytes: datagrams * size, maximumDatagrams: datagrams)
    while !batch.isFull(forDatagramOf: size) { batch.append(byteCount: size, to: far.localAddress) }
    var sent = 0
    let end = MonotonicClock.nowNanoseconds() + nanoseconds
    while MonotonicClock.nowNanoseconds() < end { sent += near.send(batch).sentCount }
    receiver.stop()
    return Rate(sent: sent, received: total.datagrams)
  }
}

extension DatagramSocket {
  fileprivate func receive(into batch: ReceiveBatch, waitingOn poller: Poller) throws -> Int {
    _ = try poller.wait(timeoutNanoseconds: 100_000_000)
    return try receive(into: batch)
  }
}
