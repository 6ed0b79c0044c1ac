import GlueCore

extension Document {
  /// What a peer with that context lacks: entries it has not seen, and what was removed by changes that it has not seen. O(what it lacks · log
  /// n), beside the replicas in both contexts.
  public func missing(for theirs: CausalContext) -> Missing {
    // Who has seen nothing in common has nothing that could have been removed here.
    let needsRemovals = context.overlaps(theirs)
    if needsRemovals, theirs.generation < context.generation { return .needsReconciliation }
    var removed = DotSet()
    var resending: [Dot] = []
    if needsRemovals {
      for part in context.seen.parts where !theirs.generationCovers(part.replica) {
        let lacking = part.counters.subtracting(theirs.seen[part.replica])
        guard let first = lacking.ranges.first else { continue }
        if first.lowerBound <= log.floor(of: part.replica) { return .needsReconciliation }
        for range in lacking.ranges {
          log.forEachRecord(of: part.replica, in: range) { record in
            removed.formUnion(record.removed)
            for counter in record.folded { resending.append(Dot(part.replica, counter)) }
          }
        }
      }
    }
    return .delta(missing(for: theirs, resending: resending, removed: removed))
  }

  /// What a peer with that context lacks, where its live dots have been compared with those here: what it has not seen; of what it has
  /// seen, the entries of `resending` (it has fewer folds of them) and the removal of `removed` (it still has them, and they are gone here).
  /// All in one: who took the removals alone would not have seen the changes that made them, and could tell nobody.
  public func missing(for theirs: CausalContext, resending: [Dot], removed: DotSet) -> Delta {
    var covered = removed
    for part in context.seen.parts where !theirs.generationCovers(part.replica) {
      covered.insert(part.counters.subtracting(theirs.seen[part.replica]), of: part.replica)
    }
    var found: [Index] = []
    for writer in tree.dots.order {
      let replica = tree.dots.replica(of: writer)
      if theirs.generationCovers(replica) { continue }
      let seen = theirs.seen[replica]
      for range in CounterRanges(1..<(Dot.maximumCounter + 1)).subtracting(seen).ranges {
        tree.dots.forEach(of: writer, in: range) { found.append($0.entry) }
      }
    }
    var entries = found.map { tree.exported($0) }
    entries += self.entries(of: resending)
    let generation = context.generation > theirs.generation ? context.generation : nil
    return Delta(generation: generation, covered: covered, entries: entries)
  }

  /// Everything.
  public func state() -> Delta {
    var entries: [Entry] = []
    entries.reserveCapacity(entryCount)
    for writer in tree.dots.order {
      tree.dots.forEach(of: writer, in: 0..<(.max)) { entries.append(tree.exported($0.entry)) }
    }
    return Delta(generation: context.generation, covered: context.seen, entries: entries)
  }

  /// All live dots that the other context covers too, ascending.
  public func liveDots(within theirs: CausalContext) -> [LiveDot] {
    var dots: [LiveDot] = []
    for writer in tree.dots.order {
      let replica = tree.dots.replica(of: writer)
      let ranges = theirs.generationCovers(replica) ? [0..<(.max)] : theirs.seen[replica].ranges
      for range in ranges {
        tree.dots.forEach(of: writer, in: range) {
          dots.append(LiveDot(dot: Dot(replica, $0.counter), folds: tree.entries[Int($0.entry)].content.folds))
        }
      }
    }
    return dots
  }

  /// The entries of those dots that have one.
  public func entries(of dots: some Sequence<Dot>) -> [Entry] {
    dots.compactMap { tree.entry(of: $0).map { tree.exported($0) } }
  }
}
