/// What of a stream has not arrived although something beyond it has, and when to ask for it (docs/protocol.md §6.3).
///
/// A peer decides how many gaps there are, up to the limit, and how often they are looked at. So nothing that happens for each
/// frame goes through all of them: that is left to ``isDue(at:received:)`` when something seems due, and to ``takeDue``, once
/// for each STATUS.
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
  /// Nothing is due by time before this, or by newer datagrams before so many were received: lower bounds, so that hardly any
  /// input has to look at all entries.
  private var earliest = Timestamp.distantFuture
  private var earliestReceived = UInt64.max
  /// What begins below and has not been requested yet is due.
  private var demandedBelow: UInt64 = 0
  /// How many entries were looked at, all in all: what tests count.
  private(set) var looks = 0

  init(from position: UInt64, limit: Int) {
    end = position
    self.limit = limit
  }

  var isEmpty: Bool { entries.isEmpty }
  private var isFull: Bool { entries.count >= limit }
  var ranges: [Range<UInt64>] { entries.map(\.range) }

  /// Notes that positions up to `position` exist. Returns false, and notes nothing, when that would be one gap too many.
  mutating func extend(to position: UInt64, at now: Timestamp, patience: Nanoseconds, received: UInt64) -> Bool {
    guard position > end else { return true }
    if let last = entries.last, isGrowing(last, received: received) {
      entries[entries.count - 1].range = last.range.lowerBound..<position
    } else {
      guard !isFull else { return false }
      entries.append(
        Entry(range: end..<position, noticedAfter: received, requestAt: now + patience, interval: .zero))
      earliest = min(earliest, now + patience)
      earliestReceived = min(earliestReceived, received &+ Self.reorderingTolerance)
    }
    end = position
    return true
  }

  /// Whether a gap ends with what is known, and what is missing beyond is a part of it.
  private func isGrowing(_ entry: Entry, received: UInt64) -> Bool {
    entry.range.upperBound == end && entry.interval == .zero && entry.noticedAfter == received
  }

  /// Whether any of a range is missing or new.
  func lacks(_ range: Range<UInt64>) -> Bool {
    guard range.upperBound <= end else { return true }
    let index = firstIndex(endingAbove: range.lowerBound)
    return index < entries.count && entries[index].range.lowerBound < range.upperBound
  }

  /// Whether a range can be noted to have arrived, and what is below it to be missing: not if that would leave one gap too many.
  func hasRoom(toFill range: Range<UInt64>, received: UInt64) -> Bool {
    guard isFull else { return true }
    if range.lowerBound > end { return entries.last.map { isGrowing($0, received: received) } ?? false }
    let index = firstIndex(endingAbove: range.lowerBound)
    guard index < entries.count else { return true }
    let entry = entries[index].range
    return !(entry.lowerBound < range.lowerBound && range.upperBound < entry.upperBound)
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
    let isBeyond = range.upperBound > end
    if isBeyond { end = range.upperBound }
    let first = firstIndex(endingAbove: range.lowerBound)
    var last = first
    while last < entries.count, entries[last].range.lowerBound < range.upperBound { last += 1 }
    looks += last - first
    guard first < last else { return isBeyond }
    var before = entries[first]
    before.range = before.range.lowerBound..<max(before.range.lowerBound, range.lowerBound)
    before.noteProgress(at: now, isUnderWay: false)
    var after = entries[last - 1]
    after.range = min(after.range.upperBound, range.upperBound)..<after.range.upperBound
    after.noteProgress(at: now, isUnderWay: true)
    var index = first
    if !before.range.isEmpty {
      entries[index] = before
      earliest = min(earliest, before.requestAt)
      index += 1
    }
    if !after.range.isEmpty {
      earliest = min(earliest, after.requestAt)
      if index == last { entries.insert(after, at: index) } else { entries[index] = after }
      index += 1
    }
    if index < last { entries.removeSubrange(index..<last) }
    return true
  }

  /// Forgets everything at and beyond a position, as if none of it had been heard of.
  mutating func truncate(to position: UInt64) {
    guard position < end else { return }
    end = position
    demandedBelow = min(demandedBelow, position)
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
    guard !entries.isEmpty else { return }
    demandedBelow = end
    earliest = min(earliest, now)
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

  /// When to look next, by time, whether a request is due; nil if nothing is missing. A request may turn out to be due later.
  var nextRequest: Timestamp? { entries.isEmpty ? nil : earliest }

  /// Whether any range is due.
  mutating func isDue(at now: Timestamp, received: UInt64) -> Bool {
    guard !entries.isEmpty, earliest <= now || earliestReceived <= received else { return false }
    // What seemed due may have come meanwhile.
    findEarliest(from: 0)
    return earliest <= now || earliestReceived <= received
  }

  private mutating func findEarliest(from index: Int) {
    if index == 0 { (earliest, earliestReceived) = (.distantFuture, .max) }
    looks += entries.count - index
    for entry in entries[index...] { include(entry) }
  }

  private mutating func include(_ entry: Entry) {
    earliest = min(earliest, isDemanded(entry) ? Timestamp(nanoseconds: 0) : entry.requestAt)
    if entry.interval == .zero {
      earliestReceived = min(earliestReceived, entry.noticedAfter &+ Self.reorderingTolerance)
    }
  }

  private func isDemanded(_ entry: Entry) -> Bool { entry.interval == .zero && entry.range.lowerBound < demandedBelow }

  private func isDue(_ entry: Entry, at now: Timestamp, received: UInt64) -> Bool {
    entry.requestAt <= now || isDemanded(entry)
      || (entry.interval == .zero && received >= entry.noticedAfter &+ Self.reorderingTolerance)
  }

  /// Takes the ranges to request now, the lowest first, and sets when they are requested again.
  mutating func takeDue(
    at now: Timestamp, received: UInt64, interval: Nanoseconds, maximumInterval: Nanoseconds, limit: Int
  ) -> [Range<UInt64>] {
    guard !entries.isEmpty, earliest <= now || earliestReceived <= received else { return [] }
    (earliest, earliestReceived) = (.distantFuture, .max)
    var due: [Range<UInt64>] = []
    for index in entries.indices {
      guard due.count < limit else {
        findEarliest(from: index)
        break
      }
      looks += 1
      defer { include(entries[index]) }
      guard isDue(entries[index], at: now, received: received) else { continue }
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
