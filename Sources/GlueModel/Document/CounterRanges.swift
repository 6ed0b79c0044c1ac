/// Counters of one replica, as ranges that do not touch, ascending. Usually it is one range, from 1.
public struct CounterRanges: Hashable, Sendable {
  /// The ranges.
  public private(set) var ranges: [Range<UInt64>] = []

  /// None.
  public init() {}

  /// One range.
  public init(_ range: Range<UInt64>) { if !range.isEmpty { ranges = [range] } }

  /// Whether there are none.
  public var isEmpty: Bool { ranges.isEmpty }
  /// The first counter from 1 on that is not among them.
  public var firstMissing: UInt64 { ranges.first.map { $0.lowerBound == 1 ? $0.upperBound : 1 } ?? 1 }
  /// The counter after the highest; 1 if there are none.
  public var end: UInt64 { ranges.last?.upperBound ?? 1 }

  /// Whether a counter is among them.
  public func contains(_ counter: UInt64) -> Bool {
    let index = indexOfFirst(endingAfter: counter)
    return index < ranges.count && ranges[index].lowerBound <= counter
  }

  /// The first range with a counter above this one.
  private func indexOfFirst(endingAfter counter: UInt64) -> Int {
    // Nearly always there is one range.
    if ranges.count <= 1 { return ranges.isEmpty || ranges[0].upperBound > counter ? 0 : 1 }
    return ranges.partitioningIndex { $0.upperBound > counter }
  }

  /// Adds a range.
  public mutating func insert(_ range: Range<UInt64>) {
    guard !range.isEmpty else { return }
    if let last = ranges.last, range.lowerBound >= last.lowerBound, range.lowerBound <= last.upperBound {
      ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
      return
    }
    // Those that touch it: from the first that ends at its start or later to the last that begins at its end or earlier.
    let first = indexOfFirst(endingAfter: range.lowerBound &- 1)
    var after = first
    var merged = range
    while after < ranges.count, ranges[after].lowerBound <= range.upperBound {
      merged = min(merged.lowerBound, ranges[after].lowerBound)..<max(merged.upperBound, ranges[after].upperBound)
      after += 1
    }
    ranges.replaceSubrange(first..<after, with: CollectionOfOne(merged))
  }

  /// Adds others, in time linear in both.
  public mutating func formUnion(_ other: CounterRanges) {
    if other.ranges.count <= 2 || ranges.isEmpty {
      if ranges.isEmpty { self = other } else { for range in other.ranges { insert(range) } }
      return
    }
    var merged = CounterRanges()
    merged.ranges.reserveCapacity(ranges.count + other.ranges.count)
    var (mine, theirs) = (ranges[...], other.ranges[...])
    while true {
      // Ascending, so each insertion is at the end.
      if let a = mine.first, theirs.first.map({ a.lowerBound <= $0.lowerBound }) ?? true {
        merged.insert(a)
        mine.removeFirst()
      } else if let b = theirs.first {
        merged.insert(b)
        theirs.removeFirst()
      } else {
        break
      }
    }
    self = merged
  }

  /// What is here and not among others.
  public func subtracting(_ other: CounterRanges) -> CounterRanges {
    var result = CounterRanges()
    for range in ranges {
      var start = range.lowerBound
      var index = other.indexOfFirst(endingAfter: start)
      while index < other.ranges.count, other.ranges[index].lowerBound < range.upperBound {
        if start < other.ranges[index].lowerBound { result.ranges.append(start..<other.ranges[index].lowerBound) }
        start = other.ranges[index].upperBound
        index += 1
      }
      if start < range.upperBound { result.ranges.append(start..<range.upperBound) }
    }
    return result
  }

  /// What is here within a range.
  public func clamped(to limits: Range<UInt64>) -> CounterRanges {
    var result = CounterRanges()
    var index = indexOfFirst(endingAfter: limits.lowerBound)
    while index < ranges.count, ranges[index].lowerBound < limits.upperBound {
      let part = ranges[index].clamped(to: limits)
      if !part.isEmpty { result.ranges.append(part) }
      index += 1
    }
    return result
  }
}
