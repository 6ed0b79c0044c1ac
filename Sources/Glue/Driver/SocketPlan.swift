import GlueAddress
import GlueNetwork

/// Which sockets an endpoint needs, as its configuration and the host's interfaces say; nothing is open yet.
struct SocketPlan: Hashable, Sendable {
  /// A socket on which announcements arrive.
  enum Discovery: Hashable, Sendable {
    /// Bound to a multicast group and joined on one interface; shared with the other endpoints of this host. One for each
    /// interface, so that one can be replaced while the others stay, and that no limit on memberships of a socket counts.
    case group(SocketAddress, on: NetworkInterface)
    /// Bound to the wildcard address, shared with the other endpoints of this host, for broadcasts.
    case broadcast(SocketAddress)
    /// Bound to one address of this host, for this endpoint alone: it is the rendezvous there.
    case rendezvous(SocketAddress)
  }

  /// Which interfaces are used, which not, and why.
  let choice: InterfaceChoice
  /// Those that multicast uses, as they are now; none while none of those chosen can be used.
  let interfaces: [NetworkInterface]
  /// Where the data sockets are bound, one for each family, the first one needed. Everything is sent from there, so that
  /// the source of whatever a peer receives is where this endpoint is reached, also when it was the rendezvous port that
  /// the peer wrote to first.
  var listenAddresses: [SocketAddress]
  /// What this endpoint has addresses to send from for.
  let reach: Reach
  /// Whom to announce to. A group is there once for each interface that it is sent to on, which is its scope.
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
  /// core may be told of peers that only others can reach. A struct of flags: it is asked for every datagram.
  struct Reach: Hashable, Sendable {
    private var v4 = false
    private var v6 = false

    /// The families of which the host has addresses that others can answer to, on whatever interface.
    init(_ families: some Sequence<IPAddress.Family>) {
      for family in families { if family == .v4 { v4 = true } else { v6 = true } }
    }

    func contains(_ ip: IPAddress) -> Bool {
      // Only groups that can be sent to are among the targets.
      ip.isMulticast || ip.isLoopback || (ip.family == .v4 ? v4 : v6)
    }
  }

  /// Whether data is to be sent to groups at all.
  private let multicastsData: Bool

  /// Those targets to which data can be sent for several peers at once. Of several interfaces nobody can tell which of them gets to a peer; over
  /// the air multicast is slower than unicast, and not repeated by the radio.
  var dataGroups: [SocketAddress] {
    guard multicastsData, interfaces.count == 1, let interface = interfaces.first, !interface.isWireless,
      !interface.isPointToPoint
    else {
      return []
    }
    return targets.filter(\.ip.isMulticast)
  }

  /// Sockets besides those for groups and rendezvous addresses: two for data, and the monitor of interfaces.
  private static let otherSockets = 3

  /// - Parameters:
  ///   - settings: Checked settings.
  ///   - host: What the host has.
  ///   - previous: The plan so far, when the host's interfaces have changed.
  /// - Throws: ``ConfigurationError`` if addresses contradict each other.
  init(
    _ settings: Endpoint.Configuration, on host: HostNetwork, after previous: SocketPlan? = nil
  ) throws(ConfigurationError) {
    // The families in question: that of the addresses set, or those that the host has.
    let families = settings.addresses.first.map { [$0.address.ip.family] } ?? [.v4, .v6]
    let selection = settings.linkName.map { .named([$0]) } ?? settings.listenInterfaces
    let choice = InterfaceChoice(selection, families, on: host, after: previous?.choice)
    self.choice = choice
    multicastsData = settings.multicastsData
    let interfaces = choice.used.compactMap { host.interface($0.name) }
    self.interfaces = interfaces
    // What addresses of one link in the settings are meant on: they go with one interface only. That may be there without an
    // address yet.
    let link = choice.interfaces.first.flatMap { host.interface($0.name)?.index } ?? 0
    let broadcastAddresses = host.interfaces.compactMap(\.broadcastAddress) + [.generalBroadcast]
    self.broadcastAddresses = broadcastAddresses
    let own = host.interfaces.lazy.filter(\.isUp).flatMap(\.addresses).filter { !$0.isLoopback }
    reach = Reach(own.map(\.family))

    // In which families each interface can send to groups. One family is all that an interface to this host itself needs, and
    // Linux's loopback has no IPv6 multicast unless somebody gave it a route for it.
    let ways = interfaces.flatMap { interface in
      families.filter { family in interface.addresses.contains { $0.family == family } }
        .prefix(interface.isLoopback ? 1 : families.count).map { (interface: interface, family: $0) }
    }
    func onEachInterface(_ address: SocketAddress) -> [SocketAddress] {
      ways.filter { $0.family == address.ip.family }
        .map { SocketAddress(ip: address.ip, port: address.port, scope: $0.interface.index) }
    }
    func groups(_ address: SocketAddress) -> [Discovery] {
      ways.filter { $0.family == address.ip.family }
        .map { .group(address.scoped(to: $0.interface.index), on: $0.interface) }
    }
    let standardGroups = families.map(\.standardGroup)
    switch settings.discoveryTarget {
    case .standard: targets = standardGroups.flatMap(onEachInterface)
    case .nobody: targets = []
    case .address(let target) where target.ip.isMulticast || target.ip == .generalBroadcast:
      targets = onEachInterface(target)
    case .address(let target): targets = [target.scoped(to: link)]
    }
    broadcasts = settings.target.map { broadcastAddresses.contains($0.ip) } ?? false

    // Whoever finds others on the loopback interface only is for this host only. The wildcard address would also let the
    // system give its multicast the address of another interface.
    let isLocal = interfaces.first?.isLoopback == true && targets.contains { $0.ip.isMulticast }
    if let address = settings.listenAddress {
      listenAddresses = [address.scoped(to: link)]
    } else if isLocal {
      listenAddresses = ways.map { SocketAddress(ip: $0.family.loopback, port: 0) }
    } else {
      listenAddresses = families.map { SocketAddress(ip: $0.wildcard, port: 0) }
    }
    if let address = settings.discoveryListenAddress {
      let kind = try Self.kind(of: address, settings, broadcastAddresses)
      switch kind {
      case .group: discovery = groups(address)
      case .broadcast: discovery = [.broadcast(SocketAddress(ip: .anyV4, port: address.port))]
      case .rendezvous: discovery = [.rendezvous(address.scoped(to: link))]
      }
      isRendezvous = kind == .rendezvous || settings.discoveryTarget == .nobody
    } else if settings.discoveryTarget == .nobody {
      let standard = standardGroups.flatMap(groups)
      let own = Self.rendezvousAddresses(settings, host, interfaces).filter { families.contains($0.ip.family) }
      // A host with many addresses (containers) is reached at these: the poller watches no more sockets.
      discovery = standard + own.prefix(Poller.capacity - Self.otherSockets - standard.count).map { .rendezvous($0) }
      isRendezvous = true
    } else {
      // With a unicast target the answers come to the data socket; the rendezvous port is the rendezvous' own.
      switch settings.target {
      case nil: discovery = standardGroups.flatMap(groups)
      case let target? where target.ip.isMulticast: discovery = groups(target)
      case let target? where broadcasts: discovery = [.broadcast(SocketAddress(ip: .anyV4, port: target.port))]
      case _?: discovery = []
      }
      isRendezvous = false
    }
  }

  private enum DiscoveryKind { case group, broadcast, rendezvous }

  /// How announcements arrive at an address that was set.
  private static func kind(
    of address: SocketAddress, _ settings: Endpoint.Configuration, _ broadcastAddresses: [IPAddress]
  ) throws(ConfigurationError) -> DiscoveryKind {
    // The others have to know the port: those of a group or a network send there, and to an endpoint that announces to
    // nobody everybody does. Only one that goes to a unicast target makes itself known without it.
    let listensToMany = address.ip.isMulticast || broadcastAddresses.contains(address.ip)
    let broadcasts = settings.target.map { broadcastAddresses.contains($0.ip) } ?? false
    let isFoundWithoutPort = settings.target.map { !broadcasts && !$0.ip.isMulticast } ?? false
    if address.port == 0, listensToMany || !isFoundWithoutPort {
      throw settings.error(
        .discoveryListenAddress, value: "\(settings.discoveryListenAddress ?? address)",
        expected: "ADDRESS:PORT with a port other than 0; "
          + "0, any port, goes with a unicast address and a unicast target only")
    }
    if address.ip.isMulticast { return .group }
    return broadcasts || listensToMany ? .broadcast : .rendezvous
  }

  /// The addresses at which an endpoint that announces to nobody waits for others.
  ///
  /// One socket per address, none of them shared. A shared one at the wildcard address would let a second rendezvous take
  /// this one's datagrams, and a wildcard one that is not shared could not be bound beside the multicast endpoints of
  /// this host.
  private static func rendezvousAddresses(
    _ settings: Endpoint.Configuration, _ host: HostNetwork, _ chosen: [NetworkInterface]
  ) -> [SocketAddress] {
    let usable = host.interfaces.filter {
      $0.isUp && (settings.listenInterfaces == .defaultRoute || $0.isLoopback || chosen.contains($0))
    }
    return usable.flatMap { interface in
      interface.addresses.filter { !$0.isMulticast }.map {
        SocketAddress(ip: $0, port: DiscoveryTarget.standardPort).scoped(to: interface.index)
      }
    }
  }
}

extension Endpoint.Configuration {
  /// The address to announce to, if one was set.
  fileprivate var target: SocketAddress? {
    if case .address(let target) = discoveryTarget { target } else { nil }
  }
}

extension IPAddress {
  /// 255.255.255.255: everybody on the network of whatever interface it leaves by.
  fileprivate static let generalBroadcast = IPAddress(v4: 0xFFFF_FFFF)
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
