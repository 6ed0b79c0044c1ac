import GlueAddress

/// From hearsay to a session: CHALLENGE, ANSWER, WELCOME.
extension Discovery {
  func handshakeIndex(_ header: LongHeader) -> Int? {
    handshakeIndex(Handshake.Key(id: header.sender, incarnation: header.incarnation))
  }

  func handshakeIndex(_ key: Handshake.Key) -> Int? {
    // By index: an element handed to a closure would be copied, which costs more than the look.
    handshakes.indices.first { handshakes[$0].id == key.id && handshakes[$0].incarnation == key.incarnation }
  }

  // MARK: Challenge

  /// Asks somebody unproven for the proof, within the limits.
  mutating func challenge(
    _ header: LongHeader, at address: SocketAddress, origin: PeerInfo.Origin, jittered: Bool, _ now: Timestamp
  ) {
    if let last = lastReplied, last.address == address, last.packetNumber == header.packetNumber { return }
    guard
      admitChallenge(
        of: Handshake.Key(id: header.sender, incarnation: header.incarnation), at: address, jittered: jittered, now)
    else { return }
    lastReplied = (address, header.packetNumber)
    let pending = PendingChallenge(
      dueAt: now, id: header.sender, incarnation: header.incarnation, address: address, origin: origin)
    if jittered {
      schedule(pending)
    } else {
      sendChallenge(pending, at: now)
    }
  }

  /// Whether the limits allow to challenge somebody unproven.
  mutating func admitChallenge(
    of key: Handshake.Key, at address: SocketAddress, jittered: Bool, _ now: Timestamp
  ) -> Bool {
    hasRoomForPeer(key, at: now) && (!jittered || hasRoomForPending(key, at: address, now))
      && payChallenge(to: address, at: now)
  }

  /// Whether there is room for somebody as a peer. In a full table there is only for the next life of one.
  private mutating func hasRoomForPeer(_ key: Handshake.Key, at now: Timestamp) -> Bool {
    if table.count < configuration.limits.peers || table.slot(of: key.id) != nil { return true }
    hit(.peers, at: now)
    return false
  }

  /// Whether a challenge may wait, and none does yet.
  mutating func hasRoomForPending(_ key: Handshake.Key, at address: SocketAddress, _ now: Timestamp) -> Bool {
    let isPending = pendingChallenges.contains {
      $0.id == key.id && $0.incarnation == key.incarnation && $0.address.isRelayed == address.isRelayed
    }
    if isPending { return false }
    if pendingChallenges.count < configuration.limits.pendingChallenges { return true }
    hit(.pendingChallenges, at: now)
    return false
  }

  /// Whether a challenge may be sent now; counts it.
  mutating func payChallenge(to address: SocketAddress, at now: Timestamp) -> Bool {
    guard mayReply(to: address, at: now) else { return false }
    if challengeBudget.take(at: now) { return true }
    hit(.challengesPerSecond, at: now)
    return false
  }

  private mutating func schedule(_ challenge: PendingChallenge) {
    var challenge = challenge
    // Few answers need little spreading: a newcomer among few should not wait for the sake of many.
    let group = UInt64(clamping: peerCount + pendingChallenges.count + 1)
    let jitter = max(
      min(configuration.answerJitter, configuration.answerSpread * group), configuration.answerPace * group
    )
    .count
    challenge.dueAt = challenge.dueAt + Nanoseconds(jitter > 0 ? generator.next() % (jitter + 1) : 0)
    pendingChallenges.append(challenge)
    wake(at: challenge.dueAt)
  }

  mutating func sendChallenge(_ challenge: PendingChallenge, at now: Timestamp) {
    let token = tokens.make(
      for: challenge.id, challenge.incarnation, at: challenge.address, origin: challenge.origin, now: now)
    send(.challenge(token: token), to: challenge.address)
  }

  mutating func receiveChallenge(
    _ token: UInt64, _ header: LongHeader, _ source: SocketAddress, _ datagramBytes: Int, _ now: Timestamp
  ) {
    guard datagramBytes >= WireLimits.challengeDatagramBytes else {
      counters.undersized += 1
      return
    }
    let answer = DiscoveryFrame.answer(token: token, incarnation: header.incarnation)
    if let slot = table.slot(of: header.sender, header.incarnation) {
      // A peer at its own address is proven. It is not counted: otherwise a forger could use up its replies, and we would
      // seem dead to a peer that probes us.
      guard table[slot].info.address != source else {
        send(answer, to: source)
        return
      }
      guard !hasReplied(to: header, at: source), mayReply(to: source, at: now) else { return }
      replies(to: header, ofPeerIn: slot, at: source)
      send(answer, to: source)
      // A peer whose address has changed asks whether we are still there. Our own question goes with the answer or not at all:
      // the two by themselves would be more than came.
      heardElsewhere(slot, at: source, in: header, mayAskLater: false, at: now)
      return
    }
    if let index = handshakeIndex(header), handshakes[index].address == source {
      handshakes[index].itsToken = token
      send(answer, to: source)
      if handshakes[index].claim?.state == .refused { refuse(index, at: now) }
      return
    }
    guard !hasReplied(to: header, at: source), mayReply(to: source, at: now) else { return }
    lastReplied = (source, header.packetNumber)
    send(answer, to: source)
    // Our own question goes along, and makes one that waits for its jitter superfluous.
    let waiting = pendingChallenges.firstIndex {
      $0.id == header.sender && $0.incarnation == header.incarnation && $0.address == source
    }
    if let waiting {
      sendChallenge(pendingChallenges.remove(at: waiting), at: now)
    } else if hasRoomForPeer(Handshake.Key(id: header.sender, incarnation: header.incarnation), at: now) {
      guard challengeBudget.take(at: now) else {
        hit(.challengesPerSecond, at: now)
        return
      }
      sendChallenge(
        PendingChallenge(
          dueAt: now, id: header.sender, incarnation: header.incarnation, address: source, origin: .contact), at: now)
    }
  }

  /// Whether another frame of the datagram at hand has had its reply: an unproven address gets one for each datagram.
  func hasReplied(to header: LongHeader, at source: SocketAddress) -> Bool {
    lastReplied.map { $0.address == source && $0.packetNumber == header.packetNumber } ?? false
  }

  /// Takes note that a datagram of a peer from another address than the session's is replied to. It pays for no second reply, so
  /// what it said before in another frame is forgotten.
  mutating func replies(to header: LongHeader, ofPeerIn slot: Int, at source: SocketAddress) {
    lastReplied = (source, header.packetNumber)
    guard let elsewhere = table[slot].elsewhere else { return }
    if elsewhere.address == source, elsewhere.packetNumber == header.packetNumber { table[slot].elsewhere = nil }
  }

  // MARK: Answer

  mutating func receiveAnswer(_ token: UInt64, _ header: LongHeader, _ source: SocketAddress, _ now: Timestamp) {
    if let slot = table.slot(of: header.sender, header.incarnation) {
      if source == table[slot].info.address {
        if token == table[slot].probe?.token {
          heard(slot, at: now)
          // A question went there and its answer came from there, which is as much as any datagram of the session shows.
          table[slot].sessionHeardAt = now
          settleProbe(slot, at: now)
        } else if tokens.check(token, for: header.sender, header.incarnation, at: source, now: now) != nil {
          heard(slot, at: now)
        }
      } else if let move = table[slot].move, move.address == source, move.token == token {
        completeMove(slot, at: now)
      }
      return
    }
    guard let origin = tokens.check(token, for: header.sender, header.incarnation, at: source, now: now) else {
      counters.invalidAnswers += 1
      return
    }
    if let index = handshakeIndex(header) {
      if handshakes[index].address == source {
        if handshakes[index].claim?.state == .refused { refuse(index, at: now) }
      } else if handshakes[index].claim == nil,
        follows(handshakes[index].key, from: handshakes[index].address, to: source)
      {
        // Each may have met the other first at another address. The one that follows goes to where the other is.
        handshakes[index].address = source
        sendWelcome(index, at: now)
      }
      return
    }
    beginHandshake(
      Handshake.Key(id: header.sender, incarnation: header.incarnation), at: source, origin: origin,
      received: ReplayWindow(nothingBelow: header.packetNumber), keySalt: header.seal?.salt ?? 0,
      isHeard: origin == .group, now)
  }

  /// Somebody proved an address: keep it in mind, if there is room, and offer a session, unless its ID has a holder.
  ///
  /// - Parameters:
  ///   - received: the datagrams that came from it since the proof.
  ///   - keySalt: what its key is derived from.
  ///   - welcome: its side of the session, if that is known already.
  ///   - welcomeNumber: the number of the last datagram with a WELCOME from it, if it was a peer before.
  mutating func beginHandshake(
    _ key: Handshake.Key, at address: SocketAddress, origin: PeerInfo.Origin, received: ReplayWindow,
    keySalt: UInt64, isHeard: Bool, welcome: Welcome? = nil, welcomeNumber: UInt64 = 0, _ now: Timestamp
  ) {
    guard handshakes.count < configuration.limits.handshakes,
      let (slot, session) = table.reserve(using: &generator)
    else {
      hit(.handshakes, at: now)
      return
    }
    var handshake = Handshake(
      id: key.id, incarnation: key.incarnation, address: address, origin: origin, slot: slot, session: session,
      deadline: now + configuration.handshakeTimeout, received: received, keySalt: keySalt)
    wake(at: handshake.deadline)
    handshake.isHeard = isHeard
    handshake.welcomeNumber = welcomeNumber
    if let welcome {
      handshake.welcome = welcome
      handshake.note(welcome.announcement, at: now)
    }
    if key.id == local.id {
      handshake.claim = Handshake.Claim(kind: .endpointID, holder: .local, state: .comparing)
      handshakes.append(handshake)
      // There will be no WELCOME, so the rival must learn our uptime like this.
      send(.announce(makeAnnouncement(listing: .nobody, at: now)), to: address)
      return
    }
    handshakes.append(handshake)
    if let holder = table.slot(of: key.id) {
      beginClaim(key, of: .endpointID, heldBy: holder, at: now)
    } else {
      sendWelcome(handshakes.count - 1, at: now)
      if welcome != nil { proceed(handshakes.count - 1, at: now) }
    }
  }

  // MARK: Welcome

  /// Sends our side of the session to a handshake, and begins to repeat it.
  mutating func sendWelcome(_ index: Int, at now: Timestamp) {
    if handshakes[index].repetition == nil {
      handshakes[index].repetition = Repetition(bounds: configuration.welcomeRepetition, from: now)
      wake(at: handshakes[index].repetition?.nextAt)
    }
    let handshake = handshakes[index]
    let welcome = Welcome(
      session: handshake.session, yourSession: handshake.welcome?.session ?? 0, addressee: handshake.incarnation,
      receiveBufferBytes: UInt64(clamping: local.receiveBufferBytes),
      acceptsGroupTag: table.slot(tag: handshake.incarnation.groupTag) == nil,
      announcement: makeAnnouncement(listing: everyday(at: handshake.address), hearsYou: handshake.isHeard, at: now))
    send(.welcome(welcome), to: handshake.address)
  }

  /// Sends our side of the session to a peer. `offering`: for another session of it than the present one.
  mutating func sendWelcome(toPeerIn slot: Int, offering rival: UInt32? = nil, at now: Timestamp) {
    let info = table[slot].info
    let welcome = Welcome(
      session: info.localSession, yourSession: rival ?? info.remoteSession, addressee: info.incarnation,
      receiveBufferBytes: UInt64(clamping: local.receiveBufferBytes), acceptsGroupTag: info.hasUniqueTag,
      announcement: makeAnnouncement(listing: everyday(at: info.address), hearsYou: hears(slot, at: now), at: now))
    send(.welcome(welcome), to: info.address)
  }

  mutating func receive(
    _ welcome: Welcome, _ header: LongHeader, _ source: SocketAddress, _ datagramBytes: Int, _ now: Timestamp
  ) {
    guard welcome.session != 0, welcome.addressee == local.incarnation else { return }
    if let slot = table.slot(of: header.sender, header.incarnation) {
      if table[slot].info.address == source {
        receive(welcome, header, ofPeerIn: slot, now)
      } else if datagramBytes >= WireLimits.challengeDatagramBytes, !hasReplied(to: header, at: source) {
        // It found us by another address than we found it, and will not take our WELCOMEs from where we send them.
        heardElsewhere(slot, at: source, in: header, at: now)
      }
      return
    }
    if let index = handshakeIndex(header) {
      guard handshakes[index].address == source else {
        // It met us at another address. If we are the one to follow, it has to prove that one.
        if datagramBytes >= WireLimits.challengeDatagramBytes, handshakes[index].claim == nil,
          follows(handshakes[index].key, from: handshakes[index].address, to: source)
        {
          challenge(header, at: source, origin: handshakes[index].origin, jittered: false, now)
        }
        return
      }
      guard handshakes[index].welcomeNumber < header.packetNumber else { return }
      handshakes[index].welcomeNumber = header.packetNumber
      handshakes[index].welcome = welcome
      handshakes[index].note(welcome.announcement, at: now)
      if handshakes[index].claim == nil, !handshakes[index].accepts(welcome) { sendWelcome(index, at: now) }
      proceed(index, at: now)
      return
    }
    // Somebody took us for proven whose own proof was lost: the next repetition of its WELCOME will find it.
    guard datagramBytes >= WireLimits.challengeDatagramBytes else {
      counters.undersized += 1
      return
    }
    guard isCompatible(welcome.announcement, of: header.sender, now) else { return }
    challenge(header, at: source, origin: .contact, jittered: false, now)
  }

  /// Takes a handshake as far as what is known of it allows.
  mutating func proceed(_ index: Int, at now: Timestamp) {
    guard handshakes[index].claim == nil else {
      compare(index, at: now)
      return
    }
    guard let announcement = handshakes[index].announcement else { return }
    let handshake = handshakes[index]
    guard isCompatible(announcement, of: handshake.id, now) else {
      forget(index)
      return
    }
    if announcement.name == local.name {
      handshakes[index].claim = Handshake.Claim(kind: .name, holder: .local, state: .comparing)
      handshakes[index].repetition = nil
      compare(index, at: now)
    } else if let holder = table.slot(of: handshake.id) {
      beginClaim(handshake.key, of: .endpointID, heldBy: holder, at: now)
    } else if let holder = table.slot(name: announcement.name) {
      beginClaim(handshake.key, of: .name, heldBy: holder, at: now)
    } else if let welcome = handshake.welcome, handshake.accepts(welcome) {
      guard table.count < configuration.limits.peers else {
        hit(.peers, at: now)
        forget(index)
        return
      }
      handshakes.remove(at: index)
      becomePeer(handshake, welcome, at: now)
    }
  }

  mutating func forget(_ index: Int) {
    let handshake = handshakes.remove(at: index)
    table.release(handshake.slot)
  }

  private mutating func becomePeer(_ handshake: Handshake, _ welcome: Welcome, at now: Timestamp) {
    let announcement = handshake.announcement ?? welcome.announcement
    let (interval, lease) = terms(of: announcement)
    let isBound = welcome.yourSession == handshake.session
    let info = PeerInfo(
      id: handshake.id, name: announcement.name, incarnation: handshake.incarnation, address: handshake.address,
      slot: handshake.slot, localSession: handshake.session, remoteSession: welcome.session,
      version: min(announcement.maximumVersion, Discovery.versions.upperBound),
      receiveBufferBytes: Int(clamping: welcome.receiveBufferBytes), capabilities: announcement.capabilities,
      interestVersion: announcement.interestVersion, locators: announcement.locators,
      attributes: announcement.attributes.withoutWallClock, origin: handshake.origin, since: now, interval: interval,
      leaseDeadline: now + lease, hearing: nil, hasUniqueTag: false, acceptsGroupTag: welcome.acceptsGroupTag,
      keySalt: handshake.keySalt,
      startEstimate: handshake.startEstimate)
    // That somebody does not hear it is known already of one that is reached by way of others.
    let firstLook = interval * (handshake.address.isRelayed ? 2 : 4)
    let peer = Peer(
      info: info, lease: lease, addressHeardAt: now, sessionHeardAt: now,
      groupHeardAt: handshake.isHeard ? now : nil, heardUsAt: welcome.announcement.hearsYou ? now : nil,
      isConfirmed: isBound, isBound: isBound,
      received: handshake.received, welcomeNumber: handshake.welcomeNumber,
      welcome: isBound ? nil : Repetition(bounds: configuration.welcomeRepetition, from: now),
      introductionAt: now + firstLook, introductionDelay: firstLook, directTryAt: now)
    table.insert(peer)
    if handshake.address.isRelayed { table[info.slot].info.relay = relay(to: RelayedEndpoint(info)) }
    for id in announcement.heard {
      if let other = table.slot(of: id) { table[info.slot].listing.add(other) }
    }
    if !isBound { watch(info.slot) }
    wakeForLease(info.slot)
    actions.append(.peerAdded(table[info.slot].info))
    // It taught us its session ID, and may not know that yet.
    sendWelcome(toPeerIn: info.slot, at: now)
    introduceNewcomer(info.slot, at: now)
  }
}
