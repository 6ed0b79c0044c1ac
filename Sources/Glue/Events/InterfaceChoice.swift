import GlueAddress
import GlueNetwork

/// Which network interfaces an endpoint uses for multicast, which it does not, and why.
public struct InterfaceChoice: Hashable, Sendable {
  /// Why those that are used were chosen.
  public enum Reason: Hashable, Sendable {
    /// A setting names them, ``Endpoint/Configuration/listenInterfaces`` or an address with a scope.
    case setting
    /// All that qualify were asked for, ``InterfaceSelection/all``.
    case all
    /// All that qualify were asked for, and there is none: this endpoint finds others on this host only.
    case nothingElse
    /// Datagrams to far-away hosts leave by it.
    case defaultRoute
    /// There is no default route any more, and it was in use before.
    case usedBefore
    /// There is no default route: this endpoint finds others on this host only.
    case onlyLoopback
  }

  /// What keeps an interface from being used.
  public enum Obstacle: Hashable, Sendable {
    /// There is no such interface; the endpoint waits for it.
    case missing
    /// It is switched off or has no link; the endpoint waits until that is over.
    case down
    /// It has no address, or none of the family that the settings demand; the endpoint waits for one.
    case noAddress
    /// It could be used, but nobody asked for it.
    case notAskedFor
    /// It leads to this host only, and another one is used: by that one the endpoints of this host are reached too.
    case loopback
    /// It has one other end instead of a network, as most VPNs have.
    case pointToPoint
    /// It leads to containers or virtual machines of this host (``NetworkInterface/isVirtual``).
    case virtual
    /// It cannot do multicast.
    case noMulticast
    /// ``InterfaceSelection/maximumCount`` others are used.
    case tooMany

    /// Whether the interface is to be used as soon as it can be.
    public var isAwaited: Bool { [.missing, .down, .noAddress].contains(self) }
  }

  /// One of the host's interfaces, or one that is to be.
  public struct Interface: Hashable, Sendable {
    /// Its name.
    public let name: String
    /// Its IP addresses, those of the family that the settings demand.
    public let addresses: [IPAddress]
    /// Why it is not used; `nil` if it is.
    public internal(set) var obstacle: Obstacle?
  }

  /// Why those that are used were chosen.
  public internal(set) var reason: Reason
  /// The interfaces in question: those that are used or waited for, then those that are left out. Of the latter not all, unless
  /// all were asked for, but only those that could be used.
  public internal(set) var interfaces: [Interface]

  /// Those that are used; empty while none can be.
  public var used: [Interface] { interfaces.filter { $0.obstacle == nil } }
}

extension InterfaceChoice.Reason: CustomStringConvertible {
  /// For example `which has the default route`.
  public var description: String {
    switch self {
    case .setting: "as set"
    case .all: "one of all"
    case .nothingElse: "as no other one qualifies; only this host is reached"
    case .defaultRoute: "which has the default route"
    case .usedBefore: "which was in use before the default route went"
    case .onlyLoopback: "as there is no default route; only this host is reached"
    }
  }
}

extension InterfaceChoice.Obstacle: CustomStringConvertible {
  /// For example `it is down`.
  public var description: String {
    switch self {
    case .missing: "it is not there"
    case .down: "it is down"
    case .noAddress: "it has no address"
    case .notAskedFor: "not asked for"
    case .loopback: "this host only"
    case .pointToPoint: "point-to-point"
    case .virtual: "for containers or virtual machines"
    case .noMulticast: "without multicast"
    case .tooMany: "\(InterfaceSelection.maximumCount) others are used"
    }
  }
}

extension InterfaceChoice: CustomStringConvertible {
  /// One line for people, for example
  /// `eth0, as set: 192.168.1.4, fe80::1; wlan0, as set: waiting for it, it is down; not eth1 (not asked for)`.
  public var description: String {
    var parts: [String] = []
    for interface in interfaces {
      switch interface.obstacle {
      case nil:
        parts.append("\(interface.name), \(reason): \(interface.addresses.map(\.description).joined(separator: ", "))")
      case let obstacle? where obstacle.isAwaited:
        let why = reason == .nothingElse && interfaces.first != interface ? .all : reason
        parts.append("\(interface.name), \(why): waiting for it, \(obstacle)")
      case _?: break
      }
    }
    // A host with many containers has dozens of the same kind.
    for obstacle: Obstacle in [.notAskedFor, .tooMany, .loopback, .pointToPoint, .virtual, .noMulticast] {
      let names = interfaces.filter { $0.obstacle == obstacle }.map(\.name)
      guard !names.isEmpty else { continue }
      let more = names.count - Self.namesShown
      let shown = names.prefix(Self.namesShown).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
      parts.append("not \(shown) (\(obstacle))")
    }
    return parts.joined(separator: "; ")
  }

  /// Names of interfaces left out for one reason that a line has room for.
  private static let namesShown = 8
}
