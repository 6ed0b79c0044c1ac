import GlueCore

/// Dates writes: a hybrid logical clock (Kulkarni, Demirbas, Madeppa, Avva, Leone, "Logical Physical Clocks", OPODIS 2014) in
/// one number, microseconds since 1970. It follows the wall clock where that is right, and never falls behind a write that has been seen.
///
/// Two bounds keep one wrong clock from spoiling everybody's:
/// - A replica whose wall clock is ahead of most clocks it knows dates its writes by those.
/// - A time far beyond all reason does not raise the clock. The write that bears it is merged as it is, or replicas would diverge, and
///   a local write that has seen it replaces it all the same: that takes the removal of what was seen, not a higher time. Only a write that is *concurrent* with such a one loses to it.
struct HybridClock: Sendable {
  /// How much the clocks of two hosts may differ before it is called a skew.
  static let tolerance: Nanoseconds = .seconds(1)
  /// How far beyond the time that most clocks show a received time may lie and still raise the clock, in microseconds.
  static let credibleLead: UInt64 = 3_600_000_000
  /// A reading of a peer's clock gets less certain as it gets older: by one part in so many (100 ppm, twice a bad crystal).
  static let driftDivisor: UInt64 = 10_000

  /// The highest time given out or seen, as far as it was credible. What a store keeps.
  private(set) var last: UInt64
  /// What peers' wall clocks were ahead of this host's monotonic one, in microseconds, when they last said; in ascending order.
  private var readings: [(lead: Int64, peer: EndpointID, at: Timestamp)] = []

  /// A clock that goes on from where it was before.
  init(last: UInt64 = 0) { self.last = last }

  /// The time of the next write. Higher than any before, unless a clock that was wrong before has been put right since.
  mutating func next(at time: ReplicaTime) -> UInt64 {
    let wall = boundedWall(at: time)
    let floor = last == .max ? last : last + 1
    // A clock that once was far ahead of the truth is left behind as soon as that shows.
    last = floor <= horizon(at: time) ? max(wall, floor) : wall
    return last
  }

  /// A write has been seen with this time.
  mutating func observe(_ hybrid: UInt64, at time: ReplicaTime) {
    guard hybrid > last, hybrid <= horizon(at: time) else { return }
    last = hybrid
  }

  /// A peer has said what its wall clock shows. Returns by how many microseconds that is ahead of (or, negative, behind) this host's.
  @discardableResult
  mutating func learn(wall: UInt64, of peer: EndpointID, at time: ReplicaTime) -> Int64 {
    forget(peer)
    let lead = Self.lead(of: wall, at: time.now)
    let place = readings.firstIndex { ($0.lead, $0.peer) > (lead, peer) } ?? readings.endIndex
    readings.insert((lead, peer, time.now), at: place)
    return lead &- Self.lead(of: time.wallMicroseconds, at: time.now)
  }

  /// A peer has gone.
  mutating func forget(_ peer: EndpointID) { readings.removeAll { $0.peer == peer } }

  /// Whether a difference of two clocks, in microseconds, is a skew.
  static func isSkew(_ microseconds: Int64) -> Bool { microseconds.magnitude > tolerance.wholeMicroseconds }

  /// The wall clock; where it is ahead of the lower median of all clocks known, that.
  func boundedWall(at time: ReplicaTime) -> UInt64 {
    let (median, age) = lowerMedian(at: time)
    let tolerated = Self.tolerance.wholeMicroseconds + age.wholeMicroseconds / Self.driftDivisor
    return time.wallMicroseconds > median + tolerated ? median : min(time.wallMicroseconds, Self.latest)
  }

  /// The highest time that is still credible.
  private func horizon(at time: ReplicaTime) -> UInt64 {
    // Whoever is behind most others, in 1970 perhaps, believes them.
    max(boundedWall(at: time), lowerMedian(at: time).value) + Self.credibleLead
  }

  /// What the clock in the middle shows now, of two the lower; and how old that reading is.
  private func lowerMedian(at time: ReplicaTime) -> (value: UInt64, age: Nanoseconds) {
    let own = Self.lead(of: time.wallMicroseconds, at: time.now)
    let middle = readings.count / 2
    let below = readings.firstIndex { $0.lead >= own } ?? readings.endIndex
    if middle == below { return (min(time.wallMicroseconds, Self.latest), .zero) }
    let reading = readings[middle < below ? middle : middle - 1]
    let value = reading.lead + Int64(time.now.wholeMicroseconds)
    return (UInt64(max(0, min(value, Int64(Self.latest)))), time.now.since(reading.at))
  }

  /// What wall clocks can show: far enough from the ends of the integers that no sum of a few of them overflows.
  private static let latest: UInt64 = 1 << 60

  private static func lead(of wall: UInt64, at now: Timestamp) -> Int64 {
    Int64(min(wall, latest)) - Int64(now.wholeMicroseconds)
  }
}

extension Timestamp {
  /// Whole microseconds since the clock's origin; at most 2^54.
  fileprivate var wholeMicroseconds: UInt64 { nanoseconds / 1_000 }
}
