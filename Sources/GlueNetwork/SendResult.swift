/// What became of a ``SendBatch``.
///
/// Errors of datagrams are data, not thrown: whoever sends datagrams expects losses, and goes on with the others.
public struct SendResult: Hashable, Sendable {
  /// A datagram that was refused.
  public struct Failure: Hashable, Sendable {
    /// Its index in the batch.
    public let datagram: Int
    /// What the system said. ``SystemErrorCode/messageTooLarge`` means that smaller ones may pass.
    public let code: SystemErrorCode
  }

  /// How many datagrams the system took.
  public internal(set) var sentCount = 0
  /// The index of the first datagram that was not tried, because the socket's buffer was full or the deadline had passed; behind the
  /// last one if all were. With a full buffer go on from here when the socket is writable, see
  /// ``Poller/setWatchesWritability(_:of:)``.
  public internal(set) var nextIndex: Int
  /// Whether the socket's buffer was full.
  public internal(set) var isBlocked = false
  /// Whether ``SendBatch/deadline`` had passed.
  public internal(set) var isOverdue = false
  /// The datagrams that were refused, in order. Empty, without an allocation, when all is well.
  public internal(set) var failures: [Failure] = []

  init(startingAt index: Int) { nextIndex = index }
}
