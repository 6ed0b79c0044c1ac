import GlueAddress
import GlueCore
import GlueNetwork

/// The open sockets of an endpoint.
struct EndpointSockets: Sendable {
  /// A socket, its place in the poller, and what arrives there.
  struct Entry: Sendable {
    let socket: DatagramSocket
    let slot: Poller.Slot
    /// The number of the interface by which everything arrives there; 0 if that may be any. Then what arrives was sent to
    /// a group.
    let groupInterface: UInt32
  }

  /// What they were opened for.
  let plan: SocketPlan
  /// For everything that is sent, and all data: one for each address family in use.
  private(set) var data: [Entry] = []
  /// Where announcements arrive besides, by what they were opened for.
  private var discovery: [SocketPlan.Discovery: Entry] = [:]
  /// Why not everything that is planned is open: another try may help.
  private(set) var problems: [NetworkError] = []

  /// All sockets. Kept, since the I/O thread goes through them whenever it wakes.
  private(set) var all: [Entry] = []

  /// Opens the sockets, and watches them.
  ///
  /// - Throws: ``ConfigurationError`` that names the setting whose address cannot be used, or
  ///   ``EndpointFailure/network(_:)``.
  init(_ plan: SocketPlan, settings: Endpoint.Configuration, poller: Poller) throws {
    self.plan = plan
    do throws(NetworkError) {
      data = try Self.watch(Self.openData(plan, settings, ports: [:]), poller)
    } catch {
      throw Self.refusal(.listenAddress, settings.listenAddress, error, settings)
    }
    for item in plan.discovery {
      do throws(NetworkError) {
        discovery[item] = try Self.open(item, poller)
      } catch {
        // An address or interface that has just gone, or a family that is being switched off: the others will do, and it is
        // tried again.
        let hasGone = error.code == .addressNotAvailable || error.code == .noSuchInterface || item.isV6Group
        guard plan.discovery.count > 1, hasGone else {
          throw Self.refusal(of: item, error, settings)
        }
        problems.append(error)
      }
    }
    if let problem = problems.first, discovery.isEmpty { throw EndpointFailure.network("\(problem)") }
    list()
  }

  /// The sockets for another plan, after the host's interfaces have changed. What can stay open does, the rest is closed;
  /// the data sockets keep their ports if they can. What cannot be opened is left out, see ``problems``.
  init(_ plan: SocketPlan, replacing old: EndpointSockets, settings: Endpoint.Configuration, poller: Poller) {
    self.plan = plan
    do throws(NetworkError) {
      if plan.listenAddresses == old.plan.listenAddresses && plan.broadcasts == old.plan.broadcasts && !old.data.isEmpty
      {
        data = old.data
      } else {
        old.close(old.data, poller)
        data = try Self.watch(Self.openData(plan, settings, ports: old.ports), poller)
      }
    } catch {
      problems.append(error)
    }
    formerPorts = old.ports
    // Memberships went with their interface, or are those of another one; any change of an interface makes another item of it.
    old.close(old.discovery.filter { !plan.discovery.contains($0.key) }.map(\.value), poller)
    for item in plan.discovery {
      do throws(NetworkError) {
        discovery[item] = if let entry = old.discovery[item] { entry } else { try Self.open(item, poller) }
      } catch {
        problems.append(error)
      }
    }
    list()
  }

  private mutating func list() { all = data + plan.discovery.compactMap { discovery[$0] } }

  /// What this endpoint sends to a group need not come back to it: the others of this host get it all the same.
  func ignoreOwnGroupData(_ incarnation: Incarnation) {
    for entry in discovery.values where entry.groupInterface != 0 {
      entry.socket.ignoreDatagrams(
        first: ShortHeader.groupBits, mask: ShortHeader.groupBits, next: incarnation.groupTag.byteSwapped)
    }
  }

  /// The socket that sends to addresses of a family; `nil` if this endpoint does not use it.
  func dataSocket(_ family: IPAddress.Family) -> DatagramSocket? {
    for entry in data where entry.socket.localAddress.ip.family == family { return entry.socket }
    return nil
  }

  /// Closes all sockets.
  func close(_ poller: Poller) { close(all, poller) }

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
    let probes = try openData(anyPort, settings, ports: [:])
    defer { for probe in probes { probe.close() } }
    let least = probes.map(\.receiveBufferBytes).min() ?? 0
    // Linux reports twice what it grants, and counts its own overhead against that.
    #if os(Linux)
      return least / 2
    #else
      return least
    #endif
  }

  // MARK: Opening

  /// The ports of data sockets that could not be opened again, so that a later try asks for the same.
  private var formerPorts: [IPAddress.Family: UInt16] = [:]

  private var ports: [IPAddress.Family: UInt16] {
    var ports = formerPorts
    for entry in data { ports[entry.socket.localAddress.ip.family] = entry.socket.localAddress.port }
    return ports
  }

  /// Opens a socket for each address of the plan; where the system is to choose the port, on that of `ports` or on one
  /// for both families, if it is free.
  private static func openData(
    _ plan: SocketPlan, _ settings: Endpoint.Configuration, ports: [IPAddress.Family: UInt16]
  ) throws(NetworkError) -> [DatagramSocket] {
    var options = DatagramSocket.Options()
    options.receiveBufferBytes = settings.receiveBufferBytes
    options.allowsBroadcast = plan.broadcasts
    var sockets: [DatagramSocket] = []
    var failure: NetworkError?
    for address in plan.listenAddresses {
      let port = ports[address.ip.family] ?? ports.values.min() ?? sockets.first?.localAddress.port
      if address.port == 0, let port,
        let socket = try? DatagramSocket(
          binding: SocketAddress(ip: address.ip, port: port, scope: address.scope), options: options)
      {
        sockets.append(socket)
        continue
      }
      do throws(NetworkError) {
        sockets.append(try DatagramSocket(binding: address, options: options))
      } catch {
        failure = error
      }
    }
    // One family is enough, and there are systems that have only one.
    if let failure, sockets.isEmpty { throw failure }
    return sockets
  }

  private static func open(_ discovery: SocketPlan.Discovery, _ poller: Poller) throws(NetworkError) -> Entry {
    switch discovery {
    case .group(let address, on: let interface):
      let socket = try DatagramSocket(binding: address, options: .sharedPort)
      try socket.join(group: address.ip, on: interface)
      return Entry(socket: socket, slot: try poller.add(socket), groupInterface: interface.index)
    case .broadcast(let address):
      let socket = try DatagramSocket(binding: address, options: .sharedPort)
      return Entry(socket: socket, slot: try poller.add(socket), groupInterface: 0)
    case .rendezvous(let address):
      let socket = try DatagramSocket(binding: address)
      return Entry(socket: socket, slot: try poller.add(socket), groupInterface: 0)
    }
  }

  private static func watch(_ sockets: [DatagramSocket], _ poller: Poller) throws(NetworkError) -> [Entry] {
    var entries: [Entry] = []
    for socket in sockets { entries.append(Entry(socket: socket, slot: try poller.add(socket), groupInterface: 0)) }
    return entries
  }

  private func close(_ entries: [Entry], _ poller: Poller) {
    for entry in entries {
      poller.remove(entry.socket)
      entry.socket.close()
    }
  }
}

extension SocketPlan.Discovery {
  fileprivate var isV6Group: Bool {
    if case .group(let address, on: _) = self { address.ip.family == .v6 } else { false }
  }
}
