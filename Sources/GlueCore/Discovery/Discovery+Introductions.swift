import GlueAddress

/// Peers that cannot hear each other are told of each other (docs/protocol.md §7, INTRODUCE).
extension Discovery {
  /// Takes an INTRODUCE from a peer: challenges the address it names, with one small datagram. Nothing more goes there
  /// before it has answered.
  public mutating func receiveIntroduction(
    endpoint: EndpointID, incarnation: Incarnation, heldMilliseconds: UInt64, locators: [SocketAddress],
    from peer: EndpointID, at now: Timestamp
  ) {
    guard phase == .running, let introducer = table.slot(of: peer) else { return }
    guard endpoint.rawValue != 0, incarnation.rawValue != 0, endpoint != local.id || incarnation != local.incarnation
    else { return }
    // What nobody has heard of for longer than any lease is gone.
    guard Nanoseconds.milliseconds(heldMilliseconds) < configuration.leaseBounds.upperBound else { return }
    let key = Handshake.Key(id: endpoint, incarnation: incarnation)
    guard table.slot(of: endpoint, incarnation) == nil, handshakeIndex(key) == nil else { return }
    let link = table[introducer].info.address.scope
    let isLocal = table[introducer].info.address.ip.isLoopback
    var addresses: [SocketAddress] = []
    for locator in locators.map({ $0.scoped(to: link) }) where addresses.count < configuration.maximumLocators {
      // A link-local address comes without its link, which we can only take to be the one we share with the introducer.
      if locator.ip.needsScope && locator.scope == 0 { continue }
      // A loopback address means another host to the introducer than to us, unless it is on this one.
      guard locator.port != 0, !locator.ip.isGroup, !locator.ip.isUnspecified, !locator.ip.isLoopback || isLocal,
        !addresses.contains(locator)
      else { continue }
      addresses.append(locator)
    }
    for address in addresses where admitChallenge(of: key, at: address, jittered: false, now) {
      sendChallenge(
        PendingChallenge(dueAt: now, id: endpoint, incarnation: incarnation, address: address, origin: .introduction),
        at: now)
    }
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
    guard !table[a].listing.contains(b) || !table[b].listing.contains(a) else { return }
    guard introductionBudget.take(at: now) else {
      // The next look makes up for it.
      hit(.introductionsPerSecond, at: now)
      return
    }
    actions.append(.introduce(introduction(of: a, at: now), to: table[b].info.id))
    actions.append(.introduce(introduction(of: b, at: now), to: table[a].info.id))
  }

  private func introduction(of slot: Int, at now: Timestamp) -> ControlMessage {
    let info = table[slot].info
    // The proven address first; what the peer says of itself may be true on its own network only.
    var locators = [info.address]
    for locator in info.locators where locators.count < configuration.maximumLocators && !locators.contains(locator) {
      locators.append(locator)
    }
    return .introduce(
      endpoint: info.id, incarnation: info.incarnation,
      heldMilliseconds: now.since(table[slot].addressHeardAt).wholeMilliseconds, locators: locators)
  }
}
