import GlueAddress
import GlueNetwork

/// Which network interface an endpoint uses for multicast, and why.
public struct InterfaceChoice: Hashable, Sendable {
  /// Why it is this one.
  public enum Reason: Hashable, Sendable {
    /// A setting names it, ``Endpoint/Configuration/listenInterface`` or an address with a scope.
    case setting
    /// Datagrams to far-away hosts leave by it.
    case defaultRoute
    /// There is no default route any more, and it was in use before.
    case usedBefore
    /// There is no default route: this endpoint finds others on this host only.
    case onlyLoopback
  }

  /// What keeps an interface from being used; the endpoint waits until that is over.
  public enum Obstacle: Hashable, Sendable {
    /// There is no such interface.
    case missing
    /// It is switched off or has no link.
    case down
    /// It has no address, or none of the family that the settings demand.
    case noAddress
  }

  /// The name of the interface; `nil` if there is none that could be chosen.
  public let name: String?
  /// Why it was chosen.
  public let reason: Reason
  /// What is in the way; `nil` if the interface can be used.
  public let obstacle: Obstacle?
  /// Its IP addresses, those of the family that the settings demand.
  public let addresses: [IPAddress]

  init(
    _ interface: NetworkInterface?, named name: String?, _ reason: Reason, _ families: [IPAddress.Family]
  ) {
    self.name = name
    self.reason = reason
    addresses = interface?.addresses.filter { families.contains($0.family) } ?? []
    obstacle =
      if let interface { !interface.isUp ? .down : addresses.isEmpty ? .noAddress : nil } else { .missing }
  }
}

extension InterfaceChoice: CustomStringConvertible {
  /// One line for people, for example `eth0, which has the default route: 192.168.1.4, fe80::1`.
  public var description: String {
    let why =
      switch reason {
      case .setting: "as set"
      case .defaultRoute: "which has the default route"
      case .usedBefore: "which was in use before the default route went"
      case .onlyLoopback: "as there is no default route; only this host is reached"
      }
    let state =
      switch obstacle {
      case .missing: "waiting for it, it is not there"
      case .down: "waiting for it, it is down"
      case .noAddress: "waiting for it, it has no address"
      case nil: addresses.map(\.description).joined(separator: ", ")
      }
    return "\(name ?? "loopback"), \(why): \(state)"
  }
}
