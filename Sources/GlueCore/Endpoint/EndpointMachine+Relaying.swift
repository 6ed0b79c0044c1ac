import GlueAddress

/// Datagrams by way of others, and between others (docs/protocol.md §5.8):
///
///     of a session that is reached by way of others ─▶ RELAY in the session with the next hop ─▶ out
///     RELAY for another endpoint ─▶ queued in the session with its next hop
///     RELAY for this endpoint ─▶ taken as a datagram that came from the address of its origin
///
/// Who passes on keeps nothing of what is passed on: handshake, seal, acknowledgement and repetition are the affair of the two ends.
extension EndpointMachine {
  private var ownName: RelayedEndpoint { RelayedEndpoint(configuration.id, incarnation) }

  // MARK: By way of others

  /// Puts a complete datagram where ``nextDatagram(into:at:)`` takes it from, one for an endpoint that is reached by way of others with
  /// what the next hop needs.
  ///
  /// - Parameter relay: the next hop where discovery does not know any more.
  func post(_ bytes: [UInt8], to destination: SocketAddress, via relay: EndpointID? = nil) {
    guard let endpoint = RelayedEndpoint(destination) else { return outbox.append((destination, bytes)) }
    guard let hop = discovery.relay(to: endpoint) ?? relay, let session = sessionsByPeer[hop],
      session.canCarry(relayed: bytes.count)
    else {
      inbox.counters.relaysDropped += 1
      return
    }
    inbox.counters.relaysSent += 1
    let outer = [UInt8](unsafeUninitializedCapacity: bytes.count + WireLimits.relayBytes) { buffer, count in
      let raw = UnsafeMutableRawBufferPointer(buffer)
      bytes.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(rebasing: raw[RelayHeader.prefixBytes...]).copyMemory(from: $0)
      }
      count = session.finishRelay(
        header(to: endpoint), in: raw, byteCount: bytes.count, packetNumber: nextPacketNumber()
      ).seal(in: raw)
    }
    outbox.append((session.peer.address, outer))
  }

  /// Writes the next datagram of a session whose peer is reached by way of others. Nil: it has nothing to send.
  func nextRelayedDatagram(
    of session: Session, to endpoint: RelayedEndpoint, into buffer: UnsafeMutableRawBufferPointer, at now: Timestamp
  ) -> OutgoingDatagram? {
    let room = buffer.count - WireLimits.relayBytes + RelayHeader.prefixBytes
    let place = UnsafeMutableRawBufferPointer(rebasing: buffer[RelayHeader.prefixBytes..<room])
    while let inner = session.nextDatagram(
      into: place, packetNumber: nextPacketNumber, at: now, counters: &inbox.counters)
    {
      let size = inner.seal(in: place)
      guard let hop = discovery.relay(to: endpoint).flatMap({ sessionsByPeer[$0] }) else {
        // As lost on the way; it is repeated when there is one again.
        inbox.counters.relaysDropped += 1
        continue
      }
      guard hop.canCarry(relayed: size) else {
        inbox.counters.relaysDropped += 1
        session.path.refused(size: size, at: now)
        continue
      }
      inbox.counters.relaysSent += 1
      let outer = hop.finishRelay(header(to: endpoint), in: buffer, byteCount: size, packetNumber: nextPacketNumber())
      return OutgoingDatagram(destination: hop.peer.address, outer)
    }
    return nil
  }

  private func header(to endpoint: RelayedEndpoint) -> RelayHeader {
    RelayHeader(hopsLeft: WireLimits.relayHops, destination: endpoint, origin: ownName)
  }

  // MARK: Receiving and passing on

  /// Takes a RELAY: what is for this endpoint is taken as a datagram of its origin's, the rest is passed on.
  func receiveRelay(
    _ frame: RawFrame, of session: Session, at now: Timestamp, receivedAt: Timestamp
  ) throws(WireError) {
    var reader = WireReader(frame.body)
    let header = try RelayHeader(from: &reader)
    let datagram = reader.rest()
    let passedOn = WireLimits.relayHops - header.hopsLeft
    // One within another would make hops without count; one's own has gone in a circle.
    guard !session.peer.address.isRelayed, header.origin != ownName else {
      inbox.counters.relaysDropped += 1
      return
    }
    guard header.destination == ownName else {
      return pass(on: datagram, header, from: session, at: now, receivedAt: receivedAt)
    }
    inbox.counters.relaysReceived += 1
    discovery.noteRelayed(from: header.origin, by: session.peer.id, passedOn: passedOn, at: now)
    // Where it lay on the way counts as if it had lain here.
    take(
      datagram, from: header.origin.address, arrival: .unicast, at: now,
      receivedAt: receivedAt - .microseconds(UInt64(header.heldMicroseconds)))
  }

  /// Passes a datagram on, in the same turn, behind what waits for the next hop already.
  private func pass(
    on datagram: UnsafeRawBufferPointer, _ header: RelayHeader, from session: Session, at now: Timestamp,
    receivedAt: Timestamp
  ) {
    guard configuration.discovery.relays, header.hopsLeft > 0,
      let hop = discovery.nextHop(to: header.destination, from: session.peer.id).flatMap({ sessionsByPeer[$0] }),
      hop.canCarry(relayed: datagram.count)
    else {
      inbox.counters.relaysDropped += 1
      return
    }
    var header = header
    header.hopsLeft -= 1
    guard hop.pass(on: datagram, header, receivedAt: receivedAt) else {
      inbox.counters.relaysDropped += 1
      return reach(.relayQueueBytes, at: now)
    }
    inbox.counters.relaysForwarded += 1
    makeReady(hop, at: now)
    guard hop.peer.id == header.destination.id, session.peer.id == header.origin.id else { return }
    discovery.notePassing(between: session.peer.slot, and: hop.peer.slot, at: now)
    drainDiscovery(at: now)
  }
}
