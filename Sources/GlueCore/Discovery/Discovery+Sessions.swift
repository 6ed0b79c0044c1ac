import GlueAddress

/// Sessions of peers after they are up: repeated WELCOMEs, sessions that one side has forgotten, peers that move or fall
/// silent.
///
/// A session is a pair of IDs, ours and the peer's, and what belongs to it (positions of streams, above all) must never
/// meet what belongs to another. So:
///
/// - Before the peer has shown that it knows our ID nothing can have come in the session, and the peer's ID may change:
///   handshakes overtake each other.
/// - Afterwards another ID of the peer's means that it forgot the session. That must not be believed before it has answered
///   a challenge; then both start anew.
/// - If both start anew at once, each is told of an ID that belongs to a dead one of its own. Neither starts again for that:
///   each offers its new ID for the other's new ID, and so the two new ones find together.
extension Discovery {
  mutating func receive(_ welcome: Welcome, _ header: LongHeader, ofPeerIn slot: Int, _ now: Timestamp) {
    // One that was overtaken by another says what is true no longer.
    guard header.packetNumber > table[slot].welcomeNumber else { return }
    let before = table[slot].info
    let isSame = welcome.session == before.remoteSession
    let namesOurs = welcome.yourSession == before.localSession
    let mayChange =
      namesOurs && !table[slot].isBound || welcome.yourSession == 0 && !table[slot].isConfirmed
    guard isSame || mayChange else {
      if table[slot].isConfirmed {
        probe(slot, for: .session, at: now)
        table[slot].probe?.rivalWelcome = (welcome, header.packetNumber)
      } else {
        table[slot].welcomeNumber = header.packetNumber
        sendWelcome(toPeerIn: slot, offering: welcome.session, at: now)
      }
      return
    }
    table[slot].welcomeNumber = header.packetNumber
    table[slot].info.remoteSession = welcome.session
    table[slot].info.receiveBufferBytes = Int(clamping: welcome.receiveBufferBytes)
    table[slot].info.acceptsGroupTag = welcome.acceptsGroupTag
    heard(slot, at: now)
    apply(welcome.announcement, to: slot, at: now)
    // Its next announcement to the group comes later, and may not list all it hears: until then no data would be sent by multicast.
    if welcome.announcement.hearsYou { noteHeard(by: slot, at: now) }
    // Its newest word agrees with what we have.
    table[slot].probe?.purposes.remove(.session)
    table[slot].probe?.rivalWelcome = nil
    if namesOurs {
      table[slot].isConfirmed = true
      table[slot].isBound = true
      table[slot].welcome = nil
    }
    tellIfChanged(slot, from: before)
    if !isSame || !namesOurs { sendWelcome(toPeerIn: slot, at: now) }
  }

  // MARK: Doubt

  /// Begins to challenge a peer, or adds a reason to challenges that are under way.
  mutating func probe(_ slot: Int, for purpose: Probe.Purposes, at now: Timestamp) {
    if table[slot].probe != nil {
      table[slot].probe?.purposes.insert(purpose)
      return
    }
    let token = generator.next()
    table[slot].probe = Probe(
      purposes: purpose, token: token, startedAt: now, sent: 1, nextAt: now + configuration.probeSpacing)
    watch(slot)
    send(.challenge(token: token), to: table[slot].info.address)
  }

  /// The peer lives, as its answer shows or what came in the session meanwhile.
  mutating func settleProbe(_ slot: Int, at now: Timestamp) {
    guard let probe = table[slot].probe else { return }
    table[slot].probe = nil
    if probe.purposes.contains(.leaving) { table[slot].stayedAt = now }
    if probe.purposes.contains(.claim) { holderAnswered(slot, at: now) }
    if probe.purposes.contains(.session), table.contains(slot) {
      restartSession(slot, rival: probe.rivalWelcome, at: now)
    } else if table.contains(slot) {
      wakeForLease(slot)
    }
  }

  /// The peer did not answer in time.
  private mutating func probeFailed(_ slot: Int, _ probe: Probe, at now: Timestamp) {
    // Three questions or their answers may drown in a flood, or in loss. A datagram of the session that cannot have been under
    // way when the doubt arose is as good an answer, and proves the session as well.
    if table[slot].sessionHeardAt >= probe.startedAt + configuration.probeSpacing {
      table[slot].probe?.purposes.remove(.session)
      return settleProbe(slot, at: now)
    }
    table[slot].probe = nil
    if probe.purposes.contains(.path) {
      // Three unanswered challenges say as much as a longer silence: what comes from another address moves the session.
      let before = Timestamp(nanoseconds: now.nanoseconds - min(now.nanoseconds, silence(of: slot).count))
      table[slot].addressHeardAt = min(table[slot].addressHeardAt, before)
      table[slot].sessionHeardAt = min(table[slot].sessionHeardAt, before)
    }
    if probe.purposes.contains(.claim) && isClaimed(slot) {
      removePeer(slot, reason: .replaced, at: now)
    } else if probe.purposes.contains(.leaving) {
      removePeer(slot, reason: .bye, at: now)
    } else if probe.purposes.contains(.lease) && table[slot].info.leaseDeadline <= now {
      removePeer(slot, reason: .expired, at: now)
    } else {
      // A silent peer's session is no worse than its lease says.
      if probe.purposes.contains(.path), let other = table[slot].elsewhere {
        table[slot].elsewhere = nil
        beginMove(slot, to: other.address, paidBy: nil, at: now)
      }
      wakeForLease(slot)
    }
  }

  /// Ends a session that the peer no longer knows, and offers another.
  private mutating func restartSession(
    _ slot: Int, rival: (welcome: Welcome, packetNumber: UInt64)?, at now: Timestamp
  ) {
    let info = table[slot].info
    let number = max(table[slot].welcomeNumber, rival?.packetNumber ?? 0)
    let received = table[slot].received
    let key = Handshake.Key(id: info.id, incarnation: info.incarnation)
    let isHeard = hears(slot, at: now)
    removePeer(slot, reason: .sessionLost, at: now)
    beginHandshake(
      key, at: info.address, origin: info.origin, received: received, keySalt: info.keySalt, isHeard: isHeard,
      welcome: rival?.welcome,
      welcomeNumber: number, now)
  }

  // MARK: Moves

  /// Whether a session with an endpoint goes from one of its addresses to another as soon as that one is proven, although
  /// both may work.
  ///
  /// Two endpoints that reach each other in several ways, by both families or by two networks, could follow each other to
  /// and fro for ever, each to the address that the other is just leaving. So both prefer IPv4, and within a family the weak
  /// one of the two (see ``Seniority``) goes to where the strong one writes from, while the strong one stays where it is. A way
  /// by way of others is the last that either takes.
  func follows(_ key: Handshake.Key, from present: SocketAddress, to address: SocketAddress) -> Bool {
    if address.isRelayed != present.isRelayed { return present.isRelayed }
    if address.ip.family != present.ip.family { return address.ip.family.isPreferred(to: present.ip.family) }
    return (local.incarnation, local.id) < (key.incarnation, key.id)
  }

  /// Takes note that a peer writes to us from another address than that of the session, in the session or to set one up: goes
  /// there, or makes sure that the present address still works, and goes there if it does not answer.
  ///
  /// Announcements do not count here: they come from all addresses of an endpoint, whichever the session uses.
  ///
  /// - Parameters:
  ///   - header: that of the datagram, if it has one that can hold other frames.
  ///   - mayAskLater: whether what came still allows a challenge once the present address has not answered. Otherwise the next
  ///     datagram from there causes it.
  mutating func heardElsewhere(
    _ slot: Int, at address: SocketAddress, in header: LongHeader?, mayAskLater: Bool = true, at now: Timestamp
  ) {
    let info = table[slot].info
    let heardAt = table[slot].sessionHeardAt
    let key = Handshake.Key(id: info.id, incarnation: info.incarnation)
    if follows(key, from: info.address, to: address) || now >= heardAt + silence(of: slot) {
      beginMove(slot, to: address, paidBy: header, at: now)
    } else if now >= heardAt + configuration.probeSpacing {
      if mayAskLater { table[slot].elsewhere = (address, header?.packetNumber) }
      probe(slot, for: .path, at: now)
    }
  }

  /// How long nothing has come from a peer's address when others are tried.
  func silence(of slot: Int) -> Nanoseconds { Nanoseconds(table[slot].info.interval.count / 2 * 3) }

  /// Challenges a new address of a peer.
  ///
  /// - Parameter header: that of the datagram from there that allows it, and nothing else then.
  mutating func beginMove(_ slot: Int, to address: SocketAddress, paidBy header: LongHeader?, at now: Timestamp) {
    if let move = table[slot].move, now < move.sentAt + configuration.probeSpacing { return }
    guard mayReply(to: address, at: now) else { return }
    // The token stays while the address does: the answer may take longer than the next datagram.
    let old = table[slot].move
    let token = old?.address == address ? old!.token : generator.next()
    table[slot].move = Peer.Move(address: address, token: token, sentAt: now)
    watch(slot)
    if let header { replies(to: header, ofPeerIn: slot, at: address) }
    send(.challenge(token: token), to: address)
  }

  mutating func completeMove(_ slot: Int, at now: Timestamp) {
    guard let move = table[slot].move else { return }
    let before = table[slot].info
    table[slot].move = nil
    table[slot].elsewhere = nil
    table[slot].info.address = move.address
    let isRelayed = move.address.isRelayed
    if isRelayed, !before.address.isRelayed {
      routes.note(
        directAddress: before.address, of: RelayedEndpoint(before), asOf: table[slot].addressHeardAt, at: now)
      table[slot].directTryAt = now
    }
    table[slot].info.relay = isRelayed ? relay(to: RelayedEndpoint(before)) : nil
    table[slot].sessionHeardAt = now
    heard(slot, at: now)
    // Whether the address before works no longer matters; what is still asked there would be held against the new one.
    table[slot].probe?.purposes.remove(.path)
    if table[slot].probe?.purposes.isEmpty == true { table[slot].probe = nil }
    wakeForLease(slot)
    tellIfChanged(slot, from: before)
    if isRelayed != before.address.isRelayed { routesChanged(via: before.id, isGone: false) }
    forgetPassing(of: slot)
  }

  // MARK: Removal

  /// Forgets a peer, and lets those go on that waited for its ID or name.
  mutating func removePeer(_ slot: Int, reason: PeerRemovalReason, at now: Timestamp) {
    busy.remove(slot)
    let info = table.remove(slot).info
    actions.append(.peerRemoved(info, reason: reason))
    if reason == .expired { routes.removeAll(to: RelayedEndpoint(info)) }
    routesChanged(via: info.id, isGone: true)
    releaseClaims(on: .peer(info.id, info.incarnation), at: now)
  }

  // MARK: Time

  /// Makes sure that the peer's lease, and the silence of its address if it has another one, are looked at in time.
  mutating func wakeForLease(_ slot: Int) {
    var due = leaseProbeTime(slot)
    if table[slot].elsewhere != nil { due = min(due, table[slot].addressHeardAt + silence(of: slot)) }
    leaseCheckAt = min(leaseCheckAt ?? due, due)
  }

  /// When to begin probing so that the verdict falls when the lease ends. An endpoint that was itself suspended finds all
  /// leases over, probes all the same, and so loses nobody who is still there.
  private func leaseProbeTime(_ slot: Int) -> Timestamp {
    let deadline = table[slot].info.leaseDeadline.nanoseconds
    let head = min(configuration.probeSpan.count, table[slot].lease.count / 2)
    return Timestamp(nanoseconds: deadline > head ? deadline - head : 0)
  }

  mutating func advanceLeases(to now: Timestamp) {
    guard let due = leaseCheckAt, due <= now else { return }
    leaseCheckAt = nil
    for slot in table.indices where table.contains(slot) {
      if table[slot].elsewhere != nil, now >= table[slot].addressHeardAt + silence(of: slot) {
        probe(slot, for: .path, at: now)
      } else if leaseProbeTime(slot) > now {
        wakeForLease(slot)
      } else {
        // Once the probe is over, whatever for, its end looks at the lease again.
        probe(slot, for: .lease, at: now)
      }
    }
  }

  mutating func advanceBusyPeers(to now: Timestamp) {
    // A copy, for what is done here adds and removes.
    for slot in Array(busy) {
      guard table.contains(slot), busy.contains(slot) else {
        busy.remove(slot)
        continue
      }
      if let due = table[slot].welcome?.nextAt, due <= now {
        table[slot].welcome?.fire(at: now)
        sendWelcome(toPeerIn: slot, at: now)
      }
      if let move = table[slot].move, now >= move.sentAt + configuration.handshakeTimeout {
        table[slot].move = nil
      }
      if let probe = table[slot].probe, probe.nextAt <= now { advance(probe, of: slot, to: now) }
      if table.contains(slot), busyUntil(slot) == nil { busy.remove(slot) }
    }
  }

  private mutating func advance(_ probe: Probe, of slot: Int, to now: Timestamp) {
    var probe = probe
    if probe.purposes.isSubset(of: .lease) && leaseProbeTime(slot) > now {
      // Other datagrams were the answer.
      table[slot].probe = nil
      wakeForLease(slot)
    } else if probe.sent < configuration.probes {
      probe.sent += 1
      probe.nextAt = now + configuration.probeSpacing
      table[slot].probe = probe
      send(.challenge(token: probe.token), to: table[slot].info.address)
    } else {
      probeFailed(slot, probe, at: now)
    }
  }

  /// Counts a peer among the busy ones.
  mutating func watch(_ slot: Int) {
    busy.append(slot)
    wake(at: busyUntil(slot))
  }

  /// When something is due for a busy peer; nil if it is busy no longer.
  func busyUntil(_ slot: Int) -> Timestamp? {
    guard table.contains(slot) else { return nil }
    var due = table[slot].welcome?.nextAt
    if let probe = table[slot].probe { due = min(due ?? probe.nextAt, probe.nextAt) }
    if let move = table[slot].move {
      let end = move.sentAt + configuration.handshakeTimeout
      due = min(due ?? end, end)
    }
    return due
  }
}

extension IPAddress.Family {
  /// Which of two families a session uses that could use both: IPv4, whose datagrams carry 20 bytes more of ours.
  func isPreferred(to other: IPAddress.Family) -> Bool { self == .v4 && other == .v6 }
}
