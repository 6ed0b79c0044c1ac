import Configuration
import GlueAddress
import GlueCore
import GlueNetwork

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension Endpoint.Configuration {
  /// The environment variables that are settings, in the order of the documentation.
  public static let environmentVariables = Setting.allCases.map(\.variable)

  /// Reads the `GLUE_` variables of the environment; what is not set has its default. Other variables whose names begin
  /// with `GLUE_` are named in a warning when the endpoint is made.
  ///
  /// - Parameter environment: The variables; by default those of this process.
  /// - Throws: ``ConfigurationError`` that names the variable, its value and what is accepted.
  public static func fromEnvironment(
    _ environment: [String: String]? = nil
  ) throws(ConfigurationError) -> Endpoint.Configuration {
    let environment = if let environment { environment } else { try processEnvironment() }
    // Names are matched exactly, here and by the provider, so that `glue_network_id` is no setting on any system.
    let variables = environment.filter { $0.key.hasPrefix("GLUE_") }
    let reader = ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: variables))
    var configuration = Endpoint.Configuration()
    for setting in Setting.allCases {
      // Read as text: the provider takes a number it cannot read for a missing one.
      guard let text = reader.string(forKey: ConfigKey(setting.key)) else { continue }
      try configuration.set(setting, to: text)
      configuration.environmentSettings.insert(setting)
    }
    let known = Set(environmentVariables)
    configuration.unknownVariables = variables.keys.filter { !known.contains($0) }.sorted()
    return configuration
  }

  /// The variables of this process.
  private static func processEnvironment() throws(ConfigurationError) -> [String: String] {
    // Foundation leaves out what is not UTF-8: such a setting would be taken for one that is not set.
    for setting in Setting.allCases {
      guard let bytes = getenv(setting.variable), String(validatingCString: bytes) == nil else { continue }
      throw ConfigurationError(
        name: setting.variable,
        value: setting == .networkKeys ? secret(String(cString: bytes)) : String(cString: bytes),
        expectation: "\(setting.expectation), in UTF-8")
    }
    return ProcessInfo.processInfo.environment
  }

  /// What an error shows instead of a key: what is nearly one is as secret.
  private static func secret(_ text: String) -> String { "(\(text.utf8.count) bytes, not shown)" }

  /// One setting of the environment.
  enum Setting: CaseIterable {
    case networkID, networkKeys, networkKeyFile, endpointID, endpointName, listenAddress, listenInterfaces
    case discoveryTarget, discoveryListenAddress, discoveryInterval, discoveryTimeoutMultiplier, relays, multicastsData
    case busyPollingTime

    /// The key by which swift-configuration knows it, from which it makes the variable's name.
    var key: String {
      switch self {
      case .networkID: "glue.network.id"
      case .networkKeys: "glue.network.key"
      case .networkKeyFile: "glue.network.key.file"
      case .endpointID: "glue.endpoint.id"
      case .endpointName: "glue.endpoint.name"
      case .listenAddress: "glue.listen.address"
      case .listenInterfaces: "glue.listen.interface"
      case .discoveryTarget: "glue.discovery.target.address"
      case .discoveryListenAddress: "glue.discovery.listen.address"
      case .discoveryInterval: "glue.discovery.rate.milliseconds"
      case .discoveryTimeoutMultiplier: "glue.discovery.rate.timeout.multiplier"
      case .relays: "glue.relay"
      case .multicastsData: "glue.multicast.data"
      case .busyPollingTime: "glue.busy.polling.microseconds"
      }
    }

    /// The environment variable.
    var variable: String { key.uppercased().replacing(".", with: "_") }

    /// What is accepted.
    var expectation: String {
      switch self {
      case .networkID: "an integer from 0 to 18446744073709551615"
      case .networkKeys: "the base64 of 32 bytes, as `glue key` makes it"
      case .networkKeyFile: NetworkKeyFile.expectation
      case .endpointID: "an integer from 1 to 18446744073709551615"
      case .endpointName: "1 to 256 bytes of text"
      case .listenAddress:
        "ADDRESS:PORT with an address of this host, for example 0.0.0.0:0, 192.168.1.4:5000 or [fe80::1%eth0]:5000"
      case .listenInterfaces:
        "the name of a network interface, 1 to 15 bytes, or up to \(InterfaceSelection.maximumCount) different ones with commas "
          + "between them, or all"
      case .discoveryTarget:
        "ADDRESS:PORT, for example 239.192.137.1:27320 or [ff12::efc0:8901]:27320, or 0 to announce to nobody"
      case .discoveryListenAddress: "ADDRESS:PORT, for example 239.192.137.1:27320 or [ff12::efc0:8901]:27320"
      case .discoveryInterval: "an integer from 10 to 60000"
      case .discoveryTimeoutMultiplier: "a number of at least 1, at most 1000000"
      case .relays, .multicastsData: "1 or 0"
      case .busyPollingTime: "an integer from 0 to 10000000"
      }
    }
  }

  /// An error about a setting that names it as the program's user knows it.
  func error(_ setting: Setting, value: String, expected expectation: String) -> ConfigurationError {
    ConfigurationError(name: name(of: setting), value: value, expectation: expectation)
  }

  /// The variable, or the field if the setting did not come from the environment.
  func name(of setting: Setting) -> String {
    environmentSettings.contains(setting) ? setting.variable : "\(setting)"
  }

  private mutating func set(_ setting: Setting, to text: String) throws(ConfigurationError) {
    func refused(_ reason: String = "") -> ConfigurationError {
      ConfigurationError(name: setting.variable, value: text, expectation: setting.expectation + reason)
    }
    func address() throws(ConfigurationError) -> SocketAddress {
      do {
        return try SocketAddress(resolvingInterfaceIn: text)
      } catch {
        throw refused("; " + error.reason)
      }
    }

    switch setting {
    case .networkID:
      guard let number = UInt64(digits: text) else { throw refused() }
      networkID = number
    case .networkKeys:
      guard let key = NetworkKey(base64: text) else {
        throw ConfigurationError(
          name: setting.variable, value: Self.secret(text), expectation: setting.expectation)
      }
      networkKeys = [key]
    case .networkKeyFile:
      guard !text.isEmpty else { throw refused() }
      networkKeyFile = text
    case .endpointID:
      guard let number = UInt64(digits: text), number > 0 else { throw refused() }
      endpointID = EndpointID(number)
    case .endpointName:
      guard (1...256).contains(text.utf8.count) else { throw refused() }
      endpointName = text
    case .listenAddress:
      listenAddress = try address()
    case .listenInterfaces:
      guard let selection = InterfaceSelection(text) else { throw refused() }
      listenInterfaces = selection
    case .discoveryTarget:
      discoveryTarget = text == "0" ? .nobody : .address(try address())
    case .discoveryListenAddress:
      discoveryListenAddress = try address()
    case .discoveryInterval:
      guard let number = UInt64(digits: text), (10...60_000).contains(number) else { throw refused() }
      discoveryInterval = .milliseconds(number)
    case .discoveryTimeoutMultiplier:
      guard let number = Double(decimal: text), (1...1_000_000).contains(number) else { throw refused() }
      discoveryTimeoutMultiplier = number
    case .relays:
      guard ["0", "1"].contains(text) else { throw refused() }
      relays = text == "1"
    case .multicastsData:
      guard ["0", "1"].contains(text) else { throw refused() }
      multicastsData = text == "1"
    case .busyPollingTime:
      guard let number = UInt64(digits: text), number <= 10_000_000 else { throw refused() }
      busyPollingTime = .microseconds(number)
    }
  }
}

extension UInt64 {
  /// Digits only: no sign and no spaces, unlike the standard library's initializer.
  fileprivate init?(digits text: String) {
    guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
      return nil
    }
    self.init(text)
  }
}

extension Double {
  /// Digits with at most one point: no `nan`, `inf`, exponent or hexadecimal digits.
  fileprivate init?(decimal text: String) {
    let isDecimal = text.utf8.allSatisfy {
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".")
    }
    guard isDecimal else { return nil }
    self.init(text)
  }
}
