import GlueAddress

extension EndpointMachine {
  /// Takes a datagram. Deliveries may point into it: it must stay as it is until they have been taken and used.
  ///
  /// - Parameters:
  ///   - source: where it came from.
  ///   - arrival: what it was addressed to.
  ///   - now: the time.
  ///   - receivedAt: when it arrived in the socket; at most `now`.
  public func receive(
    _ datagram: UnsafeRawBufferPointer, from source: SocketAddress, arrival: Arrival, at now: Timestamp,
    receivedAt: Timestamp
  ) {
    // Nobody can have sent it from such an address.
    guard !isStopped, !source.isRelayed else { return }
    inbox.counters.datagramsReceived += 1
    inbox.counters.bytesReceived += UInt64(datagram.count)
    take(datagram, from: source, arrival: arrival, at: now, receivedAt: receivedAt)
  }

  /// Takes a datagram that came in as it is, or within another.
  func take(
    _ datagram: UnsafeRawBufferPointer, from source: SocketAddress, arrival: Arrival, at now: Timestamp,
    receivedAt: Timestamp
  ) {
    var reader = WireReader(datagram)
    let header: DatagramHeader
    do {
      header = try DatagramHeader.read(from: &reader)
    } catch {
      inbox.counters.datagramsMalformed += 1
      return
    }
    switch header {
    case .short(let header):
      guard !header.isGroup else {
        return takeGroup(
          datagram, header: header, body: reader, from: source, at: now, receivedAt: min(receivedAt, now))
      }
      guard let session = sessions[header.connection] else {
        refuseUnknownSession(header, from: source, at: now)
        return
      }
      let number = session.replay.restore(header.packetNumber)
      guard
        let content = open(
          datagram, header: header, body: reader, number: number, isNew: session.replay.isNew(number), of: session)
      else { return }
      receive(
        content, number: number, header: header, of: session, from: source, byteCount: datagram.count, at: now,
        receivedAt: min(receivedAt, now))
    case .long(let header):
      receive(header, body: reader, of: datagram, from: source, arrival: arrival, at: now)
    case .reset(let connection):
      discovery.receiveReset(connection: connection, from: source, at: now)
      drainDiscovery(at: now)
    }
  }

  /// What is in a datagram under a short header.
  struct Content {
    var frames: FrameReader
    /// Where they are, if not in the datagram as it came.
    var owner: PayloadBuffer?
  }

  /// Opens a datagram of a peer's; nil, and counted, if it is not sealed as this network demands, or is not worth it.
  @inline(__always)
  func open(
    _ datagram: UnsafeRawBufferPointer, header: ShortHeader, body: WireReader, number: UInt64,
    isNew: @autoclosure () -> Bool, of session: Session
  ) -> Content? {
    guard header.isSealed == (seal != nil) else {
      inbox.counters.datagramsForged += 1
      return nil
    }
    guard let seal else { return Content(frames: FrameReader(body)) }
    // What was recorded is not worth opening.
    guard isNew() else {
      inbox.counters.datagramsDuplicate += 1
      return nil
    }
    guard let owner = seal.open(datagram, header: header, candidates: session.openers, packetNumber: number) else {
      inbox.counters.datagramsForged += 1
      return nil
    }
    return Content(frames: FrameReader(WireReader(owner.bytes)), owner: owner)
  }

  private func receive(
    _ header: LongHeader, body: WireReader, of datagram: UnsafeRawBufferPointer, from source: SocketAddress,
    arrival: Arrival, at now: Timestamp
  ) {
    guard let seal, let fields = header.seal else {
      guard header.seal == nil, self.seal == nil, header.networkTag == configuration.networkID else {
        noteForeign(header, from: source, at: now)
        return
      }
      receiveDiscovery(
        FrameReader(body), header: header, from: source, arrival: arrival, byteCount: datagram.count, at: now)
      return
    }
    guard seal.isOwn(tag: header.networkTag) else {
      noteForeign(header, from: source, at: now)
      return
    }
    // Another key has to be derived for each sender; without a limit that is what a flood would make us do.
    guard seal.knows(header, fields) || strangerBudget.take(at: now) else {
      return reach(.strangersPerSecond, at: now)
    }
    let headerBytes = datagram.count - body.remaining
    guard let owner = seal.open(datagram, headerBytes: headerBytes, header: header, seal: fields) else {
      inbox.counters.datagramsForged += 1
      return
    }
    guard discovery.isNew(header) else {
      inbox.counters.datagramsDuplicate += 1
      return
    }
    // Sizes are compared as those of open datagrams: sealing adds the same to each.
    receiveDiscovery(
      FrameReader(WireReader(owner.bytes)), header: header, from: source, arrival: arrival,
      byteCount: datagram.count - DatagramSeal.longOverhead, at: now)
  }

  /// A datagram of another network is normal. One of this network with another key, or with none where there has to be
  /// one, is somebody's mistake.
  private func noteForeign(_ header: LongHeader, from source: SocketAddress, at now: Timestamp) {
    guard let kind = keyMismatch(of: header) else {
      inbox.counters.datagramsForeignNetwork += 1
      return
    }
    inbox.counters.datagramsOtherKey += 1
    // Anybody can send such datagrams, as many as he likes.
    if let last = keyMismatchReportedAt, now < last + Self.keyMismatchReports { return }
    keyMismatchReportedAt = now
    events.append(.keyMismatch(KeyMismatch(kind: kind, sender: header.sender, address: source)))
  }

  /// How a datagram that is not sealed as this endpoint's are is sealed; nil if it is of another network, or one's own.
  func keyMismatch(of header: LongHeader) -> KeyMismatch.Kind? {
    let isOurs =
      header.seal == nil
      ? header.networkTag == configuration.networkID
      : UInt32(truncatingIfNeeded: header.networkTag) == NetworkKey.hint(of: configuration.networkID)
    guard isOurs, header.sender != configuration.id || header.incarnation != incarnation else { return nil }
    return header.seal == nil ? .open : seal == nil ? .sealed : .otherKey
  }

  /// The shortest time between two reports of other keys.
  private static let keyMismatchReports = Nanoseconds.seconds(10)

  private func refuseUnknownSession(_ header: ShortHeader, from source: SocketAddress, at now: Timestamp) {
    inbox.counters.datagramsUnknownSession += 1
    // A session whose handshake is under way is about to be known.
    guard !discovery.isHandshake(session: header.connection) else { return }
    guard resetBudget.take(at: now) else { return reach(.resetsPerSecond, at: now) }
    guard hasRoomForReply(at: now) else { return }
    inbox.counters.resetsSent += 1
    let reset = WireWriter.encode(atMost: WireLimits.resetBytes) {
      DatagramHeader.writeReset(connection: header.connection, to: &$0)
    }
    post(reset, to: source)
  }

  private func receiveDiscovery(
    _ frames: FrameReader, header: LongHeader, from source: SocketAddress, arrival: Arrival, byteCount: Int,
    at now: Timestamp
  ) {
    var frames = frames
    while let (type, frame) = nextFrame(of: &frames, form: .long) {
      do {
        guard let decoded = try DiscoveryFrame(type, frame) else { continue }
        discovery.receive(
          decoded, header: header, from: source, arrival: arrival, datagramBytes: byteCount, at: now)
      } catch {
        inbox.counters.framesMalformed += 1
      }
    }
    drainDiscovery(at: now)
  }

  /// The next frame that is known and belongs under this form of header; nil at the end, or where the rest is to be
  /// ignored.
  private func nextFrame(of frames: inout FrameReader, form: FrameType.HeaderForm) -> (FrameType, RawFrame)? {
    do {
      while let frame = try frames.next() {
        guard let type = frame.known else {
          inbox.counters.framesUnknown += 1
          if frame.mustUnderstand { return nil }
          continue
        }
        if type.headerForm == form { return (type, frame) }
        if type.headerForm != .any { inbox.counters.framesMisplaced += 1 }
      }
    } catch {
      inbox.counters.framesMalformed += 1
    }
    return nil
  }

  // MARK: Within a session

  private func receive(
    _ content: Content, number: UInt64, header: ShortHeader, of session: Session, from source: SocketAddress,
    byteCount: Int, at now: Timestamp, receivedAt: Timestamp
  ) {
    guard source == session.peer.address else {
      // Whoever sends from elsewhere has to prove that address first. Till then nothing of it counts: a copy of an old
      // datagram must neither move the replay window nor steer the session.
      inbox.counters.datagramsUnproven += 1
      // The challenge that may answer has a long header: sealing adds more to it than to this one.
      let bytes = max(0, byteCount - (seal == nil ? 0 : DatagramSeal.longOverhead))
      discovery.signOfLife(session: session.peer.localSession, from: source, datagramBytes: bytes, at: now)
      drainDiscovery(at: now)
      return
    }
    guard number <= WireLimits.position, session.replay.accept(number) else {
      inbox.counters.datagramsDuplicate += 1
      return
    }
    if number == session.replay.highest { session.largestReceivedAt = receivedAt }
    session.received += 1
    session.reordering.note(number, isHighest: number == session.replay.highest, at: now)
    _ = discovery.signOfLife(session: session.peer.localSession, from: source, at: now)
    drainDiscovery(at: now)
    let arrival = session.arrival(of: content.owner, at: now, receivedAt: receivedAt)
    var asksForAnswer = false
    var frames = content.frames
    while !session.isClosed, let (type, frame) = nextFrame(of: &frames, form: .short) {
      do {
        if try receive(type, frame, number: number, of: session, byteCount: byteCount, arrival: arrival) {
          asksForAnswer = true
        }
      } catch {
        inbox.counters.framesMalformed += 1
      }
      // At once: a stream may be opened and used in one datagram. Also after an error, which what was before it in the frame does not share: its bytes are
      // those of the datagram, and gone with it.
      if !inbox.control.isEmpty { receiveControl(of: session, arrival: arrival) }
    }
    assert(inbox.control.allSatisfy { $0.owner != nil }, "a control message outlives its datagram")
    endReceiving(of: session, asksForAnswer: asksForAnswer, header: header, byteCount: byteCount, at: now)
  }

  private func endReceiving(
    of session: Session, asksForAnswer: Bool, header: ShortHeader, byteCount: Int, at now: Timestamp
  ) {
    drainLosses()
    drainNews(at: now)
    guard !session.isClosed else { return }
    session.noteArrival(
      asksForAnswer: asksForAnswer, acknowledgeNow: header.acknowledgeNow, byteCount: byteCount, at: now)
    session.requestDueGaps(at: now)
    makeReady(session, at: now)
  }

  /// Takes the content of a datagram to a group: what is published in streams that this endpoint reads, and no more.
  func receiveGroup(
    _ content: Content, header: ShortHeader, of session: Session, byteCount: Int, at now: Timestamp,
    receivedAt: Timestamp
  ) {
    let arrival = session.arrival(of: content.owner, at: now, receivedAt: receivedAt)
    var isForUs = false
    var frames = content.frames
    while !session.isClosed, let (type, frame) = nextFrame(of: &frames, form: .short) {
      guard type == .data || type == .gap else {
        inbox.counters.framesMisplaced += 1
        continue
      }
      do {
        var reader = WireReader(frame.body)
        // The number of its stream is the first field of either.
        let number = try reader.varint()
        guard number >= Session.firstTopicStream, let stream = session.inbound[number], !stream.isRequested else {
          continue
        }
        isForUs = true
        _ = try receive(type, frame, number: 0, of: session, byteCount: byteCount, arrival: arrival)
      } catch {
        inbox.counters.framesMalformed += 1
      }
    }
    guard isForUs else { return }
    endReceiving(of: session, asksForAnswer: true, header: header, byteCount: byteCount, at: now)
  }

  /// Takes one frame. Returns whether it asks to be acknowledged.
  private func receive(
    _ type: FrameType, _ frame: RawFrame, number: UInt64, of session: Session, byteCount: Int,
    arrival: InboundStream.Arrival
  ) throws(WireError) -> Bool {
    var reader = WireReader(frame.body)
    switch type {
    case .data:
      let header = try DataHeader(from: &reader)
      guard let stream = inboundStream(header.stream, of: session) else { return true }
      try stream.receive(header, units: reader.rest(), arrival: arrival, into: inbox)
      noteProgress(of: stream, in: session, at: arrival.now)
      return true
    case .gap:
      let gap = try Gap(from: &reader)
      guard let stream = inboundStream(gap.stream, of: session) else { return true }
      try stream.receive(gap, arrival: arrival, into: inbox)
      noteProgress(of: stream, in: session, at: arrival.now)
      return true
    case .heartbeat:
      let heartbeat = try Heartbeat(from: &reader)
      guard let stream = inboundStream(heartbeat.stream, of: session) else { return true }
      stream.receive(heartbeat, arrival: arrival)
      noteProgress(of: stream, in: session, at: arrival.now)
      session.acknowledgeAt = arrival.now
      return true
    case .status:
      receive(try Status(from: &reader), of: session, in: number, at: arrival.now)
      return false
    case .ack:
      session.receive(try Ack(from: &reader), at: arrival.now, counters: &inbox.counters)
      return false
    case .groupAck:
      receiveGroupAck(try Ack(from: &reader), of: session, at: arrival.now)
      return false
    case .mtuProbe:
      if try frame.decode(MTUProbe.self).datagramBytes == byteCount { session.pathReply = UInt16(byteCount) }
      return false
    case .mtuReply:
      let bytes = Int(try frame.decode(MTUProbe.self).datagramBytes)
      session.path.replied(size: bytes)
      session.echoes?.replied(bytes: bytes, at: arrival.now)
      return false
    case .relay:
      try receiveRelay(frame, of: session, at: arrival.now, receivedAt: arrival.receivedAt)
      return false
    case .bye:
      discovery.receiveBye(from: session.peer.id, reason: try frame.decode(), at: arrival.now)
      drainDiscovery(at: arrival.now)
      return false
    case .pad, .announce, .challenge, .answer, .welcome, .clash:
      return false
    }
  }

  private func inboundStream(_ number: UInt64, of session: Session) -> InboundStream? {
    guard let stream = session.inbound[number] else {
      inbox.counters.framesUnknownStream += 1
      return nil
    }
    return stream
  }

  private func noteProgress(of stream: InboundStream, in session: Session, at now: Timestamp) {
    stream.cameAt = now
    session.noteStatusDue(stream)
    session.noteLacks(of: stream)
    if stream.number >= Session.firstTopicStream, let received = stream.sink as? ReceivedStream {
      if received.needsSettling { settle(received, at: now) }
      if received.kept.hasGrown { passOn(received.kept, at: now) }
      if received.kept.stream != nil { noteKept(at: now) }
    }
    if stream.isFinished { remove(stream, from: session, at: now) }
    if budget.hasWaiting { retryBudgetWaiters(at: now) }
  }

  private func receive(_ status: Status, of session: Session, in number: UInt64, at now: Timestamp) {
    guard let reader = session.reader(of: status.stream) else {
      inbox.counters.framesUnknownStream += 1
      return
    }
    guard reader.isAddressed(in: number) else { return }
    let hasProgress = reader.receive(status, in: number, at: now, into: inbox)
    if hasProgress, reader === session.control { session.controlAcknowledgedIn = number }
    let asksForRepetition = status.missing.contains { $0.lowerBound < reader.next }
    session.noteStatus(
      asksForRepetition: asksForRepetition, hasProgress: hasProgress, at: now, counters: &inbox.counters)
    if hasProgress { noteAcknowledged(reader, at: now) }
    if reader.isDone { return close(reader, at: now) }
    session.enqueue(reader, at: now)
  }

  private func receiveGroupAck(_ ack: Ack, of session: Session, at now: Timestamp) {
    let isBad = session.receiveGroupAck(ack, at: now, counters: &inbox.counters)
    if isBad { barFromGroups(session, at: now) }
  }

  private func noteAcknowledged(_ reader: RemoteReader, at now: Timestamp) {
    let stream = reader.stream
    guard stream.hasProgress else { return }
    stream.hasProgress = false
    switch stream.number {
    case Session.controlStream:
      tellInterest(to: reader.session, at: now)
    case Session.directStream:
      events.append(.directAcknowledged(reader.session.peer.id))
    default:
      if reportsAcknowledgements {
        events.append(.acknowledged(PublicationID(rawValue: stream.number), below: stream.confirmed))
      }
      noteRoom(in: stream)
      if !withdrawn.isEmpty { endWithdrawn(at: now) }
    }
  }
}
