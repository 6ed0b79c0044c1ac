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

  /// The data sockets, one for each address family in use, and then the discovery sockets.
  let all: [Entry]
  /// For everything that is sent, and all data; by family.
  private let dataV4: DatagramSocket?
  private let dataV6: DatagramSocket?

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
      for socket in try Self.openDataSockets(plan, settings) { try add(socket, isGroup: false) }
    } catch {
      throw Self.refusal(.listenAddress, settings.listenAddress, error, settings)
    }
    let data = entries.map(\.socket)
    dataV4 = data.first { $0.localAddress.ip.family == .v4 }
    dataV6 = data.first { $0.localAddress.ip.family == .v6 }

    var rendezvousError: NetworkError?
    var meetingPlaces = 0
    for discovery in plan.discovery {
      do throws(NetworkError) {
        switch discovery {
        case .group(let address):
          do throws(NetworkError) {
            let socket = try DatagramSocket(binding: address, options: .sharedPort)
            try socket.join(group: address.ip, on: plan.interface)
            try add(socket, isGroup: true)
          } catch  where address.ip.family == .v6 && plan.discovery.count > 1 {
            continue  // a system, or an interface, whose IPv6 is switched off while we look: IPv4 will do
          }
        case .broadcast(let address):
          try add(DatagramSocket(binding: address, options: .sharedPort), isGroup: false)
        case .rendezvous(let address):
          do throws(NetworkError) {
            try add(DatagramSocket(binding: address), isGroup: false)
            meetingPlaces += 1
          } catch  where error.code == .addressNotAvailable && plan.discovery.count > 1 {
            rendezvousError = error  // an address that has just gone, or one that is not ready yet
          }
        }
      } catch {
        throw Self.refusal(of: discovery, error, settings)
      }
    }
    if let rendezvousError, meetingPlaces == 0 { throw EndpointFailure.network("\(rendezvousError)") }
    all = entries
  }

  /// The socket that sends to addresses of a family; `nil` if this endpoint does not use it.
  func data(_ family: IPAddress.Family) -> DatagramSocket? { family == .v4 ? dataV4 : dataV6 }

  /// Where data arrives.
  var dataAddresses: [SocketAddress] { [dataV4, dataV6].compactMap { $0?.localAddress } }

  /// Opens a socket for each address of the plan, on one port if the system chooses the port and can.
  private static func openDataSockets(
    _ plan: SocketPlan, _ settings: Endpoint.Configuration
  ) throws(NetworkError) -> [DatagramSocket] {
    let options = dataOptions(plan, settings)
    var sockets: [DatagramSocket] = []
    for address in plan.listenAddresses {
      do throws(NetworkError) {
        let port = sockets.first?.localAddress.port ?? address.port
        do throws(NetworkError) {
          sockets.append(
            try DatagramSocket(
              binding: SocketAddress(ip: address.ip, port: port, scope: address.scope), options: options))
        } catch  where error.code == .addressInUse && port != address.port {
          sockets.append(try DatagramSocket(binding: address, options: options))
        }
      } catch  where plan.listenAddresses.count > 1 && error.code != .addressInUse {
        // One family is enough, and there are systems that have only one.
        if sockets.isEmpty && address == plan.listenAddresses.last { throw error }
      }
    }
    return sockets
  }

  /// The settings of the data sockets.
  private static func dataOptions(_ plan: SocketPlan, _ settings: Endpoint.Configuration) -> DatagramSocket.Options {
    var options = DatagramSocket.Options()
    options.receiveBufferBytes = settings.receiveBufferBytes
    options.multicastInterface = plan.interface
    options.allowsBroadcast = plan.broadcasts
    return options
  }

  /// How many bytes of datagrams may wait in a data socket, as the system would grant it now.
  ///
  /// - Throws: ``NetworkError`` if no socket can be opened.
  static func grantedReceiveBufferBytes(
    _ plan: SocketPlan, _ settings: Endpoint.Configuration
  ) throws(NetworkError) -> Int {
    var anyPort = plan
    anyPort.listenAddresses = plan.listenAddresses.map {
      SocketAddress(ip: $0.ip.family == .v4 ? .anyV4 : .anyV6, port: 0)
    }
    let probes = try openDataSockets(anyPort, settings)
    defer { for probe in probes { probe.close() } }
    let least = probes.map(\.receiveBufferBytes).min() ?? 0
    // Linux reports twice what it grants, and counts its own overhead against that.
    #if os(Linux)
      return least / 2
    #else
      return least
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
