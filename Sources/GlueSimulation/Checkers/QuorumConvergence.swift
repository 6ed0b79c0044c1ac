import GlueQuorum

/// Within a bound after the network is sound and nobody asks for anything any more, all openings of a quorum model have the same state, to the
/// last byte.
package struct QuorumConvergence {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing compared yet.
  package init() {}

  /// The bound is over: two openings have these states.
  package mutating func settled(
    _ one: Opening, _ state: [UInt8], after index: LogIndex, _ other: Opening, _ otherState: [UInt8],
    after otherIndex: LogIndex
  ) -> String? {
    checks += 1
    guard index != otherIndex || state != otherState else { return nil }
    return
      "openings \(one) and \(other) differ: they have applied \(index) and \(otherIndex), and have \(state.count) and "
      + "\(otherState.count) bytes"
  }
}
