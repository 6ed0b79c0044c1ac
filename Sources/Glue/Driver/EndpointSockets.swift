import GlueAddress
import GlueCore
import GlueNetwork

/// The open sockets of an endpoint.
struct EndpointSockets: Sendable {
  /// A socket, its place in the poller, and what arrives there.
  struct Entry: Sendable {
    let socket: DatagramSocket
    let slot: Poller.Slot
    /// Whether all that arrives there was sent to a group.
    let isGroup: Bool
  }

  /// For everything that is sent, and all data.
  let data: Entry
  /// The data socket and the discovery sockets.
  let all: [Entry]

  /// Opens the sockets, and watches them.
  ///
  /// - Throws: ``ConfigurationError`` that names the setting whose address cannot be used, or
  ///   ``EndpointFailure/network(_:)``.
  init(_ plan: SocketPlan, settings: Endpoint.Configuration, poller: Poller) throws {
    var entries: [Entry] = []
    func add(_ socket: DatagramSocket, isGroup: Bool) throws(NetworkError) {
      entries.append(Entry(socket: socket, slot: try poller.add(socket), isGroup: isGroup))
    }

    do throws(NetworkError) {
      try add(DatagramSocket(binding: plan.listenAddress, options: Self.dataOptions(plan, settings)), isGroup: false)
    } catch {
      throw Self.refusal(.listenAddress, settings.listenAddress, error, settings)
    }

    var rendezvousError: NetworkError?
    for discovery in plan.discovery {
      do throws(NetworkError) {
        switch discovery {
        case .group(let address):
          let socket = try DatagramSocket(binding: address, options: .sharedPort)
          try socket.join(group: address.ip, on: plan.interface)
          try add(socket, isGroup: true)
        case .broadcast(let address):
          try add(DatagramSocket(binding: address, options: .sharedPort), isGroup: false)
        case .rendezvous(let address):
          do throws(NetworkError) {
            try add(DatagramSocket(binding: address), isGroup: false)
          } catch  where error.code == .addressNotAvailable && plan.discovery.count > 1 {
            rendezvousError = error  // an address that has just gone, or one that is not ready yet
          }
        }
      } catch {
        throw Self.refusal(of: discovery, error, settings)
      }
    }
    if let rendezvousError, entries.count <= 2 { throw EndpointFailure.network("\(rendezvousError)") }
    data = entries[0]
    all = entries
  }

  /// The settings of the data socket.
  static func dataOptions(_ plan: SocketPlan, _ settings: Endpoint.Configuration) -> DatagramSocket.Options {
    var options = DatagramSocket.Options()
    options.receiveBufferBytes = settings.receiveBufferBytes
    options.multicastInterface = plan.interface
    options.allowsBroadcast = plan.broadcasts
    return options
  }

  /// How many bytes of datagrams may wait in the data socket, as the system would grant it now.
  ///
  /// - Throws: ``NetworkError`` if no socket can be opened.
  static func grantedReceiveBufferBytes(
    _ plan: SocketPlan, _ settings: Endpoint.Configuration
  ) throws(NetworkError) -> Int {
    let address = SocketAddress(ip: plan.listenAddress.ip.family == .v4 ? .anyV4 : .anyV6, port: 0)
    let probe = try DatagramSocket(binding: address, options: dataOptions(plan, settings))
    defer { probe.close() }
    // Linux reports twice what it grants, and counts its own overhead against that.
    #if os(Linux)
      return probe.receiveBufferBytes / 2
    #else
      return probe.receiveBufferBytes
    #endif
  }

  func close(_ poller: Poller) {
    for entry in all {
      poller.remove(entry.socket)
      entry.socket.close()
    }
  }

  private static func refusal(
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
  private static func refusal(
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
