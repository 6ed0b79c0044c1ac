import GlueAddress

/// Peers that cannot hear each other are told of each other (docs/protocol.md §7, INTRODUCE).
extension Discovery {
  /// Takes an INTRODUCE from a peer: challenges the address it names, with one small datagram. Nothing more goes there
  /// before it has answered.
  public mutating func receive(_ introduction: Introduction, from peer: EndpointID, at now: Timestamp) {
    guard phase == .running, let introducer = table.slot(of: peer) else { return }
    let key = Handshake.Key(id: introduction.endpoint, incarnation: introduction.incarnation)
    guard key.id.rawValue != 0, key.incarnation.rawValue != 0,
      key.id != local.id || key.incarnation != local.incarnation
    else { return }
    // What nobody has heard of for longer than any lease is gone.
    guard Nanoseconds.milliseconds(introduction.heldMilliseconds) < configuration.leaseBounds.upperBound else { return }
    let endpoint = RelayedEndpoint(key.id, key.incarnation)
    let addresses = usableLocators(of: introduction, from: introducer)
    let hasRoute = noteRoute(to: endpoint, via: peer, hops: introduction.hops, at: now)
    if hasRoute, let address = addresses.first,
      routes.note(
        directAddress: address, of: endpoint, asOf: now - .milliseconds(introduction.heldMilliseconds), at: now),
      let slot = table.slot(of: key.id, key.incarnation)
    {
      tryDirectly(slot, at: now)
    }
    guard table.slot(of: key.id, key.incarnation) == nil, handshakeIndex(key) == nil else { return }
    for address in addresses where admitChallenge(of: key, at: address, jittered: false, now) {
      sendChallenge(
        PendingChallenge(
          dueAt: now, id: key.id, incarnation: key.incarnation, address: address, origin: .introduction), at: now)
    }
    guard hasRoute else { return }
    // The introducer has just heard from it; of the other ways, if there are any, none has led to it so far.
    routes.prefer(via: peer, to: endpoint)
    scheduleRelayedChallenge(key, at: now)
  }

  /// The addresses that an introduction names and that may be challenged.
  private func usableLocators(of introduction: Introduction, from introducer: Int) -> [SocketAddress] {
    let link = table[introducer].info.address.isRelayed ? 0 : table[introducer].info.address.scope
    let isLocal = table[introducer].info.address.ip.isLoopback
    var addresses: [SocketAddress] = []
    for locator in introduction.locators.map({ $0.scoped(to: link) })
    where addresses.count < configuration.maximumLocators {
      // A link-local address comes without its link, which we can only take to be the one we share with the introducer.
      if locator.ip.needsScope && locator.scope == 0 { continue }
      // A loopback address means another host to the introducer than to us, unless it is on this one.
      guard locator.port != 0, !locator.ip.isGroup, !locator.ip.isUnspecified, !locator.ip.isLoopback || isLocal,
        !locator.isRelayed, !addresses.contains(locator)
      else { continue }
      addresses.append(locator)
    }
    return addresses
  }

  /// Introduces a newcomer at once where this endpoint is the rendezvous of one of the two: they have no other way.
  mutating func introduceNewcomer(_ slot: Int, at now: Timestamp) {
    guard configuration.isRendezvous else { return }
    for other in table.indices where other != slot && table.contains(other) {
      guard table[slot].info.origin == .unicast || table[other].info.origin == .unicast else { continue }
      introduce(slot, other, at: now)
    }
  }

  /// Looks for pairs of peers that do not list each other although they had the time. Each look comes twice as long after
  /// the one before, up to 16 intervals: an introduction or the challenge it caused may have been lost, or the two may
  /// have lost each other again; but they may as well be unable to meet.
  ///
  /// Goes with the announcements: with a timer for each peer, a large group would look somewhere all the time.
  mutating func lookForIntroductions(at now: Timestamp) {
    // Until a list has come round twice since its peer, and the newest one, came, it proves nothing.
    let turns = UInt64(2 * listingTurns)
    for slot in table.indices where table.contains(slot) && table[slot].introductionAt <= now {
      let interval = table[slot].info.interval
      let since = table[slot].info.since
      table[slot].introductionDelay = min(table[slot].introductionDelay * 2, interval * 16)
      table[slot].introductionAt = now + table[slot].introductionDelay
      table[slot].passing.removeAll()
      guard now >= since + interval * turns else { continue }
      for other in table.indices where other != slot && table.contains(other) {
        guard !table[slot].listing.contains(other) || !table[other].listing.contains(slot) else { continue }
        // The newer one of a pair looks after it: its looks are closer together.
        let otherSince = table[other].info.since
        guard (otherSince, other) < (since, slot), now >= otherSince + table[other].info.interval * turns else {
          continue
        }
        introduce(slot, other, at: now)
      }
    }
  }

  /// Tells two peers of each other unless they know of each other.
  private mutating func introduce(_ a: Int, _ b: Int, at now: Timestamp) {
    guard !table[a].listing.contains(b) || !table[b].listing.contains(a),
      isWorthTelling(a, to: b), isWorthTelling(b, to: a)
    else { return }
    tellOfEachOther(a, b, at: now)
  }

  /// Tells two peers of each other.
  mutating func tellOfEachOther(_ a: Int, _ b: Int, at now: Timestamp) {
    guard introductionBudget.take(at: now) else {
      // The next look makes up for it.
      hit(.introductionsPerSecond, at: now)
      return
    }
    actions.append(.introduce(introduction(of: a, at: now), to: table[b].info.id))
    actions.append(.introduce(introduction(of: b, at: now), to: table[a].info.id))
  }

  /// Whether another peer has any use for the introduction of one. Of one that is reached by way of others that is so only if the
  /// other can reach it by way of this endpoint, is not itself what it is reached by, and is not listed by it: by unicast it
  /// lists all its peers.
  private func isWorthTelling(_ slot: Int, to other: Int) -> Bool {
    guard table[slot].info.address.isRelayed else { return true }
    return configuration.relays && hops(to: slot) < WireLimits.relayHops
      && table[slot].info.relay != table[other].info.id && !table[slot].listing.contains(other)
  }

  private func introduction(of slot: Int, at now: Timestamp) -> ControlMessage {
    let info = table[slot].info
    let isRelayed = info.address.isRelayed
    // The proven address first; what the peer says of itself may be true on its own network only.
    var locators = isRelayed ? routes.directAddress(of: RelayedEndpoint(info)).map { [$0] } ?? [] : [info.address]
    for locator in info.locators where locators.count < configuration.maximumLocators && !locators.contains(locator) {
      locators.append(locator)
    }
    return .introduce(
      Introduction(
        endpoint: info.id, incarnation: info.incarnation,
        heldMilliseconds: now.since(table[slot].addressHeardAt).wholeMilliseconds, locators: locators,
        hops: hops(to: slot)))
  }
}
