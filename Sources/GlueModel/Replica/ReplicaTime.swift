import GlueCore

/// The time that is passed into a replica with every input: it has no clock of its own.
public struct ReplicaTime: Hashable, Sendable {
  /// For waiting: monotonic, cannot be set.
  public var now: Timestamp
  /// For dating writes: what the host takes for the time, in microseconds since 1970. May be wrong by any amount, and jump.
  public var wallMicroseconds: UInt64

  /// Both readings, taken at the same moment.
  public init(now: Timestamp, wallMicroseconds: UInt64) {
    self.now = now
    self.wallMicroseconds = wallMicroseconds
  }
}
