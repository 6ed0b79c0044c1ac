/// An IPv4 or IPv6 address, without a port.
///
/// A plain value of 17 bytes: it holds no reference and is cheap to copy, compare and hash.
public struct IPAddress: Hashable, Sendable {
  /// The address family.
  public enum Family: UInt8, Sendable {
    /// IPv4; the address has 4 bytes.
    case v4 = 4
    /// IPv6; the address has 16 bytes.
    case v6 = 6
  }

  /// The address family.
  public let family: Family
  /// The first eight bytes of the address in network order, as a big-endian number. Zero for IPv4.
  public let high: UInt64
  /// The last eight bytes of the address in network order, as a big-endian number. For IPv4 the low 32 bits.
  public let low: UInt64

  /// An IPv4 address from its number in host order, for example `0x7F00_0001` for 127.0.0.1.
  public init(v4 number: UInt32) {
    family = .v4
    high = 0
    low = UInt64(number)
  }

  /// An IPv6 address from its two halves, for example `(0, 1)` for `::1`.
  public init(v6High high: UInt64, low: UInt64) {
    family = .v6
    self.high = high
    self.low = low
  }

  /// 0.0.0.0.
  public static let anyV4 = IPAddress(v4: 0)
  /// 127.0.0.1.
  public static let loopbackV4 = IPAddress(v4: 0x7F00_0001)
  /// ::.
  public static let anyV6 = IPAddress(v6High: 0, low: 0)
  /// ::1.
  public static let loopbackV6 = IPAddress(v6High: 0, low: 1)

  /// Whether this is the wildcard address of its family.
  public var isUnspecified: Bool { high == 0 && low == 0 }

  /// Whether this is a multicast group: 224.0.0.0/4 or ff00::/8.
  public var isMulticast: Bool {
    switch family {
    case .v4: low >> 28 == 0xE
    case .v6: high >> 56 == 0xFF
    }
  }

  /// Whether this is 127.0.0.0/8 or ::1.
  public var isLoopback: Bool {
    switch family {
    case .v4: low >> 24 == 127
    case .v6: high == 0 && low == 1
    }
  }

  /// Whether it names something on one link or interface only, so that a ``SocketAddress`` needs a scope to say on which:
  /// IPv6 addresses in fe80::/10, and IPv6 groups whose own scope is the interface or the link (ff01::, ff02::, ff12::, …).
  public var needsScope: Bool {
    guard family == .v6 else { return false }
    if isMulticast { return (1...2).contains(high >> 48 & 0xF) }
    return high >> 54 == 0xFE80 >> 6
  }

  /// Whether it is an IPv4 address in the form of an IPv6 one, ::ffff:a.b.c.d.
  public var isV4Mapped: Bool { family == .v6 && high == 0 && low >> 32 == 0xFFFF }
}

/// Where a datagram goes to or comes from: an IP address, a port and, for IPv6 link-local addresses, a scope.
public struct SocketAddress: Hashable, Sendable {
  /// The IP address.
  public let ip: IPAddress
  /// The UDP port, in host order. Zero asks the system to choose when binding.
  public let port: UInt16
  /// The index of the interface on whose link the address is meant, for addresses that need it
  /// (``IPAddress/needsScope``), and for groups that are sent to on one interface; zero for all others.
  public let scope: UInt32

  /// An address and port.
  public init(ip: IPAddress, port: UInt16, scope: UInt32 = 0) {
    self.ip = ip
    self.port = port
    self.scope = scope
  }

  /// The same address on the link of an interface, unless it has a scope already or needs none; without a scope that it
  /// does not need.
  public func scoped(to interfaceIndex: UInt32) -> SocketAddress {
    SocketAddress(ip: ip, port: port, scope: !ip.needsScope ? 0 : scope != 0 ? scope : interfaceIndex)
  }
}
