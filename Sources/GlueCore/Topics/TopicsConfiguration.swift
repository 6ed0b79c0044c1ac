/// Limits of the topic layer. Every value has its reason beside it.
public struct TopicsConfiguration: Sendable {
  /// Largest message in bytes, attributes included. It bounds what one peer can make a receiver hold.
  public var maximumMessageBytes: Int = 16 << 20
  /// Streams one peer may open towards this endpoint.
  public var streamsPerPeer: Int = 1_024
  /// Subscriptions one peer may have with this endpoint.
  public var subscriptionsPerPeer: Int = 1_024
  /// Publications and subscriptions this endpoint may have itself, each.
  public var localTopics: Int = 65_536

  /// The defaults.
  public init() {}
}
