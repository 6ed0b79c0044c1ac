/// A peer that reads one of this endpoint's streams: how far it is, and what it asked for again.
///
///     log.first ≤ … acknowledged ≤ … next ≤ log.end
///                   └ outstanding ┘   └ not sent yet
final class RemoteReader {
  // Its properties are exempt from the run-time exclusivity check, which cost 40 % of the time of a lone message (2.7 µs with,
  // 1.6 µs without, both sides together); nothing here calls back into itself.

  let stream: OutboundStream
  /// The stream's number in this session. What is read for a request has another one than what is read live.
  let number: UInt64
  /// Nothing at or beyond this is for it.
  let limit: UInt64
  /// What was there already when it began: it has to catch up with that before it is judged as others are.
  let present: UInt64
  @exclusivity(unchecked) private(set) unowned var session: Session!
  /// All positions below have arrived, or are known not to come.
  @exclusivity(unchecked) private(set) var acknowledged: UInt64
  /// The lowest position never sent to this reader.
  @exclusivity(unchecked) private(set) var next: UInt64
  @exclusivity(unchecked) private var windowBytes: Int
  @exclusivity(unchecked) private var repeats: RequestedRanges
  /// Whether a HEARTBEAT is to be sent.
  @exclusivity(unchecked) var owesHeartbeat = false
  /// Whether a STATUS of the peer speaks of this opening of the stream.
  @exclusivity(unchecked) var opening = Opening.told(below: 0)
  /// Whether it waits in its session's queue.
  @exclusivity(unchecked) private(set) var isQueued = false
  /// Whether the stream knows it no longer.
  @exclusivity(unchecked) private var isDetached = false
  /// Matching subscriptions of the peer.
  @exclusivity(unchecked) var subscriptions: Set<UInt64> = []
  /// When to ask the peer if it stays silent about this stream; nil if there is nothing to ask. Each reader has its own: what
  /// flows in other streams says nothing about what was lost in this one.
  @exclusivity(unchecked) private(set) var probeAt: Timestamp?
  /// Probes since the last progress: each waits twice as long as the one before.
  @exclusivity(unchecked) private var probes = 0

  /// - Parameters:
  ///   - number: in the session; nil: the stream's own.
  ///   - position: where to begin.
  ///   - limit: where to end; nil: never.
  init(
    stream: OutboundStream, number: UInt64? = nil, from position: UInt64, limit: UInt64? = nil, windowBytes: Int,
    maximumRequests: Int
  ) {
    self.stream = stream
    self.number = number ?? stream.number
    self.limit = limit ?? .max
    present = min(stream.log.end, self.limit)
    isLagging = position < present
    acknowledged = position
    next = position
    self.windowBytes = windowBytes
    repeats = RequestedRanges(limit: maximumRequests)
  }

  /// Begins to read on behalf of a session's peer.
  func attach(to session: Session) {
    self.session = session
    stream.add(self)
  }

  /// All positions below have arrived of those that were published while it was there.
  var confirmed: UInt64 { isRequested ? .max : max(acknowledged, present) }
  /// Whether it reads what the peer has asked for, which is no subscriber's due.
  var isRequested: Bool { limit != .max }
  /// One above the last position that there is for it.
  private var end: UInt64 { min(stream.log.end, limit) }
  /// Whether it has all it was to get.
  var isDone: Bool { acknowledged >= limit }
  /// Whether what it is to get next was there before it.
  var isCatchingUp: Bool { next < present }

  /// Ranges that wait to be repeated.
  var requestCount: Int { repeats.count }
  /// Whether something sent is not acknowledged.
  var hasOutstanding: Bool { acknowledged < next }
  /// Whether the peer has to be asked if it stays silent: for what is outstanding, or for a window to go on.
  var needsProbe: Bool { stream.isReliable && (hasOutstanding || (next < end && isWindowShut)) }
  /// It was too slow once, or came late, and does not hold up the publisher until it has caught up.
  @exclusivity(unchecked) var isLagging: Bool

  /// Whether there is something to send now, congestion aside.
  var hasWork: Bool {
    owesHeartbeat || !repeats.isEmpty || next < min(stream.log.first, limit) || (next < end && !isWindowShut)
  }

  private var isWindowShut: Bool {
    stream.isReliable && stream.log.bytes(from: acknowledged, to: next) >= windowBytes
  }

  /// Takes note whether it waits in its session's queue.
  func setQueued(_ isQueued: Bool) {
    guard isQueued != self.isQueued else { return }
    self.isQueued = isQueued
    if !isDetached { stream.idleReaders += isQueued ? -1 : 1 }
  }

  // MARK: What the peer says

  /// How much the peer knows of this opening of the stream. What arrives before it has heard that the one before was closed, it acknowledges for that
  /// one: counted for this one, it would never be sent again to the new subscription.
  enum Opening {
    /// It is known once the control messages below this position are acknowledged.
    case told(below: UInt64)
    /// Datagrams of the peer with this number or a higher one speak of it; earlier ones may still arrive.
    case known(from: UInt64)
  }

  /// Whether a STATUS in the peer's datagram with this number speaks of this opening.
  func isAddressed(in number: UInt64) -> Bool {
    if case .told(let position) = opening, session.control.acknowledged >= position {
      opening = .known(from: session.controlAcknowledgedIn)
    }
    guard case .known(let first) = opening else { return false }
    return number >= first
  }

  /// Takes a STATUS. Returns whether anything new was acknowledged.
  func receive(_ status: Status, at now: Timestamp, into inbox: Inbox) -> Bool {
    let wasShut = isWindowShut
    windowBytes = Int(clamping: status.windowBytes)
    guard status.next <= next else { return false }
    var hasProgress = false
    if status.next > acknowledged {
      hasProgress = true
      let wasSlowest = acknowledged <= stream.lowest
      acknowledged = status.next
      repeats.remove(below: status.next)
      if wasSlowest { stream.releaseAcknowledged() }
    }
    for range in status.missing where range.upperBound <= next && range.lowerBound >= acknowledged {
      if !repeats.insert(range) { inbox.reach(.maximumGaps, at: now) }
    }
    if isLagging, stream.log.bytes(from: acknowledged, to: stream.log.end) <= stream.catchUpBytes { isLagging = false }
    if hasProgress || (wasShut && !isWindowShut) {
      probes = 0
      armProbe(at: now)
    } else if probeAt == nil || !needsProbe {
      armProbe(at: now)
    }
    return hasProgress
  }

  /// The probe timer fired: asks the reader what it lacks, and sends what little is outstanding again.
  func probe(at now: Timestamp) {
    guard needsProbe else {
      probeAt = nil
      return
    }
    probes += 1
    armProbe(at: now)
    owesHeartbeat = true
    let start = max(acknowledged, stream.log.first)
    if repeats.isEmpty, start < next, stream.log.bytes(from: start, to: next) <= Self.probeBytes {
      repeats.insert(start..<next)
    }
  }

  /// As much as a probe repeats unasked: what fits into one datagram of any path.
  static let probeBytes = 1_000

  /// Sets the probe timer anew, or stops it.
  func armProbe(at now: Timestamp) {
    guard needsProbe else {
      probeAt = nil
      return
    }
    let due = now + session.probeTimeout(after: probes)
    probeAt = due
    session.probeAt = min(session.probeAt ?? due, due)
  }

  /// It reads no longer.
  func detach() {
    probeAt = nil
    isDetached = true
    stream.remove(self)
  }

  // MARK: Writing frames

  /// Writes what is due, as far as it fits. Returns whether any of it asks for an answer.
  func write(to writer: inout WireWriter, at now: Timestamp, counters: inout Counters) -> Bool {
    let log = stream.log
    var hasWritten = false
    if owesHeartbeat {
      let frame = Heartbeat(stream: number, first: min(max(log.first, acknowledged), next), end: next)
      guard writer.frame(.heartbeat, frame) else { return hasWritten }
      owesHeartbeat = false
      hasWritten = true
    }
    while next < min(log.first, limit) {
      guard let end = writeEviction(from: next, to: &writer) else { return hasWritten }
      next = end
      hasWritten = true
    }
    while let range = repeats.first {
      let (done, wrote) = writeRepeat(of: range, to: &writer, at: now, counters: &counters)
      hasWritten = hasWritten || wrote
      if done < range.upperBound {
        repeats.trimFirst(to: done)
        return hasWritten
      }
      repeats.removeFirst()
    }
    while next < end {
      guard !isWindowShut else { break }
      // The last unit may exceed the window, so that no window is too small for progress.
      let allowed = max(windowBytes - log.bytes(from: acknowledged, to: next), Self.largestUnitBytes)
      let end = writeRun(
        next..<end, maximumBytes: stream.isReliable ? allowed : .max, to: &writer, at: now)
      guard end > next else { break }
      next = end
      hasWritten = true
    }
    if !stream.isReliable, acknowledged < next {
      // Sent is done: nothing is repeated.
      let wasSlowest = acknowledged <= stream.lowest
      acknowledged = next
      if wasSlowest { stream.releaseAcknowledged() }
    }
    if hasWritten { armProbe(at: now) }
    return hasWritten
  }

  private func writeRepeat(
    of range: Range<UInt64>, to writer: inout WireWriter, at now: Timestamp, counters: inout Counters
  ) -> (done: UInt64, wrote: Bool) {
    let log = stream.log
    var position = max(range.lowerBound, acknowledged)
    let limit = min(range.upperBound, next, max(log.end, log.first))
    var wrote = false
    while position < log.first, position < limit {
      guard let end = writeEviction(from: position, to: &writer) else { return (position, wrote) }
      // What was let go may reach beyond what has been sent, of a part that was asked for even beyond that part.
      next = max(next, end)
      position = end
      wrote = true
    }
    while position < limit {
      let before = writer.count
      let end = writeRun(position..<limit, maximumBytes: .max, to: &writer, at: now)
      guard end > position else { return (position, wrote) }
      // A run of expired messages may reach beyond what has been sent: it is told now.
      if end > next { next = end }
      counters.bytesRepeated += UInt64(writer.count - before)
      counters.fragmentsRepeated += end - position
      position = end
      wrote = true
    }
    return (range.upperBound, wrote)
  }

  /// Writes one DATA frame, or a GAP where messages have expired. Returns the end of what was written.
  private func writeRun(
    _ range: Range<UInt64>, maximumBytes: Int, to writer: inout WireWriter, at now: Timestamp
  ) -> UInt64 {
    let log = stream.log
    let position = range.lowerBound
    let space = writer.remaining - Self.dataFrameOverhead
    // For what little is left of a datagram no message is cut: putting it together again costs more than the space.
    let mayCut = space >= writer.capacity / Self.leastCutShare
    guard
      var run = log.run(
        from: position, below: range.upperBound, maximumBytes: min(space, maximumBytes), mayCut: mayCut)
    else { return position }
    if log.hasLifetimes {
      let end = log.endOfExpired(from: position, at: now)
      if end > position {
        let sequence = end < log.end ? log.message(at: end).sequence : log.endSequence
        let reason: Gap.Reason = log.message(at: position).message.isHole ? .evicted : .expired
        let written = writeGap(position..<end, nextSequence: sequence, reason: reason, to: &writer)
        return written ? end : position
      }
      let limit = log.firstExpired(in: position..<run.end, at: now)
      if limit < run.end {
        guard let shorter = log.run(from: position, below: limit, maximumBytes: space) else { return position }
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
    return writer.endFrame(start) ? run.end : position
  }

  /// A message is cut if at least so large a share of the datagram is still empty: an eighth. On a path of 1,500 bytes that is
  /// less than a fragment takes, so nothing is wasted there; of 65,507 bytes an eighth is no loss.
  private static let leastCutShare = 8

  /// The first fragment of a message and its header.
  private static let largestUnitBytes = Unit.fragmentBytes + SendLog.unitHeaderBytes

  /// Frame header and the four varints of a DATA frame at their longest.
  static let dataFrameOverhead = WireLimits.frameHeaderBytes + 10 + 10 + 10 + 10

  /// Writes a GAP for what the log no longer holds from a position on, as far as it went for one reason. Returns where it ends.
  private func writeEviction(from position: UInt64, to writer: inout WireWriter) -> UInt64? {
    let log = stream.log
    let (end, nextSequence, reason) = stream.evictions.of(position, logFirst: log.first, sequence: log.firstSequence)
    return writeGap(position..<end, nextSequence: nextSequence, reason: reason, to: &writer) ? end : nil
  }

  private func writeGap(
    _ range: Range<UInt64>, nextSequence: UInt64, reason: Gap.Reason, to writer: inout WireWriter
  ) -> Bool {
    let gap = Gap(
      stream: number, position: range.lowerBound, count: UInt64(range.count), nextSequence: nextSequence,
      reason: reason)
    guard writer.frame(.gap, gap) else { return false }
    // What was there before the peer was is no debt.
    if range.upperBound > present, !isRequested {
      stream.noteUnserved(session.peer.id, max(range.lowerBound, present)..<range.upperBound)
    }
    return true
  }
}
