/// A stream of this endpoint, or one that it keeps for others: what it holds, and who reads it.
///
///     log.first … kept … log.end        what is kept for those who come later
///     log.first … acknowledged … log.end   what readers have not got yet
///
/// Whatever is below both is let go.
final class OutboundStream {
  // Its properties are exempt from the run-time exclusivity check, which cost 40 % of the time of a lone message (2.7 µs with,
  // 1.6 µs without, both sides together); nothing here calls back into itself.

  let number: UInt64
  let isReliable: Bool
  /// Time zero of the stream's publication times, on the local clock.
  let epoch: Timestamp
  let log = SendLog()
  @exclusivity(unchecked) private(set) var readers: [RemoteReader] = []
  /// Whether there are any.
  @exclusivity(unchecked) private(set) var hasReaders = false
  /// How many of them do not wait in their session's queue: those have to be told of a message.
  @exclusivity(unchecked) var idleReaders = 0
  /// Those of them that are served together.
  @exclusivity(unchecked) private(set) var group: GroupReader?
  /// Whether the group has nothing to send, and so has to be told of a message.
  @exclusivity(unchecked) var isGroupIdle = false
  /// When to look again whether readers could be served together.
  @exclusivity(unchecked) var groupReviewAt = Timestamp.distantFuture
  /// Everything that was sent to a group lies below.
  @exclusivity(unchecked) private(set) var sentToGroup: UInt64 = 0
  /// Whether ``EndpointEvent/acknowledged(_:below:)`` is due.
  @exclusivity(unchecked) var hasProgress = false
  /// Whether a `publish` was refused for lack of room.
  @exclusivity(unchecked) var wantsRoom = false
  /// How far the slowest reader is.
  @exclusivity(unchecked) private(set) var lowest: UInt64 = 0
  /// Why readers will not get what the log no longer holds.
  @exclusivity(unchecked) private(set) var evictions = Evictions()
  /// Peers that will not get some positions, since they left or since those expired or were evicted; the oldest is forgotten.
  private var unserved: [(peer: EndpointID, range: Range<UInt64>)] = []
  /// As many such ranges are remembered: receipts are awaited soon, or not at all.
  private static let maximumUnserved = 64
  /// Most bytes to hold.
  let limitBytes: Int
  /// What is kept for those who come later.
  let history: HistoryPolicy
  /// Whether that is anything.
  let keepsHistory: Bool
  /// Everything from here on is kept; what is below is let go once every reader has it.
  @exclusivity(unchecked) private(set) var kept = UInt64.max
  /// A lagging reader has caught up when no more than this is left for it.
  var catchUpBytes: Int { limitBytes / 2 }

  init(number: UInt64, isReliable: Bool, epoch: Timestamp, limitBytes: Int, history: HistoryPolicy = .none) {
    self.number = number
    self.isReliable = isReliable
    self.epoch = epoch
    self.limitBytes = limitBytes
    self.history = isReliable ? history : .none
    keepsHistory = self.history.keepsSomething
    if keepsHistory { kept = 0 }
  }

  // MARK: History

  /// No more than half of what may be held is kept, so that what readers still need has room beside it. A single value is kept anyway.
  private var keptLimitBytes: Int { limitBytes / 2 }

  /// Whether something is held for those who come later.
  var holdsHistory: Bool { firstKept < log.end }
  /// Where what is kept begins; the end of the log if nothing is.
  private var firstKept: UInt64 {
    guard kept != .max, !log.isEmpty else { return log.end }
    let position = max(kept, log.first)
    guard position < log.end else { return log.end }
    // Of a message of which readers have got a part the rest may be all that is held.
    let (message, _, next) = log.message(at: position)
    return message.position < position ? next : position
  }

  /// The sequence numbers of what is held for those who come later.
  var keptSequences: Range<UInt64> {
    guard holdsHistory else { return 0..<0 }
    return log.message(at: firstKept).sequence..<log.endSequence
  }

  /// Bytes of what is held for those who come later.
  var keptBytes: Int { holdsHistory ? log.bytes(from: firstKept, to: log.end) : 0 }

  /// Whether a message is to be held although nobody reads the stream.
  func keeps(lifetime: Nanoseconds?) -> Bool {
    switch history {
    case .none: false
    case .untilExpiry: lifetime != nil || !log.isEmpty
    case .last(let depth): depth > 0
    case .retained: true
    }
  }

  /// Whether so little may be held that each part of it has to be acknowledged at once: the next acknowledgement may come later than there is room for.
  var needsPromptAcknowledgement: Bool {
    limitBytes < Session.initialWindowBytes && log.byteCount * 4 >= limitBytes
  }

  /// Lets go of what is no longer to be kept.
  func trimHistory(at now: Timestamp) {
    guard kept != .max else { return }
    kept = max(kept, log.first)
    guard history != .untilExpiry || log.hasLifetimes else {
      kept = log.end
      return
    }
    while kept < log.end {
      let (message, sequence, next) = log.message(at: kept)
      if isWorthKeeping(message, sequence, at: now),
        history == .retained || log.bytes(from: kept, to: log.end) <= keptLimitBytes
      {
        break
      }
      kept = next
    }
    if log.first < kept { log.release(below: min(acknowledged, kept)) }
  }

  /// Lets go of what is kept, the oldest messages first, until it takes no more than so many bytes or readers need the rest.
  func trimHistory(toBytes bytes: Int) {
    while log.byteCount > bytes, log.first < acknowledged {
      kept = max(kept, log.message(at: log.first).end)
      log.release(below: min(acknowledged, kept))
    }
  }

  /// Keeps nothing any more of what is there; readers get it still.
  func forgetHistory() {
    guard kept != .max else { return }
    kept = log.end
    log.release(below: min(acknowledged, kept))
  }

  /// Lets go of what is held, the oldest messages first, whoever reads it, until it takes no more than so many bytes.
  func evict(toBytes bytes: Int) {
    while log.byteCount > bytes, !log.isEmpty { log.release(below: log.message(at: log.first).end) }
    // Memory is wanted elsewhere.
    log.releaseSpares()
    if kept != .max { kept = max(kept, log.first) }
    evictions.note(below: log.first, nextSequence: log.firstSequence, reason: .evicted)
  }

  private func isWorthKeeping(_ message: SendLog.Message, _ sequence: UInt64, at now: Timestamp) -> Bool {
    guard message.expires > now else { return false }
    switch history {
    case .none: return false
    case .untilExpiry: return message.expires != .distantFuture
    case .last(let depth): return log.endSequence - sequence <= UInt64(max(0, depth))
    case .retained: return log.endSequence - sequence == 1
    }
  }

  /// Where somebody begins to read who has subscribed: with what was published since then, or with what he wants of what was
  /// published before.
  func start(for request: HistoryRequest, began: Timestamp) -> UInt64 {
    guard holdsHistory else { return log.end }
    let since = log.position(from: firstKept, publishedSince: began)
    switch request {
    case .none: return since
    case .last(let count):
      let before = log.endSequence - min(log.endSequence, UInt64(max(0, count)))
      return min(since, max(firstKept, log.position(ofSequence: before)))
    case .retained: return history == .retained ? firstKept : since
    case .all: return firstKept
    }
  }

  /// Where somebody goes on who has everything below a sequence number.
  func start(after sequence: UInt64) -> UInt64 { max(log.first, log.position(ofSequence: sequence)) }

  /// Lets go of kept messages, until so many more bytes fit below the limit or readers need the rest.
  func makeRoomInHistory(for bytes: Int) {
    guard kept != .max else { return }
    trimHistory(toBytes: max(0, limitBytes - bytes))
  }

  func add(_ reader: RemoteReader) {
    lowest = readers.isEmpty ? reader.acknowledged : min(lowest, reader.acknowledged)
    readers.append(reader)
    hasReaders = true
    if reader.isIdle { idleReaders += 1 }
    if readers.count >= GroupReader.leastMembers { groupReviewAt = Timestamp(nanoseconds: 0) }
  }

  // MARK: Readers that are served together

  func begin(_ group: GroupReader) {
    self.group = group
    isGroupIdle = true
  }

  /// Everybody is served alone again.
  func endGroup() {
    for reader in group?.members ?? [] { reader.leaveGroup() }
    group?.place = .none
    group = nil
    isGroupIdle = false
  }

  /// The group has been sent what lies below.
  func noteSentToGroup(below end: UInt64) { sentToGroup = max(sentToGroup, end) }

  /// Lets go of all readers; nothing of the stream may be used afterwards.
  func abandon() {
    endGroup()
    readers = []
    hasReaders = false
    idleReaders = 0
  }

  /// Takes note that a reader's peer is gone, and what it had not acknowledged.
  func noteDeparture(of reader: RemoteReader) {
    guard isReliable, reader.confirmed < log.end else { return }
    noteUnserved(reader.session.peer.id, reader.confirmed..<log.end)
  }

  /// Whether somebody did not get something.
  var hasUnserved: Bool { !unserved.isEmpty }

  /// Takes note that a peer will never get a range.
  func noteUnserved(_ peer: EndpointID, _ range: Range<UInt64>) {
    if let last = unserved.last, last.peer == peer, range.lowerBound <= last.range.upperBound,
      range.lowerBound >= last.range.lowerBound
    {
      unserved[unserved.count - 1].range = last.range.lowerBound..<max(last.range.upperBound, range.upperBound)
      return
    }
    if unserved.count >= Self.maximumUnserved { unserved.removeFirst() }
    unserved.append((peer, range))
  }

  /// Who has not acknowledged the message that ends at the position: current readers, those that left without, and those
  /// that were told that they will not get it. Of best-effort streams nobody acknowledges, and nobody is waited for.
  func unacknowledged(endingAt position: UInt64) -> Set<EndpointID> {
    guard isReliable else { return [] }
    var peers = Set(readers.filter { $0.confirmed < position }.map(\.session.peer.id))
    for (peer, range) in unserved where range.lowerBound < position && position <= range.upperBound {
      peers.insert(peer)
    }
    return peers
  }

  func remove(_ reader: RemoteReader) {
    guard let index = readers.firstIndex(where: { $0 === reader }) else { return }
    readers.remove(at: index)
    hasReaders = !readers.isEmpty
    if reader.isIdle { idleReaders -= 1 }
    releaseAcknowledged()
  }

  /// How many peers read it as it is published.
  var liveReaders: Int { readers.count { !$0.isRequested } }

  /// No reader needs anything below.
  var acknowledged: UInt64 {
    var low = log.end
    for reader in readers where reader.acknowledged < low { low = reader.acknowledged }
    return low
  }

  /// All positions below are acknowledged by every reliable reader that was there when they were published.
  var confirmed: UInt64 {
    var low = log.end
    for reader in readers where reader.confirmed < low { low = reader.confirmed }
    return low
  }

  func releaseAcknowledged() {
    lowest = acknowledged
    hasProgress = true
    log.release(below: min(lowest, kept))
  }

  /// Whether so many more bytes would exceed the limit.
  func isFull(for bytes: Int) -> Bool { !log.isEmpty && log.byteCount + bytes > limitBytes }

  /// Whether only readers that lag hold what is in the way of so many more bytes.
  func isHeldByLaggardsOnly(for bytes: Int) -> Bool {
    guard isReliable else { return true }
    var low = log.end
    for reader in readers where !reader.isLagging && reader.acknowledged < low { low = reader.acknowledged }
    return log.bytes(from: low, to: log.end) + bytes <= limitBytes
  }

  /// Forgets the oldest messages, or all that no reader needs which keeps up, until so many bytes fit below the limit.
  /// Readers that lose by it lag from now on.
  func makeRoom(for bytes: Int, keepingNothing: Bool, reason: Gap.Reason) {
    if keepingNothing {
      // Those that are not far behind do not suffer for the one that is.
      let needed = readers.lazy.map(\.acknowledged).filter {
        self.log.bytes(from: $0, to: self.log.end) <= self.catchUpBytes
      }
      log.release(below: needed.min() ?? log.end)
    }
    while isFull(for: bytes) { log.release(below: log.message(at: log.first).end) }
    if kept != .max { kept = max(kept, log.first) }
    evictions.note(below: log.first, nextSequence: log.firstSequence, reason: reason)
    for reader in readers where reader.acknowledged < log.first { reader.isLagging = true }
  }

  func time(at now: Timestamp) -> UInt64 { now.since(epoch).wholeMicroseconds }
}
