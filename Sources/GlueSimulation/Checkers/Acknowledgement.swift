/// An acknowledged publication reached every matched reliable reader, or the reader's loss of it was reported.
package struct Acknowledgement {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Awaited {
    var sequence: UInt64
    var position: UInt64
    var readers: [Life]
  }
  private var awaited: [StreamKey: [Awaited]] = [:]
  private var reports: [(stream: StreamKey, below: UInt64)] = []

  /// Nothing published yet.
  package init() {}

  /// A message was admitted, ends below the position, and has these reliable readers.
  package mutating func published(_ stream: StreamKey, sequence: UInt64, position: UInt64, readers: [Life]) {
    awaited[stream, default: []].append(Awaited(sequence: sequence, position: position, readers: readers))
  }

  /// The publisher says that everything below the position is acknowledged. Judged at the turn's end, since what excuses a
  /// reader may be told in the same turn.
  package mutating func acknowledged(_ stream: StreamKey, below position: UInt64) {
    reports.append((stream, position))
  }

  /// The turn is over. A message may have reached a reader's endpoint and wait there for one before it.
  package mutating func endOfTurn(
    _ ledger: DeliveryLedger, isWaiting: (StreamKey, UInt64, Life) -> Bool = { _, _, _ in false }
  ) -> String? {
    guard !reports.isEmpty else { return nil }
    defer { reports.removeAll(keepingCapacity: true) }
    for report in reports {
      guard var waiting = awaited[report.stream] else { continue }
      let done = waiting.prefix { $0.position <= report.below }
      waiting.removeFirst(done.count)
      awaited[report.stream] = waiting
      for message in done {
        checks += 1
        for reader in message.readers
        where ledger.owes(report.stream, sequence: message.sequence, to: reader)
          && !isWaiting(report.stream, message.sequence, reader)
        {
          return "life \(report.stream.publisher) calls \(message.sequence) on topic \(report.stream.topic) "
            + "acknowledged, which life \(reader) has not got"
        }
      }
    }
    return nil
  }
}
