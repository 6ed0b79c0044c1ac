import CGlueNetwork

extension DatagramSocket {
  /// How many late errors of sent datagrams are skipped in a row before one is thrown.
  private static let maximumSkippedErrors = 16

  /// Receives what has arrived, as much as the batch has slots for, in one system call and without waiting.
  ///
  /// What the batch held before is gone. Errors that concern earlier, sent datagrams (an ICMP message) are skipped.
  ///
  /// - Parameters:
  ///   - batch: What to receive into.
  ///   - slots: How many slots to use at most, at least one. The system looks for a further message after each one until
  ///     there is none or no slot, so that a single slot is the fastest where a single message is expected.
  /// - Returns: The number of datagrams, the batch's count. Zero if nothing has arrived, or only what was dropped
  ///   because it did not fit (``ReceiveBatch/truncatedCount``): wait for the socket to be readable again either way.
  /// - Throws: ``NetworkError`` if the socket was closed, or the system is out of memory.
  @discardableResult
  public func receive(into batch: ReceiveBatch, slots: Int = .max) throws(NetworkError) -> Int {
    precondition(slots > 0, "a message takes a slot, got \(slots)")
    let slots = min(slots, batch.slotCount)
    batch.prepareToReceive()
    for _ in 0..<Self.maximumSkippedErrors {
      let result =
        descriptor.use { cglue_receive($0, batch.messages, CUnsignedInt(slots)) }
        ?? -SystemErrorCode.closed.rawValue
      if result >= 0 {
        batch.take(messageCount: Int(result))
        return batch.count
      }
      let code = SystemErrorCode(rawValue: -result)
      if code == .wouldBlock { return 0 }
      if code.concernsAnEarlierDatagram { continue }
      throw NetworkError(operation: "receive on", subject: "\(localAddress)", code: code, expectation: "an open socket")
    }
    return 0
  }
}
