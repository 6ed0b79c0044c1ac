import GlueAddress
import GlueCore
import GlueNetwork

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension Endpoint.Configuration {
  /// The configuration with every field checked and the identity filled in.
  func completed() throws(ConfigurationError) -> Endpoint.Configuration {
    var settings = self
    func check(
      _ isGood: Bool, _ setting: Setting, _ value: Any, _ expectation: String? = nil
    ) throws(ConfigurationError) {
      if !isGood { throw error(setting, value: "\(value)", expected: expectation ?? setting.expectation) }
    }

    if networkKeyFile != nil, !networkKeys.isEmpty {
      throw error(
        .networkKeyFile, value: networkKeyFile!,
        expected: "\(Setting.networkKeyFile.expectation), and not \(name(of: .networkKeys)) as well")
    }
    if let file = keyFile { settings.networkKeys = try file.read() }
    try check(
      settings.networkKeys.count <= Self.maximumNetworkKeys, .networkKeys, settings.networkKeys,
      "at most \(Self.maximumNetworkKeys) keys")

    try check(endpointID?.rawValue != 0, .endpointID, 0)
    if let name = endpointName { try check((1...256).contains(name.utf8.count), .endpointName, name) }
    try check(
      (.milliseconds(10) ... .seconds(60)).contains(discoveryInterval), .discoveryInterval, discoveryInterval,
      "10 ms to 60 s")
    try check(
      (1...1_000_000).contains(discoveryTimeoutMultiplier), .discoveryTimeoutMultiplier, discoveryTimeoutMultiplier)
    try check(
      (.zero ... .seconds(10)).contains(busyPollingTime), .busyPollingTime, busyPollingTime, "0 to 10 s")
    try checkFamilies()
    if let address = listenAddress { try check(!address.ip.isMulticast, .listenAddress, address) }
    if case .address(let target) = discoveryTarget {
      try check(
        target.port != 0 && !target.ip.isUnspecified, .discoveryTarget, target,
        Setting.discoveryTarget.expectation + "; the address is not the wildcard, the port not 0")
    }
    try checkLimits()

    try check(listenInterfaces.isValid, .listenInterfaces, listenInterfaces)
    try settings.nameLink()

    var generator = SystemRandomNumberGenerator()
    settings.endpointID = endpointID ?? EndpointID(UInt64.random(in: 1 ... .max, using: &generator))
    settings.endpointName = endpointName ?? Self.derivedName(chance: generator.next())
    return settings
  }

  /// Checks the fields that no environment variable sets.
  func checkLimits() throws(ConfigurationError) {
    func check<Value: Comparable>(_ name: String, _ value: Value, _ accepted: ClosedRange<Value>)
      throws(ConfigurationError)
    {
      guard !accepted.contains(value) else { return }
      throw ConfigurationError(
        name: name, value: "\(value)", expectation: "\(accepted.lowerBound) to \(accepted.upperBound)")
    }
    func check<Settings: BoundedSettings>(_ name: String, _ settings: Settings) throws(ConfigurationError) {
      for field in Settings.bounds where !field.accepts(settings) {
        throw ConfigurationError(
          name: "\(name).\(field.name)", value: field.text(settings), expectation: field.expectation)
      }
    }
    try check("receiveBufferBytes", receiveBufferBytes, 65_536...1 << 30)
    try check("eventQueueLimit", eventQueueLimit, 1...1_000_000)
    try check("callbackThreadLimit", callbackThreadLimit, 1...1_024)
    try check("slowCallbackThreshold", slowCallbackThreshold, .zero ... .seconds(3_600))
    try check("answerPollingLimit", answerPollingLimit, .zero ... .milliseconds(1))
    try check("discoveryLimits", discoveryLimits)
    try check("transport", transport)
    try check("topics", topics)
  }

  /// The file with the keys, if there is one.
  var keyFile: NetworkKeyFile? { networkKeyFile.map { NetworkKeyFile(path: $0, setting: name(of: .networkKeyFile)) } }

  /// The addresses that were set, the one that decides about the family first.
  var addresses: [(setting: Setting, address: SocketAddress)] {
    var result: [(setting: Setting, address: SocketAddress)] = []
    if case .address(let target) = discoveryTarget { result.append((.discoveryTarget, target)) }
    if let discoveryListenAddress { result.append((.discoveryListenAddress, discoveryListenAddress)) }
    if let listenAddress { result.append((.listenAddress, listenAddress)) }
    return result
  }

  /// Checks that the addresses that were set are of one family.
  private func checkFamilies() throws(ConfigurationError) {
    for (setting, address) in addresses {
      let (first, decisive) = addresses[0]
      if address.ip.isV4Mapped {
        throw error(
          setting, value: "\(address)",
          expected: "\(setting.expectation); an IPv4 address stands without ::ffff: and brackets")
      }
      guard address.ip.family != decisive.ip.family else { continue }
      throw error(
        setting, value: "\(address)",
        expected: "\(setting.expectation); one endpoint has one address family, and \(name(of: first)) is \(decisive)")
    }
  }

  /// Replaces the scopes of addresses by the name of the interface that they stand for.
  private mutating func nameLink() throws(ConfigurationError) {
    let interfaces = (try? NetworkInterface.all()) ?? []
    let single: String?
    let isSingle: Bool
    switch listenInterfaces {
    case .defaultRoute: (single, isSingle) = (nil, true)
    case .named(let names): (single, isSingle) = (names.first, names.count == 1)
    case .all: (single, isSingle) = (nil, false)
    }
    for (setting, address) in addresses where address.ip.needsScope && !(address.ip.isMulticast && address.scope == 0) {
      guard isSingle else {
        throw error(
          setting, value: address.textNamingInterface,
          expected: "no address of one link, as \(name(of: .listenInterfaces)) is \(listenInterfaces)")
      }
      guard address.scope != 0 else { continue }
      let name = interfaces.first { $0.index == address.scope }?.name
      guard let name, name == (single ?? linkName ?? name) else {
        let wanted = (single ?? linkName).map { "the interface \($0)" } ?? "an interface of this host"
        throw error(setting, value: address.textNamingInterface, expected: "an address on \(wanted)")
      }
      linkName = name
    }
    func withoutScope(_ address: SocketAddress) -> SocketAddress { SocketAddress(ip: address.ip, port: address.port) }
    if case .address(let target) = discoveryTarget { discoveryTarget = .address(withoutScope(target)) }
    discoveryListenAddress = discoveryListenAddress.map(withoutScope)
    listenAddress = listenAddress.map(withoutScope)
  }

  /// A name that no other endpoint has, and that tells people which program it is: `PROGRAM-PROCESS-CHANCE`.
  private static func derivedName(chance: UInt64) -> String {
    let path = CommandLine.arguments.first ?? ""
    let program =
      path.split(separator: "/").last.map { String(decoding: $0.utf8.prefix(64), as: UTF8.self) } ?? "endpoint"
    let process = ProcessInfo.processInfo.processIdentifier
    return "\(program)-\(process)-\(String(chance & 0xFFFF_FFFF, radix: 16))"
  }
}
