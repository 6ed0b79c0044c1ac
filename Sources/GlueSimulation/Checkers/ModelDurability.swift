import GlueModel

/// What a replica reported to be stored is there when its model is opened again, as a state that it had then or later, and that is what it begins
/// with.
package struct ModelDurability {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Snapshot {
    var opening: Opening
    var revision: UInt64
    var content: StoredReplica
  }
  /// What may be on each disk: all that was begun to be written since what was last reported.
  private var snapshots: [Int: [Snapshot]] = [:]

  /// Nothing stored yet.
  package init() {}

  /// An opening begins to write what it has.
  package mutating func began(_ content: StoredReplica, revision: UInt64, of opening: Opening, on disk: Int) {
    // Before the first one nothing is there.
    snapshots[disk, default: [Snapshot(opening: -1, revision: 0, content: .empty)]].append(
      Snapshot(opening: opening, revision: revision, content: content))
  }

  /// An opening says that this revision is stored.
  package mutating func told(_ revision: UInt64, of opening: Opening, on disk: Int) {
    snapshots[disk]?.removeAll { $0.opening != opening || $0.revision < revision }
  }

  /// A model is opened with what is on a disk, and has this then.
  package mutating func loaded(
    _ content: StoredReplica, as document: Document, by opening: Opening, from disk: Int
  ) -> String? {
    checks += 1
    guard document.context == content.context, document.state().entries == content.entries else {
      return "opening \(opening) begins with something else than what is on its disk"
    }
    guard let possible = snapshots[disk] else { return nil }
    guard let found = possible.last(where: { $0.content == content }) else {
      return
        "opening \(opening) finds on its disk none of the \(possible.count) states that may be there, from revision "
        + "\(possible.first?.revision ?? 0) of opening \(possible.first?.opening ?? -1) on"
    }
    snapshots[disk] = [found]
    return nil
  }
}
