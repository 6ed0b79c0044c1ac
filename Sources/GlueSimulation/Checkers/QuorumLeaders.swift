import GlueQuorum

/// A term of a quorum model has at most one leader (Raft paper, figure 3: election safety).
package struct QuorumLeaders {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Reign: Hashable {
    var cluster: ClusterID
    var term: Term
  }
  private var leaders: [Reign: Opening] = [:]

  /// Nobody leads yet.
  package init() {}

  /// How many there were.
  package var count: Int { leaders.count }

  /// An opening leads in a term.
  package mutating func leads(_ opening: Opening, term: Term, of cluster: ClusterID) -> String? {
    checks += 1
    let reign = Reign(cluster: cluster, term: term)
    guard let other = leaders[reign] else {
      leaders[reign] = opening
      return nil
    }
    return other == opening ? nil : "openings \(other) and \(opening) both lead in term \(term)"
  }
}
