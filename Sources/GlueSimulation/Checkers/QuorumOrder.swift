import GlueQuorum

/// Each opening of a quorum model applies one entry after the other, without gaps, or a later state in place of some; it never goes back.
package struct QuorumOrder {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0
  private var last: [Opening: LogIndex] = [:]

  /// Nothing applied yet.
  package init() {}

  /// An opening begins with what was applied before.
  package mutating func began(_ opening: Opening, after index: LogIndex) { last[opening] = index }

  /// An opening has applied something.
  package mutating func applied(_ step: QuorumStep, by opening: Opening) -> String? {
    checks += 1
    let before = last[opening] ?? 0
    switch step {
    case .entry(let entry):
      last[opening] = entry.index
      return entry.index == before + 1 ? nil : "opening \(opening) applies entry \(entry.index) after \(before)"
    case .state(let index, _):
      last[opening] = index
      // 0: it follows another quorum from now on.
      return index > before || index == 0 ? nil : "opening \(opening) goes back from \(before) to a state of \(index)"
    }
  }
}
