import GlueCore

/// Who has the model open, and what they have.
extension ReplicaMachine {
  /// The replicas that are there and stay. Who only has been heard is not there: what is sent to all does not reach it yet. Who has said nothing is no
  /// replica, and whoever is there for a moment only nobody should rely on.
  public var peerIDs: [EndpointID] { peers.filter(\.isLasting).map(\.id) }

  /// Whether nothing is missing here that a peer which is there is known to have.
  public var isInSync: Bool {
    guard request == nil, held.isEmpty else { return false }
    let own = document.digest
    return peers.allSatisfy { peer in
      guard peer.hasAppeared else { return true }
      switch peer.state {
      case .included: return true
      case .known(let digest, let context): return includes(digest, context, own: own)
      case .unknown: return !peer.isAwaited(patience: configuration.requestTimeout)
      case .more: return false
      }
    }
  }

  /// An endpoint has the model open, and messages to it and from it arrive from now on.
  public func peerAppeared(_ id: EndpointID, at time: ReplicaTime) {
    guard id != endpoint else { return }
    // Its first message may have come before; then what it says holds.
    if let index = index(of: id), peers[index].hasAppeared { forget(id) }
    guard let index = index(of: id) ?? insert(id, at: time.now) else { return }
    peers[index].hasAppeared = true
    ask(index, at: time)
  }

  /// An endpoint has closed the model, or cannot be reached.
  public func peerVanished(_ id: EndpointID, at time: ReplicaTime) {
    let hasWritten = index(of: id).map { peers[$0].hasWritten } ?? false
    forget(id)
    if hasWritten { announceForWriter(at: time.now) }
    // What it said last waits for something that only others can tell of now, if anybody can.
    if held.remove(from: id) { for index in peers.indices where peers[index].question == nil { ask(index, at: time) } }
    fetch(at: time)
  }

  /// A message has come that is for this replica alone.
  public func receiveMessage(_ bytes: UnsafeRawBufferPointer, from sender: EndpointID, at time: ReplicaTime) {
    guard sender != endpoint, let index = index(of: sender) ?? insert(sender, at: time.now) else { return }
    var reader = WireReader(bytes)
    do {
      switch try PeerMessage.header(reading: &reader) {
      case .otherVersion(let version): refuse(version: version, of: sender)
      case .kind(.part):
        let part = try MessagePart(reading: &reader)
        receive(part, from: index, at: time)
      case .kind(let kind):
        // What came in parts and is not complete has been broken off.
        inbox.remove(sender)
        receive(try PeerMessage(kind, reading: &reader), from: index, at: time)
      }
    } catch {
      invalid(from: sender)
    }
  }

  /// Messages of a peer that were for this replica alone have been lost.
  public func lostMessages(from sender: EndpointID, at time: ReplicaTime) {
    guard let index = index(of: sender) else { return }
    inbox.remove(sender)
    reconciliations.removeAll { $0.peer == sender }
    if request?.peer == sender { request = nil }
    ask(index, at: time)
    fetch(at: time)
  }

  private func receive(_ part: MessagePart, from index: Int, at time: ReplicaTime) {
    let sender = peers[index].id
    if request?.peer == sender { request?.deadline = time.now + requestPatience }
    // Without a request of this replica or the peer's there is little to say.
    let isExpected = request?.peer == sender || reconciliations.contains { $0.peer == sender }
    let limit =
      isExpected
      ? configuration.receivedPartBytes
      : min(configuration.receivedPartBytes, ReplicaConfiguration.unexpectedPartBytes)
    switch inbox.receive(part, from: sender, limit: limit) {
    case .incomplete: break
    case .message(let bytes):
      bytes.withUnsafeBytes { buffer in
        var reader = WireReader(buffer)
        // A part of parts is none.
        guard case .kind(let kind) = try? PeerMessage.header(reading: &reader),
          let message = try? PeerMessage(kind, reading: &reader)
        else { return invalid(from: sender) }
        receive(message, from: index, at: time)
      }
    case .outOfOrder:
      // What was lost is told by the channel, and asked for then.
      break
    case .full:
      reach(.receivedPartBytes, at: time.now)
      if request?.peer == sender { abandonRequest(pause: ReplicaConfiguration.askPauseLimit, at: time) }
    }
  }

  private func receive(_ message: PeerMessage, from index: Int, at time: ReplicaTime) {
    switch message {
    case .status(let status): receive(status, from: index, at: time)
    case .need(let request, let context): answer(request, having: context, to: index, at: time)
    case .missing(let request, let digest, let delta):
      receiveMissing(delta, digest: digest, of: request, from: index, at: time)
    case .reconcile(let request, let context, let ranges):
      if self.request?.number == request, self.request?.peer == peers[index].id {
        compare(ranges, theirs: context, from: index, at: time)
      } else {
        answer(ranges, of: request, to: index, at: time)
      }
    case .finish(let request, let wanted, let delta):
      finish(request, wanted: wanted, merging: delta, from: index, at: time)
    case .refused(let request): refused(request, by: index, at: time)
    case .confirm(let dots): receiveWish(dots, from: index, at: time)
    case .confirmed(let dots): receiveConfirmation(dots, from: index)
    }
  }

  // MARK: STATUS

  private func receive(_ status: ReplicaStatus, from index: Int, at time: ReplicaTime) {
    if peers[index].instance != status.instance {
      // Another opening: nothing that was known of the one before holds.
      let isFirst = peers[index].instance == nil
      if !isFirst {
        let id = peers[index].id
        let hasAppeared = peers[index].hasAppeared
        forget(id)
        _ = held.remove(from: id)
        guard let new = insert(id, at: time.now) else { return }
        peers[new].instance = status.instance
        peers[new].hasAppeared = hasAppeared
        return receive(status, from: new, at: time)
      }
      peers[index].instance = status.instance
      peers[index].fetchAfter = time.now
    } else {
      peers[index].fetchAfter = max(peers[index].fetchAfter, time.now + configuration.holeDelay)
    }
    learnClock(status.wallMicroseconds, of: index, at: time)
    peers[index].question = nil
    peers[index].isTransient = status.isTransient
    sendWish(to: index)
    peers[index].state = .known(digest: status.digest, status.context)
    if let context = status.context { confirm(by: context) }
    if status.digest == document.digest {
      peers[index].agreed = status.digest
      confirm(by: document.context)
      // It has told the others as well.
      if isAnnouncementCommon, !status.asks { announceAt = nil }
    }
    if status.asks { sendStatus(asks: false, to: index, at: time) }
    fetch(at: time)
  }

  private func learnClock(_ wall: UInt64, of index: Int, at time: ReplicaTime) {
    let isPrompt = peers[index].question != nil && time.now < peers[index].askedAt + ReplicaConfiguration.promptAnswer
    // A clock that seems to be behind may be right, and the message late.
    guard isPrompt || wall >= time.wallMicroseconds else { return }
    let lead = clock.learn(wall: wall, of: peers[index].id, at: time)
    let isSkewed = HybridClock.isSkew(lead)
    if isSkewed, !peers[index].isSkewed { tell(.clockSkew(peer: peers[index].id, microseconds: lead)) }
    peers[index].isSkewed = isSkewed
  }

  /// Asks a peer what it has, now and until it answers.
  func ask(_ index: Int, at time: ReplicaTime) {
    let pause = peers[index].question.map { min($0.pause + $0.pause, ReplicaConfiguration.askPauseLimit) }
    let wait = pause ?? configuration.requestTimeout
    peers[index].question = (time.now + wait, wait)
    sendStatus(asks: true, to: index, at: time)
  }

  func sendStatus(asks: Bool, to index: Int, at time: ReplicaTime) {
    peers[index].askedAt = time.now
    // A question that has not left is in the next STATUS.
    let asks = outbox.withdraw(.status, for: peers[index].id) && peers[index].question != nil || asks
    // A long one is not encoded to find out that it is long.
    let isShort = document.context.seen.rangeCount <= ReplicaConfiguration.statusContextRanges
    send(
      .status(
        ReplicaStatus(
          asks: asks, instance: instance, wallMicroseconds: time.wallMicroseconds, digest: document.digest,
          context: isShort ? document.context : nil, isTransient: isTransient)),
      to: peers[index].id, .status)
  }

  // MARK: The table

  func index(of id: EndpointID) -> Int? {
    let index = peers.partitioningIndex { $0.id >= id }
    return index < peers.count && peers[index].id == id ? index : nil
  }

  /// Adds a peer; nil if there is no room for it.
  private func insert(_ id: EndpointID, at now: Timestamp) -> Int? {
    guard peers.count < configuration.peers else {
      reach(.peers, at: now)
      return nil
    }
    let index = peers.partitioningIndex { $0.id >= id }
    peers.insert(Peer(id, at: now), at: index)
    return index
  }

  /// Forgets those who have been heard, but never were said to be there.
  func forgetGhosts(at now: Timestamp) {
    for peer in peers where peer.isGhost(at: now, patience: configuration.requestTimeout) { forget(peer.id) }
  }

  private func forget(_ id: EndpointID) {
    guard let index = index(of: id) else { return }
    peers.remove(at: index)
    clock.forget(id)
    outbox.remove(id)
    inbox.remove(id)
    reconciliations.removeAll { $0.peer == id }
    if request?.peer == id { request = nil }
  }

  /// Another replica has what this context covers.
  func confirm(by context: CausalContext) {
    for own in ownReplicas { confirmed.insert(context.seen[own], of: own) }
  }

  /// The identities under which this opening has written: one for each generation in which it did.
  var ownReplicas: [ReplicaID] {
    document.context.seen.parts.lazy.map(\.replica).filter { [ownNumbers, endpoint] in
      ownNumbers.contains($0.number) && $0.endpoint == endpoint
    }
  }
}
