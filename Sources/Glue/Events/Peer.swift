import GlueAddress
import GlueCore
import GlueNetwork

/// Another endpoint that this one has a session with.
public struct Peer: Hashable, Sendable, CustomStringConvertible {
  /// Its endpoint ID.
  public let id: EndpointID
  /// Its name.
  public let name: String
  /// Which life of it.
  public let incarnation: Incarnation
  /// Where it is reached. If that is by way of others (``isRelayed``) it only stands for the endpoint, and is no place in the network.
  public let address: SocketAddress
  /// The peer that passes on what goes to it, where the two do not hear each other; `nil` if it is reached directly, or nobody
  /// does at the moment.
  public let relay: EndpointID?
  /// Which of the two hears the other by multicast; `nil` if that is not known yet.
  public let hearing: Hearing?

  init(_ info: PeerInfo) {
    id = info.id
    name = info.name
    incarnation = info.incarnation
    address = info.address
    relay = info.relay
    hearing = info.hearing
  }

  /// Whether it is reached by way of others, since the two do not hear each other.
  public var isRelayed: Bool { address.isRelayed }

  /// ``address`` as people write it, a link-local one with the name of the interface: `[fe80::1%eth0]:40000`. Of a peer that is
  /// reached by way of others it is `relay 18`, or `relay` if there is none at the moment.
  public var addressText: String {
    isRelayed ? "relay" + (relay.map { " \($0)" } ?? "") : address.textNamingInterface
  }

  /// For example `kitchen (17 at 192.168.1.4:40000)`, or `kitchen (17 at relay 18)`.
  public var description: String { "\(name) (\(id) at \(addressText))" }
}

/// Two endpoints that claimed one endpoint ID or one name.
public struct ClashNotice: Hashable, Sendable, CustomStringConvertible {
  /// What two endpoints can claim.
  public enum Subject: Hashable, Sendable {
    /// The endpoint ID.
    case endpointID
    /// The endpoint name.
    case endpointName
  }

  /// What was claimed twice.
  public let subject: Subject
  /// Who keeps it.
  public let holder: Party
  /// Who has to go.
  public let loser: Party

  /// One of two endpoints in a clash.
  public struct Party: Hashable, Sendable, CustomStringConvertible {
    /// Its endpoint ID.
    public let id: EndpointID
    /// Its name.
    public let name: String
    /// Which life of it.
    public let incarnation: Incarnation
    /// Where it is reached; `nil` for this endpoint itself, and where only a third one knows.
    public let address: SocketAddress?

    init(_ party: ClashParty) {
      id = party.id
      name = party.name
      incarnation = party.incarnation
      address = party.address
    }

    /// For example `kitchen (17 at 192.168.1.4:40000)`.
    public var description: String {
      address.map { "\(name) (\(id) at \($0.textNamingInterface))" } ?? "\(name) (\(id))"
    }
  }

  init(_ report: ClashReport) {
    subject = report.kind == .endpointID ? .endpointID : .endpointName
    holder = Party(report.holder)
    loser = Party(report.loser)
  }

  /// For example `endpoint ID 17 is held by kitchen (17 at 192.168.1.4:40000)`.
  public var description: String {
    switch subject {
    case .endpointID: "endpoint ID \(holder.id) is held by \(holder)"
    case .endpointName: "endpoint name \"\(holder.name)\" is held by \(holder)"
    }
  }
}
