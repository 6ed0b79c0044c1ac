/// Which network interfaces an endpoint uses for multicast.
public enum InterfaceSelection: Hashable, Sendable {
  /// The one that datagrams to far-away hosts leave by (of IPv4, else of IPv6), or loopback where there is none. When routes
  /// change, another one is chosen.
  case defaultRoute
  /// Those with these names, at most ``maximumCount``, whatever they are. One that is not there yet is waited for.
  case named([String])
  /// All that lead to a network: up, capable of multicast, not point-to-point (VPNs), and not made by a container engine or
  /// for virtual machines, which is told by the name (``NetworkInterface/isVirtual``). At most ``maximumCount``, the first
  /// ones by number. They are used as they come, and left when they go; loopback only while there is no other.
  case all

  /// As many interfaces are used at a time. Each costs two sockets, and two announcements in each interval.
  public static let maximumCount = 16

  /// Reads `all`, or names with commas between them; `nil` if it is neither.
  init?(_ text: String) {
    let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    self = names == ["all"] ? .all : .named(names)
    guard isValid else { return nil }
  }

  /// What systems accept as names; none twice, and not too many.
  var isValid: Bool {
    guard case .named(let names) = self else { return true }
    return (1...Self.maximumCount).contains(names.count) && Set(names).count == names.count
      && names.allSatisfy { name in
        (1...15).contains(name.utf8.count) && name != "all"
          && !name.utf8.contains { $0 <= 0x20 || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ",") }
      }
  }
}

extension InterfaceSelection: CustomStringConvertible {
  /// As ``Endpoint/Configuration/fromEnvironment(_:)`` reads it; the default is not set there.
  public var description: String {
    switch self {
    case .defaultRoute: "that of the default route"
    case .named(let names): names.joined(separator: ",")
    case .all: "all"
    }
  }
}
