/// What of a topic is kept for those who come later, by its publisher and by everybody who received it (docs/history.md).
public enum HistoryPolicy: Hashable, Sendable {
  /// Nothing: only what a subscriber that is there has not acknowledged yet.
  case none
  /// Messages that have an expiry, until then.
  case untilExpiry
  /// The last messages, as many as this; those that have an expiry no longer than that.
  case last(Int)
  /// The topic's last value, for ever: one of all publishers, the one with the highest time.
  case retained

  /// Whether anything is kept.
  var keepsSomething: Bool { self != .none && self != .last(0) }
}

/// What a subscription wants of what was published before it began.
public enum HistoryRequest: Hashable, Sendable {
  /// Nothing.
  case none
  /// The last messages of each stream, as many as this.
  case last(Int)
  /// The value of topics that retain their last one; of others nothing.
  case retained
  /// All that is left.
  case all

  /// Whether it wants anything of a topic with a policy.
  func wants(of policy: HistoryPolicy) -> Bool {
    switch self {
    case .none: false
    case .last(let count): count > 0
    case .retained: policy == .retained
    case .all: true
    }
  }
}

/// Where a stream comes from, where it is not its publisher who sends it (docs/protocol.md §8, attribute *origin*).
public struct StreamOrigin: Hashable, Sendable {
  /// The publisher.
  public var publisher: EndpointID
  /// Its life.
  public var incarnation: Incarnation
  /// Its name.
  public var name: String
  /// The number that it gave the stream.
  public var number: UInt64

  /// All fields.
  public init(publisher: EndpointID, incarnation: Incarnation, name: String, number: UInt64) {
    self.publisher = publisher
    self.incarnation = incarnation
    self.name = name
    self.number = number
  }
}

/// Names a stream in 64 bits, the same on every endpoint (docs/protocol.md §7.1).
public struct StreamHash: RawRepresentable, Hashable, Comparable, Sendable {
  /// The bits.
  public let rawValue: UInt64
  /// Wraps bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The hash of a publisher, its life, and its number for the stream: SipHash-2-4 with a key of zeros. It is no secret, and
  /// need not withstand anybody: whoever could make two streams that share one could as well say that he holds what he does not.
  public init(publisher: EndpointID, incarnation: Incarnation, number: UInt64) {
    rawValue = SipHash.hash(publisher.rawValue, incarnation.rawValue, number, key: (0, 0))
  }

  /// Orders by the bits.
  public static func < (one: StreamHash, other: StreamHash) -> Bool { one.rawValue < other.rawValue }
}

/// What an endpoint holds of a stream for those who come later.
public struct HeldMessages: Hashable, Sendable {
  /// The lowest sequence number among them.
  public var first: UInt64
  /// One above the highest; at least `first`. Some of what lies between may be missing.
  public var end: UInt64
  /// Bytes of their payloads and attributes, and some ten for each 456 of these.
  public var bytes: UInt64
  /// How many there are at most.
  public var count: UInt64 { end - first }

  /// All fields.
  public init(first: UInt64, end: UInt64, bytes: UInt64) {
    self.first = first
    self.end = end
    self.bytes = bytes
  }
}

/// What was published of a stream so far.
public struct PublishedMessages: Hashable, Sendable {
  /// How many messages: the sequence number that the next one gets.
  public var messages: UInt64
  /// Bytes of their payloads and attributes.
  public var bytes: UInt64

  /// All fields.
  public init(messages: UInt64, bytes: UInt64) {
    self.messages = messages
    self.bytes = bytes
  }
}
