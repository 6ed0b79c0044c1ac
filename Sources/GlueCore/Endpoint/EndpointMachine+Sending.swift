extension EndpointMachine {
  /// Datagrams in a row for one session before the next has its turn: as many as one segmented send takes.
  private static let turn = 64

  /// Writes the next datagram that is due.
  ///
  /// - Parameters:
  ///   - buffer: should have 65,507 bytes; a shorter one makes for shorter datagrams. At least 1,200.
  ///   - now: the time.
  public func nextDatagram(into buffer: UnsafeMutableRawBufferPointer, at now: Timestamp) -> OutgoingDatagram? {
    guard let datagram = nextUnsealedDatagram(into: buffer, at: now) else { return nil }
    datagram.pendingSeal?.seal(UnsafeMutableRawBufferPointer(rebasing: buffer[..<datagram.byteCount]))
    return datagram
  }

  /// Writes the next datagram that is due, and leaves to the caller to seal it before it is sent: ``OutgoingDatagram/pendingSeal``. See
  /// ``nextDatagram(into:at:)``.
  package func nextUnsealedDatagram(into buffer: UnsafeMutableRawBufferPointer, at now: Timestamp)
    -> OutgoingDatagram?
  {
    if let (destination, bytes) = outbox.popFirst() {
      guard bytes.count <= buffer.count else { return nextUnsealedDatagram(into: buffer, at: now) }
      bytes.withUnsafeBytes { buffer.copyMemory(from: $0) }
      return sent(OutgoingDatagram(destination: destination, byteCount: bytes.count))
    }
    // After the goodbye nothing else may follow.
    guard !isStopped else { return nil }
    if !groups.queue.isEmpty {
      groups.isTurn.toggle()
      if groups.isTurn, let datagram = nextGroupDatagram(into: buffer, at: now) { return sent(datagram) }
    }
    while let session = ready.first {
      if !session.isClosed {
        let datagram: OutgoingDatagram?
        if let endpoint = RelayedEndpoint(session.peer.address) {
          datagram = nextRelayedDatagram(of: session, to: endpoint, into: buffer, at: now)
        } else {
          datagram = session.nextDatagram(
            into: buffer, packetNumber: nextPacketNumber, at: now, counters: &inbox.counters
          ).map { OutgoingDatagram(destination: session.peer.address, $0) }
        }
        if let datagram {
          session.turn += 1
          if session.turn >= Self.turn {
            session.turn = 0
            ready.removeFirst()
            ready.append(session)
            // One that always has more to send needs time all the same: another of its streams may wait for a probe.
            alarms.set(session, at: session.nextWakeup)
          }
          return sent(datagram)
        }
      }
      session.turn = 0
      session.isQueued = false
      ready.removeFirst()
      if !session.isClosed { alarms.set(session, at: session.nextWakeup) }
      if !withdrawn.isEmpty { endWithdrawn(at: now) }
    }
    guard !groups.isIdle else { return nil }
    if let datagram = nextGroupDatagram(into: buffer, at: now) { return sent(datagram) }
    // What was sent last may be what a group waited for.
    return resumeGroups() || !ready.isEmpty ? nextUnsealedDatagram(into: buffer, at: now) : nil
  }

  private func sent(_ datagram: OutgoingDatagram) -> OutgoingDatagram {
    inbox.counters.datagramsSent += 1
    inbox.counters.bytesSent += UInt64(datagram.byteCount)
    return datagram
  }
}
