import GlueNetwork

/// What a host has of a network, at one moment.
struct HostNetwork: Hashable, Sendable {
  /// Its interfaces, by number.
  var interfaces: [NetworkInterface]
  /// The name of the one that datagrams to far-away hosts leave by.
  var defaultRoute: String?

  /// What this host has now.
  ///
  /// - Throws: ``NetworkError`` if the system does not list its interfaces.
  static func current() throws(NetworkError) -> HostNetwork {
    HostNetwork(interfaces: try NetworkInterface.all(), defaultRoute: try NetworkInterface.ofDefaultRoute()?.name)
  }

  func interface(_ name: String) -> NetworkInterface? { interfaces.first { $0.name == name } }
}
