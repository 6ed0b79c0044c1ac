import GlueCore

/// What nodes showed before a transaction or a merge, to tell afterwards what has changed.
struct ChangeRecorder {
  private struct Before {
    let node: EntryTree.Index
    let content: ModelContent?
    let wasInConflict: Bool
  }

  /// So many are looked through; for more there is a set.
  private static let few = 8

  private var befores: [Before] = []
  /// All nodes in `befores`, once they are many: most changes record one, and a set costs more than all the rest of it.
  private var recorded: Set<EntryTree.Index> = []
  /// Below these all nodes are recorded that were there; what comes later is recorded by itself.
  private var walked: Set<EntryTree.Index> = []

  /// The nodes that were recorded, in order. Nodes must not be given back before the changes are told.
  var nodes: some Sequence<EntryTree.Index> { befores.lazy.map(\.node) }

  /// Takes note of what a node shows, before an entry of that kind comes or goes there.
  mutating func record(_ node: EntryTree.Index, kind: ModelKind, in document: Document) {
    var known = Document.KnownKinds()
    if let top = document.topOfChange(at: node, kind: kind), walked.insert(top).inserted {
      // What is shown may change everywhere below.
      document.tree.forEachNode(under: top) { record($0, known: &known, in: document) }
    }
    record(node, known: &known, in: document)
  }

  private mutating func record(_ node: EntryTree.Index, known: inout Document.KnownKinds, in document: Document) {
    guard !isRecorded(node) else { return }
    if befores.count == Self.few { recorded = Set(befores.lazy.map(\.node)) }
    if befores.count >= Self.few { recorded.insert(node) }
    befores.append(
      Before(
        node: node, content: document.shown(at: node, known: &known), wasInConflict: document.isInConflict(node)))
  }

  private func isRecorded(_ node: EntryTree.Index) -> Bool {
    befores.count <= Self.few ? befores.contains { $0.node == node } : recorded.contains(node)
  }

  /// What is shown differently now. What is gone is signed by the operation.
  func changes(in document: Document, cause: ModelChange.Cause, operation: Delta.Operation?) -> [ModelChange] {
    var changes: [ModelChange] = []
    var known = Document.KnownKinds()
    for before in befores {
      let now = document.shown(at: before.node, known: &known)
      let isInConflict = document.isInConflict(before.node)
      // A conflict that alters nothing of what is shown is told all the same.
      guard now != before.content || isInConflict != before.wasInConflict else { continue }
      let latest = now == nil ? nil : document.latestEntry(at: before.node)
      let isMerged = before.wasInConflict || isInConflict
      changes.append(
        ModelChange(
          path: document.tree.path(of: before.node), old: before.content, new: now,
          writer: latest.map { document.tree.dot(of: $0).replica.endpoint } ?? operation?.replica.endpoint,
          time: latest.map { document.tree.entries[Int($0)].time } ?? operation?.time, cause: isMerged ? .merged : cause
        ))
    }
    return changes
  }
}

extension Document {
  /// The highest node below which more may be shown or hidden when an entry of that kind comes to or goes from a node. nil, as nearly
  /// always, if there is none: only where several kinds meet is anything hidden.
  fileprivate func topOfChange(at node: Index, kind: ModelKind) -> Index? {
    var top: Index?
    var node = node
    var kind = kind
    if case .element = tree.nodes[Int(node)].key { node = tree.nodes[Int(node)].parent }
    while node != EntryTree.root {
      let isBlank = tree.nodes[Int(node)].firstEntry == EntryTree.none
      switch kind {
      case .value, .counter: if !tree.nodes[Int(node)].isLeaf { top = node }
      case .set: if !isBlank || tree.nodes[Int(node)].entriesBelow > 0 { top = node }
      case .map: if hasContentOfAnotherKind(node) { top = node }
      }
      kind = .map
      node = tree.nodes[Int(node)].parent
    }
    return top
  }
}
