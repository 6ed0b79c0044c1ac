import DequeModule
import GlueAddress

/// Data for several subscribers at once (docs/protocol.md §5.9).
///
/// Who is served by multicast: two and more readers of a stream whose endpoints have said that they hear this one, on one link, and lose little. Each keeps
/// its own session, by which it acknowledges and gets again what it lacks. Whoever holds up the others, does not answer, or loses much, is served by
/// unicast for a while.
struct GroupSending {
  /// Streams with something for their groups.
  var queue = Deque<OutboundStream>()
  /// Streams whose groups wait for a member.
  var heldUp: [OutboundStream] = []
  /// Datagrams to groups so far.
  var sent: UInt64 = 0
  /// Whether a group has its turn, rather than a session.
  var isTurn = true

  /// Whether no group has anything to send.
  var isIdle: Bool { queue.isEmpty && heldUp.isEmpty }

  /// When a group has waited for long enough.
  var wakeup: Timestamp {
    heldUp.isEmpty
      ? .distantFuture
      : heldUp.lazy.compactMap { $0.group?.heldUpSince }.min().map { $0 + GroupReader.holdUpLimit } ?? .distantFuture
  }
}

extension EndpointMachine {
  // MARK: Members

  /// Looks which readers of a stream can be served together.
  func reviewGroup(of stream: OutboundStream, at now: Timestamp) {
    guard !dataGroups.isEmpty, stream.readers.count >= GroupReader.leastMembers else {
      stream.groupReviewAt = .distantFuture
      return
    }
    stream.groupReviewAt = now + GroupReader.reviewInterval
    let candidates = stream.readers.compactMap { reader in
      groupTarget(of: reader, at: now).map { (reader: reader, target: $0) }
    }
    guard let target = stream.group?.target ?? candidates.first?.target else { return }
    let joining = candidates.filter { $0.target == target }.map(\.reader)
    guard let ahead = joining.map(\.next).max(),
      joining.count + (stream.group?.members.count ?? 0) >= GroupReader.leastMembers
    else { return }
    // The group is sent nothing twice: what a former one had, new members get by unicast.
    let next = stream.group?.next ?? max(ahead, stream.sentToGroup)
    let near = joining.filter { stream.log.bytes(from: $0.next, to: next) <= GroupReader.joinBytes }
    guard near.count + (stream.group?.members.count ?? 0) >= GroupReader.leastMembers else { return }
    let group = stream.group ?? GroupReader(target: target, next: next)
    if stream.group == nil { stream.begin(group) }
    for reader in near { reader.join(group) }
    enqueueGroup(of: stream)
  }

  /// The group by which a reader can be served, if it is not yet and may be.
  private func groupTarget(of reader: RemoteReader, at now: Timestamp) -> SocketAddress? {
    let peer = reader.session.peer
    guard reader.group == nil, reader.isSettled, now >= reader.session.group.barredUntil, !peer.address.isRelayed,
      peer.capabilities.contains(.groupData), peer.acceptsGroupTag, discovery.isHeard(by: peer.id)
    else { return nil }
    let targets = dataGroups.filter { $0.ip.family == peer.address.ip.family }
    return targets.count == 1 ? targets[0] : nil
  }

  /// Serves a session by unicast for a while.
  func barFromGroups(_ session: Session, at now: Timestamp) {
    guard session.group.memberships > 0 else { return }
    inbox.counters.groupsLeft += 1
    session.group.bar(at: now)
    leaveGroups(session, at: now)
  }

  /// Serves a session by unicast, until its readers join again.
  func leaveGroups(_ session: Session, at now: Timestamp) {
    for reader in session.readers.values where reader.group != nil {
      reader.leaveGroup()
      enqueue(reader, at: now)
      enqueueGroup(of: reader.stream)
    }
  }

  // MARK: Sending

  /// Sees to it that a stream's group gets what it lacks.
  func enqueueGroup(of stream: OutboundStream) {
    guard let group = stream.group, group.place != .queue else { return }
    if group.place == .heldUp { groups.heldUp.removeAll { $0 === stream } }
    group.place = .queue
    stream.isGroupIdle = false
    groups.queue.append(stream)
  }

  /// The next datagram for a group; nil if there is nothing to send, or members are not ready.
  func nextGroupDatagram(into buffer: UnsafeMutableRawBufferPointer, at now: Timestamp) -> OutgoingDatagram? {
    while let stream = groups.queue.popFirst() {
      guard let group = stream.group, group.place == .queue else { continue }
      group.place = .none
      guard group.members.count >= GroupReader.leastMembers, !dataGroups.isEmpty else {
        endGroup(of: stream, at: now)
        continue
      }
      if group.next < stream.log.first {
        // Each member is told by its own session why it does not get that.
        group.next = stream.log.first
        for member in group.members { enqueue(member, at: now) }
      }
      guard group.next < stream.log.end else {
        stream.isGroupIdle = true
        continue
      }
      guard group.isReady else {
        group.place = .heldUp
        if group.heldUpSince == nil { group.heldUpSince = now }
        groups.heldUp.append(stream)
        continue
      }
      guard let datagram = writeGroupDatagram(of: stream, group, into: buffer, at: now) else {
        // Not even a fragment fits into what gets to all of them. Each session knows what to do then.
        endGroup(of: stream, at: now)
        continue
      }
      enqueueGroup(of: stream)
      return datagram
    }
    return nil
  }

  private func writeGroupDatagram(
    of stream: OutboundStream, _ group: GroupReader, into buffer: UnsafeMutableRawBufferPointer, at now: Timestamp
  ) -> OutgoingDatagram? {
    let sealBytes = seal == nil ? 0 : DatagramSeal.tagBytes
    let limit = min(group.datagramBytes, buffer.count) - sealBytes
    var writer = WireWriter(UnsafeMutableRawBufferPointer(rebasing: buffer[..<limit]))
    writer.zeros(WireLimits.shortHeaderBytes)
    guard group.write(of: stream, to: &writer, at: now) else { return nil }
    group.heldUpSince = nil
    stream.noteSentToGroup(below: group.next)
    let number = nextPacketNumber()
    groups.sent += 1
    let bytes = writer.count + sealBytes
    var acknowledgeNow = stream.isReliable && stream.needsPromptAcknowledgement
    for member in group.members {
      let session = member.session!
      member.noteSentToGroup(below: group.next, at: now)
      if session.noteSentToGroup(number: number, total: groups.sent, bytes: bytes, at: now) { acknowledgeNow = true }
      alarms.set(session, at: session.nextWakeup)
    }
    inbox.counters.groupDatagramsSent += 1
    let header = ShortHeader(
      connection: incarnation.groupTag, packetNumber: UInt32(truncatingIfNeeded: number),
      acknowledgeNow: acknowledgeNow, isGroup: true, isSealed: seal != nil, keyEpoch: seal?.shortEpoch ?? 0)
    return OutgoingDatagram(
      destination: group.target, header.finish(buffer, byteCount: writer.count, packetNumber: number, seal: seal))
  }

  private func endGroup(of stream: OutboundStream, at now: Timestamp) {
    let members = stream.group?.members ?? []
    stream.endGroup()
    for member in members { enqueue(member, at: now) }
  }

  /// Whether a group that waited can go on. To be asked when nothing else is left to do.
  func resumeGroups() -> Bool {
    let ready = groups.heldUp.filter { $0.group?.isReady ?? true }
    for stream in ready {
      groups.heldUp.removeAll { $0 === stream }
      enqueueGroup(of: stream)
    }
    return !ready.isEmpty
  }

  /// Goes on without the members that hold up the others.
  func advanceGroups(to now: Timestamp) {
    for stream in groups.heldUp {
      guard let group = stream.group, let since = group.heldUpSince, now >= since + GroupReader.holdUpLimit else {
        continue
      }
      for member in group.members where !group.isReady(member) { barFromGroups(member.session, at: now) }
      group.heldUpSince = nil
      enqueueGroup(of: stream)
    }
  }

  // MARK: Receiving

  /// Takes a datagram that a peer has sent to a group.
  func takeGroup(
    _ datagram: UnsafeRawBufferPointer, header: ShortHeader, body: WireReader, from source: SocketAddress,
    at now: Timestamp, receivedAt: Timestamp
  ) {
    // What this endpoint itself sends to a group comes back to it.
    guard header.connection != incarnation.groupTag else { return }
    guard let peer = discovery.peer(groupTag: header.connection), let session = sessionsByPeer[peer.id] else {
      inbox.counters.datagramsUnknownSession += 1
      return
    }
    guard source == session.peer.address else {
      inbox.counters.datagramsUnproven += 1
      return
    }
    // Numbers are common to all that an endpoint sends.
    let near = max(session.replay.highest, session.group.replay.highest)
    let number = ReplayWindow.restore(header.packetNumber, near: near)
    guard
      let content = open(
        datagram, header: header, body: body, number: number, isNew: session.group.replay.isNew(number), of: session)
    else { return }
    guard number <= WireLimits.position, session.group.replay.accept(number) else {
      inbox.counters.datagramsDuplicate += 1
      return
    }
    session.group.received += 1
    if number == session.group.replay.highest { session.group.largestReceivedAt = receivedAt }
    receiveGroup(content, header: header, of: session, byteCount: datagram.count, at: now, receivedAt: receivedAt)
  }
}
