/// Smoothed round trip and its variation, after RFC 6298, plus the least seen recently as a base for queueing delay.
struct RoundTripEstimator {
  private(set) var smoothed: Nanoseconds
  private(set) var variation: Nanoseconds
  private(set) var hasSample = false
  /// The least round trip of the current and the previous window: a base that follows a route that became longer.
  private var windowMinimum: (current: UInt64, previous: UInt64) = (.max, .max)
  private var windowStart = Timestamp(nanoseconds: 0)

  /// How long a least round trip counts at least; as in BBR (draft-ietf-ccwg-bbr, 10 s).
  static let minimumWindow = Nanoseconds.seconds(10)

  init(initial: Nanoseconds) {
    smoothed = initial
    variation = Nanoseconds(initial.count / 2)
  }

  var minimum: Nanoseconds {
    let least = min(windowMinimum.current, windowMinimum.previous)
    return least == .max ? smoothed : Nanoseconds(least)
  }

  /// How much longer than the base the smoothed round trip is, beyond what round trips vary anyway: paths of different length
  /// are no queue.
  var queueing: Nanoseconds {
    let least = minimum.count + variation.count * 2
    return Nanoseconds(smoothed.count > least ? smoothed.count - least : 0)
  }

  mutating func add(_ sample: Nanoseconds, at now: Timestamp) {
    if now.since(windowStart) > Self.minimumWindow {
      windowMinimum = (.max, windowMinimum.current)
      windowStart = now
    }
    windowMinimum.current = min(windowMinimum.current, sample.count)
    guard hasSample else {
      hasSample = true
      smoothed = sample
      variation = Nanoseconds(sample.count / 2)
      return
    }
    let error = smoothed.count > sample.count ? smoothed.count - sample.count : sample.count - smoothed.count
    variation = Nanoseconds(variation.count - variation.count / 4 + error / 4)
    smoothed = Nanoseconds(smoothed.count - smoothed.count / 8 + sample.count / 8)
  }

  /// When to ask after unanswered data: smoothed + 4 × variation + the receiver's delay (docs/protocol.md §6.4).
  func probeTimeout(acknowledgementDelay: Nanoseconds) -> Nanoseconds {
    hasSample ? smoothed + variation * 4 + acknowledgementDelay : smoothed
  }
}
