import GlueAddress
import Testing

@testable import GlueNetwork

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

@Suite struct DatagramSocketTests {
  @Test func datagramMakesARoundTrip() throws {
    let near = try localSocket()
    let far = try localSocket()
    let batch = SendBatch()
    let before = MonotonicClock.wallNanoseconds()
    batch.append([1, 2, 3], to: far.localAddress)
    #expect(near.send(batch).sentCount == 1)

    let request = try #require(try receive(1, on: far).first)
    #expect(request.bytes == [1, 2, 3])
    #expect(request.source == near.localAddress)
    #expect(request.destination == .loopbackV4)
    #expect(request.interfaceIndex == (try loopback()).index)
    // Kernel times are the wall clock's; some kernels round them to a clock tick.
    let kernelTime = try #require(request.kernelTime)
    #expect(kernelTime + 20_000_000 >= before && kernelTime <= MonotonicClock.wallNanoseconds() + 20_000_000)

    batch.removeAll()
    batch.append([4], to: request.source)
    #expect(far.send(batch).sentCount == 1)
    #expect(try receive(1, on: near).map(\.bytes) == [[4]])
  }

  @Test(.enabled(if: (try? localSocket(ip: IPAddress(v6High: 0, low: 1))) != nil))
  func datagramMakesARoundTripOverIPv6() throws {
    let near = try localSocket(ip: IPAddress(v6High: 0, low: 1))
    let far = try localSocket(ip: IPAddress(v6High: 0, low: 1))
    let batch = SendBatch()
    for seed in 0..<5 { batch.append(payload(seed, count: 900), to: far.localAddress) }
    #expect(near.send(batch).sentCount == 5)
    let arrivals = try receive(5, on: far)
    #expect(arrivals.map(\.bytes) == (0..<5).map { payload($0, count: 900) })
    #expect(arrivals.first?.source == near.localAddress)
    #expect(arrivals.first?.destination == IPAddress(v6High: 0, low: 1))
  }

  @Test func emptyAndLargestDatagramsPass() throws {
    let near = try localSocket()
    let far = try localSocket()
    let batch = SendBatch()
    batch.append([], to: far.localAddress)
    batch.append(payload(1, count: DatagramSocket.maximumDatagramBytes), to: far.localAddress)
    batch.append([], to: far.localAddress)
    #expect(near.send(batch).sentCount == 3)
    #expect(try receive(3, on: far).map(\.bytes.count) == [0, DatagramSocket.maximumDatagramBytes, 0])
  }

  /// Runs, single datagrams and changes of destination and size, with and without offload on either side.
  @Test(arguments: [(true, true), (true, false), (false, true), (false, false)])
  func mixedBatchArrivesIntactAndInOrder(sendOffload: Bool, receiveOffload: Bool) throws {
    var options = DatagramSocket.Options()
    options.sendOffload = sendOffload
    options.receiveOffload = receiveOffload
    let near = try localSocket(options)
    let far = [try localSocket(options), try localSocket(options)]
    let batch = SendBatch(capacityBytes: 4 << 20, maximumDatagrams: 2_000)
    var expected: [[[UInt8]]] = [[], []]
    var generator = SplitMix64(state: 1)
    var seed = 0
    // Runs beyond 64 datagrams and beyond 65,507 bytes, each followed by a shorter one, an empty one or a longer one.
    for (size, length) in [(1, 3), (64, 100), (1_472, 60), (30_000, 3), (1_200, 1), (9_000, 20), (0, 2), (100, 5)] {
      let target = Int.random(in: 0...1, using: &generator)
      for extra in Array(repeating: 0, count: length) + [-1, 0, 1] where size + extra >= 0 {
        let bytes = payload(seed, count: size + extra)
        batch.append(bytes, to: far[target].localAddress)
        expected[target].append(bytes)
        seed += 1
      }
    }
    let result = near.send(batch)
    #expect(result.sentCount == batch.count)
    #expect(result.nextIndex == batch.count)
    #expect(result.failures.isEmpty)
    for target in 0...1 {
      #expect(try receive(expected[target].count, on: far[target], slots: 4).map(\.bytes) == expected[target])
    }
    #if os(Linux)
      #expect(near.sendsOffloaded == sendOffload)
      #expect(far[0].receivesOffloaded == receiveOffload)
    #endif
  }

  @Test func tooLargeDatagramIsReportedAndTheOthersAreSent() throws {
    let near = try localSocket()
    let far = try localSocket()
    let batch = SendBatch()
    let sizes = [10, 65_508, 20, 66_000, 30]
    for (seed, size) in sizes.enumerated() { batch.append(payload(seed, count: size), to: far.localAddress) }
    let result = near.send(batch)
    #expect(result.failures.map(\.datagram) == [1, 3])
    #expect(result.failures.allSatisfy { $0.code == .messageTooLarge })
    #expect(result.sentCount == 3)
    #expect(result.nextIndex == 5)
    #expect(try receive(3, on: far).map(\.bytes) == [0, 2, 4].map { payload($0, count: sizes[$0]) })
  }

  @Test func refusedDestinationIsReportedAndTheOthersAreSent() throws {
    let near = try localSocket()
    let far = try localSocket()
    let batch = SendBatch()
    batch.append([1], to: far.localAddress)
    batch.append([2], to: SocketAddress(ip: IPAddress(v4: 0xFFFF_FFFF), port: far.localAddress.port))
    batch.append([3], to: far.localAddress)
    let result = near.send(batch)
    #expect(result.failures.map(\.datagram) == [1])
    #expect(result.sentCount == 2)
    #expect(try receive(2, on: far).map(\.bytes) == [[1], [3]])
  }

  @Test func sendingStartsWhereAsked() throws {
    let near = try localSocket()
    let far = try localSocket()
    let batch = SendBatch()
    for byte: UInt8 in 0..<4 { batch.append([byte], to: far.localAddress) }
    let result = near.send(batch, startingAt: 2)
    #expect(result.sentCount == 2 && result.nextIndex == 4)
    #expect(try receive(2, on: far).map(\.bytes) == [[2], [3]])
  }

  @Test func nothingIsSentWhenTimeIsUp() throws {
    let near = try localSocket()
    let far = try localSocket()
    let batch = SendBatch()
    for byte: UInt8 in 0..<4 { batch.append([byte], to: far.localAddress) }
    batch.deadline = MonotonicClock.nowNanoseconds()
    let late = near.send(batch, startingAt: 1)
    #expect(late.isOverdue && late.sentCount == 0 && late.nextIndex == 1 && late.failures.isEmpty)
    batch.deadline = MonotonicClock.nowNanoseconds() + 3_600_000_000_000
    let early = near.send(batch, startingAt: 1, upTo: 3)
    #expect(!early.isOverdue && early.sentCount == 2 && early.nextIndex == 3)
    #expect(try receive(2, on: far).map(\.bytes) == [[1], [2]])
  }

  @Test func datagramLargerThanItsSlotIsCountedAndDropped() throws {
    var options = DatagramSocket.Options()
    options.receiveOffload = false
    let near = try localSocket()
    let far = try localSocket(options)
    let batch = SendBatch()
    for size in [100, 101, 99] { batch.append(payload(size, count: size), to: far.localAddress) }
    #expect(near.send(batch).sentCount == 3)
    let received = ReceiveBatch(slots: 8, slotBytes: 100)
    let poller = try Poller()
    _ = try poller.add(far)
    var sizes: [Int] = []
    while received.truncatedCount == 0 || sizes.count < 2 {
      try #require(!poller.wait(timeoutNanoseconds: deadlineNanoseconds).isEmpty)
      for index in 0..<(try far.receive(into: received)) { sizes.append(received[index].bytes.count) }
    }
    #expect(sizes == [100, 99])
    #expect(received.truncatedCount == 1)
  }

  @Test func fullReceiveBufferIsCounted() throws {
    var options = DatagramSocket.Options()
    options.receiveBufferBytes = 16_384
    let near = try localSocket()
    let far = try localSocket(options)
    let batch = SendBatch()
    for _ in 0..<100 { batch.append(payload(0, count: 4_000), to: far.localAddress) }
    #expect(near.send(batch).sentCount == 100)
    let arrived = ReceiveBatch(slots: 128)
    let first = try far.receive(into: arrived)
    #expect(first < 100)
    #if os(Linux)
      // The counter comes with the next datagram.
      batch.removeAll()
      batch.append([1], to: far.localAddress)
      #expect(near.send(batch).sentCount == 1)
      #expect(try far.receive(into: arrived) == 1)
      #expect(arrived.queueDropCount > 0)
    #endif
  }

  @Test func errorOfATakenPortNamesItAndWhatIsExpected() throws {
    let taken = try localSocket()
    let error = #expect(throws: NetworkError.self) {
      try DatagramSocket(binding: taken.localAddress)
    }
    #expect(error?.code == .addressInUse)
    #expect(error?.description.contains("cannot bind \(taken.localAddress)") == true)
    #expect(error?.description.contains("expected a free port") == true)
  }

  @Test func errorOfAForeignAddressNamesIt() {
    let foreign = SocketAddress(ip: IPAddress(v4: 0xC633_6407), port: 0)
    let error = #expect(throws: NetworkError.self) { try DatagramSocket(binding: foreign) }
    #expect(error?.code == .addressNotAvailable)
    #expect(error?.subject == "198.51.100.7:0")
  }

  @Test func closedSocketReportsItAndItsPortIsFree() throws {
    let near = try localSocket()
    let address = near.localAddress
    near.close()
    near.close()
    let batch = SendBatch()
    batch.append([1], to: address)
    #expect(near.send(batch).failures.map(\.code) == [.closed])
    let error = #expect(throws: NetworkError.self) { try near.receive(into: ReceiveBatch(slots: 1)) }
    #expect(error?.code == .closed)
    #expect(try DatagramSocket(binding: address).localAddress == address)
  }

  @Test func grantedBufferSizesAreKnown() throws {
    let socket = try localSocket()
    #expect(socket.receiveBufferBytes >= 65_536)
    #expect(socket.sendBufferBytes >= 65_536)
  }

  @Test func broadcastNeedsPermission() throws {
    let near = try localSocket()
    let batch = SendBatch()
    batch.append([1], to: SocketAddress(ip: IPAddress(v4: 0x7FFF_FFFF), port: 9))
    #expect(near.send(batch).failures.map(\.code) == [.accessDenied])
  }

  /// Where the loopback interface's MTU is small, the kernel refuses the run; the fault is the size's, not the run's.
  @Test func datagramsBeyondTheMTUAreReportedAndOffloadStaysOn() throws {
    let near = try localSocket()
    let far = try localSocket()
    let largest = min(DatagramSocket.maximumDatagramBytes, try loopback().mtu - 28)
    let batch = SendBatch()
    for seed in 0..<4 { batch.append(payload(seed, count: largest + 1), to: far.localAddress) }
    for seed in 4..<8 { batch.append(payload(seed, count: largest), to: far.localAddress) }
    let offloadedBefore = near.sendsOffloaded
    let result = near.send(batch)
    #expect(result.failures.map(\.datagram) == [0, 1, 2, 3])
    #expect(result.failures.allSatisfy { $0.code == .messageTooLarge })
    #expect(result.sentCount == 4)
    #expect(try receive(4, on: far).map(\.bytes) == (4..<8).map { payload($0, count: largest) })
    #expect(near.sendsOffloaded == offloadedBefore)
  }

  #if os(Linux)
    @Test func runsGoOneByOneOnceTheKernelRefusesThem() throws {
      let near = try localSocket()
      let far = try localSocket()
      // Linux refuses segmentation on a socket without checksums.
      var on: CInt = 1
      let code = near.descriptor.use {
        setsockopt($0, SOL_SOCKET, SO_NO_CHECK, &on, socklen_t(MemoryLayout<CInt>.size))
      }
      #expect(code == 0)
      let batch = SendBatch()
      for seed in 0..<200 { batch.append(payload(seed, count: 100), to: far.localAddress) }
      #expect(near.sendsOffloaded)
      #expect(near.send(batch).sentCount == 200)
      #expect(!near.sendsOffloaded)
      #expect(try receive(200, on: far).map(\.bytes) == (0..<200).map { payload($0, count: 100) })
    }
  #endif

  @Test(.enabled(if: (try? localSocket(ip: .loopbackV6)) != nil))
  func batchOfBothFamiliesGoesOutByTwoSockets() throws {
    let near = [try localSocket(), try localSocket(ip: .loopbackV6)]
    let far = [try localSocket(), try localSocket(ip: .loopbackV6)]
    let batch = SendBatch()
    let order = [0, 0, 1, 1, 1, 0, 1]
    for (number, family) in order.enumerated() { batch.append([UInt8(number)], to: far[family].localAddress) }
    var index = 0
    var ends: [Int] = []
    while index < batch.count {
      let end = batch.endOfFamily(from: index)
      let result = near[order[index]].send(batch, startingAt: index, upTo: end)
      #expect(result.failures == [] && result.nextIndex == end && result.sentCount == end - index)
      index = end
      ends.append(end)
    }
    #expect(ends == [2, 5, 6, 7])
    #expect(try receive(3, on: far[0]).map(\.bytes) == [[0], [1], [5]])
    #expect(try receive(4, on: far[1]).map(\.bytes) == [[2], [3], [4], [6]])
    batch.removeAll()
    for number: UInt8 in 0..<3 { batch.append([number], to: far[1].localAddress) }
    #expect(batch.endOfFamily(from: 1) == 3)
  }
}
