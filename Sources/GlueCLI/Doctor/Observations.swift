import Glue
import GlueAddress

/// What an examination has seen so far, in bounded memory however much arrives.
struct Observations: Sendable {
  /// Everything beyond it tells nothing new.
  private static let limit = 512
  /// Arrivals remembered of each endpoint.
  private static let arrivalLimit = 64

  /// An endpoint of this network, by its ID.
  struct Heard: Sendable {
    var address: SocketAddress
    var firstAt: ContinuousClock.Instant
    var groupArrivals: [ContinuousClock.Instant] = []
    var isHeardByUnicast = false
  }

  /// By the number of the interface.
  var ownMulticast: [UInt32: Set<IPAddress.Family>] = [:]
  /// The numbers of the interfaces by which multicast of others came.
  var heardOn: Set<UInt32> = []
  /// Whether something was left out, being beyond the limit.
  private(set) var isIncomplete = false
  var heard: [EndpointID: Heard] = [:]
  var otherNetworks: [UInt64: Set<EndpointID>] = [:]
  var otherSealedNetworks: Set<EndpointID> = []
  /// One address of each: it may have several.
  var keyMismatches: [EndpointID: DoctorFacts.KeyMismatch] = [:]
  var sendErrors: [String] = []
  var incompatible: [EndpointID: String] = [:]
  var idClashes: [String] = []
  var nameClashes: [String] = []
  var elsewhere: [String: Set<SocketAddress>] = [:]

  mutating func note(_ datagram: SightedDatagram, at now: ContinuousClock.Instant) {
    switch datagram.content {
    case .own:
      if datagram.isGroup { ownMulticast[datagram.interface, default: []].insert(datagram.source.ip.family) }
    case .network(let sender):
      if datagram.isGroup { heardOn.insert(datagram.interface) }
      guard heard[sender] != nil || hasRoom(heard.count) else { return }
      var entry = heard[sender] ?? Heard(address: datagram.source, firstAt: now)
      if datagram.isGroup {
        if entry.groupArrivals.count < Self.arrivalLimit { entry.groupArrivals.append(now) }
      } else {
        entry.isHeardByUnicast = true
      }
      heard[sender] = entry
    case .keyMismatch(let kind, let sender):
      guard keyMismatches[sender] == nil, hasRoom(keyMismatches.count) else { return }
      let kind: DoctorFacts.KeyMismatch.Kind =
        switch kind {
        case .otherKey: .otherKey
        case .sealed: .sealed
        case .open: .open
        }
      keyMismatches[sender] = DoctorFacts.KeyMismatch(kind: kind, address: "\(datagram.source.ip)")
    case .otherNetwork(let id?, let sender):
      guard otherNetworks[id] != nil || hasRoom(otherNetworks.count) else { return }
      Self.add(sender, to: &otherNetworks[id, default: []])
    case .otherNetwork(nil, let sender):
      Self.add(sender, to: &otherSealedNetworks)
    case .session, .unreadable: break
    }
  }

  /// Takes what came in on an interface that the endpoint does not use.
  mutating func note(_ datagram: SightedDatagram, elsewhere interface: String) {
    guard case .network = datagram.content else { return }
    Self.add(datagram.source, to: &elsewhere[interface, default: []])
  }

  mutating func note(_ event: Event) {
    switch event {
    case .networkError(let text): Self.add(text, to: &sendErrors)
    case .incompatible(let id, let name, let versions):
      guard incompatible[id] != nil || hasRoom(incompatible.count) else { return }
      incompatible[id] =
        "\(name) (\(id)) speaks versions \(versions.lowerBound) to \(versions.upperBound), and this program version 1"
    case .clash(let notice):
      let text = "\(notice); \(notice.loser) has to go"
      switch notice.subject {
      case .endpointID: Self.add(text, to: &idClashes)
      case .endpointName: Self.add(text, to: &nameClashes)
      }
    default: break
    }
  }

  private mutating func hasRoom(_ count: Int) -> Bool {
    if count >= Self.limit { isIncomplete = true }
    return count < Self.limit
  }

  private static func add<Element: Equatable>(_ element: Element, to list: inout [Element]) {
    if list.count < limit, !list.contains(element) { list.append(element) }
  }

  private static func add<Element>(_ element: Element, to set: inout Set<Element>) {
    if set.count < limit { set.insert(element) }
  }
}
