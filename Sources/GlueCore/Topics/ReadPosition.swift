/// How far somebody has read: of each stream, the number of the next message. Saved, and given to a subscription at the next start,
/// it has it go on there (docs/history.md).
///
///     var position = saved ?? ReadPosition()
///     for await message in try endpoint.subscribe(to: "orders/#", from: position) {
///       handle(message)
///       position.advance(past: message)
///       save(position)
///     }
///
/// It is `Codable`; in JSON a stream takes some 100 bytes. It belongs to the filter that it was made with: of streams that it does not
/// name a subscription gets all that is left.
public struct ReadPosition: Sendable {
  /// As many streams are remembered, as many as an endpoint remembers by default (`rememberedStreams`). A publisher makes new ones
  /// with each start; beyond this, those go that were not read for longest, a sixteenth of all at once so that the search is seldom.
  public static let maximumStreams = 65_536

  struct Entry: Sendable {
    var publisher: EndpointID
    var incarnation: Incarnation
    var number: UInt64
    /// The lowest sequence number that was not read.
    var next: UInt64
    /// When it was last read, counted in messages.
    var turn: UInt64
  }

  private(set) var entries: [StreamHash: Entry] = [:]
  private var turn: UInt64 = 0

  /// Nothing was read.
  public init() {}

  /// Whether nothing was read.
  public var isEmpty: Bool { entries.isEmpty }

  /// Takes note that a message was read, and so everything before it in its stream. One that comes before what was read changes nothing.
  public mutating func advance(past sequence: UInt64, of stream: StreamInfo) {
    guard !stream.isDirect, sequence < .max else { return }
    turn += 1
    if entries[stream.hash] == nil, entries.count >= Self.maximumStreams { forgetOldest() }
    let next = max(sequence + 1, entries[stream.hash]?.next ?? 0)
    entries[stream.hash] = Entry(
      publisher: stream.publisher, incarnation: stream.incarnation, number: stream.number, next: next, turn: turn)
  }

  private mutating func forgetOldest() {
    let oldest = entries.sorted { $0.value.turn < $1.value.turn }
    for (hash, _) in oldest.prefix(Self.maximumStreams / 16) { entries[hash] = nil }
  }

  /// The lowest sequence number of a stream that was not read; nil if nothing of it was.
  func next(of stream: StreamHash) -> UInt64? { entries[stream]?.next }

  /// What was read of the streams of a publisher's life, in a stable order.
  func streams(of publisher: EndpointID, _ incarnation: Incarnation) -> [StreamHash] {
    entries.filter { $0.value.publisher == publisher && $0.value.incarnation == incarnation }.keys.sorted()
  }
}

extension ReadPosition: Hashable {
  /// Whether the same was read, in whatever order.
  public static func == (one: ReadPosition, other: ReadPosition) -> Bool {
    one.entries.count == other.entries.count
      && one.entries.allSatisfy { hash, entry in other.entries[hash]?.next == entry.next }
  }

  /// Feeds the hash.
  public func hash(into hasher: inout Hasher) { hasher.combine(entries.mapValues(\.next)) }
}

extension ReadPosition: Codable {
  private struct Stream: Codable {
    var publisher: UInt64
    var incarnation: UInt64
    var stream: UInt64
    var next: UInt64
  }

  private enum CodingKeys: CodingKey { case streams }

  /// Reads what ``encode(to:)`` wrote.
  ///
  /// - Throws: `DecodingError` if it is something else, or names a stream that cannot be.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    for stream in try container.decode([Stream].self, forKey: .streams).suffix(Self.maximumStreams) {
      guard stream.publisher != 0, stream.incarnation != 0, stream.next <= WireLimits.position else {
        throw DecodingError.dataCorruptedError(
          forKey: .streams, in: container,
          debugDescription: "publisher and incarnation are not 0, and next is at most \(WireLimits.position)")
      }
      turn += 1
      let publisher = EndpointID(rawValue: stream.publisher)
      let incarnation = Incarnation(rawValue: stream.incarnation)
      let hash = StreamHash(publisher: publisher, incarnation: incarnation, number: stream.stream)
      entries[hash] = Entry(
        publisher: publisher, incarnation: incarnation, number: stream.stream, next: stream.next, turn: turn)
    }
  }

  /// Writes the streams, those that were read last at the end.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    let streams = entries.values.sorted { $0.turn < $1.turn }.map {
      Stream(
        publisher: $0.publisher.rawValue, incarnation: $0.incarnation.rawValue, stream: $0.number, next: $0.next)
    }
    try container.encode(streams, forKey: .streams)
  }
}
