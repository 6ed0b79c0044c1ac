import GlueAddress
import GlueNetwork

extension EndpointSockets {
  /// The error of a discovery socket that could not be opened at the start.
  static func refusal(
    of discovery: SocketPlan.Discovery, _ error: NetworkError, _ settings: Endpoint.Configuration
  ) -> any Error {
    if case .rendezvous(let address) = discovery, error.code == .addressInUse {
      let reason = "another program, maybe another endpoint that announces to nobody, has \(address)"
      if let address = settings.discoveryListenAddress {
        return settings.error(.discoveryListenAddress, value: "\(address)", expected: "a free port; \(reason)")
      }
      return settings.error(.discoveryTarget, value: "0", expected: "one such endpoint on a host; \(reason)")
    }
    if settings.discoveryListenAddress == nil, case .address(let target) = settings.discoveryTarget,
      settings.environmentSettings.contains(.discoveryTarget)
    {
      return refusal(.discoveryTarget, target, error, settings)
    }
    return refusal(.discoveryListenAddress, settings.discoveryListenAddress, error, settings)
  }

  /// The error of a socket whose address came from this setting, or from none.
  static func refusal(
    _ setting: Endpoint.Configuration.Setting, _ address: SocketAddress?, _ error: NetworkError,
    _ settings: Endpoint.Configuration
  ) -> any Error {
    let expectation: String
    switch error.code {
    case _ where error.operation != "bind": expectation = error.expectation
    case .addressInUse?: expectation = "a port that no other program has for itself"
    case .addressNotAvailable?: expectation = "an address of this host"
    case .accessDenied?: expectation = "a port that this program may use, from 1024 up"
    default: expectation = error.expectation
    }
    let reason = error.reason
    guard let address else { return EndpointFailure.network("\(reason); expected \(expectation)") }
    return settings.error(setting, value: "\(address)", expected: "\(expectation); \(reason)")
  }
}
