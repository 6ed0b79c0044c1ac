import GlueAddress

/// What simulations and tests look at beyond the public questions.
extension EndpointMachine {
  /// Entries kept for endpoints that are not peers: challenges about to be sent, handshakes and claims under way.
  package var unprovenEntries: Int { discovery.pendingChallenges.count + discovery.handshakes.count }
  /// The most that ``unprovenEntries`` may be.
  package var unprovenEntriesCap: Int {
    configuration.discovery.limits.pendingChallenges + configuration.discovery.limits.handshakes
  }
  /// Streams of all peers towards this endpoint.
  package var inboundStreams: Int { sessions.values.reduce(0) { $0 + $1.inbound.count } }
  /// Streams of topics of all peers towards this endpoint.
  package var topicStreams: Int {
    sessions.values.reduce(0) { $0 + $1.inbound.keys.count { $0 >= Session.firstTopicStream } }
  }
  /// Publications of this endpoint, withdrawn ones that are not acknowledged yet included.
  package var openPublications: Int { topics.publications.count }

  /// The sequence numbers of a stream that this endpoint can give to others; of those that it takes to be published since a time, if
  /// that is given.
  package func held(
    _ topic: String, of publisher: EndpointID, _ incarnation: Incarnation, publishedSince time: Timestamp? = nil
  ) -> Range<UInt64> {
    let stream: OutboundStream?
    let held: Range<UInt64>
    if publisher == configuration.id, incarnation == self.incarnation {
      stream = topics.publicationsByTopic[TopicKey(topic)]?.stream
      held = stream?.keptSequences ?? 0..<0
    } else {
      let kept = topics.received.values.first {
        $0.info.publisher == publisher && $0.info.incarnation == incarnation && $0.info.topic == topic
      }?.kept
      stream = kept?.stream
      held = kept?.sequences ?? 0..<0
    }
    guard let time, let log = stream?.log, !held.isEmpty else { return held }
    let position = log.position(from: log.first, publishedSince: time)
    guard position < log.end else { return held.upperBound..<held.upperBound }
    return held.clamped(to: log.message(at: position).sequence..<held.upperBound)
  }

  /// The highest value of a topic that retains its last one, as far as is known here.
  package func retainedValue(of topic: String) -> (stamp: RetainedStamp, isCleared: Bool)? {
    topics.retained[topic]?.value.map { ($0.stamp, $0.isCleared) }
  }
  /// How many values of a topic this endpoint holds: one, or none.
  package func retainedValuesHeld(of topic: String) -> Int {
    let own = topics.publicationsByTopic[TopicKey(topic)]?.stream.holdsHistory ?? false
    return (own ? 1 : 0) + topics.received.values.count { $0.info.topic == topic && !$0.kept.sequences.isEmpty }
  }

  /// Whether a message has arrived here, or is known to be lost, and that has to wait for what comes before it.
  package func isWaiting(_ topic: String, _ sequence: UInt64, of publisher: EndpointID, _ incarnation: Incarnation)
    -> Bool
  {
    topics.received.values.contains {
      $0.info.publisher == publisher && $0.info.incarnation == incarnation && $0.info.topic == topic
        && $0.all.contains { $0.isWaiting(sequence) }
    }
  }

  /// A datagram in the session with a peer that holds frames of the caller's making: what a peer gone wrong would send. Nil
  /// without a session, or if they do not fit.
  package func forgedDatagram(
    to peer: EndpointID, _ frames: (inout WireWriter) -> Void
  ) -> (destination: SocketAddress, bytes: [UInt8])? {
    guard let info = sessionsByPeer[peer]?.peer else { return nil }
    let number = nextPacketNumber()
    let header = ShortHeader(
      connection: info.remoteSession, packetNumber: UInt32(truncatingIfNeeded: number), isSealed: seal != nil,
      keyEpoch: seal?.shortEpoch ?? 0)
    var bytes = WireWriter.encode(atMost: WireLimits.datagramBytes - DatagramSeal.tagBytes) { writer in
      header.write(to: &writer)
      frames(&writer)
    }
    guard !bytes.isEmpty else { return nil }
    sealIfKeyed(&bytes, headerBytes: WireLimits.shortHeaderBytes, packetNumber: number)
    return (info.address, bytes)
  }

  /// A datagram that this endpoint has sent, with its body open; nil in a network without a key.
  package func withoutSeal(_ datagram: UnsafeRawBufferPointer) -> [UInt8]? {
    guard let seal else { return nil }
    var reader = WireReader(datagram)
    guard let header = try? DatagramHeader.read(from: &reader) else { return nil }
    let body: PayloadBuffer?
    switch header {
    case .reset: return nil
    case .long(let header):
      body = header.seal.flatMap {
        seal.open(datagram, headerBytes: header.byteCount, header: header, seal: $0)
      }
    case .short(let header):
      var number = packetNumber & ~0xFFFF_FFFF | UInt64(header.packetNumber)
      if number > packetNumber, number >= 1 << 32 { number -= 1 << 32 }
      body = seal.openOwn(datagram, header: header, packetNumber: number)
    }
    return body.map { [UInt8](datagram[..<(datagram.count - reader.remaining)]) + [UInt8]($0.bytes) }
  }
}
