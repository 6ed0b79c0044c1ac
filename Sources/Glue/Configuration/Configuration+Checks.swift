import GlueAddress
import GlueCore

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
    func checkFamily(_ setting: Setting, _ address: SocketAddress?) throws(ConfigurationError) {
      guard let address else { return }
      try check(address.ip.family == .v4, setting, address, "\(setting.expectation); \(Self.familyExpectation)")
    }
    try checkFamily(.listenAddress, listenAddress)
    try checkFamily(.discoveryListenAddress, discoveryListenAddress)
    if let address = listenAddress { try check(!address.ip.isMulticast, .listenAddress, address) }
    if case .address(let target) = discoveryTarget {
      try checkFamily(.discoveryTarget, target)
      try check(
        target.port != 0 && !target.ip.isUnspecified, .discoveryTarget, target,
        Setting.discoveryTarget.expectation + "; the address is not the wildcard, the port not 0")
    }
    if receiveBufferBytes < 65_536 {
      throw ConfigurationError(
        name: "receiveBufferBytes", value: "\(receiveBufferBytes)", expectation: "at least 65536")
    }
    if eventQueueLimit < 1 {
      throw ConfigurationError(name: "eventQueueLimit", value: "\(eventQueueLimit)", expectation: "at least 1")
    }

    var generator = SystemRandomNumberGenerator()
    settings.endpointID = endpointID ?? EndpointID(UInt64.random(in: 1 ... .max, using: &generator))
    settings.endpointName = endpointName ?? Self.derivedName(chance: generator.next())
    return settings
  }

  /// The file with the keys, if there is one.
  var keyFile: NetworkKeyFile? { networkKeyFile.map { NetworkKeyFile(path: $0, setting: name(of: .networkKeyFile)) } }

  /// A name that no other endpoint has, and that tells people which program it is: `PROGRAM-PROCESS-CHANCE`.
  private static func derivedName(chance: UInt64) -> String {
    let path = CommandLine.arguments.first ?? ""
    let program =
      path.split(separator: "/").last.map { String(decoding: $0.utf8.prefix(64), as: UTF8.self) } ?? "endpoint"
    let process = ProcessInfo.processInfo.processIdentifier
    return "\(program)-\(process)-\(String(chance & 0xFFFF_FFFF, radix: 16))"
  }
}
