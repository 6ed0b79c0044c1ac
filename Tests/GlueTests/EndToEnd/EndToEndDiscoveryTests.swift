import Glue
import Testing

@Suite("EndToEnd: discovery", .serialized, .timeLimit(.minutes(5)))
struct EndToEndDiscoveryTests {
  @Test("Endpoints that know only the rendezvous find each other", arguments: [IPAddress.loopbackV4, .loopbackV6])
  func rendezvous(ip: IPAddress) async throws {
    let network = LoopbackNetwork()
    let meeting = SocketAddress(ip: ip, port: network.target.port)
    var first = network.configuration("first")
    first.discoveryTarget = .nobody
    first.discoveryListenAddress = meeting
    let rendezvous = try await Endpoint(first)
    try await rendezvous.start()
    var others: [Endpoint] = []
    for name in ["second", "third", "fourth"] {
      var configuration = network.configuration(name)
      configuration.discoveryTarget = .address(meeting)
      let endpoint = try await Endpoint(configuration)
      try await endpoint.start()
      others.append(endpoint)
    }
    let all = [rendezvous] + others
    try await eventually("everybody knows everybody") { all.allSatisfy { $0.peers.count == 3 } }
    #expect(all.allSatisfy { $0.peers.allSatisfy { $0.address.ip == ip } })

    let received = Collected<UInt64>()
    for other in others.dropFirst() { try other.subscribe(to: "t") { received.append($0.sequence) } }
    try rendezvous.subscribe(to: "t") { received.append($0.sequence) }
    let publication = try others[0].publication("t")
    try await publication.awaitSubscribers(3, timeout: .seconds(5))
    try await publication.publish("to all")
    try await eventually("all have it") { received.count == 3 }
    for endpoint in all { await endpoint.shutdown() }
  }

  @Test("A second rendezvous at the same address is refused, and told why")
  func secondRendezvous() async throws {
    let network = LoopbackNetwork()
    let meeting = SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: network.target.port)
    var configuration = network.configuration()
    configuration.discoveryTarget = .nobody
    configuration.discoveryListenAddress = meeting
    let first = try await Endpoint(configuration)
    try await first.start()
    let second = try await Endpoint(configuration)
    let error = try await #require(throws: ConfigurationError.self) { try await second.start() }
    #expect(error.name == "discoveryListenAddress")
    #expect("\(error)".contains("has 127.0.0.1:\(network.target.port)"))
    await first.shutdown()
    await second.shutdown()
  }

  @Test("A taken listen address is named")
  func takenPort() async throws {
    let network = LoopbackNetwork()
    var configuration = network.configuration()
    configuration.listenAddress = SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: network.target.port)
    let first = try await Endpoint(configuration)
    try await first.start()
    let second = try await Endpoint(configuration)
    let error = try await #require(throws: ConfigurationError.self) { try await second.start() }
    #expect(error.name == "listenAddress")
    #expect(error.value == "127.0.0.1:\(network.target.port)")
    let address = "127.0.0.1:\(network.target.port)"
    #expect("\(error)".contains(": expected a port that no other program has for itself; cannot bind \(address): "))
    await first.shutdown()
  }

  @Test("A listen address of another host is named, with the reason", arguments: [true, false])
  func foreignAddress(ofData: Bool) async throws {
    var configuration = LoopbackNetwork().configuration()
    let address = SocketAddress(ip: IPAddress(v4: 0xC000_0201), port: 27_321)
    if ofData { configuration.listenAddress = address } else { configuration.discoveryListenAddress = address }
    let endpoint = try await Endpoint(configuration)
    let error = try await #require(throws: ConfigurationError.self) { try await endpoint.start() }
    #expect(error.name == (ofData ? "listenAddress" : "discoveryListenAddress"))
    #expect(error.value == "\(address)")
    #expect(error.expectation.hasPrefix("an address of this host; cannot bind \(address): "))
  }

  @Test("Endpoints of different networks ignore each other")
  func networksApart() async throws {
    let network = LoopbackNetwork()
    let one = try await network.start()
    var foreign = network.configuration()
    foreign.networkID += 1
    let other = try await Endpoint(foreign)
    try await other.start()
    let third = try await network.start()
    try await eventually("its own peer") { one.peers.map(\.id) == [third.id] }
    #expect(other.peers.isEmpty)
    for endpoint in [one, other, third] { await endpoint.shutdown() }
  }
}
