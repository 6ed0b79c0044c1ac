/// The clock that drives an endpoint and its wall clock, at one moment: what tells the wall clock at others.
struct WallOrigin: Sendable {
  var now: Timestamp
  var microseconds: UInt64

  /// Microseconds since 1970. A wall clock that was set since then does not show here, nor in what the endpoint publishes.
  func microseconds(at now: Timestamp) -> UInt64 { microseconds &+ now.since(self.now).wholeMicroseconds }
}

extension Discovery {
  /// Takes the wall clock out of what a peer announced, and notes how far it is ahead of this endpoint's.
  mutating func takeWallClock(from attributes: Attributes, of slot: Int, at now: Timestamp) -> Attributes {
    guard let theirs = attributes.wallClock, let ours = wallOrigin?.microseconds(at: now) else {
      return attributes.withoutWallClock
    }
    // Any two clocks are less than half the range apart, or one of them means nothing.
    table[slot].info.clockLeadMicroseconds = Int64(truncatingIfNeeded: theirs &- ours)
    return attributes.withoutWallClock
  }
}

extension Attributes {
  /// What describes a peer, without what differs in each announcement.
  var withoutWallClock: Attributes {
    var rest = self
    rest.wallClock = nil
    return rest
  }
}
