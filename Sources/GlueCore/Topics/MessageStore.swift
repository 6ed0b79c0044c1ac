/// Where an endpoint writes what it keeps of others, so that it outlives the endpoint. `GlueStore` has one on disk.
///
/// The endpoint loads it once, before it does anything else, and then writes one batch after the other, from one thread.
public protocol MessageStore: Sendable {
  /// Names what is stored, for publishers: the same as long as the contents are.
  var id: StoreID { get }
  /// Everything that is stored and lives, dated by the endpoint's clock.
  func load() throws -> StoredContents
  /// Makes all writes of a batch, or none if it throws. When it returns, they survive the loss of power.
  func write(_ batch: StoreBatch) throws
}

/// Names a store in 64 random bits, which it has from its making on. A publisher counts different ones: a store whose endpoint has
/// restarted, under whatever ID, is no second one.
public struct StoreID: RawRepresentable, Hashable, Comparable, Sendable {
  /// The bits.
  public let rawValue: UInt64
  /// Wraps bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// No store: the memory of the endpoint that speaks (docs/protocol.md §7.1, STORED).
  static let memory = StoreID(rawValue: 0)
  /// Orders by the bits.
  public static func < (one: StoreID, other: StoreID) -> Bool { one.rawValue < other.rawValue }
}

/// What a store holds, as it was found when it was loaded.
public struct StoredContents: Hashable, Sendable {
  /// All streams, in no order that means anything; those of which no message is left too.
  public var streams: [LoadedStream] = []
  /// How many messages had expired and were deleted.
  public var expired = 0
  /// Messages with an expiry whose age can no longer be told, because the wall clock was set back across a boot. They were deleted.
  public var undatable: [UndatableMessages] = []

  /// Nothing.
  public init() {}
}

/// A stream and its messages.
public struct LoadedStream: Hashable, Sendable {
  /// The stream.
  public var stream: StoredStream
  /// Its messages, in ascending order of their numbers.
  public var messages: [LoadedMessage]

  /// All fields.
  public init(stream: StoredStream, messages: [LoadedMessage]) {
    self.stream = stream
    self.messages = messages
  }
}

/// A message that was stored, dated by the clock of the current boot.
public struct LoadedMessage: Hashable, Sendable {
  /// The message. Its `publishedAt` is translated to the current boot's clock, and 0 if it was published before the boot.
  public var message: StoredMessage
  /// When it expires; nil if it has no expiry. Right also for a message that was published before the boot, other than
  /// `publishedAt` and the lifetime would tell.
  public var expiresAt: Timestamp?

  /// All fields.
  public init(message: StoredMessage, expiresAt: Timestamp?) {
    self.message = message
    self.expiresAt = expiresAt
  }
}

/// Messages of one stream that were deleted because their age could not be told.
public struct UndatableMessages: Hashable, Sendable {
  /// The stream's topic.
  public var topic: String
  /// Its publisher.
  public var publisher: EndpointID
  /// How many there were.
  public var count: Int

  /// All fields.
  public init(topic: String, publisher: EndpointID, count: Int) {
    self.topic = topic
    self.publisher = publisher
    self.count = count
  }
}
