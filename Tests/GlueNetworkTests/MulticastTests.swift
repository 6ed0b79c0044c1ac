import GlueAddress
import GlueNetwork
import Testing

@Suite struct MulticastTests {
  private let group = IPAddress(v4: 0xEFFF_1B58)  // 239.255.27.88, for organisations' own use

  /// Sockets that share one port, the first of which chose it.
  private func sharedSockets(_ count: Int, ip: IPAddress = .anyV4) throws -> [DatagramSocket] {
    var options = DatagramSocket.Options.sharedPort
    options.multicastInterface = try loopback()
    options.allowsBroadcast = true
    let first = try DatagramSocket(binding: SocketAddress(ip: ip, port: 0), options: options)
    return [first]
      + (try (1..<count).map { _ in
        try DatagramSocket(binding: SocketAddress(ip: ip, port: first.localAddress.port), options: options)
      })
  }

  @Test(arguments: [1, 20, 150])
  func everySocketOfAGroupGetsEveryDatagram(count: Int) throws {
    let interface = try loopback()
    let sockets = try sharedSockets(4)
    for socket in sockets {
      try socket.join(group: group, on: interface)
      try socket.join(group: group, on: interface)
    }
    let batch = SendBatch()
    let target = SocketAddress(ip: group, port: sockets[0].localAddress.port)
    let datagrams = (0..<count).map { payload($0, count: 500) }
    for bytes in datagrams { batch.append(bytes, to: target) }
    #expect(sockets[0].send(batch).sentCount == count)
    for socket in sockets {
      let arrivals = try receive(count, on: socket)
      #expect(arrivals.map(\.bytes) == datagrams)
      #expect(arrivals.allSatisfy { $0.destination == group && $0.interfaceIndex == interface.index })
    }
  }

  @Test func interfaceOfADatagramNeedsNoRouteAndNoSocketOption() throws {
    let interface = try loopback()
    let far = try sharedSockets(1)[0]
    try far.join(group: group, on: interface)
    let near = try localSocket()
    let batch = SendBatch()
    let target = SocketAddress(ip: group, port: far.localAddress.port)
    for byte: UInt8 in 0..<3 { batch.append([byte], to: target, interfaceIndex: interface.index) }
    #expect(near.send(batch).sentCount == 3)
    #expect(try receive(3, on: far).map(\.bytes) == [[0], [1], [2]])
  }

  @Test(arguments: [IPAddress.loopbackV4, IPAddress(v4: 0x7F00_0002), .anyV4])
  func datagramOnAnInterfaceComesFromWhereItsSocketIsBound(ip: IPAddress) throws {
    let interface = try loopback()
    let far = try sharedSockets(1)[0]
    try far.join(group: group, on: interface)
    let near = try DatagramSocket(binding: SocketAddress(ip: ip, port: 0))
    let batch = SendBatch()
    let target = SocketAddress(ip: group, port: far.localAddress.port, scope: interface.index)
    batch.append([1], to: target, interfaceIndex: interface.index)
    #expect(near.send(batch).sentCount == 1)
    let source = try receive(1, on: far)[0].source
    #expect(source.port == near.localAddress.port && source.scope == 0)
    #expect(source.ip == ip || ip.isUnspecified)
  }

  @Test func onlyJoinedGroupsAreReceivedAndOnlyWhileJoined() throws {
    let interface = try loopback()
    let sockets = try sharedSockets(2)
    try sockets[0].join(group: group, on: interface)
    let batch = SendBatch()
    let port = sockets[0].localAddress.port
    batch.append([1], to: SocketAddress(ip: group, port: port))
    #expect(sockets[0].send(batch).sentCount == 1)
    #expect(try receive(1, on: sockets[0]).map(\.bytes) == [[1]])
    // Delivery on loopback is synchronous: what the first socket got, the second would have.
    #expect(try sockets[1].receive(into: ReceiveBatch(slots: 1)) == 0)

    try sockets[1].join(group: group, on: interface)
    try sockets[0].leave(group: group, on: interface)
    try sockets[0].leave(group: group, on: interface)
    #expect(sockets[0].send(batch).sentCount == 1)
    #expect(try receive(1, on: sockets[1]).map(\.bytes) == [[1]])
    #expect(try sockets[0].receive(into: ReceiveBatch(slots: 1)) == 0)
  }

  @Test func broadcastReachesEverySocketOfThePort() throws {
    let sockets = try sharedSockets(3)
    let batch = SendBatch()
    // 127.255.255.255, the loopback network's.
    batch.append([7], to: SocketAddress(ip: IPAddress(v4: 0x7FFF_FFFF), port: sockets[0].localAddress.port))
    #expect(sockets[0].send(batch).failures == [])
    for socket in sockets { #expect(try receive(1, on: socket).map(\.bytes) == [[7]]) }
  }

  @Test func joiningSomethingElseThanAGroupIsAnError() throws {
    let socket = try localSocket()
    let error = #expect(throws: NetworkError.self) { try socket.join(group: .loopbackV4, on: loopback()) }
    #expect(error?.description.contains("127.0.0.1") == true)
    #expect(error?.description.contains("224.0.0.0/4") == true)
    #expect(throws: NetworkError.self) { try socket.join(group: IPAddress("ff02::1"), on: loopback()) }
  }

  @Test(.enabled(if: (try? localSocket(ip: IPAddress(v6High: 0, low: 1))) != nil))
  func groupsAreJoinedOverIPv6() throws {
    let sockets = try sharedSockets(2, ip: .anyV6)
    for socket in sockets {
      try socket.join(group: IPAddress("ff12::1b58"), on: loopback())
      try socket.leave(group: IPAddress("ff12::1b58"), on: loopback())
    }
  }
}
