import GlueCore

/// How state gets here that others have.
struct Following: Sendable {
  /// What somebody is known to have.
  var target: LogIndex = 0
  /// What Raft needs at least, as its leader's log does not reach back so far.
  var need: LogIndex?
  /// Whom to ask first.
  var preferred: EndpointID?
  var fetch: Fetch?

  /// What was asked of somebody.
  struct Fetch: Sendable {
    let source: EndpointID
    /// When something of it came last, or it was asked for.
    var since: Timestamp
    var timeout: Nanoseconds
    var attempts = 0
    var transfer: Transfer?
  }

  /// A state that comes in pieces.
  struct Transfer: Sendable {
    let offer: QuorumOffer
    var bytes: [UInt8] = []
    /// Up to where pieces were asked for.
    var wanted: UInt64 = 0
  }

  mutating func sourceVanished(_ peer: EndpointID) {
    if fetch?.source == peer { fetch = nil }
    if preferred == peer { preferred = nil }
  }
}

// MARK: Lacking something

extension QuorumMachine {
  /// Asks somebody for what is missing here, if something is and nobody was asked.
  func follow(_ now: Timestamp) {
    guard !isClosed, following.fetch == nil, lacksSomething, let source = source() else { return }
    following.fetch = Following.Fetch(source: source, since: now, timeout: QuorumConfiguration.fetchTimeout)
    ask(source)
  }

  private var lacksSomething: Bool {
    if let need = following.need, need > applied || raft.map({ need > $0.commitIndex }) == true { return true }
    return !isFedByRaft && (following.target > applied || applied == 0)
  }

  private func ask(_ source: EndpointID) {
    // What was decided can be given to Raft as a state only; its entries it takes from its leader.
    send(.fetch(cluster, from: applied + 1, needsState: following.need != nil), to: source)
  }

  /// Whoever was told to have it, and else the next one that says it has more.
  private func source(after last: EndpointID? = nil) -> EndpointID? {
    if let preferred = following.preferred, preferred != last, peer(preferred) != nil { return preferred }
    let able = peers.filter { peer in
      guard let hello = peer.hello, let other = hello.cluster else { return false }
      return (cluster == nil || other == cluster) && (hello.applied > applied || peer.id == hint?.leader)
    }
    return able.first { $0.id > last ?? EndpointID(0) }?.id ?? able.first?.id
  }

  /// Nothing came for a while: once more, and then somebody else.
  func checkFetch(_ now: Timestamp) {
    guard var fetch = following.fetch, now >= fetch.since + fetch.timeout else { return }
    fetch.attempts += 1
    fetch.since = now
    fetch.timeout = min(Nanoseconds(fetch.timeout.count * 2), QuorumConfiguration.fetchTimeoutLimit)
    if fetch.attempts >= QuorumConfiguration.fetchAttempts {
      following.fetch = nil
      if following.preferred == fetch.source { following.preferred = nil }
      guard lacksSomething, let source = source(after: fetch.source) else { return }
      following.fetch = Following.Fetch(source: source, since: now, timeout: QuorumConfiguration.fetchTimeout)
      return ask(source)
    }
    if var transfer = fetch.transfer {
      // Pieces were lost: what is missing is asked for again, and not more than one at first.
      transfer.wanted = UInt64(transfer.bytes.count)
      fetch.transfer = transfer
      following.fetch = fetch
      want(pieces: 1)
    } else {
      following.fetch = fetch
      ask(fetch.source)
    }
  }

  // MARK: What comes

  func receiveNews(_ cluster: ClusterID, _ news: QuorumNews, from peer: EndpointID, at now: Timestamp) {
    meet(cluster, at: peer, now)
    guard cluster == self.cluster else { return }
    noteLeader(news.leader, term: news.term)
    following.target = max(following.target, news.commit)
    if following.preferred == nil { following.preferred = peer }
    guard !isFedByRaft else { return }
    // The news of a leader that is none any more are committed all the same.
    for entry in news.entries { apply(entry, at: now) }
    if applied >= news.commit, news.term >= term { currentAt = now }
    follow(now)
  }

  func receiveEntries(_ entries: [RaftEntry], from peer: EndpointID, at now: Timestamp) {
    guard let fetch = following.fetch, fetch.source == peer, !isFedByRaft else { return }
    following.fetch = nil
    let before = applied
    for entry in entries { apply(entry, at: now) }
    // Whoever sent nothing of use is not asked again at once.
    if applied > before { return follow(now) }
    following.target = min(following.target, applied)
    if following.preferred == peer { following.preferred = nil }
  }

  func receiveOffer(_ offer: QuorumOffer, from peer: EndpointID, at now: Timestamp) {
    guard var fetch = following.fetch, fetch.source == peer, offer.bytes <= QuorumConfiguration.stateBytes else {
      return
    }
    guard offer.index > applied || raft.map({ offer.index > $0.commitIndex }) == true else {
      return following.fetch = nil
    }
    if fetch.transfer?.offer != offer { fetch.transfer = Following.Transfer(offer: offer) }
    fetch.since = now
    following.fetch = fetch
    want(pieces: QuorumConfiguration.pieceWindow)
  }

  private func want(pieces count: UInt64) {
    guard let cluster, let fetch = following.fetch, var transfer = fetch.transfer else { return }
    let step = UInt64(QuorumConfiguration.pieceBytes)
    let end = min(transfer.offer.bytes, UInt64(transfer.bytes.count) + count * step)
    while transfer.wanted < end {
      send(.want(cluster, index: transfer.offer.index, offset: transfer.wanted), to: fetch.source)
      transfer.wanted += step
    }
    following.fetch?.transfer = transfer
  }

  func receivePiece(index: LogIndex, offset: UInt64, _ bytes: [UInt8], from peer: EndpointID, at now: Timestamp) {
    guard following.fetch?.source == peer, let offer = following.fetch?.transfer?.offer,
      let count = following.fetch?.transfer?.bytes.count, offer.index == index, offset == UInt64(count),
      !bytes.isEmpty, UInt64(bytes.count) <= offer.bytes - offset
    else { return }
    following.fetch?.since = now
    following.fetch?.attempts = 0
    following.fetch?.timeout = QuorumConfiguration.fetchTimeout
    // In place: with a copy of the transfer at hand each piece would copy all that came before it.
    following.fetch?.transfer?.bytes += bytes
    guard offset + UInt64(bytes.count) == offer.bytes else { return want(pieces: QuorumConfiguration.pieceWindow) }
    let whole = following.fetch?.transfer?.bytes ?? []
    following.fetch = nil
    take(offer, whole, from: peer, at: now)
  }

  /// A whole state is here.
  private func take(_ offer: QuorumOffer, _ bytes: [UInt8], from peer: EndpointID, at now: Timestamp) {
    let new: QuorumState
    do {
      new = try QuorumState(encoded: bytes)
    } catch {
      tell(.unreadable(from: peer, "its state: \(error)"))
      if following.preferred == peer { following.preferred = nil }
      return
    }
    if let raft, offer.index > raft.commitIndex {
      fetchedState = (offer.index, new)
      raft.install(
        RaftSnapshot(index: offer.index, term: offer.term, membership: offer.membership, state: bytes), at: now)
      if following.need ?? 0 <= offer.index { following.need = nil }
    } else if raft == nil {
      restore(new, index: offer.index, term: offer.term, membership: offer.membership, at: now)
    }
    follow(now)
  }
}
