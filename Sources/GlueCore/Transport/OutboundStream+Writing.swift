/// Frames of a stream, for one reader or for several.
extension OutboundStream {
  /// Writes one DATA frame, or a GAP where messages have expired. Returns the end of what was written, and whether it is a GAP.
  func writeRun(
    _ range: Range<UInt64>, as number: UInt64, maximumBytes: Int, to writer: inout WireWriter, at now: Timestamp
  ) -> (end: UInt64, isGap: Bool) {
    let position = range.lowerBound
    let space = writer.remaining - Self.dataFrameOverhead
    // For what little is left of a datagram no message is cut: putting it together again costs more than the space.
    let mayCut = space >= writer.capacity / Self.leastCutShare
    guard
      var run = log.run(
        from: position, below: range.upperBound, maximumBytes: min(space, maximumBytes), mayCut: mayCut)
    else { return (position, false) }
    if log.hasLifetimes {
      let end = log.endOfExpired(from: position, at: now)
      if end > position {
        let sequence = end < log.end ? log.message(at: end).sequence : log.endSequence
        let reason: Gap.Reason = log.message(at: position).message.isHole ? .evicted : .expired
        let written = writeGap(position..<end, as: number, nextSequence: sequence, reason: reason, to: &writer)
        return (written ? end : position, written)
      }
      let limit = log.firstExpired(in: position..<run.end, at: now)
      if limit < run.end {
        guard let shorter = log.run(from: position, below: limit, maximumBytes: space) else { return (position, false) }
        run = shorter
      }
    }
    let begins = log.firstBeginning(in: position..<run.end)
    let age = begins.map { now.since($0.published).wholeMicroseconds } ?? 0
    let header = DataHeader(
      stream: number, position: position, lag: position - log.message(at: position).sequence,
      ageMicroseconds: age)
    let start = writer.beginFrame(.data)
    header.write(to: &writer)
    switch run.content {
    case .units(let bytes): writer.bytes(bytes)
    case .part(let unit): unit.write(to: &writer)
    }
    return (writer.endFrame(start) ? run.end : position, false)
  }

  /// A message is cut if at least so large a share of the datagram is still empty: an eighth. On a path of 1,500 bytes that is
  /// less than a fragment takes, so nothing is wasted there; of 65,507 bytes an eighth is no loss.
  private static let leastCutShare = 8

  /// The first fragment of a message and its header.
  static let largestFragmentBytes = Unit.fragmentBytes + SendLog.unitHeaderBytes

  /// Frame header and the four varints of a DATA frame at their longest.
  static let dataFrameOverhead = WireLimits.frameHeaderBytes + 10 + 10 + 10 + 10

  /// Writes a GAP for what the log no longer holds from a position on, as far as it went for one reason. Returns where it ends.
  func writeEviction(from position: UInt64, as number: UInt64, to writer: inout WireWriter) -> UInt64? {
    let (end, nextSequence, reason) = evictions.of(position, logFirst: log.first, sequence: log.firstSequence)
    return writeGap(position..<end, as: number, nextSequence: nextSequence, reason: reason, to: &writer) ? end : nil
  }

  private func writeGap(
    _ range: Range<UInt64>, as number: UInt64, nextSequence: UInt64, reason: Gap.Reason, to writer: inout WireWriter
  ) -> Bool {
    writer.frame(
      .gap,
      Gap(
        stream: number, position: range.lowerBound, count: UInt64(range.count), nextSequence: nextSequence,
        reason: reason))
  }
}
