import GlueAddress

/// By way of others an endpoint has an address like any other: one that names it instead of a place. It exists within the core
/// alone; whatever is sent there leaves as RELAY for the next hop.
extension RelayedEndpoint {
  /// The discard-only prefix of RFC 6666, 100::/64: no host has such an address.
  private static let prefix: UInt64 = 0x0100 << 48
  /// Discard (RFC 863); a port that is not 0.
  private static let port: UInt16 = 9

  /// The address that stands for it.
  var address: SocketAddress {
    SocketAddress(ip: IPAddress(v6High: Self.prefix, low: id.rawValue), port: Self.port, scope: tag)
  }

  /// The endpoint that an address stands for; nil if it is a place.
  init?(_ address: SocketAddress) {
    guard address.isRelayed else { return nil }
    self.init(id: EndpointID(address.ip.low), tag: address.scope)
  }

  fileprivate static func isAddress(_ ip: IPAddress) -> Bool { ip.family == .v6 && ip.high == prefix }
}

extension SocketAddress {
  /// Whether it names an endpoint that is reached by way of others, and no place in the network.
  public var isRelayed: Bool { RelayedEndpoint.isAddress(ip) }
}
