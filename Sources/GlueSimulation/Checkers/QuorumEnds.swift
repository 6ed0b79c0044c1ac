import GlueCore

/// What is asked of a quorum model ends within its time-out, and when the model is closed.
package struct QuorumEnds {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0
  /// How much later it may end.
  static let tolerance = Nanoseconds.milliseconds(100)

  /// Nothing asked yet.
  package init() {}

  /// So many requests of an opening are not over, and had to be.
  package mutating func sampled(_ opening: Opening, overdue: Int) -> String? {
    checks += 1
    return overdue == 0 ? nil : "\(overdue) requests of opening \(opening) have not ended in time"
  }

  /// An opening was closed, and so many requests are not over.
  package mutating func closed(_ opening: Opening, waiting: Int) -> String? {
    checks += 1
    return waiting == 0 ? nil : "\(waiting) requests of opening \(opening) did not end when it was closed"
  }
}
