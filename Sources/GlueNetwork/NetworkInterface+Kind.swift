#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension NetworkInterface {
  /// See ``isWireless``.
  static func isRadio(_ name: String, isLoopback: Bool) -> Bool {
    #if os(Linux) || os(Android)
      ["phy80211", "wireless"].contains { access("/sys/class/net/\(name)/\($0)", F_OK) == 0 }
    #else
      !isLoopback
    #endif
  }

  /// What an interface leads to other than a local network, as far as its name tells. There is no better sign: the interface
  /// inside of a container is of the same make as that on its host.
  public enum VirtualKind: Hashable, Sendable {
    /// A VPN or another tunnel.
    case tunnel
    /// Containers or virtual machines of this host.
    case guests
    /// Apple's systems use it for themselves.
    case system

    /// What such names begin with.
    private static let prefixes: [(kind: VirtualKind, prefixes: [String])] = [
      (.tunnel, ["tun", "tap", "utun", "wg", "ppp", "ipsec", "tailscale", "zt", "nebula", "vpn", "gif", "stf"]),
      (
        .guests,
        [
          "docker", "veth", "virbr", "vnet", "vmnet", "vboxnet", "cni", "podman", "lxc", "lxdbr", "incusbr", "cali",
          "cilium", "flannel", "kube", "nerdctl",
        ]
      ),
      (.system, ["awdl", "llw"]),
    ]

    /// `nil` for an ordinary name. Of those that begin with `br-` only Docker's are virtual, which go on with 12 hexadecimal
    /// digits.
    public init?(name: String) {
      if name.hasPrefix("br-"), name.utf8.count == 15, name.dropFirst(3).allSatisfy(\.isHexDigit) {
        self = .guests
        return
      }
      guard let entry = Self.prefixes.first(where: { $0.prefixes.contains { name.hasPrefix($0) } }) else { return nil }
      self = entry.kind
    }
  }
}
