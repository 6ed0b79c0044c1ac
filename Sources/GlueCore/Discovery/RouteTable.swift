import GlueAddress
import OrderedCollections

/// A way to an endpoint by way of a peer.
struct Route: Equatable, Sendable {
  /// The peer that passes datagrams on.
  var via: EndpointID
  /// How many others do so between that peer and the endpoint.
  var hops: UInt8
}

/// The ways to endpoints that are not heard, or may not be some day: several for each, the one to take first. Which are good is
/// not known here: those that lead nowhere are moved back.
struct RouteTable: Sendable {
  /// More ways to one endpoint are not remembered: they are told again.
  static let maximumPerEndpoint = 4

  private struct Entry: Sendable {
    var routes: [Route] = []
    /// Where it would be reached without any, and as of when.
    var direct: (address: SocketAddress, asOf: Timestamp)?
    var notedAt: Timestamp
  }
  private var entries: OrderedDictionary<RelayedEndpoint, Entry> = [:]
  private let capacity: Int

  /// - Parameter capacity: to so many endpoints.
  init(capacity: Int) { self.capacity = capacity }

  /// The ways to an endpoint, the best first.
  subscript(endpoint: RelayedEndpoint) -> [Route] { entries[endpoint]?.routes ?? [] }

  /// Where an endpoint would be reached directly, as far as anybody has said.
  func directAddress(of endpoint: RelayedEndpoint) -> SocketAddress? { entries[endpoint]?.direct?.address }

  /// Whether nothing can be remembered of an endpoint of which nothing is.
  func isFull(for endpoint: RelayedEndpoint) -> Bool { entries.count >= capacity && entries[endpoint] == nil }

  /// Makes room for another endpoint: of those that are not wanted the one is forgotten that nobody has spoken of for longest.
  mutating func makeRoom(unless isWanted: (RelayedEndpoint) -> Bool) {
    let oldest = entries.filter { !isWanted($0.key) }.min { $0.value.notedAt < $1.value.notedAt }
    if let oldest { entries[oldest.key] = nil }
  }

  /// Remembers a way. Fewer hops go first, but none before the way by a peer that works.
  mutating func note(
    _ route: Route, to endpoint: RelayedEndpoint, behind working: EndpointID? = nil, at now: Timestamp
  ) {
    guard !isFull(for: endpoint) else { return }
    var entry = entries[endpoint] ?? Entry(notedAt: now)
    entry.notedAt = now
    if let known = entry.routes.firstIndex(where: { $0.via == route.via }) {
      entry.routes[known].hops = route.hops
    } else {
      // The last one has led nowhere, or is the longest: what is new may be better.
      if entry.routes.count >= Self.maximumPerEndpoint {
        entry.routes.remove(at: entry.routes.lastIndex { $0.via != working } ?? entry.routes.count - 1)
      }
      let first = entry.routes.firstIndex { $0.via == working }.map { $0 + 1 } ?? 0
      let place = entry.routes[first...].firstIndex { $0.hops > route.hops } ?? entry.routes.count
      entry.routes.insert(route, at: place)
    }
    entries[endpoint] = entry
  }

  /// Remembers where an endpoint would be reached directly, unless something newer is known. Returns whether that is news.
  @discardableResult
  mutating func note(
    directAddress: SocketAddress, of endpoint: RelayedEndpoint, asOf time: Timestamp, at now: Timestamp
  ) -> Bool {
    let known = entries[endpoint]?.direct
    guard !isFull(for: endpoint), time >= known?.asOf ?? time else { return false }
    entries[endpoint, default: Entry(notedAt: now)].direct = (directAddress, time)
    return known?.address != directAddress
  }

  /// A way led nowhere: the others are tried first.
  mutating func failed(via peer: EndpointID, to endpoint: RelayedEndpoint) {
    guard let index = entries[endpoint]?.routes.firstIndex(where: { $0.via == peer }) else { return }
    let route = entries[endpoint]!.routes.remove(at: index)
    entries[endpoint]!.routes.append(route)
  }

  /// A way is to be tried before all others.
  mutating func prefer(via peer: EndpointID, to endpoint: RelayedEndpoint) {
    guard let index = entries[endpoint]?.routes.firstIndex(where: { $0.via == peer }) else { return }
    let route = entries[endpoint]!.routes.remove(at: index)
    entries[endpoint]!.routes.insert(route, at: 0)
  }

  /// An endpoint was not reached by any way.
  mutating func removeAll(to endpoint: RelayedEndpoint) { entries[endpoint] = nil }

  /// A peer is gone, and all ways that begin with it.
  mutating func removeAll(via peer: EndpointID) {
    for index in entries.values.indices { entries.values[index].routes.removeAll { $0.via == peer } }
  }

  /// Forgets endpoints that nobody has spoken of since a time, unless they are wanted.
  mutating func forget(notedBefore time: Timestamp, unless isWanted: (RelayedEndpoint) -> Bool) {
    guard entries.values.contains(where: { $0.notedAt < time }) else { return }
    entries = entries.filter { $0.value.notedAt >= time || isWanted($0.key) }
  }
}
