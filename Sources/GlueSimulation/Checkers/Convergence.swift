/// Everybody knows everybody within a bound after the network is sound.
package struct Convergence {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing known yet.
  package init() {}

  /// The bound is over: a life knows these of those that are alive, itself aside.
  package mutating func settled(_ life: Life, knows known: [Life], of alive: [Life]) -> String? {
    checks += 1
    if let missing = alive.first(where: { $0 != life && !known.contains($0) }) {
      return "life \(life) does not know life \(missing)"
    }
    if let ghost = known.first(where: { !alive.contains($0) }) {
      return "life \(life) still knows life \(ghost), which is over"
    }
    return nil
  }
}
