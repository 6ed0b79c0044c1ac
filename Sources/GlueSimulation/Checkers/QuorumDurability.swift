import GlueQuorum

/// A write to a quorum model that was told to have happened is there, once; one that was told not to have happened is not; and one of which
/// nobody knows is there once or not at all.
package struct QuorumDurability {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// What its user knows of a write.
  package enum Fate: Hashable, Sendable {
    case unknown, notDone
    case done(LogIndex)
  }
  private var fates: [Fate] = []

  /// Nothing written yet.
  package init() {}

  /// Somebody asks for a write. Returns its number.
  package mutating func asked() -> Int {
    fates.append(.unknown)
    return fates.count - 1
  }

  /// What became of it, as its user was told.
  package mutating func ended(_ write: Int, _ fate: Fate) { fates[write] = fate }

  /// What its user knows of a write.
  package func fate(of write: Int) -> Fate { fates[write] }

  /// How often each write has happened, in the state after an entry.
  package mutating func judged(after index: LogIndex, count: (Int) -> Int64) -> String? {
    for (write, fate) in fates.enumerated() {
      checks += 1
      let found = count(write)
      switch fate {
      case .done(let entry) where entry <= index && found != 1:
        return "write \(write) was told to be entry \(entry), and has happened \(found) times after entry \(index)"
      case .notDone where found != 0: return "write \(write) was told not to have happened, and has \(found) times"
      case .unknown where found > 1: return "write \(write) has happened \(found) times"
      case .done, .notDone, .unknown: break
      }
    }
    return nil
  }
}
