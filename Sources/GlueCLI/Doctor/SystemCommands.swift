/// The commands of this system that mend or show something; empty where it has none. They are those of the system that this
/// program was built for: what has to be done on another host may be done otherwise there.
enum SystemCommands {
  #if os(Linux)
    static func switchOn(_ interface: String) -> [String] { ["ip link set dev \(interface) up"] }
    static func addAddress(to interface: String) -> [String] { ["ip address add ADDRESS/24 dev \(interface)"] }
    static func setMTU(of interface: String) -> [String] { ["ip link set dev \(interface) mtu 1500"] }
    static func carryMulticast(on interface: String) -> [String] { ["ip link set dev \(interface) multicast on"] }
    static func allowReceiveBuffer(of bytes: Int) -> [String] {
      [
        "sysctl -w net.core.rmem_max=\(bytes)",
        "echo net.core.rmem_max=\(bytes) > /etc/sysctl.d/60-glue.conf",
      ]
    }
    static func whoListens(on port: Substring) -> [String] { ["ss -lunp 'sport = :\(port)'"] }
    static let packetFilters = ["nft list ruleset", "iptables-save"]
    static let routes = ["ip route show table all", "ip -6 route show table all"]
    static func route(to host: String) -> [String] { ["ip route get \(host)", "ip neighbour"] }
    static func ping(_ address: String, bytes: Int) -> [String] { ["ping -M do -s \(bytes) \(address)"] }
    static let interfaceErrors = ["ethtool -S INTERFACE | grep -i -e err -e drop"]
    static let clock = ["timedatectl   # on both hosts", "chronyc tracking"]
  #else
    static func switchOn(_ interface: String) -> [String] { ["ifconfig \(interface) up"] }
    static func addAddress(to interface: String) -> [String] { ["ifconfig \(interface) inet ADDRESS/24 alias"] }
    static func setMTU(of interface: String) -> [String] { ["ifconfig \(interface) mtu 1500"] }
    static func carryMulticast(on interface: String) -> [String] { [] }
    static func allowReceiveBuffer(of bytes: Int) -> [String] {
      // The system keeps some of it for itself.
      ["sysctl -w kern.ipc.maxsockbuf=\(bytes * 2)"]
    }
    static func whoListens(on port: Substring) -> [String] { ["lsof -nP -iUDP:\(port)"] }
    static let packetFilters = ["pfctl -s rules", "/usr/libexec/ApplicationFirewall/socketfilterfw --listapps"]
    static let routes = ["netstat -rn"]
    static func route(to host: String) -> [String] {
      host.contains(":") ? ["route -n get -inet6 \(host)", "ndp -an"] : ["route -n get \(host)", "arp -an"]
    }
    static func ping(_ address: String, bytes: Int) -> [String] {
      address.contains(":") ? ["ping6 -D -s \(bytes) \(address)"] : ["ping -D -s \(bytes) \(address)"]
    }
    static let interfaceErrors = ["netstat -d -I INTERFACE"]
    static let clock = ["sntp time.apple.com   # on both hosts"]
  #endif

  /// The same commands, to be run on both hosts.
  static func onBothHosts(_ commands: [String]) -> [String] { commands.map { "\($0)   # on both hosts" } }
}
