/// Whom a received stream is for, and what it is asked for.
extension ReceivedStream {
  /// A subscription of this endpoint that gets the stream.
  struct Subscriber {
    var id: SubscriptionID
    var holdsBackPublisher: Bool
    /// What is below this is not for it, and no loss to it either: it was read in an earlier life, or is older than what the
    /// others go on with.
    var from: UInt64 = 0
    /// Whether it came later than the stream.
    var isLater = false
    /// See ``EndpointMachine/setStuck(_:_:)``.
    var isStuck = false
    /// Whether another one joined it here while it was stuck: until it has caught up it loses what it has no room for, and holds
    /// nobody back.
    var wasJoined = false
    /// When it was made.
    var began = Timestamp(nanoseconds: 0)
  }

  /// A request for a part of it that is under way.
  struct Fetch {
    /// The session of whom it was sent to.
    var session: UInt32
    var request: UInt64
    /// What was asked for.
    var from: UInt64
    var below: UInt64
  }

  /// Delivered bytes that subscribers who hold back the publisher have not used up yet.
  final class Backlog {
    @exclusivity(unchecked) var bytes = 0
  }
}
