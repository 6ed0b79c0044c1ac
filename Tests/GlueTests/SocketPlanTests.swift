import GlueAddress
import GlueNetwork
import Testing

@testable import Glue

/// What an endpoint makes of its settings and of what a host has.
@Suite("Socket plan")
struct SocketPlanTests {
  private static let lo = NetworkInterface(
    index: 1, name: "lo", addresses: [.loopbackV4, .loopbackV6], isLoopback: true)
  private static let eth0 = network(2, "eth0")
  private static let wlan0 = network(3, "wlan0")
  private static let eth1 = NetworkInterface(index: 4, name: "eth1", addresses: [], isUp: false)
  private static let docker0 = network(5, "docker0")
  private static let tun0 = NetworkInterface(index: 6, name: "tun0", addresses: [v4(6)], isPointToPoint: true)
  private static let plain0 = NetworkInterface(index: 7, name: "plain0", addresses: [v4(7)], supportsMulticast: false)
  private static let laptop = HostNetwork(
    interfaces: [lo, eth0, wlan0, eth1, docker0, tun0, plain0], defaultRoute: "eth0")
  private static let groupV4 = SocketAddress(ip: DiscoveryTarget.standardGroup, port: DiscoveryTarget.standardPort)
  private static let groupV6 = SocketAddress(ip: DiscoveryTarget.standardGroupV6, port: DiscoveryTarget.standardPort)

  private static func v4(_ index: UInt32) -> IPAddress { IPAddress(v4: 0x0A00_0001 + index << 8) }
  private static func network(_ index: UInt32, _ name: String) -> NetworkInterface {
    NetworkInterface(
      index: index, name: name, addresses: [v4(index), IPAddress(v6High: 0xFE80 << 48, low: UInt64(index))],
      broadcastAddress: IPAddress(v4: 0x0A00_00FF + index << 8))
  }

  /// The plan with the settings of these variables.
  private func plan(
    _ variables: [String: String] = [:], on host: HostNetwork = laptop, after previous: SocketPlan? = nil
  ) throws -> SocketPlan {
    try SocketPlan(Endpoint.Configuration.fromEnvironment(variables).completed(), on: host, after: previous)
  }

  private func on(_ group: SocketAddress, _ interfaces: NetworkInterface...) -> [SocketAddress] {
    interfaces.map { SocketAddress(ip: group.ip, port: group.port, scope: $0.index) }
  }

  private func obstacles(_ plan: SocketPlan) -> [String: InterfaceChoice.Obstacle] {
    Dictionary(
      uniqueKeysWithValues: plan.choice.interfaces.compactMap { item in item.obstacle.map { (item.name, $0) } })
  }

  @Test("Without a setting: the interface of the default route")
  func defaultRoute() throws {
    let plan = try plan()
    #expect(plan.interfaces == [Self.eth0])
    #expect(plan.choice.reason == .defaultRoute)
    #expect(obstacles(plan) == ["wlan0": .notAskedFor])
    #expect(plan.targets == on(Self.groupV4, Self.eth0) + on(Self.groupV6, Self.eth0))
    #expect(
      plan.discovery == [.group(Self.groupV4, on: Self.eth0), .group(Self.groupV6.scoped(to: 2), on: Self.eth0)])
    #expect(plan.listenAddresses.map(\.ip) == [.anyV4, .anyV6])
    #expect("\(plan.choice)" == "eth0, which has the default route: 10.0.2.1, fe80::2; not wlan0 (not asked for)")
  }

  @Test("Without a default route: the interface in use while it works, else loopback")
  func noDefaultRoute() throws {
    var host = Self.laptop
    let first = try plan(on: host)
    host.defaultRoute = nil
    let second = try plan(on: host, after: first)
    #expect(second.interfaces == [Self.eth0] && second.choice.reason == .usedBefore)
    host.interfaces[1] = NetworkInterface(index: 2, name: "eth0", addresses: [], isUp: false)
    let third = try plan(on: host, after: second)
    #expect(third.interfaces == [Self.lo] && third.choice.reason == .onlyLoopback)
    #expect(third.listenAddresses == [SocketAddress(ip: .loopbackV4, port: 0)])
    #expect(third.targets == on(Self.groupV4, Self.lo))
    // It works again, but was not in use.
    host.interfaces[1] = Self.eth0
    #expect(try plan(on: host, after: third).interfaces == [Self.lo])
  }

  @Test("Several names: groups of both families on each, and one that is not there is waited for")
  func named() throws {
    let plan = try plan(["GLUE_LISTEN_INTERFACE": "wlan0,usb0,eth0"])
    #expect(plan.interfaces == [Self.wlan0, Self.eth0])
    #expect(plan.targets == on(Self.groupV4, Self.wlan0, Self.eth0) + on(Self.groupV6, Self.wlan0, Self.eth0))
    #expect(plan.discovery.count == 4)
    #expect(obstacles(plan) == ["usb0": .missing])
    #expect(
      "\(plan.choice)"
        == "wlan0, as set: 10.0.3.1, fe80::3; usb0, as set: waiting for it, it is not there; eth0, as set: 10.0.2.1, fe80::2"
    )
  }

  @Test("A name always works", arguments: ["docker0", "tun0", "plain0"])
  func namedUnusual(name: String) throws {
    #expect(try plan(["GLUE_LISTEN_INTERFACE": name]).interfaces.map(\.name) == [name])
  }

  @Test("Loopback is used alone or not at all")
  func loopback() throws {
    let both = ["GLUE_LISTEN_INTERFACE": "lo,eth0"]
    let plan = try plan(both)
    #expect(plan.interfaces == [Self.eth0])
    #expect(obstacles(plan)["lo"] == .loopback)
    let alone = try self.plan(both, on: HostNetwork(interfaces: [Self.lo], defaultRoute: nil))
    #expect(alone.interfaces == [Self.lo])
    #expect(alone.listenAddresses == [SocketAddress(ip: .loopbackV4, port: 0)])
  }

  @Test("All that qualify")
  func all() throws {
    let all = ["GLUE_LISTEN_INTERFACE": "all"]
    let plan = try plan(all)
    #expect(plan.interfaces == [Self.eth0, Self.wlan0])
    #expect(
      obstacles(plan) == [
        "lo": .loopback, "eth1": .down, "docker0": .virtual, "tun0": .pointToPoint, "plain0": .noMulticast,
      ])
    #expect(
      "\(plan.choice)"
        == "eth0, one of all: 10.0.2.1, fe80::2; wlan0, one of all: 10.0.3.1, fe80::3; "
        + "eth1, one of all: waiting for it, it is down; not lo (this host only); not tun0 (point-to-point); "
        + "not docker0 (for containers or virtual machines); not plain0 (without multicast)")
    let alone = try self.plan(all, on: HostNetwork(interfaces: [Self.lo, Self.eth1, Self.docker0], defaultRoute: nil))
    #expect(alone.interfaces == [Self.lo] && alone.choice.reason == .nothingElse)
    #expect(
      "\(alone.choice)".hasPrefix(
        "lo, as no other one qualifies; only this host is reached: 127.0.0.1, ::1; eth1, one of all"))
  }

  @Test("Data is multicast on one wired interface, unless a setting says otherwise")
  func dataGroups() throws {
    #expect(try plan().dataGroups == on(Self.groupV4, Self.eth0) + on(Self.groupV6, Self.eth0))
    #expect(try plan(["GLUE_MULTICAST_DATA": "0"]).dataGroups.isEmpty)
    #expect(try plan(["GLUE_LISTEN_INTERFACE": "eth0,wlan0"]).dataGroups.isEmpty)
    #expect(try plan(["GLUE_LISTEN_INTERFACE": "tun0"]).dataGroups.isEmpty)
    #expect(try plan(["GLUE_DISCOVERY_TARGET_ADDRESS": "10.0.2.9:5000"]).dataGroups.isEmpty)
    let radio = NetworkInterface(index: 3, name: "wlan0", addresses: [Self.v4(3)], isWireless: true)
    #expect(try plan(on: HostNetwork(interfaces: [Self.lo, radio], defaultRoute: "wlan0")).dataGroups.isEmpty)
    let alone = try plan(on: HostNetwork(interfaces: [Self.lo], defaultRoute: nil))
    #expect(alone.dataGroups == on(Self.groupV4, Self.lo))
  }

  @Test("No more than the limit")
  func limit() throws {
    let many = (2..<30).map { Self.network($0, "eth\($0)") }
    let plan = try plan(
      ["GLUE_LISTEN_INTERFACE": "all"], on: HostNetwork(interfaces: [Self.lo] + many, defaultRoute: nil))
    #expect(plan.interfaces == Array(many.prefix(InterfaceSelection.maximumCount)))
    #expect(obstacles(plan).values.count { $0 == .tooMany } == 28 - InterfaceSelection.maximumCount)
    #expect("\(plan.choice)".contains("and 4 more (16 others are used)"))
    // With a socket for each address too there are no more than can be watched.
    let meeting = try self.plan(
      ["GLUE_LISTEN_INTERFACE": "all", "GLUE_DISCOVERY_TARGET_ADDRESS": "0"],
      on: HostNetwork(interfaces: [Self.lo] + many, defaultRoute: nil))
    #expect(meeting.discovery.count == Poller.capacity - 3)
  }

  @Test("Only what concerns an interface changes with it")
  func changes() throws {
    let both = ["GLUE_LISTEN_INTERFACE": "eth0,wlan0"]
    let before = try plan(both)
    var host = Self.laptop
    host.interfaces[2] = NetworkInterface(index: 9, name: "wlan0", addresses: Self.wlan0.addresses)
    let after = try plan(both, on: host, after: before)
    #expect(after.discovery.filter(before.discovery.contains).count == 2)
    #expect(after.targets.map(\.scope) == [2, 9, 2, 9])
    #expect(after.listenAddresses == before.listenAddresses)
  }

  @Test("The family of an address that was set")
  func families() throws {
    let plan = try plan(["GLUE_LISTEN_INTERFACE": "eth0,wlan0", "GLUE_LISTEN_ADDRESS": "[::]:5000"])
    #expect(plan.targets == on(Self.groupV6, Self.eth0, Self.wlan0))
    #expect(plan.listenAddresses == [SocketAddress(ip: .anyV6, port: 5_000)])
  }

  @Test("Broadcasts: the general address on each interface, that of a network by its route")
  func broadcast() throws {
    func plan(_ target: String) throws -> SocketPlan {
      try self.plan(["GLUE_LISTEN_INTERFACE": "eth0,wlan0", "GLUE_DISCOVERY_TARGET_ADDRESS": target])
    }
    let general = try plan("255.255.255.255:4000")
    #expect(general.targets.map(\.scope) == [2, 3])
    #expect(general.broadcasts && general.discovery == [.broadcast(SocketAddress(ip: .anyV4, port: 4_000))])
    let one = try plan("10.0.3.255:4000")
    #expect(one.targets == [SocketAddress(ip: IPAddress(v4: 0x0A00_03FF), port: 4_000)])
    #expect(one.broadcasts)
  }

  @Test("Targets and sockets without an interface that can be used")
  func nothing() throws {
    let plan = try plan(["GLUE_LISTEN_INTERFACE": "eth1"])
    #expect(plan.interfaces.isEmpty && plan.targets.isEmpty && plan.discovery.isEmpty)
    #expect(!plan.isRendezvous)
    #expect(plan.listenAddresses.count == 2)
    #expect(plan.reach.contains(Self.v4(200)))
  }

  @Test("Where this endpoint is a rendezvous")
  func rendezvous() throws {
    let plan = try plan(["GLUE_LISTEN_INTERFACE": "eth0,wlan0", "GLUE_DISCOVERY_TARGET_ADDRESS": "0"])
    #expect(plan.targets.isEmpty && plan.isRendezvous)
    let addresses = plan.discovery.compactMap { if case .rendezvous(let address) = $0 { address } else { nil } }
    #expect(addresses.contains(SocketAddress(ip: Self.v4(3), port: DiscoveryTarget.standardPort)))
    #expect(!addresses.contains { $0.ip == Self.v4(5) })
    #expect(plan.discovery.count == 4 + addresses.count)
  }
}
