import GlueCore

extension Document {
  /// Joins with what another replica tells: (s₁ ∩ s₂) ∪ (s₁ \ c₂) ∪ (s₂ \ c₁), where s are entries and c the dots that are covered.
  ///
  /// Transactions may be merged in any order. But a context that covers one must mean that what it removed is gone here, or peers are told
  /// too little: so merge one only when ``Delta/dependencies`` are covered (the causal delta-merging condition of Almeida et al., §5).
  /// A delta with a generation may be merged only where the context is that it was made for.
  public mutating func merge(_ delta: Delta) -> Merged {
    var merged = Merged()
    var recorder = ChangeRecorder()
    for entry in delta.entries { take(entry, into: &merged, recorder: &recorder) }
    for part in delta.covered.parts { removeWhatIsGone(part, of: delta, into: &merged, recorder: &recorder) }
    merged.changes = recorder.changes(in: self, cause: .remote, operation: delta.operation)
    for node in recorder.nodes { tree.prune(node) }
    cover(delta, into: &merged)
    return merged
  }

  /// Inserts an entry, unless it has been seen and is gone, or a newer form of it is there.
  private mutating func take(_ entry: Entry, into merged: inout Merged, recorder: inout ChangeRecorder) {
    if let old = tree.entry(of: entry.dot) {
      let live = tree.entries[Int(old)]
      guard entry.content.kind == .counter, entry.content.folds > live.content.folds else { return }
      recorder.record(live.node, kind: .counter, in: self)
      tree.replace(old, with: entry.content)
      merged.upserts.append(tree.exported(old))
    } else if !context.covers(entry.dot), !entry.path.isRoot {
      let node = makeNode(for: entry)
      recorder.record(node, kind: entry.content.kind, in: self)
      tree.insert(entry.dot, time: entry.time, content: entry.content, at: node)
      merged.upserts.append(entry)
    }
  }

  /// Removes what is covered and has no entry in the delta. Looks only at what is here: a range may be of any length.
  private mutating func removeWhatIsGone(
    _ part: DotSet.Part, of delta: Delta, into merged: inout Merged, recorder: inout ChangeRecorder
  ) {
    guard let writer = tree.dots.writer(of: part.replica) else { return }
    var gone: [Index] = []
    var next = delta.firstEntry(of: part.replica)
    for range in part.counters.ranges {
      tree.dots.forEach(of: writer, in: range) { item in
        while next < delta.entries.count, delta.entries[next].dot < Dot(part.replica, item.counter) { next += 1 }
        if next == delta.entries.count || delta.entries[next].dot != Dot(part.replica, item.counter) {
          gone.append(item.entry)
        }
      }
    }
    for entry in gone {
      let live = tree.entries[Int(entry)]
      recorder.record(live.node, kind: live.content.kind, in: self)
      merged.removed.append(tree.dot(of: entry))
      tree.remove(entry)
    }
  }

  /// Takes over what the delta covers, and what the log can say of it.
  private mutating func cover(_ delta: Delta, into merged: inout Merged) {
    let isSeen = delta.covered.parts.allSatisfy { context.covers($0) }
    merged.isNew = !isSeen || !merged.upserts.isEmpty || !merged.removed.isEmpty
    if let operation = delta.operation, merged.isNew {
      let folded = delta.entries.filter {
        $0.dot.replica == operation.replica && !operation.counters.contains($0.dot.counter)
      }
      log.append(operation, removed: delta.dependencies, folded: folded.map(\.dot.counter))
    } else if !isSeen {
      for part in delta.covered.parts where !context.covers(part) {
        log.raiseFloor(of: part.replica, to: part.counters.subtracting(context.seen[part.replica]).end - 1)
      }
    }
    context.insert(delta.covered)
    if let generation = delta.generation, generation > context.generation {
      raiseGeneration(to: generation)
      merged.isNew = true
    }
    if keyCount > limits.keys { merged.exceeded.append(.keys) }
    if context.seen.parts.count > limits.replicas { merged.exceeded.append(.replicas) }
    if delta.covered.parts.contains(where: { context.seen[$0.replica].ranges.count > limits.holes }) {
      merged.exceeded.append(.holes)
    }
  }
}
