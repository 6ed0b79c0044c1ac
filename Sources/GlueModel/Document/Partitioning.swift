extension RandomAccessCollection where Index == Int {
  /// The first index at which the condition holds, by bisection: it holds for all that follow, and for none before.
  func partitioningIndex(where holds: (Element) -> Bool) -> Int {
    var low = startIndex
    var high = endIndex
    while low < high {
      let middle = low + (high - low) / 2
      if holds(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
