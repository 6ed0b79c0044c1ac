import CGlueNetwork
import GlueAddress

/// A network interface of this host, as it was when it was asked for.
public struct NetworkInterface: Hashable, Sendable {
  /// The system's number, from 1. Does not change while the interface exists.
  public let index: UInt32
  /// The system's name, for example `eth0`, `en0` or `lo`.
  public let name: String
  /// The IP addresses that can be used, in the system's order. On Linux without those IPv6 addresses of which the system
  /// still looks whether another host has them.
  public internal(set) var addresses: [IPAddress]
  /// The IPv4 broadcast address of its first network that has one.
  public internal(set) var broadcastAddress: IPAddress?
  /// The largest IP packet in bytes that it passes in one piece, headers included. Zero if unknown.
  public let mtu: Int
  /// Whether it is switched on and has a link.
  public let isUp: Bool
  /// Whether it has one other end instead of a network: most VPNs (tun, WireGuard), modems.
  public let isPointToPoint: Bool
  /// Whether it leads back to this host only.
  public let isLoopback: Bool
  /// Whether multicast can be sent and received on it. True for Linux's loopback interface, which passes IPv4 multicast
  /// without any route although it does not say so; IPv6 multicast needs a route there (`ff00::/8 dev lo`).
  public let supportsMulticast: Bool
  /// Whether it is a radio, as far as the system tells: Linux does. Of Apple's systems every interface to other hosts may be one.
  public let isWireless: Bool

  /// All interfaces, ordered by index.
  ///
  /// - Throws: ``NetworkError`` if the system does not tell.
  public static func all() throws(NetworkError) -> [NetworkInterface] {
    var entries: UnsafeMutablePointer<cglue_interface>?
    let count = try require(
      cglue_interfaces(&entries), "list", "network interfaces", expected: "a system that lets programs see them")
    defer { cglue_interfaces_free(entries) }

    var interfaces: [UInt32: NetworkInterface] = [:]
    for entry in UnsafeBufferPointer(start: entries, count: Int(count)) where entry.index != 0 {
      var interface = interfaces[entry.index] ?? NetworkInterface(entry)
      if let ip = entry.address.ip, !entry.is_tentative { interface.addresses.append(ip) }
      interface.broadcastAddress = interface.broadcastAddress ?? entry.broadcast.ip
      interfaces[entry.index] = interface
    }
    return interfaces.values.sorted { $0.index < $1.index }
  }

  /// The interface with this name.
  ///
  /// - Throws: ``NetworkError`` that lists the names there are.
  public static func named(_ name: String) throws(NetworkError) -> NetworkInterface {
    let interfaces = try all()
    if let interface = interfaces.first(where: { $0.name == name }) { return interface }
    throw NetworkError(
      operation: "find", subject: "network interface \"\(name)\"", code: nil,
      expectation: "one of \(interfaces.map(\.name).joined(separator: ", "))")
  }

  /// The interface that datagrams to far-away hosts leave by, or `nil` if there is no default route.
  ///
  /// - Throws: ``NetworkError`` if the system does not list its interfaces.
  public static func ofDefaultRoute() throws(NetworkError) -> NetworkInterface? {
    let interfaces = try all()
    for family in [IPAddress.Family.v4, .v6] {
      // The address that a socket gets when it is connected to a far-away host; connecting sends nothing.
      var source = cglue_address()
      guard cglue_default_source(family.rawValue, &source) >= 0, let ip = source.ip else { continue }
      if let interface = interfaces.first(where: { !$0.isLoopback && $0.addresses.contains(ip) }) { return interface }
    }
    return nil
  }

  /// The interface to use when nobody named one: that of the default route, or else the loopback interface.
  ///
  /// - Throws: ``NetworkError`` if there is neither.
  public static func preferred() throws(NetworkError) -> NetworkInterface {
    if let interface = try ofDefaultRoute() { return interface }
    if let interface = try all().first(where: { $0.isLoopback && $0.isUp }) { return interface }
    throw NetworkError(
      operation: "find", subject: "a network interface", code: nil,
      expectation: "a default route, or a loopback interface that is up")
  }

  /// Whether it leads to containers or virtual machines of this host, or is there for Apple's systems themselves, as far as its
  /// name tells (``VirtualKind``). A tunnel does not count: it leads to other hosts.
  public var isVirtual: Bool { [.guests, .system].contains(VirtualKind(name: name)) }

  /// An interface as a test makes one up.
  package init(
    index: UInt32, name: String, addresses: [IPAddress], broadcastAddress: IPAddress? = nil, isUp: Bool = true,
    isLoopback: Bool = false, isPointToPoint: Bool = false, supportsMulticast: Bool = true,
    isWireless: Bool = false
  ) {
    self.index = index
    self.name = name
    self.addresses = addresses
    self.broadcastAddress = broadcastAddress
    self.mtu = 1_500
    self.isUp = isUp
    self.isLoopback = isLoopback
    self.isPointToPoint = isPointToPoint
    self.supportsMulticast = supportsMulticast
    self.isWireless = isWireless
  }

  private init(_ entry: cglue_interface) {
    index = entry.index
    name = withUnsafeBytes(of: entry.name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    addresses = []
    broadcastAddress = nil
    mtu = Int(entry.mtu)
    isUp = entry.is_up
    isLoopback = entry.is_loopback
    isPointToPoint = entry.is_point_to_point
    supportsMulticast = entry.supports_multicast
    isWireless = Self.isRadio(name, isLoopback: isLoopback)
  }
}

extension NetworkInterface: CustomStringConvertible {
  /// One line for people, for example `eth0 (2): 192.168.1.4, fe80::1; MTU 1500, up`.
  public var description: String {
    let addresses = addresses.map(\.description).joined(separator: ", ")
    return "\(name) (\(index)): \(addresses.isEmpty ? "no address" : addresses); MTU \(mtu), \(isUp ? "up" : "down")"
  }
}
