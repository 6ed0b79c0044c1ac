import Crypto
import GlueAddress

extension EndpointMachine {
  /// Takes note that addresses or interfaces of this host have changed, and announces anew as at the start.
  ///
  /// - Parameters:
  ///   - targets: Whom to announce to from now on.
  ///   - dataGroups: Those of them to which data can be sent for several peers at once.
  public func networkChanged(targets: [SocketAddress], dataGroups: [SocketAddress], at now: Timestamp) {
    guard !isStopped else { return }
    if dataGroups != self.dataGroups {
      self.dataGroups = dataGroups
      for session in sessions.values { leaveGroups(session, at: now) }
      for publication in topics.publications.values { publication.stream.groupReviewAt = now }
    }
    discovery.networkChanged(targets: targets, at: now)
    drainDiscovery(at: now)
  }

  /// Takes note that nothing was done for a while, and announces anew as at the start. Leases that have run out meanwhile end
  /// nobody: those peers are asked (docs/protocol.md §4).
  public func resumed(at now: Timestamp) {
    guard !isStopped else { return }
    discovery.announceAgain(at: now)
    drainDiscovery(at: now)
  }

  /// Does what discovery asks for.
  func drainDiscovery(at now: Timestamp) {
    while let action = discovery.nextAction() {
      switch action {
      case .send(let frames, let destination, let minimumBytes):
        send(frames, to: destination, minimumBytes: minimumBytes, at: now)
      case .peerAdded(let peer):
        addSession(with: peer, at: now)
      case .peerUpdated(let peer):
        if let session = sessionsByPeer[peer.id] {
          if peer.address != session.peer.address || !peer.acceptsGroupTag { leaveGroups(session, at: now) }
          session.update(peer, at: now)
          makeReady(session, at: now)
        }
        events.append(.peerUpdated(peer))
      case .peerRemoved(let peer, let reason):
        removeSession(with: peer, reason: reason, at: now)
      case .introduce(let introduction, let recipient):
        guard let session = sessionsByPeer[recipient] else { continue }
        session.send(introduction, at: now)
        makeReady(session, at: now)
      case .sendBye(let peer, let reason):
        sendBye(to: peer, reason: reason)
      case .clash(let report):
        events.append(.clash(report))
      case .defeated(let report):
        events.append(.defeated(report))
      case .incompatible(let id, let name, let versions):
        events.append(.incompatible(id, name: name, versions: versions))
      case .multicast(let report):
        events.append(.multicast(report))
      case .limit(let limit, let count):
        events.append(.limit(name: limit.name, count: count))
      }
    }
    drainLosses()
  }

  /// Sends one datagram outside sessions.
  private func send(
    _ frames: [DiscoveryFrame], to destination: SocketAddress, minimumBytes: Int, at now: Timestamp
  ) {
    guard hasRoomForReply(at: now) else { return }
    let header = LongHeader(
      networkTag: seal?.tag ?? configuration.networkID, sender: configuration.id, incarnation: incarnation,
      packetNumber: nextPacketNumber(), seal: seal?.header)
    var bytes = WireWriter.encode(atMost: WireLimits.baseDatagramBytes - (seal == nil ? 0 : DatagramSeal.tagBytes)) {
      writer in
      header.write(to: &writer)
      for frame in frames { frame.write(to: &writer) }
      // The least size is that of an open datagram; sealing adds the same to question and reply.
      writer.pad(to: minimumBytes + header.byteCount - WireLimits.longHeaderBytes)
    }
    // Empty: it did not fit into a datagram, which the limits on names and lists rule out.
    assert(!bytes.isEmpty, "frames that do not fit: \(frames)")
    guard !bytes.isEmpty else { return }
    sealIfKeyed(&bytes, headerBytes: header.byteCount, packetNumber: header.packetNumber)
    post(bytes, to: destination)
  }

  /// Whether another datagram outside sessions may wait to be sent.
  func hasRoomForReply(at now: Timestamp) -> Bool {
    if outbox.count < configuration.discovery.limits.queuedReplies { return true }
    reach(.queuedReplies, at: now)
    return false
  }

  /// Seals a whole datagram in a network with a key.
  func sealIfKeyed(_ datagram: inout [UInt8], headerBytes: Int, packetNumber: UInt64) {
    guard let seal else { return }
    let count = datagram.count
    datagram.append(contentsOf: repeatElement(0, count: DatagramSeal.tagBytes))
    datagram.withUnsafeMutableBytes {
      _ = seal.seal($0, headerBytes: headerBytes, byteCount: count, packetNumber: packetNumber)
    }
  }

  private func sendBye(to peer: PeerInfo, reason: ByeReason) {
    let number = nextPacketNumber()
    let header = ShortHeader(
      connection: peer.remoteSession, packetNumber: UInt32(truncatingIfNeeded: number), isSealed: seal != nil,
      keyEpoch: seal?.shortEpoch ?? 0)
    var bytes = WireWriter.encode(atMost: WireLimits.baseDatagramBytes) { writer in
      header.write(to: &writer)
      _ = writer.frame(.bye) { $0.u8(reason.rawValue) }
    }
    sealIfKeyed(&bytes, headerBytes: WireLimits.shortHeaderBytes, packetNumber: number)
    post(bytes, to: peer.address, via: peer.relay)
  }

  // MARK: Sessions

  func addSession(with peer: PeerInfo, at now: Timestamp) {
    let session = Session(
      peer: peer, configuration: configuration.transport, topics: configuration.topics,
      receiveBufferBytes: configuration.receiveBufferBytes, peerReceiveBufferBytes: peer.receiveBufferBytes, at: now)
    session.seal = seal
    session.openers = openers(for: peer)
    sessions[peer.localSession] = session
    sessionsByPeer[peer.id] = session
    for number in [Session.controlStream, Session.directStream] {
      let opening = StreamOpening(
        stream: number, topic: "", type: nil, isReliable: true, epochMicroseconds: 0, position: 0, sequence: 0)
      let sink: any MessageSink =
        number == Session.controlStream ? ControlSink(of: session) : DirectSink(directInfo(of: peer))
      addInbound(opening, to: session, sink: sink)
    }
    events.append(.peerAdded(peer))
    tellPositions(to: session, at: now)
    tellInterest(to: session, at: now)
    makeReady(session, at: now)
  }

  private func directInfo(of peer: PeerInfo) -> StreamInfo {
    StreamInfo(
      topic: "", type: nil, publisher: peer.id, publisherName: peer.name, incarnation: peer.incarnation,
      number: Session.directStream, isDirect: true)
  }

  func removeSession(with peer: PeerInfo, reason: PeerRemovalReason, at now: Timestamp) {
    guard let session = sessionsByPeer[peer.id], session.peer.localSession == peer.localSession else { return }
    sessions[peer.localSession] = nil
    sessionsByPeer[peer.id] = nil
    alarms.remove(session)
    for (subscription, wanted) in session.subscriptions {
      topics.peerFilters.remove(
        RemoteSubscriber(session: peer.localSession, subscription: subscription), from: wanted.filter)
    }
    for reader in session.readers.values {
      reader.stream.noteDeparture(of: reader)
      reader.detach()
      noteReadersChanged(of: reader.stream)
    }
    session.control.detach()
    session.direct.stream.noteDeparture(of: session.direct)
    session.direct.detach()
    if session.direct.stream.log.end > 0 { pastSessions.remember(session.direct.stream, as: UInt64(peer.localSession)) }
    let arrival = InboundStream.Arrival(
      now: now, receivedAt: now, oneWayDelay: .zero, received: session.received, patience: .zero)
    for number in session.inbound.keys.sorted() { session.inbound[number]?.finish(arrival: arrival, into: inbox) }
    // What the control stream still held dies with the session.
    inbox.control.removeAll()
    drainLosses()
    session.isClosed = true
    for stream in session.inbound.values { (stream.sink as? ReceivedStream)?.carriers.removeAll { $0 === stream } }
    noteDeparture(of: session, at: now)
    drainNews(at: now)
    endWithdrawn(at: now)
    events.append(.peerRemoved(peer, reason: reason))
    retryBudgetWaiters(at: now)
  }

  /// Grants memory for large messages to those who wait for it, as far as there is room.
  func retryBudgetWaiters(at now: Timestamp) {
    while let (stream, bytes) = budget.grantNext() {
      stream.granted(bytes)
      tellWindow(of: stream, at: now)
    }
  }

  /// Tells whoever sends a stream at once how much more it may send.
  func tellWindow(of stream: InboundStream, at now: Timestamp) {
    stream.session.noteStatusDue(stream)
    stream.session.acknowledgeAt = now
    makeReady(stream.session, at: now)
  }

  private func openers(for peer: PeerInfo) -> [SymmetricKey] {
    seal?.senderKeys(id: peer.id, incarnation: peer.incarnation, salt: peer.keySalt) ?? []
  }

  /// Takes other keys, the first of which seals from now on. During a change of the network's key, endpoints first learn the
  /// new one as a second, then seal with it, then forget the old one. Does nothing in a network without a key, or without keys.
  public func changeKeys(to keys: [NetworkKey], at now: Timestamp) {
    guard let seal, !keys.isEmpty, !isStopped else { return }
    seal.change(to: keys)
    for session in sessions.values { session.openers = openers(for: session.peer) }
    discovery.announceAgain(at: now)
    drainDiscovery(at: now)
  }
}
