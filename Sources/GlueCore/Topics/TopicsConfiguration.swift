/// Limits of the topic layer. Every value has its reason beside it.
public struct TopicsConfiguration: Sendable {
  /// Largest message in bytes, attributes included. It bounds what one peer can make a receiver hold.
  public var maximumMessageBytes: Int = 16 << 20
  /// Longest topic name, filter and type in bytes, this endpoint's own and those of peers. At most 256, since others refuse
  /// what is longer. Smaller bounds what the names of a peer's topics and subscriptions take.
  public var nameBytes: Int = WireLimits.nameBytes
  /// Streams one peer may open towards this endpoint.
  public var streamsPerPeer: Int = 1_024
  /// Subscriptions one peer may have with this endpoint.
  public var subscriptionsPerPeer: Int = 1_024
  /// Bytes of subscriptions, openings and refusals that a peer has not acknowledged, from which on its further subscriptions
  /// are refused; from twice as many on without a word. The default has room for the openings of 50,000 topics.
  public var controlBytes: Int = 4 << 20
  /// Type mismatches that one peer may cause per second, each an event and a message to it; and ten times as many in a burst.
  /// A subscription of `#` with a type meets all topics of other types at once; beyond the burst they are only counted.
  public var mismatchesPerSecond: Int = 1_000
  /// Publications and subscriptions this endpoint may have itself, each.
  public var localTopics: Int = 65_536
  /// Bytes of messages of others that are kept for those who come later, in all topics together. Larger keeps more for longer,
  /// up to what the publishers' settings and the messages' expiry ask for.
  public var historyBytes: Int = 64 << 20
  /// How long a subscription waits for messages that nobody is known to hold, before they are lost for good: a publisher that
  /// vanished may come back, or somebody turn up who has them. What came after them waits as long.
  public var gapTimeout: Nanoseconds = .seconds(5)
  /// Streams of others of which it is remembered what was delivered. Beyond it the oldest that nobody sends are forgotten: what
  /// others still hold of them may be delivered again.
  public var rememberedStreams: Int = 65_536
  /// Streams of which it is noted what one peer has of them. What goes beyond is not asked of that peer.
  public var holdingsPerPeer: Int = 65_536
  /// Requests for history that one peer may make per second; and ten times as many in a burst.
  public var requestsPerSecond: Int = 1_000

  /// The defaults.
  public init() {}
}

extension TopicsConfiguration: BoundedSettings {
  package static var bounds: [SettingBounds<TopicsConfiguration>] {
    [
      SettingBounds("maximumMessageBytes", \.maximumMessageBytes, 1...1 << 30),
      SettingBounds("nameBytes", \.nameBytes, 1...WireLimits.nameBytes),
      SettingBounds("streamsPerPeer", \.streamsPerPeer, 1...1_000_000),
      SettingBounds("subscriptionsPerPeer", \.subscriptionsPerPeer, 1...1_000_000),
      SettingBounds("controlBytes", \.controlBytes, 65_536...1 << 30),
      SettingBounds("mismatchesPerSecond", \.mismatchesPerSecond, 1...1_000_000),
      SettingBounds("localTopics", \.localTopics, 1...1_000_000),
      SettingBounds("historyBytes", \.historyBytes, 0...1 << 36),
      SettingBounds("gapTimeout", \.gapTimeout, .zero ... .seconds(3_600)),
      SettingBounds("rememberedStreams", \.rememberedStreams, 1...10_000_000),
      SettingBounds("holdingsPerPeer", \.holdingsPerPeer, 1...10_000_000),
      SettingBounds("requestsPerSecond", \.requestsPerSecond, 1...1_000_000),
    ]
  }
}
