import GlueAddress

/// What diagnostics look at: the paths to peers, and every datagram that arrives.
extension EndpointMachine {
  /// What is known of a peer, of the path to it, and of what it wants.
  package struct PeerInspection: Sendable {
    package var info: PeerInfo
    /// Whether its announcements say that it hears this endpoint by multicast or broadcast.
    package var hearsUs: Bool
    /// The shortest one of the measurement, or else the smoothed one of the session; nil if there is neither.
    package var roundTrip: Nanoseconds?
    /// Bytes of the largest datagram that is known to get there.
    package var pathBytes: Int
    /// Whether it has told all its subscriptions.
    package var hasToldSubscriptions: Bool
    package var subscriptions: [(filter: String, type: String?)]
    /// Those of ``measurePath(to:sizes:count:at:)``.
    package var echoes: [EchoProbes.Tally]
    /// Whether the measurement is over, or was never begun.
    package var isMeasured: Bool
  }

  /// The peers by endpoint ID; with what they subscribe to, which may be much, only if asked. Inquiries are no subscriptions.
  package func inspectPeers(includingSubscriptions: Bool = false) -> [PeerInspection] {
    sessions.values.sorted { $0.peer.id < $1.peer.id }.map { session in
      PeerInspection(
        // The session's own copy is as old as the last event about the peer.
        info: discovery.peer(session.peer.id) ?? session.peer, hearsUs: discovery.isHeard(by: session.peer.id),
        roundTrip: session.echoes?.roundTrip ?? (session.roundTrip.hasSample ? session.roundTrip.smoothed : nil),
        pathBytes: session.path.current, hasToldSubscriptions: session.knowsInterest,
        subscriptions: !includingSubscriptions
          ? [] : session.subscriptions.values.filter { !$0.isInquiry }.map { ($0.filter, $0.type) },
        echoes: session.echoes?.tallies ?? [], isMeasured: session.echoes?.isDone ?? true)
    }
  }

  /// Sends a peer probes of these sizes, which its transport answers, and counts the answers.
  ///
  /// - Parameters:
  ///   - sizes: bytes of UDP payload, 64 … 65,507.
  ///   - count: probes of each size.
  package func measurePath(to peer: EndpointID, sizes: [Int], count: Int, at now: Timestamp) {
    guard !isStopped, let session = sessionsByPeer[peer] else { return }
    let sizes = sizes.map { min(max($0, 64), WireLimits.datagramBytes) }
    session.echoes = EchoProbes(sizes: sizes, count: count, at: now)
    makeReady(session, at: now)
  }

  /// What a datagram that arrived is, as its header tells; none of it is proven.
  package enum Sighting: Hashable, Sendable {
    /// Sent by this endpoint itself: a group's datagrams come back.
    case own
    /// Of this network, with a key of this endpoint or, in an open network, with none.
    case network(sender: EndpointID)
    /// Of this network, with another key, or with none where there has to be one.
    case keyMismatch(KeyMismatch.Kind, sender: EndpointID)
    /// Of another network. An open one's ID is told; that of one with a key cannot be known.
    case otherNetwork(id: UInt64?, sender: EndpointID)
    /// Within a session, or a reset.
    case session
    /// Nothing that this version understands.
    case unreadable
  }

  /// Reads a datagram's header, without any effect.
  package func sight(_ datagram: UnsafeRawBufferPointer) -> Sighting {
    var reader = WireReader(datagram)
    guard let header = try? DatagramHeader.read(from: &reader) else { return .unreadable }
    guard case .long(let header) = header else { return .session }
    if header.sender == configuration.id, header.incarnation == incarnation { return .own }
    if let fields = header.seal, let seal, seal.isOwn(tag: header.networkTag) {
      let headerBytes = datagram.count - reader.remaining
      let opens = seal.open(datagram, headerBytes: headerBytes, header: header, seal: fields) != nil
      return opens ? .network(sender: header.sender) : .keyMismatch(.otherKey, sender: header.sender)
    }
    if header.seal == nil, seal == nil, header.networkTag == configuration.networkID {
      return .network(sender: header.sender)
    }
    if let kind = keyMismatch(of: header) { return .keyMismatch(kind, sender: header.sender) }
    return .otherNetwork(id: header.seal == nil ? header.networkTag : nil, sender: header.sender)
  }
}
