import GlueCore

@testable import GlueModel

/// The definition of a document, as short as it can be and as slow: a set of entries and a set of dots. Documents are compared with it.
struct PlainDocument: Equatable {
  var entries: [Dot: Entry] = [:]
  var covered: Set<Dot> = []

  /// (s₁ ∩ s₂) ∪ (s₁ \ c₂) ∪ (s₂ \ c₁); of two entries with the same dot the one with more folds.
  func joined(with other: PlainDocument) -> PlainDocument {
    var result = PlainDocument(covered: covered.union(other.covered))
    for (dot, entry) in entries {
      if let theirs = other.entries[dot] {
        result.entries[dot] = theirs.content.folds > entry.content.folds ? theirs : entry
      } else if !other.covered.contains(dot) {
        result.entries[dot] = entry
      }
    }
    for (dot, entry) in other.entries where entries[dot] == nil && !covered.contains(dot) {
      result.entries[dot] = entry
    }
    return result
  }

  /// What a change does, as a delta: that of the design, not of the code.
  func delta(of edit: ModelEdit, by replica: ReplicaID, at time: UInt64) -> PlainDocument {
    let next = (covered.filter { $0.replica == replica }.map(\.counter).max() ?? 0) + 1
    let dot = Dot(replica, next)
    var delta = PlainDocument(covered: [dot])
    func seen(_ matches: (Entry) -> Bool) -> [Dot] { entries.values.filter(matches).map(\.dot) }
    func write(_ content: EntryContent) {
      delta.entries[dot] = Entry(dot: dot, time: time, path: edit.path, content: content)
    }
    switch edit {
    case .set(let path, let value):
      delta.covered.formUnion(seen { path.contains($0.path) })
      write(.value(value))
    case .delete(let path): delta.covered.formUnion(seen { path.contains($0.path) })
    case .add(let path, let element):
      delta.covered.formUnion(seen { $0.path == path && $0.content == .element(element) })
      write(.element(element))
    case .remove(let path, let element):
      delta.covered.formUnion(seen { $0.path == path && $0.content == .element(element) })
    case .increment(let path, let amount):
      write(.amount(amount, folds: 0))
      let own = entries.values.filter { $0.path == path && $0.dot.replica == replica && $0.content.kind == .counter }
        .sorted { $0.dot < $1.dot }
      if own.count == 8, case .amount(let a, _) = own[0].content, case .amount(let b, let folds) = own[1].content {
        delta.covered.formUnion([own[0].dot, own[1].dot])
        var entry = own[1]
        entry.content = .amount(a + b, folds: folds + 1)
        delta.entries[entry.dot] = entry
      }
    case .makeMap: write(.map)
    case .resolve: fatalError("not here")
    }
    return delta
  }
}

extension Document {
  /// Its definition.
  var plain: PlainDocument { state().plain }
}

extension Delta {
  /// Its definition.
  var plain: PlainDocument {
    var plain = PlainDocument()
    for part in covered.parts {
      for range in part.counters.ranges { for counter in range { plain.covered.insert(Dot(part.replica, counter)) } }
    }
    for entry in entries { plain.entries[entry.dot] = entry }
    return plain
  }
}
