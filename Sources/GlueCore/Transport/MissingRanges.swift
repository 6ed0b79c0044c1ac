/// What of a stream has not arrived although something beyond it has, and when to ask for it (docs/protocol.md §6.3).
struct MissingRanges {
  private struct Entry {
    var range: Range<UInt64>
    /// How many datagrams the session had received when the gap was noticed.
    var noticedAfter: UInt64
    var requestAt: Timestamp
    /// Zero until it has been requested once.
    var interval: Nanoseconds
    /// The interval of the first repetition.
    var firstInterval = Nanoseconds.zero
    /// Requests since it was noticed, or since a part of it came.
    var requests = 0

    /// A part of it came: the next request is as little delayed as the first repetition was.
    mutating func noteProgress(at now: Timestamp, isUnderWay: Bool) {
      guard interval != .zero else { return }
      interval = firstInterval
      requests = 1
      requestAt = isUnderWay ? now + firstInterval : min(requestAt, now + firstInterval)
    }
  }

  /// Requests after which each further interval is twice as long as the one before. Requests and repetitions are lost like
  /// everything else; waiting longer for that would make a few losses in a row a long standstill.
  static let promptRequests = 3
  /// Newer datagrams after which a gap is taken for a loss rather than for reordering.
  static let reorderingTolerance: UInt64 = 3

  private var entries: [Entry] = []
  /// One above the highest position known to exist.
  private(set) var end: UInt64
  private let limit: Int

  init(from position: UInt64, limit: Int) {
    end = position
    self.limit = limit
  }

  var isEmpty: Bool { entries.isEmpty }
  /// Whether a gap within the stream known so far could be noted.
  var isFull: Bool { entries.count >= limit }
  var ranges: [Range<UInt64>] { entries.map(\.range) }

  /// Notes that positions up to `position` exist. Returns false, and notes nothing, when that would be one gap too many.
  mutating func extend(to position: UInt64, at now: Timestamp, patience: Nanoseconds, received: UInt64) -> Bool {
    guard position > end else { return true }
    if let last = entries.last, last.range.upperBound == end, last.interval == .zero, last.noticedAfter == received {
      entries[entries.count - 1].range = last.range.lowerBound..<position
    } else {
      guard !isFull else { return false }
      entries.append(
        Entry(range: end..<position, noticedAfter: received, requestAt: now + patience, interval: .zero))
    }
    end = position
    return true
  }

  /// Notes that a range arrived or will never come. Returns whether any of it was missing or new.
  ///
  /// Of a range that was asked for, what lies behind the part that came is probably under way.
  @discardableResult
  mutating func fill(_ range: Range<UInt64>, at now: Timestamp) -> Bool {
    if range.lowerBound >= end {
      // Nothing below it is touched; whoever skips positions has extended to them before.
      end = range.upperBound
      return !range.isEmpty
    }
    var isNews = false
    if range.upperBound > end {
      end = range.upperBound
      isNews = true
    }
    guard !entries.isEmpty else { return isNews }
    var index = firstIndex(endingAbove: range.lowerBound)
    while index < entries.count, entries[index].range.lowerBound < range.upperBound {
      let entry = entries[index].range
      isNews = true
      let before = entry.lowerBound..<max(entry.lowerBound, min(range.lowerBound, entry.upperBound))
      let after = min(entry.upperBound, max(range.upperBound, entry.lowerBound))..<entry.upperBound
      switch (before.isEmpty, after.isEmpty) {
      case (true, true):
        entries.remove(at: index)
      case (false, true):
        entries[index].range = before
        entries[index].noteProgress(at: now, isUnderWay: false)
        index += 1
      case (true, false):
        entries[index].range = after
        entries[index].noteProgress(at: now, isUnderWay: true)
        index += 1
      case (false, false):
        var rest = entries[index]
        rest.range = after
        rest.noteProgress(at: now, isUnderWay: true)
        entries[index].range = before
        entries[index].noteProgress(at: now, isUnderWay: false)
        entries.insert(rest, at: index + 1)
        index += 2
      }
    }
    return isNews
  }

  /// Forgets everything at and beyond a position, as if none of it had been heard of.
  mutating func truncate(to position: UInt64) {
    guard position < end else { return }
    end = position
    while let last = entries.last, last.range.upperBound > position {
      if last.range.lowerBound < position {
        entries[entries.count - 1].range = last.range.lowerBound..<position
        return
      }
      entries.removeLast()
    }
  }

  /// Asks for everything at the next opportunity.
  mutating func requestAll(at now: Timestamp) {
    for index in entries.indices where entries[index].interval == .zero { entries[index].requestAt = now }
  }

  private func firstIndex(endingAbove position: UInt64) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].range.upperBound <= position { low = middle + 1 } else { high = middle }
    }
    return low
  }

  // MARK: Requests

  /// When the next request is due by time; nil if nothing is missing.
  var nextRequest: Timestamp? {
    var earliest: Timestamp?
    for entry in entries where earliest == nil || entry.requestAt < earliest! { earliest = entry.requestAt }
    return earliest
  }

  /// Whether any range is due.
  func isDue(at now: Timestamp, received: UInt64) -> Bool {
    entries.contains { Self.isDue($0, at: now, received: received) }
  }

  private static func isDue(_ entry: Entry, at now: Timestamp, received: UInt64) -> Bool {
    entry.requestAt <= now || (entry.interval == .zero && received >= entry.noticedAfter + reorderingTolerance)
  }

  /// Takes the ranges to request now, the lowest first, and sets when they are requested again.
  mutating func takeDue(
    at now: Timestamp, received: UInt64, interval: Nanoseconds, maximumInterval: Nanoseconds, limit: Int
  ) -> [Range<UInt64>] {
    var due: [Range<UInt64>] = []
    for index in entries.indices where due.count < limit {
      guard Self.isDue(entries[index], at: now, received: received) else { continue }
      // Gaps that were noticed one after the other may touch. On the wire ranges do not, or the STATUS would be invalid.
      if let last = due.last, last.upperBound == entries[index].range.lowerBound {
        due[due.count - 1] = last.lowerBound..<entries[index].range.upperBound
      } else {
        due.append(entries[index].range)
      }
      let last = entries[index].interval
      entries[index].requests += 1
      let isPrompt = entries[index].requests <= Self.promptRequests
      let next = last == .zero ? interval : isPrompt ? last : min(last * 2, maximumInterval)
      if last == .zero { entries[index].firstInterval = interval }
      entries[index].interval = next
      entries[index].requestAt = now + next
    }
    return due
  }
}
