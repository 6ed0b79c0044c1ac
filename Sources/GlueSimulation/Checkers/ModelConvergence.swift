import GlueModel

/// Within a bound after the network is sound and nobody writes any more, all who have a model open have the same, to the last byte.
package struct ModelConvergence {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing compared yet.
  package init() {}

  /// The bound is over: two openings of one model have these states.
  package mutating func settled(
    _ one: Opening, _ state: Delta, _ other: Opening, _ otherState: Delta, of name: String
  ) -> String? {
    checks += 1
    guard state.encoded() != otherState.encoded() else { return nil }
    let (entries, others) = (Set(state.entries), Set(otherState.entries))
    return "openings \(one) and \(other) of \(name) differ: \(entries.subtracting(others).count) and "
      + "\(others.subtracting(entries).count) entries that the other one lacks, "
      + "generations \(state.generation ?? 0) and \(otherState.generation ?? 0), "
      + "contexts \(state.covered == otherState.covered ? "equal" : "different")"
  }
}
