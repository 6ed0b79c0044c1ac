import GlueAddress
import GlueNetwork

/// Which sockets an endpoint needs, as its configuration says; nothing is open yet.
struct SocketPlan: Sendable {
  /// A socket on which announcements arrive.
  enum Discovery: Hashable, Sendable {
    /// Bound to a multicast group and joined; shared with the other endpoints of this host.
    case group(SocketAddress)
    /// Bound to the wildcard address, shared with the other endpoints of this host, for broadcasts.
    case broadcast(SocketAddress)
    /// Bound to one address of this host, for this endpoint alone: it is the rendezvous there.
    case rendezvous(SocketAddress)
  }

  /// The interface that multicast uses.
  let interface: NetworkInterface
  /// Where the data socket is bound. Everything is sent from there, so that the source of whatever a peer receives is
  /// where this endpoint is reached, also when it was the rendezvous port that the peer wrote to first.
  let listenAddress: SocketAddress
  /// Whom to announce to.
  let targets: [SocketAddress]
  /// Whether the data socket must be allowed to broadcast.
  let broadcasts: Bool
  /// The broadcast addresses of this host's networks, and the general one.
  let broadcastAddresses: [IPAddress]
  /// The discovery sockets.
  let discovery: [Discovery]
  /// Whether others are told to find each other through this endpoint.
  let isRendezvous: Bool

  /// - Throws: ``ConfigurationError`` if the interface is not there, or addresses contradict each other.
  init(_ settings: Endpoint.Configuration) throws {
    let interfaces: [NetworkInterface]
    do throws(NetworkError) {
      interfaces = try NetworkInterface.all()
      if let name = settings.listenInterface {
        interface = try NetworkInterface.named(name)
      } else {
        interface = try NetworkInterface.preferred()
      }
    } catch {
      guard let name = settings.listenInterface else { throw EndpointFailure.network("\(error)") }
      throw settings.error(.listenInterface, value: name, expected: error.expectation)
    }

    let target: SocketAddress? =
      switch settings.discoveryTarget {
      case .address(let address): address
      case .nobody: nil
      }
    let family = (target ?? settings.discoveryListenAddress ?? settings.listenAddress)?.ip.family ?? .v4
    let wildcard = family == .v4 ? IPAddress.anyV4 : .anyV6
    // Whoever finds others on the loopback interface only is for this host only. The wildcard address would also let the
    // system give its multicast the address of another interface.
    let isLocal = interface.isLoopback && target?.ip.isMulticast == true
    let loopback = family == .v4 ? IPAddress.loopbackV4 : IPAddress(v6High: 0, low: 1)
    listenAddress = settings.listenAddress ?? SocketAddress(ip: isLocal ? loopback : wildcard, port: 0)
    targets = target.map { [$0] } ?? []
    for (setting, address) in [
      (Endpoint.Configuration.Setting.listenAddress, listenAddress),
      (.discoveryListenAddress, settings.discoveryListenAddress ?? listenAddress),
    ] where address.ip.family != family {
      throw settings.error(setting, value: "\(address)", expected: "an address of the target's family, \(family)")
    }

    let broadcastAddresses = interfaces.compactMap(\.broadcastAddress) + [IPAddress(v4: 0xFFFF_FFFF)]
    self.broadcastAddresses = broadcastAddresses
    broadcasts = target.map { broadcastAddresses.contains($0.ip) } ?? false

    if let address = settings.discoveryListenAddress {
      // The others have to know the port: those of a group or a network send there, and to an endpoint that announces to
      // nobody everybody does. Only one that goes to a unicast target makes itself known without it.
      let listensToMany = address.ip.isMulticast || broadcastAddresses.contains(address.ip)
      let isFoundWithoutPort = target?.ip.isMulticast == false && !broadcasts
      if address.port == 0, listensToMany || !isFoundWithoutPort {
        throw settings.error(
          .discoveryListenAddress, value: "\(address)",
          expected: "ADDRESS:PORT with a port other than 0; "
            + "0, any port, goes with a unicast address and a unicast target only")
      }
      if address.ip.isMulticast {
        discovery = [.group(address)]
        isRendezvous = target == nil
      } else if broadcasts || broadcastAddresses.contains(address.ip) {
        discovery = [.broadcast(SocketAddress(ip: wildcard, port: address.port))]
        isRendezvous = target == nil
      } else {
        discovery = [.rendezvous(address)]
        isRendezvous = true
      }
      return
    }
    switch target {
    case .some(let target) where target.ip.isMulticast:
      discovery = [.group(target)]
      isRendezvous = false
    case .some(let target) where broadcasts:
      discovery = [.broadcast(SocketAddress(ip: wildcard, port: target.port))]
      isRendezvous = false
    case .some:
      // The answers come to the data socket; the rendezvous port is the rendezvous' own.
      discovery = []
      isRendezvous = false
    case nil:
      let port = DiscoveryTarget.standardPort
      let (name, index) = (settings.listenInterface, interface.index)
      let usable = interfaces.filter {
        $0.isUp && (name == nil || $0.isLoopback || $0.index == index)
      }
      // One socket per address, none of them shared. A shared one at the wildcard address would let a second rendezvous
      // take this one's datagrams, and a wildcard one that is not shared could not be bound beside the multicast
      // endpoints of this host.
      let own = usable.flatMap(\.addresses).filter { $0.family == family && !$0.isMulticast }
      let group: [Discovery] =
        family == .v4 ? [.group(SocketAddress(ip: DiscoveryTarget.standardGroup, port: port))] : []
      discovery =
        group + own.prefix(Self.maximumRendezvousAddresses).map { .rendezvous(SocketAddress(ip: $0, port: port)) }
      isRendezvous = true
    }
  }

  /// A host has a handful of addresses; one with more (containers) is reached at these, and the poller watches 64 sockets.
  private static let maximumRendezvousAddresses = 48
}
