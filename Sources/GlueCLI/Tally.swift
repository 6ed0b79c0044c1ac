/// Counts what arrived of one stream, from the sequence numbers alone: a check on the library, independent of what it
/// reports. What was published after the last message that arrived cannot be seen here.
struct StreamTally {
  private var first: UInt64
  private var end: UInt64
  /// Ranges not yet seen, ascending and disjoint.
  private var missing: [Range<UInt64>] = []

  /// Messages that arrived for the first time.
  private(set) var received = 1
  /// Messages that arrived again.
  private(set) var duplicates = 0
  /// Messages that arrived for the first time, after one with a higher number.
  private(set) var outOfOrder = 0

  /// Sequence numbers that did not arrive although a higher one did.
  /// Saturates: a publisher says what it numbered.
  var lost: Int { missing.reduce(0) { $0.addingReportingOverflow($1.count).overflow ? .max : $0 + $1.count } }

  /// Begins with the first message that arrived.
  init(first: UInt64) {
    self.first = first
    end = first + 1
  }

  /// Enters a further message.
  mutating func add(_ sequence: UInt64) {
    if sequence >= end {
      if sequence > end { missing.append(end..<sequence) }
      end = sequence + 1
      received += 1
    } else if sequence < first {
      if sequence + 1 < first { missing.insert(sequence + 1..<first, at: 0) }
      first = sequence
      received += 1
      outOfOrder += 1
    } else if let index = missing.firstIndex(where: { $0.contains(sequence) }) {
      let gap = missing[index]
      let parts = [gap.lowerBound..<sequence, sequence + 1..<gap.upperBound].filter { !$0.isEmpty }
      missing.replaceSubrange(index...index, with: parts)
      received += 1
      outOfOrder += 1
    } else {
      duplicates += 1
    }
  }
}

/// Counts what arrived on any number of streams; a stream is one publisher incarnation on one topic.
struct Tally {
  private struct StreamKey: Hashable {
    let topic: String
    let publisher: UInt64
    let incarnation: UInt64
  }

  private var streams: [StreamKey: StreamTally] = [:]

  /// Payload bytes of all messages.
  private(set) var bytes = 0

  /// Messages that arrived for the first time.
  var received: Int { streams.values.reduce(0) { $0 + $1.received } }
  /// Messages that arrived again.
  var duplicates: Int { streams.values.reduce(0) { $0 + $1.duplicates } }
  /// Messages that arrived for the first time, after one with a higher number.
  var outOfOrder: Int { streams.values.reduce(0) { $0 + $1.outOfOrder } }
  /// Sequence numbers that did not arrive although a higher one did.
  var lost: Int { streams.values.reduce(0) { $0.addingReportingOverflow($1.lost).overflow ? .max : $0 + $1.lost } }

  /// Enters one message.
  mutating func add(topic: String, publisher: UInt64, incarnation: UInt64, sequence: UInt64, size: Int) {
    bytes += size
    let key = StreamKey(topic: topic, publisher: publisher, incarnation: incarnation)
    if let index = streams.index(forKey: key) {
      streams.values[index].add(sequence)
    } else {
      streams[key] = StreamTally(first: sequence)
    }
  }
}

/// Keeps values to tell percentiles from.
struct Percentiles {
  private var values: [Double]

  /// Sorts the values.
  init(_ values: [Double]) { self.values = values.sorted() }

  /// The smallest value that at least `fraction` of all values do not exceed; 0 if there are none.
  func at(_ fraction: Double) -> Double {
    guard !values.isEmpty else { return 0 }
    let rank = Int((fraction * Double(values.count)).rounded(.up)) - 1
    return values[min(max(rank, 0), values.count - 1)]
  }

  /// The largest value; 0 if there are none.
  var maximum: Double { values.last ?? 0 }
}
