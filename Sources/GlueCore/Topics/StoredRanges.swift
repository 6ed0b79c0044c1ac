/// Sequence numbers of messages that are stored, as ranges that do not touch, ascending. Usually it is one; of very many the lowest
/// are forgotten.
struct StoredRanges: Equatable {
  /// As many ranges are kept: holes are rare, and what is asked is asked of recent messages.
  static let limit = 64

  private(set) var ranges: [Range<UInt64>] = []

  /// Adds a range.
  mutating func insert(_ range: Range<UInt64>) {
    guard !range.isEmpty else { return }
    var merged = range
    var index = ranges.count
    while index > 0, ranges[index - 1].upperBound >= merged.lowerBound {
      index -= 1
      guard ranges[index].lowerBound <= merged.upperBound else { continue }
      let old = ranges.remove(at: index)
      merged = min(old.lowerBound, merged.lowerBound)..<max(old.upperBound, merged.upperBound)
    }
    ranges.insert(merged, at: index)
    if ranges.count > Self.limit { ranges.removeFirst() }
  }

  /// Forgets what is below a number.
  mutating func remove(below sequence: UInt64) {
    while let first = ranges.first, first.lowerBound < sequence {
      if first.upperBound > sequence {
        ranges[0] = sequence..<first.upperBound
      } else {
        ranges.removeFirst()
      }
    }
  }

  /// Whether all of a range is stored.
  func contains(_ range: Range<UInt64>) -> Bool {
    range.isEmpty || ranges.contains { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }
  }
}

/// Which stores have what of a publication, as they have told.
struct StoredCopies {
  /// As many stores are remembered per publication; of more the one that was told of first is forgotten.
  static let storeLimit = 64

  private var stores: [(id: StoreID, ranges: StoredRanges)] = []

  /// Takes note of what a store has.
  mutating func note(_ range: Range<UInt64>, in store: StoreID) {
    if let index = stores.firstIndex(where: { $0.id == store }) { return stores[index].ranges.insert(range) }
    if stores.count >= Self.storeLimit { stores.removeFirst() }
    var ranges = StoredRanges()
    ranges.insert(range)
    stores.append((store, ranges))
  }

  /// How many stores have all of a range.
  func count(of range: Range<UInt64>) -> Int { stores.count { $0.ranges.contains(range) } }
}
