/// What a reader asked to be repeated and has not got yet: ascending ranges that do not overlap, at most so many.
struct RequestedRanges {
  private var ranges: [Range<UInt64>] = []
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  var isEmpty: Bool { ranges.isEmpty }
  var count: Int { ranges.count }
  var first: Range<UInt64>? { ranges.first }

  /// Adds a range. What overlaps one that waits is left out; if only a part of it waits, the rest is asked for again. Returns
  /// false if there is no room: that too is asked for again.
  @discardableResult
  mutating func insert(_ range: Range<UInt64>) -> Bool {
    let index = firstIndex(endingAbove: range.lowerBound)
    if index < ranges.count, ranges[index].lowerBound < range.upperBound { return true }
    guard ranges.count < limit else { return false }
    ranges.insert(range, at: index)
    return true
  }

  /// Forgets the ranges below a position.
  mutating func remove(below position: UInt64) { ranges.removeFirst(firstIndex(endingAbove: position)) }

  mutating func removeFirst() { ranges.removeFirst() }

  /// What is below a position of the first range has been repeated.
  mutating func trimFirst(to position: UInt64) { ranges[0] = position..<ranges[0].upperBound }

  private func firstIndex(endingAbove position: UInt64) -> Int {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound <= position { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
