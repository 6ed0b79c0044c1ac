/// Why a publisher no longer holds what it let go before every reader had it: each eviction is told with its own reason, also
/// when another one followed before it could be told.
struct Evictions {
  private struct Entry {
    /// Everything below was let go, as far as the entry before does not say otherwise.
    var end: UInt64
    var nextSequence: UInt64
    var reason: Gap.Reason
  }

  /// As many changes of the reason are remembered; what is older is told with the reason that followed it.
  private static let limit = 64
  private var entries: [Entry] = []

  /// Takes note that everything below a position is gone, the last of it for this reason.
  mutating func note(below end: UInt64, nextSequence: UInt64, reason: Gap.Reason) {
    guard end > (entries.last?.end ?? 0) else { return }
    if let last = entries.last, last.reason == reason { entries.removeLast() }
    if entries.count >= Self.limit { entries.removeFirst() }
    entries.append(Entry(end: end, nextSequence: nextSequence, reason: reason))
  }

  /// How far what is gone from a position on went for one reason, the sequence number of the message behind it, and the reason.
  ///
  /// - Parameters:
  ///   - logFirst: the first position that is still held.
  ///   - sequence: the sequence number there.
  func of(_ position: UInt64, logFirst: UInt64, sequence: UInt64) -> (UInt64, nextSequence: UInt64, Gap.Reason) {
    for entry in entries where entry.end > position && entry.end <= logFirst {
      return (entry.end, entry.nextSequence, entry.reason)
    }
    return (logFirst, sequence, .evicted)
  }
}
