import Foundation
import Glue
import GlueAddress

/// Gathers what this host can tell of itself, without root and without sending anything.
enum DoctorHost {
  /// The facts before an endpoint runs; which interface is used comes from the endpoint, see ``note(_:_:of:)``.
  static func facts(_ configuration: Endpoint.Configuration, _ interfaces: [HostInterface]) -> DoctorFacts.Host {
    var host = DoctorFacts.Host()
    host.interfaces = interfaces.map { interface in
      DoctorFacts.Interface(
        name: interface.name, addresses: interface.addresses, mtu: interface.mtu, isUp: interface.isUp,
        isLoopback: interface.isLoopback, supportsMulticast: interface.supportsMulticast)
    }
    host.receiveBufferAsked = configuration.receiveBufferBytes
    host.receiveBufferMaximum = number(at: "/proc/sys/net/core/rmem_max")
    host.firewall = firewall()
    return host
  }

  /// Which interface an endpoint uses, and why.
  static func note(_ choice: InterfaceChoice, _ host: inout DoctorFacts.Host) {
    let used = choice.used
    let awaited = choice.interfaces.filter { $0.obstacle?.isAwaited ?? false }
    host.chosen = (used + awaited).first?.name
    host.alsoUsed = used.dropFirst().map(\.name)
    host.awaited = used.isEmpty ? [] : awaited.map { "\($0.name): \($0.obstacle.map { "\($0)" } ?? "")" }
    host.choice = choice.description
    host.obstacle =
      switch used.isEmpty ? awaited.first?.obstacle : nil {
      case .missing: .missing
      case .down: .down
      case .noAddress: .noAddress
      default: nil
      }
    host.isOnlyLoopback = choice.reason == .onlyLoopback || choice.reason == .nothingElse
    // The larger of the two settings counts.
    let settings = (["all"] + used.map(\.name)).compactMap { number(at: "/proc/sys/net/ipv4/conf/\($0)/rp_filter") }
    host.isReversePathStrict = settings.max() == 1
  }

  /// An address that endpoints with these settings need and cannot have.
  static func takenPort(_ configuration: Endpoint.Configuration, _ interfaces: [HostInterface]) -> String? {
    guard configuration.usesGroups else { return nil }
    let scope = interfaces.first { $0.isUp && !$0.isLoopback }?.index ?? 0
    for group in configuration.groups {
      let address = SocketAddress(ip: group.ip, port: group.port, scope: group.ip.family == .v6 ? scope : 0)
      if group.ip.family == .v6, scope == 0 { continue }
      if Endpoint.Configuration.isTaken(address, isShared: true) { return "\(group)" }
    }
    return nil
  }

  private static func number(at path: String) -> Int? {
    guard let bytes = try? Files.contents(of: path, limit: 64) else { return nil }
    return Int(String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
  }

  // MARK: Packet filters

  private static func firewall() -> DoctorFacts.Firewall {
    var firewall = DoctorFacts.Firewall()
    firewall.frontEnds = ["ufw", "firewall-cmd"].filter { path(of: $0) != nil }
    let readers: [(tool: String, words: [String], read: (String) -> [DoctorFacts.Firewall.Rule])] = [
      ("nft", ["list", "ruleset"], FirewallRules.suspicious(nft:)),
      ("iptables-save", [], { FirewallRules.suspicious(iptables: $0) }),
      ("ip6tables-save", [], { FirewallRules.suspicious(iptables: $0, command: "ip6tables") }),
    ]
    var isAnyThere = false
    for reader in readers {
      guard let path = path(of: reader.tool) else { continue }
      isAnyThere = true
      if let output = output(of: path, reader.words) {
        firewall.rules += reader.read(output)
      } else {
        firewall.unread.append("\(reader.tool) refuses to show it")
      }
    }
    #if os(Linux)
      if !isAnyThere { firewall.unread.append("neither nft nor iptables-save is installed") }
    #endif
    return firewall
  }

  private static func path(of tool: String) -> String? {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
    return (folders + ["/usr/sbin", "/sbin", "/usr/bin"]).map { "\($0)/\(tool)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  /// What a program prints; nil if it fails.
  private static func output(of path: String, _ words: [String]) -> String? {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = words
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return nil }
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? String(decoding: data, as: UTF8.self) : nil
  }
}
