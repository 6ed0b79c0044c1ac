import Foundation

/// What the subscribers of the demo have received so far.
struct DemoBoard {
  private struct Row {
    var tally = Tally()
    var ages: [Double] = []
    var lastSequence: UInt64?
  }

  /// What is needed of a line of `glue sub --json`.
  private struct Line: Decodable {
    struct Publisher: Decodable {
      var id: UInt64
      var incarnation: UInt64
    }
    var topic: String
    var publisher: Publisher
    var sequence: UInt64
    var size: Int
    var ageMilliseconds: Double
  }

  private var rows: [Row]
  private let expected: Int

  init(subscribers: Int, expected: Int) {
    rows = Array(repeating: Row(), count: subscribers)
    self.expected = expected
  }

  /// Enters a line of output of a subscriber.
  mutating func enter(_ text: String, subscriber: Int) {
    guard let line = try? JSONDecoder().decode(Line.self, from: Data(text.utf8)) else { return }
    rows[subscriber].tally.add(
      topic: line.topic, publisher: line.publisher.id, incarnation: line.publisher.incarnation,
      sequence: line.sequence, size: line.size)
    rows[subscriber].ages.append(line.ageMilliseconds)
    rows[subscriber].lastSequence = line.sequence
  }

  /// Whether every subscriber received every message.
  var isComplete: Bool { rows.allSatisfy { $0.tally.received >= expected } }

  /// Whether every subscriber received every message once.
  var isFaultless: Bool {
    rows.allSatisfy { $0.tally.received == expected && $0.tally.duplicates == 0 && $0.tally.lost == 0 }
  }

  /// A line per subscriber, with a bar.
  var liveLines: [String] {
    rows.enumerated().map { index, row in
      let width = 40
      let filled = min(width, row.tally.received * width / max(expected, 1))
      let bar = String(repeating: "█", count: filled) + String(repeating: "·", count: width - filled)
      let age = row.ages.last.map { Format.fixed($0, 2) + " ms" } ?? "-"
      return "subscriber-\(index + 1) \(bar) \(Format.right("\(row.tally.received)", 5)) received, age \(age)"
    }
  }

  /// All subscribers in one line.
  var shortLine: String {
    rows.enumerated().map { index, row in
      let age = row.ages.last.map { Format.fixed($0, 2) + " ms" } ?? "-"
      return "subscriber-\(index + 1): \(row.tally.received) received, age \(age)"
    }.joined(separator: " · ")
  }

  /// The final table. `published` is nil if the publisher did not get through: then the end of the stream is unknown.
  func summaryLines(published: Int?) -> [String] {
    var lines = ["", "subscriber      received    lost  duplicates  age p50 ms  age max ms"]
    for (index, row) in rows.enumerated() {
      let ages = Percentiles(row.ages)
      let lost = published.map { max(0, $0 - row.tally.received) } ?? row.tally.lost
      lines.append(
        Format.left("subscriber-\(index + 1)", 14) + Format.right("\(row.tally.received)", 10)
          + Format.right("\(lost)", 8) + Format.right("\(row.tally.duplicates)", 12)
          + Format.right(Format.fixed(ages.at(0.5), 2), 12) + Format.right(Format.fixed(ages.maximum, 2), 12))
    }
    if let published { lines.append("\(published) messages were published.") }
    return lines
  }
}
