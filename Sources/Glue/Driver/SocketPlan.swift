import GlueAddress
import GlueNetwork

/// Which sockets an endpoint needs, as its configuration and the host's interfaces say; nothing is open yet.
struct SocketPlan: Hashable, Sendable {
  /// A socket on which announcements arrive.
  enum Discovery: Hashable, Sendable {
    /// Bound to a multicast group and joined; shared with the other endpoints of this host.
    case group(SocketAddress)
    /// Bound to the wildcard address, shared with the other endpoints of this host, for broadcasts.
    case broadcast(SocketAddress)
    /// Bound to one address of this host, for this endpoint alone: it is the rendezvous there.
    case rendezvous(SocketAddress)
  }

  /// The interface that multicast uses; `nil` while it is not there.
  let interface: NetworkInterface?
  /// Which interface that is, and why.
  let choice: InterfaceChoice
  /// Where the data sockets are bound, one for each family, the first one needed. Everything is sent from there, so that
  /// the source of whatever a peer receives is where this endpoint is reached, also when it was the rendezvous port that
  /// the peer wrote to first.
  var listenAddresses: [SocketAddress]
  /// What this endpoint has addresses to send from for.
  let reach: Reach
  /// Whom to announce to. Groups have no scope: they are sent to on ``interface``, whatever its number.
  let targets: [SocketAddress]
  /// Whether the data socket must be allowed to broadcast.
  let broadcasts: Bool
  /// The broadcast addresses of this host's networks, and the general one.
  let broadcastAddresses: [IPAddress]
  /// The discovery sockets.
  let discovery: [Discovery]
  /// Whether others are told to find each other through this endpoint.
  let isRendezvous: Bool

  /// Where datagrams can go at all. The system would refuse the others each time, with an error that tells nothing new: the
  /// core announces by both families, and may be told of peers that only others can reach.
  struct Reach: Hashable, Sendable {
    /// Some of the families. Not a set: this is asked for every datagram.
    struct Families: Hashable, Sendable {
      var v4 = false
      var v6 = false

      init(_ families: some Sequence<IPAddress.Family>) {
        for family in families { if family == .v4 { v4 = true } else { v6 = true } }
      }

      func contains(_ family: IPAddress.Family) -> Bool { family == .v4 ? v4 : v6 }
    }

    /// The families in which groups can be sent to: those that the interface has addresses of.
    var groups = Families([])
    /// The families of which the host has addresses that others can answer to, on whatever interface.
    var others = Families([])

    func contains(_ ip: IPAddress) -> Bool {
      ip.isMulticast ? groups.contains(ip.family) : ip.isLoopback || others.contains(ip.family)
    }
  }

  /// A host has a handful of addresses; one with more (containers) is reached at these, and the poller watches 64 sockets.
  private static let maximumRendezvousAddresses = 48

  /// - Parameters:
  ///   - settings: Checked settings.
  ///   - previous: The plan so far, when the host's interfaces have changed.
  /// - Throws: ``ConfigurationError`` if addresses contradict each other, ``NetworkError`` if the system does not list its
  ///   interfaces.
  init(_ settings: Endpoint.Configuration, previous: SocketPlan? = nil) throws {
    let interfaces = try NetworkInterface.all()
    // The families in question: that of the addresses set, or those that the host has.
    let families = settings.addresses.first.map { [$0.address.ip.family] } ?? [.v4, .v6]
    let (interface, reason, name) = try Self.choose(settings, among: interfaces, previous)
    self.interface = interface
    choice = InterfaceChoice(interface, named: name, reason, families)
    let index = interface?.index ?? 0
    let broadcastAddresses = interfaces.compactMap(\.broadcastAddress) + [IPAddress(v4: 0xFFFF_FFFF)]
    self.broadcastAddresses = broadcastAddresses
    let groupFamilies = Self.groupFamilies(of: interface, among: families)
    let own = interfaces.lazy.filter(\.isUp).flatMap(\.addresses).filter { !$0.isLoopback }
    reach = Reach(groups: .init(groupFamilies), others: .init(own.map(\.family)))
    targets = Self.targets(settings, families, on: index)
    broadcasts = targets.contains { broadcastAddresses.contains($0.ip) }

    // Whoever finds others on the loopback interface only is for this host only. The wildcard address would also let the
    // system give its multicast the address of another interface.
    let isLocal = interface?.isLoopback == true && targets.contains { $0.ip.isMulticast }
    if let address = settings.listenAddress {
      listenAddresses = [address.scoped(to: index)]
    } else if isLocal, !groupFamilies.isEmpty {
      listenAddresses = groupFamilies.map { SocketAddress(ip: $0.loopback, port: 0) }
    } else {
      listenAddresses = families.map { SocketAddress(ip: $0.wildcard, port: 0) }
    }
    if let address = settings.discoveryListenAddress {
      discovery = [try Self.discovery(at: address.scoped(to: index), settings, targets, broadcastAddresses)]
      isRendezvous = if case .rendezvous = discovery[0] { true } else { targets.isEmpty }
    } else if targets.isEmpty {
      let own = Self.rendezvousAddresses(settings, interfaces, interface).filter { families.contains($0.ip.family) }
      discovery =
        groupFamilies.map { .group($0.standardGroup.scoped(to: index)) }
        + own.prefix(Self.maximumRendezvousAddresses).map { .rendezvous($0) }
      isRendezvous = true
    } else {
      // With a unicast target the answers come to the data socket; the rendezvous port is the rendezvous' own.
      discovery = targets.compactMap { target in
        if broadcastAddresses.contains(target.ip) { return .broadcast(SocketAddress(ip: .anyV4, port: target.port)) }
        guard target.ip.isMulticast, groupFamilies.contains(target.ip.family) else { return nil }
        return .group(target.scoped(to: index))
      }
      isRendezvous = false
    }
  }

  /// The interface to use. Without a setting that is the one of the default route. When there is none any more, the one
  /// in use stays as long as it can be used: routes come and go by themselves.
  private static func choose(
    _ settings: Endpoint.Configuration, among interfaces: [NetworkInterface], _ previous: SocketPlan?
  ) throws(NetworkError) -> (NetworkInterface?, InterfaceChoice.Reason, name: String?) {
    if let name = settings.listenInterface ?? settings.linkName {
      return (interfaces.first { $0.name == name }, .setting, name)
    }
    if let interface = try NetworkInterface.ofDefaultRoute() {
      return (interface, .defaultRoute, interface.name)
    }
    let former = interfaces.first { $0.index == previous?.interface?.index && !$0.isLoopback }
    if let former, former.isUp, !former.addresses.isEmpty { return (former, .usedBefore, former.name) }
    let loopback = interfaces.first { $0.isLoopback && $0.isUp }
    return (loopback, .onlyLoopback, loopback?.name)
  }

  /// The families in which the interface can send to groups, among some.
  private static func groupFamilies(
    of interface: NetworkInterface?, among families: [IPAddress.Family]
  ) -> [IPAddress.Family] {
    guard let interface, interface.isUp else { return [] }
    let own = families.filter { family in interface.addresses.contains { $0.family == family } }
    // One family is all that an interface to this host itself needs, and Linux's loopback has no IPv6 multicast unless
    // somebody gave it a route for it.
    return interface.isLoopback ? Array(own.prefix(1)) : own
  }

  private static func targets(
    _ settings: Endpoint.Configuration, _ families: [IPAddress.Family], on index: UInt32
  ) -> [SocketAddress] {
    switch settings.discoveryTarget {
    case .standard: families.map(\.standardGroup)
    case .nobody: []
    case .address(let target) where target.ip.isMulticast: [SocketAddress(ip: target.ip, port: target.port)]
    case .address(let target): [target.scoped(to: index)]
    }
  }

  /// Where announcements arrive if that was set.
  private static func discovery(
    at address: SocketAddress, _ settings: Endpoint.Configuration, _ targets: [SocketAddress],
    _ broadcastAddresses: [IPAddress]
  ) throws(ConfigurationError) -> Discovery {
    // The others have to know the port: those of a group or a network send there, and to an endpoint that announces to
    // nobody everybody does. Only one that goes to a unicast target makes itself known without it.
    let listensToMany = address.ip.isMulticast || broadcastAddresses.contains(address.ip)
    let broadcasts = targets.contains { broadcastAddresses.contains($0.ip) }
    let isFoundWithoutPort = !targets.isEmpty && !broadcasts && !targets.contains { $0.ip.isMulticast }
    if address.port == 0, listensToMany || !isFoundWithoutPort {
      throw settings.error(
        .discoveryListenAddress, value: "\(settings.discoveryListenAddress ?? address)",
        expected: "ADDRESS:PORT with a port other than 0; "
          + "0, any port, goes with a unicast address and a unicast target only")
    }
    if address.ip.isMulticast { return .group(address) }
    return broadcasts || listensToMany
      ? .broadcast(SocketAddress(ip: .anyV4, port: address.port)) : .rendezvous(address)
  }

  /// The addresses at which an endpoint that announces to nobody waits for others.
  ///
  /// One socket per address, none of them shared. A shared one at the wildcard address would let a second rendezvous take
  /// this one's datagrams, and a wildcard one that is not shared could not be bound beside the multicast endpoints of
  /// this host.
  private static func rendezvousAddresses(
    _ settings: Endpoint.Configuration, _ interfaces: [NetworkInterface], _ chosen: NetworkInterface?
  ) -> [SocketAddress] {
    let usable = interfaces.filter {
      $0.isUp && (settings.listenInterface == nil || $0.isLoopback || $0.index == chosen?.index)
    }
    return usable.flatMap { interface in
      interface.addresses.filter { !$0.isMulticast }.map {
        SocketAddress(ip: $0, port: DiscoveryTarget.standardPort).scoped(to: interface.index)
      }
    }
  }
}

extension IPAddress.Family {
  fileprivate var wildcard: IPAddress { self == .v4 ? .anyV4 : .anyV6 }
  fileprivate var loopback: IPAddress { self == .v4 ? .loopbackV4 : .loopbackV6 }
  fileprivate var standardGroup: SocketAddress {
    SocketAddress(
      ip: self == .v4 ? DiscoveryTarget.standardGroup : DiscoveryTarget.standardGroupV6,
      port: DiscoveryTarget.standardPort)
  }
}
