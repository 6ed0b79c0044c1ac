import GlueQuorum

/// What was applied at an index by one opening of a quorum model is what all others apply there (Raft paper, figure 3: state machine safety),
/// and makes the same state.
package struct QuorumLog {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Book {
    var entries: [LogIndex: RaftEntry] = [:]
    var digests: [LogIndex: (digest: UInt64, opening: Opening)] = [:]
  }
  private var books: [ClusterID: Book] = [:]

  /// Nothing applied yet.
  package init() {}

  /// How many entries were applied by somebody.
  package var entries: Int { books.values.reduce(0) { $0 + $1.entries.count } }

  /// An opening applies an entry. `isNew`: nobody has before.
  package mutating func applied(
    _ entry: RaftEntry, of cluster: ClusterID, by opening: Opening
  ) -> (isNew: Bool, verdict: String?) {
    checks += 1
    guard let known = books[cluster]?.entries[entry.index] else {
      books[cluster, default: Book()].entries[entry.index] = entry
      return (true, nil)
    }
    guard known != entry else { return (false, nil) }
    return (
      false,
      "opening \(opening) applies at \(entry.index) an entry of term \(entry.term), others one of term \(known.term)"
        + (known.term == entry.term ? " with another content" : "")
    )
  }

  /// An opening has this state after an entry.
  package mutating func has(
    _ digest: UInt64, after index: LogIndex, of cluster: ClusterID, by opening: Opening
  ) -> String? {
    checks += 1
    guard let known = books[cluster]?.digests[index] else {
      books[cluster, default: Book()].digests[index] = (digest, opening)
      return nil
    }
    return known.digest == digest
      ? nil : "openings \(known.opening) and \(opening) have different states after entry \(index)"
  }
}
