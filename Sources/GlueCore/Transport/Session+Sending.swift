extension Session {
  /// Whether there may be a datagram to send now.
  func hasWork(at now: Timestamp) -> Bool {
    if let acknowledgeAt, acknowledgeAt <= now { return true }
    if let echoes, echoes.nextAt <= now { return true }
    return pathReply != nil || path.nextAt <= now || (hasReaders && congestion.isOpen) || !relays.isEmpty
  }

  /// Writes the next datagram; nil if there is nothing to send, or the congestion window is shut.
  func nextDatagram(
    into buffer: UnsafeMutableRawBufferPointer, packetNumber: () -> UInt64, at now: Timestamp, counters: inout Counters
  ) -> WrittenDatagram? {
    // In turn: what is passed on does not hold up what is this endpoint's own, nor the other way round.
    if isRelaysTurn, let relay = nextRelay(into: buffer, packetNumber: packetNumber, at: now) {
      isRelaysTurn = false
      return relay
    }
    isRelaysTurn = true
    return nextOwn(into: buffer, packetNumber: packetNumber, at: now, counters: &counters)
      ?? nextRelay(into: buffer, packetNumber: packetNumber, at: now)
  }

  private func nextOwn(
    into buffer: UnsafeMutableRawBufferPointer, packetNumber: () -> UInt64, at now: Timestamp, counters: inout Counters
  ) -> WrittenDatagram? {
    if let size = dueProbe(fitting: buffer.count, at: now) {
      return writePathProbe(size: size, into: buffer, packetNumber: packetNumber())
    }
    let limit = min(path.current, buffer.count) - sealBytes
    var writer = WireWriter(UnsafeMutableRawBufferPointer(rebasing: buffer[..<limit]))
    writer.zeros(WireLimits.shortHeaderBytes)
    let hasData = hasReaders && congestion.isOpen
    var asksForRepetition = false
    // An acknowledgement that is due soon goes with data; a fresh one waits for more to acknowledge.
    if acknowledgeAt.map({ $0 <= now }) ?? false || (hasData && isAcknowledgementDueSoon(at: now)) {
      asksForRepetition = writeAcknowledgement(to: &writer, at: now)
    }
    if let size = pathReply, writer.frame(.mtuReply, { $0.u16(size) }) { pathReply = nil }
    let asksForAnswer = hasData && writeStreams(to: &writer, at: now, counters: &counters)
    guard writer.count > WireLimits.shortHeaderBytes else { return nil }
    let number = packetNumber()
    // Whoever only receives learns in no other way how long an answer takes.
    let measures = asksForRepetition && !asksForAnswer && measureAt <= now
    if asksForAnswer {
      let bytes = writer.count + sealBytes
      let charge = CongestionWindow.charge(for: bytes)
      sent.add(number: number, bytes: bytes, charge: charge, at: now)
      congestion.sent(charge: charge)
      bytesSinceAcknowledgementRequest += charge
      if bytesSinceAcknowledgementRequest >= congestion.bytes / 4 { wantsAcknowledgement = true }
      armSilence(at: now)
    } else if measures {
      sent.add(number: number, bytes: writer.count + sealBytes, charge: 0, at: now)
      measureAt = now + Self.measureInterval
    } else {
      sent.addUnanswered()
    }
    let acknowledgeNow = measures || (asksForAnswer && wantsAcknowledgement)
    if asksForAnswer, acknowledgeNow {
      wantsAcknowledgement = false
      bytesSinceAcknowledgementRequest = 0
    }
    return finish(buffer, byteCount: writer.count, packetNumber: number, acknowledgeNow: acknowledgeNow)
  }

  /// Bytes that sealing adds.
  private var sealBytes: Int { seal == nil ? 0 : DatagramSeal.tagBytes }

  /// A datagram that acknowledges what has not been acknowledged yet, for a session that ends; nil if there is nothing.
  func lastAcknowledgement(packetNumber: () -> UInt64, at now: Timestamp) -> [UInt8]? {
    guard acknowledgeAt != nil else { return nil }
    let bytes = WireWriter.encode(atMost: path.base - sealBytes) { writer in
      shortHeader(packetNumber: packetNumber()).write(to: &writer)
      writeAcknowledgement(to: &writer, at: now)
    }
    return bytes.count > WireLimits.shortHeaderBytes ? bytes : nil
  }

  private func shortHeader(packetNumber: UInt64, acknowledgeNow: Bool = false) -> ShortHeader {
    ShortHeader(
      connection: peer.remoteSession, packetNumber: UInt32(truncatingIfNeeded: packetNumber),
      acknowledgeNow: acknowledgeNow, isSealed: seal != nil, keyEpoch: seal?.shortEpoch ?? 0)
  }

  /// Puts the header before a body.
  func finish(
    _ buffer: UnsafeMutableRawBufferPointer, byteCount: Int, packetNumber: UInt64, acknowledgeNow: Bool
  ) -> WrittenDatagram {
    shortHeader(packetNumber: packetNumber, acknowledgeNow: acknowledgeNow)
      .finish(buffer, byteCount: byteCount, packetNumber: packetNumber, seal: seal)
  }

  private func writeStreams(to writer: inout WireWriter, at now: Timestamp, counters: inout Counters) -> Bool {
    var asksForAnswer = false
    datagramsWithoutPast = pastQueue.isEmpty ? 0 : datagramsWithoutPast + 1
    while let (reader, isPast) = nextReader {
      if isPast { datagramsWithoutPast = 0 }
      if reader.write(to: &writer, at: now, counters: &counters) { asksForAnswer = true }
      if isPast { pastQueue.removeFirst() } else { queue.removeFirst() }
      guard reader.hasWork else {
        reader.setQueued(false)
        if reader.probeAt == nil { reader.armProbe(at: now) }
        continue
      }
      // The datagram is full. The next one begins with the next stream: none holds up the others.
      append(reader)
      break
    }
    return asksForAnswer
  }

  /// What is being published goes first. It may never end: so each sixteenth datagram is for what was published before, unless a
  /// control message waits, which may be what opens it.
  private var nextReader: (reader: RemoteReader, isPast: Bool)? {
    if let past = pastQueue.first,
      queue.isEmpty || (datagramsWithoutPast >= Self.liveDatagramsInARow && queue.first !== control)
    {
      return (past, true)
    }
    return queue.first.map { ($0, false) }
  }

  private static let liveDatagramsInARow = 16

  /// Writes an ACK and what STATUS frames are due. Returns whether they ask for repetition.
  @discardableResult
  private func writeAcknowledgement(to writer: inout WireWriter, at now: Timestamp) -> Bool {
    let ack = Ack(
      largest: replay.highest, delayMicroseconds: now.since(largestReceivedAt).wholeMicroseconds, count: received)
    guard writer.frame(.ack, ack) else { return false }
    if group.told != group.received {
      let ack = Ack(
        largest: group.replay.highest, delayMicroseconds: now.since(group.largestReceivedAt).wholeMicroseconds,
        count: group.received)
      guard writer.frame(.groupAck, ack) else { return false }
      group.told = group.received
    }
    var asksForRepetition = false
    while let stream = statusDue.last {
      // As many requests as surely fit; a STATUS without room for any waits for the next datagram.
      let limit = min(Status.maximumMissing, (writer.remaining - Self.statusBytes) / Self.rangeBytes)
      guard limit > 0 else { return asksForRepetition }
      let missing = stream.takeDueRequests(at: now, received: arrived, roundTrip: roundTrip, limit: limit)
      let window = stream.window
      let status = Status(
        stream: stream.number, next: stream.next, windowBytes: UInt64(window), missing: missing)
      guard writer.frame(.status, status) else { return asksForRepetition }
      if !missing.isEmpty { asksForRepetition = true }
      stream.advertisedWindow = window
      stream.isStatusDue = false
      statusDue.removeLast()
    }
    acknowledgeAt = nil
    unacknowledgedBytes = 0
    return asksForRepetition
  }

  /// Requests for repetition that measure a round trip are so far apart at least.
  private static let measureInterval = Nanoseconds.milliseconds(5)

  /// A STATUS without ranges, frame header included, and one range of it, at their longest.
  private static let statusBytes = WireLimits.frameHeaderBytes + 4 * 10
  private static let rangeBytes = 2 * 10

  private func dueProbe(fitting limit: Int, at now: Timestamp) -> Int? {
    if let size = echoes?.takeDue(timeout: roundTrip.probeTimeout(acknowledgementDelay: .zero), at: now), size <= limit
    {
      return size
    }
    guard path.nextAt <= now else { return nil }
    let interval = max(roundTrip.probeTimeout(acknowledgementDelay: .zero), .milliseconds(20))
    guard let size = path.takeDue(at: now, interval: interval), size <= limit else { return nil }
    return size
  }

  private func writePathProbe(size: Int, into buffer: UnsafeMutableRawBufferPointer, packetNumber: UInt64)
    -> WrittenDatagram
  {
    var writer = WireWriter(UnsafeMutableRawBufferPointer(rebasing: buffer[..<(size - sealBytes)]))
    writer.zeros(WireLimits.shortHeaderBytes)
    _ = writer.frame(.mtuProbe) { $0.u16(UInt16(clamping: size)) }
    writer.pad(to: size - sealBytes)
    // Not counted as sent: its loss says nothing about the path's load.
    return finish(buffer, byteCount: writer.count, packetNumber: packetNumber, acknowledgeNow: false)
  }
}

extension ShortHeader {
  /// Puts the header before a body, and leaves room for the tag behind it in a network with a key.
  func finish(
    _ buffer: UnsafeMutableRawBufferPointer, byteCount: Int, packetNumber: UInt64, seal: DatagramSeal?
  ) -> WrittenDatagram {
    var writer = WireWriter(UnsafeMutableRawBufferPointer(rebasing: buffer[..<WireLimits.shortHeaderBytes]))
    write(to: &writer)
    guard let seal else { return WrittenDatagram(byteCount: byteCount) }
    precondition(
      byteCount + DatagramSeal.tagBytes <= buffer.count, "\(byteCount) bytes and a tag in \(buffer.count) bytes")
    return WrittenDatagram(
      byteCount: byteCount + DatagramSeal.tagBytes, pending: seal.pending(packetNumber: packetNumber))
  }
}
