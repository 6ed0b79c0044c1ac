/// What a cache writes down, in the order in which it happened. The core says what is to be written; whoever drives it writes, and
/// says when it is safe (docs/history.md).
public struct StoreBatch: Sendable {
  /// The batch's number, from 1, one after the other.
  public var number: UInt64
  /// The writes, to be made all or none.
  public var writes: [StoreWrite]

  /// All fields.
  public init(number: UInt64, writes: [StoreWrite]) {
    self.number = number
    self.writes = writes
  }
}

/// One change of what is stored.
public enum StoreWrite: Sendable {
  /// A stream begins. Told before the first message of a stream, once in the life of an endpoint; it may be stored already.
  case stream(StoredStream)
  /// A message of a stream is added. The numbers of one stream ascend, not always by one.
  case message(StoredMessage, of: StreamHash)
  /// Messages of a stream below a sequence number are let go.
  case forget(StreamHash, below: UInt64)
  /// Everything of a stream is let go.
  case forgetStream(StreamHash)
}

/// The unchanging facts about a stored stream.
public struct StoredStream: Hashable, Sendable {
  /// The publisher, its life, its name, and its number for the stream.
  public var origin: StreamOrigin
  /// The topic.
  public var topic: String
  /// The topic's type, if it has one.
  public var type: String?
  /// Wall clock of the stream's time zero, microseconds since 1970.
  public var epochMicroseconds: UInt64
  /// What the publisher wants to be kept.
  public var history: HistoryPolicy

  /// All fields.
  public init(origin: StreamOrigin, topic: String, type: String?, epochMicroseconds: UInt64, history: HistoryPolicy) {
    self.origin = origin
    self.topic = topic
    self.type = type
    self.epochMicroseconds = epochMicroseconds
    self.history = history
  }

  /// The stream's name in 64 bits.
  public var hash: StreamHash {
    StreamHash(publisher: origin.publisher, incarnation: origin.incarnation, number: origin.number)
  }
}

/// A stored message.
public struct StoredMessage: Hashable, Sendable {
  /// Its number in the stream.
  public var sequence: UInt64
  /// The position of its first unit (docs/protocol.md §6.1).
  public var position: UInt64
  /// Publication, in microseconds after the stream's epoch.
  public var timeMicroseconds: UInt64
  /// Microseconds from publication to expiry; nil without one.
  public var lifetimeMicroseconds: UInt64?
  /// Publication on the local clock, which counts sleep and starts anew with each boot. Before the clock's origin it is 0.
  public var publishedAt: Timestamp
  /// Whether the body begins with attributes.
  public var hasAttributes: Bool
  /// Attributes and payload.
  public var body: [UInt8]

  /// All fields.
  public init(
    sequence: UInt64, position: UInt64, timeMicroseconds: UInt64, lifetimeMicroseconds: UInt64?, publishedAt: Timestamp,
    hasAttributes: Bool, body: [UInt8]
  ) {
    self.sequence = sequence
    self.position = position
    self.timeMicroseconds = timeMicroseconds
    self.lifetimeMicroseconds = lifetimeMicroseconds
    self.publishedAt = publishedAt
    self.hasAttributes = hasAttributes
    self.body = body
  }
}
