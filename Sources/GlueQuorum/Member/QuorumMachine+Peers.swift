import GlueCore

/// Somebody else who has the model open.
struct QuorumPeer: Sendable {
  let id: EndpointID
  /// What it said of itself last.
  var hello: QuorumHello?
}

// MARK: Who is there

extension QuorumMachine {
  /// Somebody is there, and what is sent to it arrives.
  public func peerAppeared(_ peer: EndpointID, at now: Timestamp) {
    guard peer != endpoint else { return }
    let index = peerIndex(peer)
    if index < peers.count, peers[index].id == peer {
      peers[index].hello = nil
    } else {
      peers.insert(QuorumPeer(id: peer), at: index)
    }
    send(.hello(hello(asks: true)), to: peer)
    invite(peer, at: now)
    noteListeners()
    pump(now)
  }

  /// Somebody is not there any more.
  public func peerVanished(_ peer: EndpointID, at now: Timestamp) {
    let index = peerIndex(peer)
    guard index < peers.count, peers[index].id == peer else { return }
    peers.remove(at: index)
    outbox.remove(peer)
    answers.removeAll { $0.peer == peer }
    told.foreign.remove(peer)
    told.foreignStorages.remove(peer)
    following.sourceVanished(peer)
    if hint?.leader == peer { hint = nil }
    noteListeners()
    follow(now)
    pump(now)
  }

  /// The endpoints that have the model open, as far as they are reached now.
  public var peerIDs: [EndpointID] { peers.map(\.id) }

  func peer(_ id: EndpointID) -> QuorumPeer? {
    let index = peerIndex(id)
    return index < peers.count && peers[index].id == id ? peers[index] : nil
  }

  private func peerIndex(_ id: EndpointID) -> Int {
    var low = 0
    var high = peers.count
    while low < high {
      let middle = (low + high) / 2
      if peers[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Who listens to news: everybody who is not fed by Raft, as far as can be told.
  func noteListeners() {
    hasListeners = peers.contains { peer in
      guard let storage = peer.hello?.storage else { return true }
      return membership?.contains(MemberID(peer.id, storage)) != true
    }
  }

  // MARK: What they say

  /// Something came from a peer, to this opening alone or to all.
  public func receive(_ bytes: UnsafeRawBufferPointer, from peer: EndpointID, at now: Timestamp) {
    guard !isClosed || isHandingOver else { return }
    do throws(WireError) {
      switch try QuorumMessage.version(of: bytes) {
      case QuorumMessage.version: receive(try QuorumMessage(encoded: bytes), from: peer, at: now)
      case let other:
        tell(.unreadable(from: peer, "it is of version \(other), this endpoint speaks \(QuorumMessage.version)"))
      }
    } catch {
      tell(.unreadable(from: peer, "\(error)"))
    }
    pump(now)
  }

  private func receive(_ message: QuorumMessage, from peer: EndpointID, at now: Timestamp) {
    if isClosed, case .raft = message {} else if isClosed { return }
    switch message {
    case .hello(let hello): receive(hello, from: peer, at: now)
    case .raft(let cluster, let from, let to, let message):
      guard cluster == self.cluster, to == storage, storageFailure == nil else { return }
      raft?.receive(message, from: MemberID(peer, from), at: now)
    case .ask(let cluster, let commands, let reads):
      if cluster == self.cluster { receiveAsk(commands, reads: reads, from: peer, at: now) }
    case .answer(let cluster, let answer):
      if cluster == self.cluster { receiveAnswer(answer, at: now) }
    case .redirect(let cluster, let leader, let requests, let nonces, let reads):
      guard cluster == self.cluster else { return }
      receiveRedirect(from: peer, leader: leader, requests, nonces: nonces, reads: reads, at: now)
    case .news(let cluster, let news): receiveNews(cluster, news, from: peer, at: now)
    case .fetch(let cluster, let index, let needsState):
      receiveFetch(cluster, from: index, needsState: needsState, peer, at: now)
    case .entries(let cluster, let entries):
      if cluster == self.cluster { receiveEntries(entries, from: peer, at: now) }
    case .offer(let cluster, let offer):
      if cluster == self.cluster { receiveOffer(offer, from: peer, at: now) }
    case .want(let cluster, let index, let offset):
      if cluster == self.cluster { receiveWant(index: index, offset: offset, from: peer, at: now) }
    case .piece(let cluster, let index, let offset, let bytes):
      if cluster == self.cluster { receivePiece(index: index, offset: offset, bytes, from: peer, at: now) }
    case .invite(let cluster): receiveInvitation(cluster, from: peer, at: now)
    case .accept(let cluster, let storage): receiveAcceptance(cluster, storage, from: peer, at: now)
    case .decline(let cluster, let reason): receiveDecline(cluster, reason, from: peer)
    case .change(let cluster, let number, let change):
      if cluster == self.cluster {
        send(.changed(cluster, number: number, advance(change, at: now)), to: peer)
      }
    case .changed(let cluster, let number, let result):
      if cluster == self.cluster { client.changed(number, result) }
    }
  }

  /// What this opening says of itself.
  func hello(asks: Bool = false) -> QuorumHello {
    // Without the storage that failed, so that it counts as missing, and gets the news as others do that have none.
    QuorumHello(
      asks: asks, cluster: applied > 0 ? cluster : nil, storage: storageFailure == nil ? storage : nil,
      applied: applied, term: leaderTerm, leader: leader)
  }

  /// Tells everybody what is new about this opening.
  func greetAll() {
    let bytes = QuorumMessage.hello(hello()).encoded()
    for peer in peers { outbox.append(bytes, to: peer.id) }
  }

  private func receive(_ hello: QuorumHello, from peer: EndpointID, at now: Timestamp) {
    let index = peerIndex(peer)
    guard index < peers.count, peers[index].id == peer else { return }
    peers[index].hello = hello
    noteListeners()
    if hello.asks { send(.hello(self.hello()), to: peer) }
    noteStorage(of: peer)
    guard let other = hello.cluster else { return }
    meet(other, at: peer, now)
    guard other == cluster else { return }
    if let leader = hello.leader { noteLeader(leader, term: hello.term) }
    following.target = max(following.target, hello.applied)
    follow(now)
  }

  /// An endpoint whose storage is not the one that the membership names has lost it.
  func noteStorage(of peer: EndpointID) {
    guard let hello = self.peer(peer)?.hello, hello.cluster == nil || hello.cluster == cluster,
      let voter = membership?.all.first(where: { $0.endpoint == peer })
    else { return }
    if hello.storage == voter.storage {
      told.foreignStorages.remove(peer)
    } else if told.foreignStorages.insert(peer).inserted {
      tell(.foreignStorage(peer))
    }
  }

  func noteLeader(_ leader: EndpointID, term: Term) {
    guard term >= hint?.term ?? 0, leader == endpoint || peer(leader) != nil else { return }
    if hint?.leader != leader { client.leaderChanged() }
    hint = (leader, term)
  }

  /// Somebody belongs to a cluster. One that is bound to none follows the first it meets.
  func meet(_ other: ClusterID, at peer: EndpointID, _ now: Timestamp) {
    if cluster == other { return }
    let isPledged = pledge.map { $0.until > now } ?? false
    if isPledged, pledge?.cluster != other { return }
    if let founding, founding.cluster != other {
      if told.foreign.insert(peer).inserted { tell(.foreignCluster(other, at: peer)) }
      // Two quorums of one name are more easily founded than got rid of.
      if !founding.isFounded { endFounding(founding, .failed(.nameIsTaken(other, at: peer))) }
      return
    }
    guard let cluster else { return self.cluster = other }
    if told.foreign.insert(peer).inserted { tell(.foreignCluster(other, at: peer)) }
    guard !isBound, joining == nil, founding == nil else { return }
    // One whose founding this endpoint takes part in is meant. So is the other one of the name, if that has a leader, and this one has none:
    // at once if nothing is known of this one, else when it has had time to find one.
    let isOrphan = orphanSince.map { now.since($0) >= QuorumConfiguration.orphanPatience } ?? false
    guard isPledged || (self.peer(peer)?.hello?.leader != nil && (isOrphan || (applied == 0 && leader == nil))) else {
      return
    }
    if applied > 0 { tell(.wentOver(from: cluster, to: other)) }
    forgetCluster()
    self.cluster = other
  }

  /// Begins anew, as if nothing had been heard yet.
  func forgetCluster() {
    loseLocks()
    // It was asked of that one alone.
    for change in client.changes { end(change.ticket, .failed(.notFounded)) }
    client.changes = []
    if let session = client.session {
      // What was sent may have happened there.
      for request in client.pending where request.firstSent != nil {
        if let ticket = request.ticket { end(ticket, unknown(RequestID(session: session, number: request.number))) }
      }
      client.pending.removeAll { $0.firstSent != nil }
    }
    currentAt = nil
    replaceState(by: QuorumState(limits: configuration.state), index: 0, term: 0, membership: nil)
    hint = nil
    following = Following()
    serving = Serving()
    orphanSince = nil
    client.forgetSession(nonce: generator.next())
  }

  /// Tells what has changed of leader, role and members, and takes note of it.
  func noticeRole(_ now: Timestamp) {
    if let raft {
      // A learner never stands for election, so its Raft takes a leader that is silent for one all the same.
      if let silentAt = raft.leaderIsSilentAt, silentAt <= now {
        leaderlessSince = leaderlessSince ?? now
      } else {
        leaderlessSince = nil
      }
      isPassedBy = leaderlessSince.map { now.since($0) >= passedByAfter } ?? false
    }
    noticeLeading(now)
    if cluster != nil, leader == nil { orphanSince = orphanSince ?? now } else { orphanSince = nil }
    if told.leader != leader {
      told.leader = leader
      client.leaderChanged()
      tell(.leader(leader, term: term))
    }
    if told.role != role {
      told.role = role
      tell(.role(role))
    }
    if told.membership != membership {
      told.membership = membership
      if let membership { tell(.membership(membership)) }
      for peer in peers { noteStorage(of: peer.id) }
      noteListeners()
    }
  }
}
