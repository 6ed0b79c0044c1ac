/// Measures how much of each size gets to a peer and back: sends MTU_PROBEs one after the other, each when the one before was
/// answered or has timed out, and counts the replies. Nothing above the transport notices. Runs on demand only.
package struct EchoProbes {
  /// How many probes of a size were sent, and how many of them came back.
  package struct Tally: Hashable, Sendable {
    /// Bytes of UDP payload.
    package var bytes: Int
    package var sent = 0
    package var answered = 0
    /// How many have gone unanswered in a row.
    var silence = 0
  }

  /// So many lost in a row show that a size does not pass at all; at 60 % loss that comes about by chance once in 3,500.
  static let hopeless = 16
  /// How long to wait for a reply, at the least: the peer's program may be busy.
  static let patience = Nanoseconds.milliseconds(100)

  package private(set) var tallies: [Tally]
  /// The shortest time from a probe to its answer.
  package private(set) var roundTrip: Nanoseconds?
  private let count: Int
  /// The size under way, by its place, since when, and when it counts as lost.
  private var waiting: (index: Int, since: Timestamp, until: Timestamp)?
  private var cursor = 0
  /// When to send the next one; distant when all is done.
  private(set) var nextAt: Timestamp

  /// - Parameters:
  ///   - sizes: bytes of UDP payload, each tried in turn.
  ///   - count: probes of each size.
  init(sizes: [Int], count: Int, at now: Timestamp) {
    tallies = sizes.map { Tally(bytes: $0) }
    self.count = count
    nextAt = now
  }

  /// Whether nothing more will be sent.
  package var isDone: Bool { waiting == nil && !tallies.contains(where: isWanted) }

  private func isWanted(_ tally: Tally) -> Bool { tally.sent < count && tally.silence < Self.hopeless }

  /// The size to send now, if one is due.
  mutating func takeDue(timeout: Nanoseconds, at now: Timestamp) -> Int? {
    guard nextAt <= now else { return nil }
    if let waiting {
      tallies[waiting.index].silence += 1
      self.waiting = nil
    }
    for offset in tallies.indices {
      let index = (cursor + offset) % tallies.count
      guard isWanted(tallies[index]) else { continue }
      cursor = index + 1
      tallies[index].sent += 1
      let until = now + max(timeout, Self.patience)
      waiting = (index, now, until)
      nextAt = until
      return tallies[index].bytes
    }
    nextAt = .distantFuture
    return nil
  }

  mutating func replied(bytes: Int, at now: Timestamp) {
    guard let index = tallies.firstIndex(where: { $0.bytes == bytes }), tallies[index].answered < tallies[index].sent
    else { return }
    tallies[index].answered += 1
    tallies[index].silence = 0
    guard let waiting, waiting.index == index else { return }
    let time = now.since(waiting.since)
    roundTrip = roundTrip.map { min($0, time) } ?? time
    self.waiting = nil
    nextAt = now
  }
}
