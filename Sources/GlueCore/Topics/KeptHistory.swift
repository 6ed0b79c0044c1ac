/// What of a stream of somebody else is kept for those who come later (docs/history.md): the messages that its topic's policy says,
/// as their publisher cut them, with their numbers, positions and times.
final class KeptHistory {
  let facts: StoredStream
  /// Whether the policy keeps anything.
  let mayKeep: Bool
  /// Nil as long as nothing was kept.
  @exclusivity(unchecked) private(set) var stream: OutboundStream?
  /// Readers have more to get.
  @exclusivity(unchecked) var hasGrown = false

  /// How much of it is stored.
  @exclusivity(unchecked) var cursor = StoreCursor()

  /// Who holds a higher value of the topic instead. Until that is stored, this one's is not let go in the store.
  private weak var successor: KeptHistory?
  private let memory: HistoryMemory
  /// What it is charged with in ``HistoryMemory``.
  private var chargedBytes = 0
  /// Bytes that a stream of which something is kept takes beside that: its objects, and what its log has allocated beyond what it
  /// uses. With one short message on each of 10,000 topics it is nearly all of it (docs/benchmarks.md).
  private static let overhead = 2_560

  init(of facts: StoredStream, memory: HistoryMemory) {
    self.facts = facts
    mayKeep = facts.history != .none
    self.memory = memory
  }

  deinit { release() }

  /// Gives back all memory.
  func release() {
    guard let stream else { return }
    memory.bytes -= chargedBytes
    chargedBytes = 0
    stream.abandon()
    self.stream = nil
  }

  /// The stream's name for all endpoints.
  var hash: StreamHash { facts.hash }
  /// What its topic wants to be kept.
  var policy: HistoryPolicy { facts.history }

  private var log: SendLog? { stream.flatMap { $0.log.isEmpty ? nil : $0.log } }

  /// What it can give to others, as sequence numbers.
  var sequences: Range<UInt64> {
    // A value that was given up may still be on its way to readers.
    if policy == .retained { return stream?.keptSequences ?? 0..<0 }
    return log.map { $0.firstSequence..<$0.endSequence } ?? 0..<0
  }

  /// When the oldest message was published.
  var oldest: Timestamp { log.map { $0.message(at: $0.first).message.published } ?? .distantFuture }

  /// Keeps a message if the policy says so and the numbers fit. Returns whether it does.
  func keep(_ message: ArrivedMessage, at now: Timestamp) -> Bool {
    guard policy != .none, stream != nil || policy != .untilExpiry || message.lifetime != nil else { return false }
    let stream = stream ?? makeStream()
    let log = stream.log
    guard stream.keeps(lifetime: message.lifetime), goOn(log, at: message) else { return false }
    _ = log.append(
      message.body, hasAttributes: message.hasAttributes, time: message.time, lifetime: message.lifetime,
      published: message.publishedAt, expires: message.expiresAt ?? .distantFuture)
    stream.trimHistory(at: now)
    charge()
    if !stream.readers.isEmpty { hasGrown = true }
    return sequences.contains(message.sequence)
  }

  /// Brings the log to where a message goes. It never goes back: readers have been there. Returns whether the message fits.
  private func goOn(_ log: SendLog, at message: ArrivedMessage) -> Bool {
    guard log.end > 0 || log.endSequence > 0 else {
      log.restart(at: message.position, sequence: message.sequence)
      return true
    }
    guard message.position >= log.end, message.sequence >= log.endSequence else { return false }
    let positions = message.position - log.end
    let sequences = message.sequence - log.endSequence
    guard positions > 0 || sequences > 0 else { return true }
    guard sequences > 0, sequences <= positions else { return false }
    if log.isEmpty || positions > SendLog.longestHole {
      log.restart(at: message.position, sequence: message.sequence)
    } else {
      log.appendHole(positions: positions, sequences: sequences)
    }
    return true
  }

  private func makeStream() -> OutboundStream {
    let made = OutboundStream(
      number: .max, isReliable: true, epoch: Timestamp(nanoseconds: 0), limitBytes: 2 * memory.limitBytes,
      history: policy)
    stream = made
    return made
  }

  /// Lets go of what has expired.
  func trim(at now: Timestamp) {
    guard let stream else { return }
    stream.trimHistory(at: now)
    charge()
  }

  /// Lets go of so many bytes of what is kept, or all of it, the oldest messages first.
  func trim(byBytes bytes: Int) {
    guard let stream else { return }
    stream.evict(toBytes: max(0, stream.log.byteCount - bytes))
    charge()
  }

  /// Lets go of the topic's value: there is a higher one. Whoever reads it gets it still.
  func giveUp(to successor: KeptHistory?) {
    guard let stream else { return }
    self.successor = successor
    stream.forgetHistory()
    charge()
  }

  /// It has the highest value of its topic.
  func waitForNobody() { successor = nil }

  /// Whether the value that replaces this one's is not stored, nor in the batch that is being made.
  var mustOutlast: Bool { successor?.hasUnstored ?? false }

  private func charge() {
    let bytes = log.map { $0.footprint + Self.overhead } ?? 0
    memory.bytes += bytes - chargedBytes
    chargedBytes = bytes
    memory.storing?.note(self)
  }
}
