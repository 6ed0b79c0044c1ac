/// The limits of the core that can be reached, each named as the field of a configuration that sets it (docs/limits.md).
public enum Limit: Int, CaseIterable, Sendable {
  // ``DiscoveryLimits``.
  case peers, handshakes, pendingChallenges, repliesPerSecond, replySources, challengesPerSecond, introductionsPerSecond
  case routes, resetsPerSecond, strangersPerSecond, queuedReplies
  // ``TransportConfiguration``.
  case streamWindowBytes, reassemblyBytes, reorderBytes, sendBufferBytes, maximumGaps, relayQueueBytes
  // ``TopicsConfiguration``.
  case maximumMessageBytes, nameBytes, streamsPerPeer, subscriptionsPerPeer, controlBytes, mismatchesPerSecond
  case localTopics, historyBytes, rememberedStreams, holdingsPerPeer, requestsPerSecond, inquiryAnswers

  /// The field's name; events, counters and the log use it.
  public var name: String { "\(self)" }
  /// The name of the counter that tells how often it was reached.
  public var counterName: String { "limit.\(name)" }
}

/// Counts how often each limit was reached, and says when to tell. The one place that limits the rate of such reports: whoever
/// reaches a limit on purpose does so with every datagram.
package struct LimitTally<Limit: CaseIterable & RawRepresentable<Int> & Sendable>: Sendable {
  /// The shortest time between two reports of one limit.
  private static var reportSpacing: Nanoseconds { .seconds(1) }

  private var counts = [UInt64](repeating: 0, count: Limit.allCases.count)
  private var reportedAt = [Timestamp?](repeating: nil, count: Limit.allCases.count)

  /// Nothing reached yet.
  package init() {}

  /// How often a limit was reached.
  package subscript(limit: Limit) -> UInt64 { counts[limit.rawValue] }

  /// Counts one more time. Gives how often it was so far if that is to be told now.
  package mutating func reach(_ limit: Limit, at now: Timestamp) -> UInt64? {
    let index = limit.rawValue
    counts[index] += 1
    if let reported = reportedAt[index], now < reported + Self.reportSpacing { return nil }
    reportedAt[index] = now
    return counts[index]
  }
}
