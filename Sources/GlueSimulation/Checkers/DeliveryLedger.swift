/// What has been sent to whom and has neither arrived, nor been reported lost, nor been excused by the end of a session or
/// subscription. Two invariants read it: ``EventualDelivery`` and ``Acknowledgement``.
package struct DeliveryLedger {
  /// A stream and one of its readers.
  package struct Edge: Hashable, Sendable {
    package var stream: StreamKey
    package var reader: Life
  }

  private var owed: [Edge: Set<UInt64>] = [:]
  private(set) var edges: [Edge] = []

  /// Nothing owed.
  package init() {}

  /// A message was admitted while these lives read the stream reliably.
  package mutating func published(_ stream: StreamKey, sequence: UInt64, readers: [Life]) {
    for reader in readers {
      let edge = Edge(stream: stream, reader: reader)
      if owed[edge] == nil { edges.append(edge) }
      owed[edge, default: []].insert(sequence)
    }
  }

  /// A message reached one of the reader's subscriptions. Returns whether it was owed.
  package mutating func arrived(_ stream: StreamKey, sequence: UInt64, at reader: Life) -> Bool {
    owed[Edge(stream: stream, reader: reader)]?.remove(sequence) != nil
  }

  /// Messages were reported lost to the reader.
  package mutating func lost(_ stream: StreamKey, _ range: Range<UInt64>, at reader: Life) {
    let edge = Edge(stream: stream, reader: reader)
    guard let numbers = owed[edge], !numbers.isEmpty else { return }
    owed[edge] = numbers.filter { !range.contains($0) }
  }

  /// The reader has no matching subscription any more.
  package mutating func unsubscribed(_ stream: StreamKey, reader: Life) {
    let edge = Edge(stream: stream, reader: reader)
    if owed[edge] != nil { owed[edge] = [] }
  }

  /// The two have no session any more, as one of them was told.
  package mutating func disconnected(_ a: Life, _ b: Life) {
    for edge in edges {
      guard edge.stream.publisher == a && edge.reader == b || edge.stream.publisher == b && edge.reader == a else {
        continue
      }
      owed[edge] = []
    }
  }

  /// The life is over.
  package mutating func ended(_ life: Life) {
    for edge in edges where edge.stream.publisher == life || edge.reader == life { owed[edge] = [] }
  }

  /// Whether the reader still has to get the message.
  package func owes(_ stream: StreamKey, sequence: UInt64, to reader: Life) -> Bool {
    owed[Edge(stream: stream, reader: reader)]?.contains(sequence) ?? false
  }

  /// What is owed on an edge, ascending.
  package func owed(on edge: Edge) -> [UInt64] { owed[edge, default: []].sorted() }
}
