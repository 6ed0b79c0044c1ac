import GlueAddress
import GlueCore
import GlueNetwork

/// A network interface of this host.
package typealias HostInterface = NetworkInterface

extension Endpoint.Configuration {
  /// The groups that an endpoint with these settings is in; those of the default if it uses none.
  package var groups: [SocketAddress] {
    if case .address(let target) = discoveryTarget, target.ip.isMulticast { return [target] }
    return [DiscoveryTarget.standardGroup, DiscoveryTarget.standardGroupV6].map {
      SocketAddress(ip: $0, port: DiscoveryTarget.standardPort)
    }
  }

  /// The keys that are set, or those in the file that is.
  package func readNetworkKeys() throws(ConfigurationError) -> [NetworkKey] {
    if let keyFile { try keyFile.read() } else { networkKeys }
  }

  /// Who beside its owner can read the key file; `nil` if nobody, or if there is none.
  package var keyFileReaders: String? { keyFile?.otherReaders }

  /// Whether an endpoint with these settings announces itself to a multicast group.
  package var usesGroups: Bool {
    switch discoveryTarget {
    case .standard: true
    case .address(let target): target.ip.isMulticast
    case .nobody: false
    }
  }

  /// Whether a program of this host has the address for itself: nobody else can then listen there.
  ///
  /// - Parameter isShared: Whether to ask for a place beside others, as endpoints do in a group.
  package static func isTaken(_ address: SocketAddress, isShared: Bool) -> Bool {
    do {
      try DatagramSocket(binding: address, options: isShared ? .sharedPort : .init()).close()
      return false
    } catch {
      return error.code == .addressInUse
    }
  }
}

/// Listens to a group on an interface that the endpoint does not use, without sending anything but the joining.
package final class GroupListener: Sendable {
  /// The name of the interface.
  package let interface: String
  private let socket: DatagramSocket

  /// Nil if the system does not let us.
  package init?(to group: SocketAddress, on interface: HostInterface) {
    let address = group.ip.family == .v6 ? SocketAddress(ip: group.ip, port: group.port, scope: interface.index) : group
    guard let socket = try? DatagramSocket(binding: address, options: .sharedPort),
      (try? socket.join(group: group.ip, on: interface)) != nil
    else { return nil }
    self.socket = socket
    self.interface = interface.name
  }

  /// Gives what has arrived since the last call, read by the endpoint.
  package func take(by endpoint: Endpoint) -> [SightedDatagram] {
    let batch = ReceiveBatch(slots: 4)
    var found: [SightedDatagram] = []
    // A flood must not keep us here.
    for _ in 0..<16 where (try? socket.receive(into: batch)) ?? 0 > 0 {
      for index in 0..<batch.count {
        let datagram = batch[index]
        found.append(
          SightedDatagram(
            source: datagram.source, isGroup: true, interface: datagram.interfaceIndex,
            content: endpoint.sight(datagram.bytes)))
      }
    }
    return found
  }
}
