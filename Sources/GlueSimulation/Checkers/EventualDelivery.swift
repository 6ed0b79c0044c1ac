import GlueCore

/// Reliable and connected means delivered, or reported as lost, within a bound after the network has become sound.
package struct EventualDelivery {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing owed.
  package init() {}

  /// An owed message arrived.
  package mutating func arrived() { checks += 1 }

  /// The bound is over. `publishedAt` tells when a message was admitted; those after `limit` still have time.
  package mutating func deadline(
    _ ledger: DeliveryLedger, publishedBefore limit: Timestamp, publishedAt: (StreamKey, UInt64) -> Timestamp?
  ) -> String? {
    checks += 1
    for edge in ledger.edges {
      let late = ledger.owed(on: edge).filter { publishedAt(edge.stream, $0).map { $0 < limit } ?? false }
      guard let first = late.first else { continue }
      return "\(late.count) messages from \(first) on of life \(edge.stream.publisher), topic \(edge.stream.topic), "
        + "have neither reached life \(edge.reader) nor been reported lost"
    }
    return nil
  }

  /// The bound for a message published in a sound network is over; `missing` are the lives that wanted it and have not
  /// got it.
  package mutating func probe(_ stream: StreamKey, missing: [Life], of wanting: Int) -> String? {
    checks += UInt64(wanting)
    guard let life = missing.first else { return nil }
    return
      "a message of life \(stream.publisher), topic \(stream.topic), published in a sound network, has not reached "
      + "life \(life)"
  }
}
