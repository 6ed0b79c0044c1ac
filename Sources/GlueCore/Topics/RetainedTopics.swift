/// What a message on a topic that retains its last value says of itself (docs/protocol.md §8, attribute *retained*).
public struct RetainedMark: Hashable, Sendable {
  /// Microseconds since 1970 by the publisher's wall clock, or one more than the highest time that it knew of the topic: whichever is more.
  public var time: UInt64
  /// Whether the topic has no value from here on.
  public var isCleared: Bool

  /// All fields.
  public init(time: UInt64, isCleared: Bool = false) {
    self.time = time
    self.isCleared = isCleared
  }
}

extension Attributes {
  /// Those of a message that clears its topic. It needs no payload; its time and its lifetime are set when it is published.
  public static var clearing: Attributes {
    var attributes = Attributes()
    attributes.retained = RetainedMark(time: 0, isCleared: true)
    return attributes
  }
}

/// The place of a value among all values of its topic, whoever published them: the highest is the one that the topic retains.
package struct RetainedStamp: Hashable, Comparable, Sendable {
  package var time: UInt64
  package var publisher: EndpointID
  /// Tells apart what two lives of a publisher with a wrong clock have given the same time.
  package var incarnation: Incarnation

  /// All fields.
  package init(time: UInt64, publisher: EndpointID, incarnation: Incarnation) {
    self.time = time
    self.publisher = publisher
    self.incarnation = incarnation
  }

  /// Orders by time, then by publisher, then by life.
  package static func < (one: Self, other: Self) -> Bool {
    (one.time, one.publisher, one.incarnation) < (other.time, other.publisher, other.incarnation)
  }
}

/// A value of a topic, without its bytes.
struct RetainedValue {
  var stamp: RetainedStamp
  var isCleared: Bool
  /// Where it is.
  var stream: StreamHash
  var sequence: UInt64

  init(_ mark: RetainedMark?, of stream: StreamInfo, sequence: UInt64) {
    // One without a valid mark is lower than all others.
    stamp = RetainedStamp(time: mark?.time ?? 0, publisher: stream.publisher, incarnation: stream.incarnation)
    isCleared = mark?.isCleared ?? false
    self.stream = stream.hash
    self.sequence = sequence
  }

  /// A value that has arrived.
  ///
  /// - Throws: if the message's attributes are not valid.
  init(_ message: ArrivedMessage, of stream: StreamInfo) throws(WireError) {
    var reader = WireReader(message.body)
    let mark = message.hasAttributes ? try Attributes(from: &reader).retained : nil
    self.init(mark, of: stream, sequence: message.sequence)
  }

  /// A value that was stored.
  init(_ message: StoredMessage, of stream: StreamInfo) {
    let mark = message.body.withUnsafeBytes { body in
      var reader = WireReader(body)
      return message.hasAttributes ? (try? Attributes(from: &reader))?.retained : nil
    }
    self.init(mark, of: stream, sequence: message.sequence)
  }
}

/// The highest value of a topic that this endpoint knows of, and who holds it here. All streams of the topic share it, the
/// endpoint's own among them: where a higher value turns up, whoever held the one before gives it up.
final class RetainedTopic {
  private(set) var value: RetainedValue?
  private weak var kept: KeptHistory?
  private weak var own: OutboundStream?
  private let key: TopicKey
  private weak var index: RetainedTopics?

  fileprivate init(_ key: TopicKey, in index: RetainedTopics) {
    self.key = key
    self.index = index
  }

  deinit { index?.remove(key) }

  /// Whether the topic has a value, as far as is known here.
  var hasValue: Bool { value.map { !$0.isCleared } ?? false }

  /// Whether a value is higher than all that are known.
  func admits(_ stamp: RetainedStamp) -> Bool { value.map { $0.stamp < stamp } ?? true }

  /// The time of a value that is published now.
  func nextTime(wallMicroseconds: UInt64) -> UInt64 {
    min(max(wallMicroseconds, value.map { $0.stamp.time + 1 } ?? 0), WireLimits.position)
  }

  /// A higher value has arrived.
  func raise(to value: RetainedValue, in kept: KeptHistory) {
    self.value = value
    own?.forgetHistory()
    own = nil
    // Or two that replaced each other in turn would wait for each other.
    kept.waitForNobody()
    if self.kept !== kept { self.kept?.giveUp(to: kept) }
    self.kept = kept
  }

  /// A higher value is published here.
  func raise(to value: RetainedValue, in own: OutboundStream) {
    self.value = value
    kept?.giveUp(to: nil)
    kept = nil
    if self.own !== own { self.own?.forgetHistory() }
    self.own = own
  }
}

/// The topics whose last value is retained, by name. A topic is known as long as this endpoint publishes it or remembers a stream of
/// it, so what is remembered is bounded as those are.
final class RetainedTopics {
  private struct Entry {
    weak var topic: RetainedTopic?
  }
  private var entries: [TopicKey: Entry] = [:]

  subscript(name: String) -> RetainedTopic? { entries[TopicKey(name)]?.topic }

  /// The topic of a name, known or new.
  func topic(named name: String) -> RetainedTopic {
    if let known = self[name] { return known }
    let topic = RetainedTopic(TopicKey(name), in: self)
    entries[TopicKey(name)] = Entry(topic: topic)
    return topic
  }

  fileprivate func remove(_ key: TopicKey) { entries[key] = nil }
}

/// Which peers have confirmed that they hold the newest value of a publication that anybody holds.
struct RetainedHolders {
  /// As many are counted: nobody waits for more.
  static let limit = 64

  private var sequence: UInt64 = 0
  private var peers: Set<EndpointID> = []

  /// Takes note that a peer holds a value. Returns whether that is news.
  mutating func note(_ sequence: UInt64, heldBy peer: EndpointID) -> Bool {
    if sequence > self.sequence {
      self.sequence = sequence
      peers = []
    }
    guard sequence == self.sequence, peers.count < Self.limit else { return false }
    return peers.insert(peer).inserted
  }

  /// How many of those that are there hold a value, or a later one of the same publication.
  func count(of sequence: UInt64, isThere: (EndpointID) -> Bool) -> Int {
    sequence <= self.sequence ? peers.count(where: isThere) : 0
  }
}
