import GlueAddress

/// One holder for each ID and name (docs/protocol.md §4.4). Who wins is in ``Seniority``.
extension Discovery {
  // MARK: Claims on what a peer holds

  /// A proven endpoint claims what a peer holds: see whether the peer is still there.
  mutating func beginClaim(_ key: Handshake.Key, of kind: Clash.Kind, heldBy slot: Int, at now: Timestamp) {
    guard let index = handshakeIndex(key) else { return }
    let holder = table[slot].info
    handshakes[index].claim = Handshake.Claim(
      kind: kind, holder: .peer(holder.id, holder.incarnation), state: .probing)
    // A claim is not offered a session.
    handshakes[index].repetition = nil
    if holder.address == handshakes[index].address {
      // The claimant has just proven that it receives at the holder's address, so the holder does not any more.
      removePeer(slot, reason: .replaced, at: now)
      return
    }
    // Time for the probes, and then for the verdict to be told and told again.
    handshakes[index].deadline = now + configuration.probeSpan + configuration.handshakeTimeout
    probe(slot, for: .claim, at: now)
  }

  func isClaimed(_ slot: Int) -> Bool {
    let holder = Handshake.Claim.Holder.peer(table[slot].info.id, table[slot].info.incarnation)
    return handshakes.contains { $0.claim?.holder == holder && $0.claim?.state == .probing }
  }

  /// The holder lives.
  mutating func holderAnswered(_ slot: Int, at now: Timestamp) {
    let holder = Handshake.Claim.Holder.peer(table[slot].info.id, table[slot].info.incarnation)
    for key in handshakes.filter({ $0.claim?.holder == holder && $0.claim?.state == .probing }).map(\.key) {
      guard let index = handshakeIndex(key) else { continue }
      handshakes[index].claim?.state = .comparing
      compare(index, at: now)
    }
  }

  /// The holder is gone: those who waited go on, the first one first.
  mutating func releaseClaims(on holder: Handshake.Claim.Holder, at now: Timestamp) {
    for key in handshakes.filter({ $0.claim?.holder == holder }).map(\.key) {
      guard let index = handshakeIndex(key) else { continue }
      handshakes[index].claim = nil
      handshakes[index].deadline = now + configuration.handshakeTimeout
      sendWelcome(index, at: now)
      proceed(index, at: now)
    }
  }

  // MARK: Verdicts

  /// Decides a claim as soon as the holder is known to live and the claimant has told its uptime.
  mutating func compare(_ index: Int, at now: Timestamp) {
    let handshake = handshakes[index]
    guard let claim = handshake.claim, let announcement = handshake.announcement else { return }
    switch claim.state {
    case .probing, .granted: return
    case .refused: refuse(index, at: now)
    case .comparing: break
    }
    // An ID may be claimed together with a name or alone; what matters is that the two cannot both stay.
    guard claim.state == .comparing else { return }
    switch claim.holder {
    case .local:
      if claim.kind == .name && announcement.name != local.name { return }
      let rival = handshake.seniority(at: now)
      if !hasStood(against: handshake.key), seniority(at: now).concedes(to: rival, isOwnWord: false) {
        concede(claim.kind, to: handshake.party(at: now), at: now)
      } else {
        stand(against: handshake.key, rival, at: now)
        refuse(index, at: now)
      }
    case .peer(let id, let incarnation):
      guard let slot = table.slot(of: id, incarnation) else { return }
      switch Seniority.loser(table[slot].seniority(at: now), handshake.seniority(at: now)) {
      case .first: grant(index, overHolderIn: slot, at: now)
      case .second: refuse(index, at: now)
      case .either:
        refuse(index, at: now)
        grant(index, overHolderIn: slot, at: now)
      }
    }
  }

  /// Tells the claimant that it loses. Again for each sign of it: that CLASH may be lost.
  mutating func refuse(_ index: Int, at now: Timestamp) {
    let handshake = handshakes[index]
    guard let claim = handshake.claim else { return }
    let holder: ClashParty
    switch claim.holder {
    case .local: holder = localParty(at: now)
    case .peer(let id, let incarnation):
      guard let slot = table.slot(of: id, incarnation) else { return }
      holder = table[slot].party(at: now)
    }
    if claim.state != .refused {
      handshakes[index].claim?.state = .refused
      handshakes[index].deadline = now + .seconds(1)
      wake(at: now + .seconds(1))
    } else if !mayReply(to: handshake.address, at: now) {
      return
    }
    sendClash(claim.kind, holder, token: handshake.itsToken, to: handshake.address)
    report(index, holder: holder, loser: handshake.party(at: now))
  }

  /// Tells the holder that it loses. The claimant gets its place with the holder's BYE, or tries again later.
  private mutating func grant(_ index: Int, overHolderIn slot: Int, at now: Timestamp) {
    let claimant = handshakes[index].party(at: now)
    guard let claim = handshakes[index].claim else { return }
    if claim.state == .comparing {
      handshakes[index].claim?.state = .granted
      handshakes[index].deadline = now + .seconds(1)
      wake(at: now + .seconds(1))
    }
    // The holder is this endpoint's peer, so it needs no token.
    sendClash(claim.kind, claimant, token: 0, to: table[slot].info.address)
    report(index, holder: claimant, loser: table[slot].party(at: now))
  }

  private mutating func sendClash(
    _ kind: Clash.Kind, _ holder: ClashParty, token: UInt64, to address: SocketAddress
  ) {
    send(
      .clash(
        Clash(
          kind: kind, token: token, holder: holder.id, incarnation: holder.incarnation,
          uptimeMilliseconds: holder.uptime.wholeMilliseconds, name: holder.name)), to: address)
  }

  private mutating func report(_ index: Int, holder: ClashParty, loser: ClashParty) {
    guard let claim = handshakes[index].claim, !claim.isReported else { return }
    handshakes[index].claim?.isReported = true
    actions.append(.clash(ClashReport(kind: claim.kind, holder: holder, loser: loser)))
  }

  // MARK: This endpoint as a party

  func seniority(at now: Timestamp) -> Seniority {
    Seniority(id: local.id, incarnation: local.incarnation, uptime: uptime(at: now))
  }

  func localParty(at now: Timestamp) -> ClashParty {
    ClashParty(
      id: local.id, name: local.name, incarnation: local.incarnation, uptime: uptime(at: now), address: nil)
  }

  private func hasStood(against rival: Handshake.Key) -> Bool { stoodAgainst.contains(rival) }

  /// Remembers that this endpoint, the weaker one, says that it stays: it must never go back on that.
  private mutating func stand(against key: Handshake.Key, _ rival: Seniority, at now: Timestamp) {
    guard seniority(at: now).isWeaker(than: rival), !hasStood(against: key) else { return }
    // Rivals are rare; the limit only keeps endless liars from growing the list.
    if stoodAgainst.count >= 64 { stoodAgainst.removeFirst() }
    stoodAgainst.append(key)
  }

  /// Somebody says that this endpoint has an older rival.
  mutating func receive(_ clash: Clash, _ header: LongHeader, _ source: SocketAddress, _ now: Timestamp) {
    let isOurs =
      switch clash.kind {
      case .endpointID: clash.holder == local.id && clash.incarnation != local.incarnation
      case .name: clash.name == local.name && clash.holder != local.id
      }
    guard isOurs, clash.incarnation.rawValue != 0 else {
      counters.ignoredClashes += 1
      return
    }
    // From a peer, or from one that we challenged: else anybody could stop us with one datagram.
    let isPeer =
      table.slot(of: header.sender, header.incarnation).map { table[$0].info.address == source } ?? false
    guard
      isPeer
        || tokens.check(clash.token, for: header.sender, header.incarnation, at: source, now: now) != nil
    else {
      counters.ignoredClashes += 1
      return
    }
    let key = Handshake.Key(id: clash.holder, incarnation: clash.incarnation)
    let rival = Seniority(
      id: clash.holder, incarnation: clash.incarnation, uptime: .milliseconds(clash.uptimeMilliseconds))
    let isOwnWord = header.sender == clash.holder && header.incarnation == clash.incarnation
    guard !hasStood(against: key), seniority(at: now).concedes(to: rival, isOwnWord: isOwnWord) else {
      counters.ignoredClashes += 1
      return
    }
    let holder = ClashParty(
      id: clash.holder, name: clash.name, incarnation: clash.incarnation, uptime: rival.uptime,
      address: isOwnWord ? source : nil)
    concede(clash.kind, to: holder, at: now)
  }

  private mutating func concede(_ kind: Clash.Kind, to holder: ClashParty, at now: Timestamp) {
    let report = ClashReport(kind: kind, holder: holder, loser: localParty(at: now))
    leave(reason: .lostClash, at: now)
    actions.append(.defeated(report))
  }
}
