import DequeModule

/// What arrived of a stream ahead of its turn: copies of DATA bodies, and gaps, sorted by position. They may overlap;
/// whoever drains them skips what it has had.
struct ReorderBuffer {
  /// A run of positions.
  struct Run {
    var range: Range<UInt64>
    var content: Content
  }
  enum Content {
    /// Units, with the fields of their DATA frame and when it arrived.
    case units(PayloadBuffer, DataHeader, receivedAt: Timestamp)
    /// Positions that will not come; `nextSequence` is the number of the message behind them.
    case gap(Gap.Reason, nextSequence: UInt64)
  }

  /// Bytes a run is charged beyond its units, for its bookkeeping.
  static let runOverhead = 128

  private var runs = Deque<Run>()
  private(set) var byteCount = 0

  var isEmpty: Bool { runs.isEmpty }
  var count: Int { runs.count }
  var first: Run? { runs.first }
  var last: Run? { runs.last }

  mutating func insert(_ run: Run) {
    byteCount += Self.cost(of: run)
    guard let last = runs.last, run.range.lowerBound < last.range.lowerBound else {
      runs.append(run)
      return
    }
    var low = 0
    var high = runs.count
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].range.lowerBound <= run.range.lowerBound { low = middle + 1 } else { high = middle }
    }
    runs.insert(run, at: low)
  }

  mutating func removeFirst() -> Run {
    let run = runs.removeFirst()
    byteCount -= Self.cost(of: run)
    return run
  }

  mutating func removeLast() { byteCount -= Self.cost(of: runs.removeLast()) }

  private static func cost(of run: Run) -> Int {
    switch run.content {
    case .units(let buffer, _, _): buffer.count + runOverhead
    case .gap: runOverhead
    }
  }
}
