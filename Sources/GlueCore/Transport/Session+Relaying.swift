/// Datagrams of others, or for others, within the session with the next hop (docs/protocol.md §5.8).
extension Session {
  /// Queues a datagram that is passed on to the peer; false if there is no room.
  func pass(on datagram: UnsafeRawBufferPointer, _ header: RelayHeader, receivedAt: Timestamp) -> Bool {
    guard relayedBytes + datagram.count <= configuration.relayQueueBytes else { return false }
    relayedBytes += datagram.count
    relays.append((header, receivedAt, [UInt8](datagram)))
    return true
  }

  /// Whether the way to the peer carries a datagram with what RELAY adds.
  func canCarry(relayed byteCount: Int) -> Bool { byteCount + WireLimits.relayBytes <= path.current }

  /// Writes the next datagram that is passed on.
  func nextRelay(into buffer: UnsafeMutableRawBufferPointer, packetNumber: () -> UInt64, at now: Timestamp)
    -> WrittenDatagram?
  {
    while let (named, receivedAt, datagram) = relays.popFirst() {
      relayedBytes -= datagram.count
      // The path may have become smaller since.
      guard datagram.count + WireLimits.relayBytes <= min(path.current, buffer.count) else { continue }
      let place = UnsafeMutableRawBufferPointer(rebasing: buffer[RelayHeader.prefixBytes...])
      datagram.withUnsafeBytes { place.copyMemory(from: $0) }
      // This process may have stood still since it arrived; whoever gets it has to know how old its messages are.
      var header = named
      header.hold(for: now.since(receivedAt))
      return finishRelay(header, in: buffer, byteCount: datagram.count, packetNumber: packetNumber())
    }
    return nil
  }

  /// Makes a datagram of one that lies ``RelayHeader/prefixBytes`` into the buffer: puts what names its destination before it.
  /// It asks for no answer and takes nothing of the congestion window: its ends see to that.
  func finishRelay(
    _ header: RelayHeader, in buffer: UnsafeMutableRawBufferPointer, byteCount: Int, packetNumber: UInt64
  ) -> WrittenDatagram {
    var writer = WireWriter(UnsafeMutableRawBufferPointer(rebasing: buffer[..<RelayHeader.prefixBytes]))
    writer.zeros(WireLimits.shortHeaderBytes)
    writer.u8(FrameType.relay.rawValue)
    writer.u16(UInt16(clamping: RelayHeader.byteCount + byteCount))
    header.write(to: &writer)
    sent.addUnanswered()
    return finish(
      buffer, byteCount: RelayHeader.prefixBytes + byteCount, packetNumber: packetNumber, acknowledgeNow: false)
  }
}
