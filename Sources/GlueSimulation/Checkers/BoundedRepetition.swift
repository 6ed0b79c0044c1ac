/// Bytes are repeated in proportion to those that were lost or held up. Which bytes are repetitions is seen on the wire, not
/// asked of the sender.
package struct BoundedRepetition {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0
  /// Repeated bytes allowed for each byte lost or held up: a request and its repetition may be lost again, and a probe
  /// repeats what was on its way.
  package static let factor: UInt64 = 3
  /// Repeated bytes allowed for each session that was interrupted or slow.
  package static let perDisturbance: UInt64 = 32 << 10

  private struct Edge: Hashable {
    var life: Life
    var connection: UInt32
    var stream: UInt64
  }
  private var ends: [Edge: UInt64] = [:]
  /// Bytes of repeated DATA frames so far.
  package private(set) var repeatedBytes: UInt64 = 0

  /// Nothing sent yet.
  package init() {}

  /// A DATA frame went out with the units of so many positions.
  package mutating func sent(
    by life: Life, connection: UInt32, stream: UInt64, position: UInt64, units: UInt64, bytes: Int
  ) {
    let edge = Edge(life: life, connection: connection, stream: stream)
    let end = ends[edge, default: 0]
    if position < end { repeatedBytes += UInt64(bytes) }
    ends[edge] = max(end, position + units)
  }

  /// A DATA frame went to a group, which repeats nothing.
  package mutating func sentToGroup(by life: Life, stream: UInt64, position: UInt64, units: UInt64) -> String? {
    checks += 1
    let edge = Edge(life: life, connection: 0, stream: stream)
    let end = ends[edge, default: 0]
    ends[edge] = max(end, position + units)
    guard position < end else { return nil }
    return
      "life \(life) sends positions from \(position) of stream \(stream) to a group that has been sent all below \(end)"
  }

  /// The run is over.
  package mutating func finished(troubledBytes: UInt64, disturbances: UInt64) -> String? {
    checks += 1
    let allowed = troubledBytes * Self.factor + disturbances * Self.perDisturbance
    guard repeatedBytes > allowed else { return nil }
    return "\(repeatedBytes) bytes were repeated for \(troubledBytes) lost or held up and \(disturbances) disturbances"
  }
}
