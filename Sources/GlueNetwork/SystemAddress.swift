import CGlueNetwork
import GlueAddress

// Between our addresses and those of the C shim, which knows the systems' forms.

extension cglue_address {
  init(_ address: SocketAddress) {
    self.init(
      high: address.ip.high, low: address.ip.low, scope: address.scope, port: address.port,
      family: address.ip.family.rawValue)
  }

  init(_ ip: IPAddress) {
    self.init(SocketAddress(ip: ip, port: 0))
  }

  var ip: IPAddress? {
    switch family {
    case 4: IPAddress(v4: UInt32(truncatingIfNeeded: low))
    case 6: IPAddress(v6High: high, low: low)
    default: nil
    }
  }

  var socketAddress: SocketAddress? {
    ip.map { SocketAddress(ip: $0, port: port, scope: scope) }
  }
}

extension SocketAddress {
  /// Parses an address like ``SocketAddress/init(_:interfaceIndex:)``, where the scope may be the name of one of this
  /// host's interfaces, as in `[fe80::1%eth0]:80`.
  ///
  /// - Throws: ``AddressError`` that says what is expected.
  public init(resolvingInterfaceIn text: some StringProtocol) throws(AddressError) {
    try self.init(text) { name in try? NetworkInterface.named(name).index }
  }

  /// The address as ``init(resolvingInterfaceIn:)`` reads it, with the name of the interface that is its scope:
  /// `[fe80::1%eth0]:80`. With its index if there is no such interface any more. A group that is sent to on an interface has
  /// that one's name: `239.1.1.1%eth0:80`.
  public var textNamingInterface: String {
    guard scope != 0 else { return description }
    let name = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { text in
      cglue_interface_name(scope, text.baseAddress, text.count)
      return String(cString: text.baseAddress!)
    }
    if name.isEmpty { return description }
    return ip.family == .v4 ? "\(ip)%\(name):\(port)" : "[\(ip)%\(name)]:\(port)"
  }
}
