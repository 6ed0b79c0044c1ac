import GlueCore

/// How the messages of a publication are carried.
public struct TopicSettings: Hashable, Sendable {
  /// Whether lost messages are repeated. Default: ``Reliability/reliable``.
  public var reliability: Reliability
  /// What `publish` does when the slowest reliable reader is too far behind. Default: wait at most 100 ms for it.
  public var whenFull: WhenFull
  /// What is kept for subscribers that come later or were away, by the publisher and by everybody who receives the topic.
  /// Default: messages that have an expiry, until then. Of best-effort topics nothing is kept.
  public var history: HistoryPolicy

  /// Settings, by default those of a topic nobody said anything about.
  public init(
    reliability: Reliability = .reliable, whenFull: WhenFull = .block(), history: HistoryPolicy = .untilExpiry
  ) {
    self.reliability = reliability
    self.whenFull = whenFull
    self.history = history
  }

  /// What happens to a message for which there is no room, because the slowest reliable reader has not got what is there.
  public enum WhenFull: Hashable, Sendable {
    /// `publish` waits until there is room, but no longer than this; then the lagging reader loses its oldest messages,
    /// which it is told. A longer time holds up this topic's publisher more, a shorter one loses more.
    case block(timeout: Duration = .milliseconds(100))
    /// The lagging reader loses its oldest messages at once, which it is told.
    case dropOldest
    /// The lagging reader loses everything but the new message, which it is told. For readings of which only the last
    /// counts.
    case latest
  }
}

/// What a subscription's queue does when messages arrive faster than the program takes them.
public enum Buffering: Hashable, Sendable {
  /// Holds the publishers back: nothing is lost as long as they can wait. The queue takes this many bytes, and beyond
  /// them one transport window (``TransportConfiguration/streamWindowBytes``) of each publisher. Who publishes best effort
  /// cannot be held back: what exceeds the bytes is dropped and reported as ``Event/loss(_:)``. So is what exceeds them for a
  /// stuck callback, where other subscriptions of the endpoint get the same messages: they would stop as well.
  case block(bytes: Int = 1 << 20)
  /// Drops the oldest messages beyond this number and reports them as ``Event/loss(_:)``.
  case dropOldest(messages: Int)
  /// Keeps the newest message only and reports the others as ``Event/loss(_:)``.
  case latest

  /// The default: ``block(bytes:)`` with 1 MiB.
  public static var `default`: Buffering { .block() }
}
