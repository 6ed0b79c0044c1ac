import GlueAddress

/// Peers by way of others, where two do not hear each other (docs/protocol.md §4.5, ADR 0019).
///
/// To an endpoint that passes on what another sends, the other has an address as any peer has, see ``RelayedEndpoint``. So a peer
/// by way of others is proven, kept and lost as every peer is, and a session moves between that address and a direct one as it
/// does between two direct ones: to the direct one as soon as that answers, to the other when the direct one has fallen silent.
///
/// Ways are learnt from introductions, from what peers list in announcements, and from where datagrams come. None of these is
/// believed: only the endpoint at the other end can answer a challenge.
extension Discovery {
  /// How long to wait for an introduced endpoint to answer before it is asked by way of its introducer: some round trips.
  static let relayPatience = Nanoseconds.milliseconds(500)
  /// What was told of endpoints that are no peers is remembered for longer than introducers take to tell it again.
  private static let routeMemory = Nanoseconds.seconds(60)
  /// So many intervals lie between two challenges to the direct address of a peer that is reached by way of others. Where
  /// announcements come by multicast they show sooner that it can be reached.
  private static let directTries: UInt64 = 4

  // MARK: Ways

  /// The peer that is the first on the way to an endpoint; nil if there is none.
  func relay(to endpoint: RelayedEndpoint) -> EndpointID? { routes[endpoint].first { isRelay($0.via) }?.via }

  /// The peer to which a datagram for an endpoint is passed on that came from another peer; nil if there is none. It never goes back.
  func nextHop(to endpoint: RelayedEndpoint, from origin: EndpointID) -> EndpointID? {
    if let slot = table.slot(of: endpoint), !table[slot].info.address.isRelayed {
      return endpoint.id == origin ? nil : endpoint.id
    }
    return routes[endpoint].first { $0.via != origin && isRelay($0.via) }?.via
  }

  /// Whether a peer is there, is reached directly, and passes datagrams on.
  private func isRelay(_ peer: EndpointID) -> Bool {
    guard let slot = table.slot(of: peer) else { return false }
    return table[slot].info.capabilities.contains(.relay) && !table[slot].info.address.isRelayed
  }

  /// How many endpoints pass on what goes to a peer; as many as it may be at most if none does at the moment.
  func hops(to slot: Int) -> UInt8 {
    guard table[slot].info.address.isRelayed else { return 0 }
    let route = routes[RelayedEndpoint(table[slot].info)].first { isRelay($0.via) }
    return route.map { $0.hops + 1 } ?? WireLimits.relayHops
  }

  /// Remembers that a peer says, or shows, that it can pass datagrams on to an endpoint. Returns whether that is of any use.
  ///
  /// - Parameter isShown: whether a datagram has just come that way. What is only said does not replace a way that works.
  @discardableResult
  mutating func noteRoute(
    to endpoint: RelayedEndpoint, via peer: EndpointID, hops: UInt8, isShown: Bool = false, at now: Timestamp
  ) -> Bool {
    guard hops < WireLimits.relayHops, isRelay(peer), endpoint.id != local.id, endpoint.id != peer else { return false }
    if routes.isFull(for: endpoint) {
      hit(.routes, at: now)
      // Somebody may make endpoints up; peers keep their places, and get one.
      routes.makeRoom { [table] in table.slot(of: $0) != nil }
      guard !routes.isFull(for: endpoint) else { return false }
    }
    let slot = table.slot(of: endpoint)
    let working =
      isShown ? nil : slot.flatMap { now < table[$0].addressHeardAt + silence(of: $0) ? table[$0].info.relay : nil }
    routes.note(Route(via: peer, hops: hops), to: endpoint, behind: working, at: now)
    if let slot { updateRelay(of: slot) }
    return true
  }

  /// Takes note that a datagram of an endpoint came by way of a peer, so many having passed it on.
  public mutating func noteRelayed(
    from origin: RelayedEndpoint, by peer: EndpointID, passedOn: UInt8, at now: Timestamp
  ) {
    guard phase == .running, passedOn > 0 else { return }
    // What is answered goes back the way it came, until a better one is known. Most datagrams show nothing new.
    guard !routes[origin].contains(where: { $0.via == peer }) else { return }
    noteRoute(to: origin, via: peer, hops: passedOn - 1, isShown: true, at: now)
  }

  /// Takes those for ways to a peer that list it in their announcements.
  private mutating func noteListedRoutes(to slot: Int, at now: Timestamp) {
    let endpoint = RelayedEndpoint(table[slot].info)
    let places = table.indices.count
    // Each begins elsewhere, so that not all take the same one.
    for offset in 1..<max(1, places) where routes[endpoint].count < RouteTable.maximumPerEndpoint {
      let other = (slot + offset) % places
      guard table.contains(other), table[other].listing.contains(slot) else { continue }
      noteRoute(to: endpoint, via: table[other].info.id, hops: 0, at: now)
    }
  }

  /// Takes note of the peer by way of which another one is reached now.
  mutating func updateRelay(of slot: Int) {
    let before = table[slot].info
    let relay = before.address.isRelayed ? relay(to: RelayedEndpoint(before)) : nil
    guard relay != before.relay else { return }
    table[slot].info.relay = relay
    tellIfChanged(slot, from: before)
  }

  /// A peer is gone, or is no longer reached directly: what went by way of it goes another way.
  mutating func routesChanged(via peer: EndpointID, isGone: Bool) {
    if isGone { routes.removeAll(via: peer) }
    for slot in table.indices where table.contains(slot) && table[slot].info.relay == peer { updateRelay(of: slot) }
  }

  /// Takes note that datagrams are passed on between two peers, and tells each where the other is, when that begins and now and then:
  /// both may have moved since they last knew.
  public mutating func notePassing(between a: Int, and b: Int, at now: Timestamp) {
    let (first, second) = (min(a, b), max(a, b))
    guard phase == .running, table.contains(first), table.contains(second), !table[first].passing.contains(second)
    else { return }
    table[first].passing.insert(second)
    tellOfEachOther(first, second, at: now)
  }

  /// A peer is somewhere else: those with whom it exchanges datagrams are told so with the next one that is passed on.
  mutating func forgetPassing(of slot: Int) {
    table[slot].passing.removeAll()
    for other in 0..<slot where table.contains(other) { table[other].passing.remove(slot) }
  }

  // MARK: First contact

  /// Has an endpoint that was introduced asked by way of its introducer, unless it is met before.
  mutating func scheduleRelayedChallenge(_ key: Handshake.Key, at now: Timestamp) {
    let address = RelayedEndpoint(key.id, key.incarnation).address
    guard hasRoomForPending(key, at: address, now) else { return }
    pendingChallenges.append(
      PendingChallenge(
        dueAt: now + Self.relayPatience, id: key.id, incarnation: key.incarnation, address: address,
        origin: .introduction))
    wake(at: now + Self.relayPatience)
  }

  // MARK: Silent peers

  /// Looks for another way to peers that have fallen silent, and tries to reach those directly that are reached by way of others.
  /// Goes with the announcements.
  mutating func lookForWays(at now: Timestamp) {
    routes.forget(notedBefore: now - Self.routeMemory) { [table] in table.slot(of: $0) != nil }
    for slot in table.indices where table.contains(slot) {
      if now >= table[slot].directTryAt { tryDirectly(slot, at: now) }
      if now >= table[slot].addressHeardAt + silence(of: slot) { lookForWay(to: slot, at: now) }
    }
  }

  private mutating func lookForWay(to slot: Int, at now: Timestamp) {
    let endpoint = RelayedEndpoint(table[slot].info)
    noteListedRoutes(to: slot, at: now)
    guard let relay = relay(to: endpoint) else { return }
    if table[slot].info.address.isRelayed {
      routes.failed(via: relay, to: endpoint)
      updateRelay(of: slot)
      probe(slot, for: .life, at: now)
    } else if table[slot].move?.address == endpoint.address {
      routes.failed(via: relay, to: endpoint)
      beginMove(slot, to: endpoint.address, paidBy: nil, at: now)
    } else {
      // Its direct address first.
      table[slot].elsewhere = (endpoint.address, nil)
      probe(slot, for: .path, at: now)
    }
  }

  /// Challenges the direct address of a peer that is reached by way of others.
  mutating func tryDirectly(_ slot: Int, at now: Timestamp) {
    guard table[slot].info.address.isRelayed, table[slot].move == nil,
      let address = routes.directAddress(of: RelayedEndpoint(table[slot].info))
    else { return }
    table[slot].directTryAt = now + table[slot].info.interval * Self.directTries
    beginMove(slot, to: address, paidBy: nil, at: now)
  }
}

extension PeerTable {
  /// The place of a peer that RELAY names, in the life that is meant.
  fileprivate func slot(of endpoint: RelayedEndpoint) -> Int? {
    slot(of: endpoint.id).flatMap { RelayedEndpoint(self[$0].info) == endpoint ? $0 : nil }
  }
}

extension RelayedEndpoint {
  init(_ peer: PeerInfo) { self.init(peer.id, peer.incarnation) }
}
