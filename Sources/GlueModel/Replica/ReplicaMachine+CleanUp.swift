import GlueCore

/// Generations: how the context forgets replicas that have not written for long.
extension ReplicaMachine {
  /// When the context is cleaned up; nil while it is small.
  var cleanUpAt: Timestamp? {
    document.context.seen.parts.count > configuration.cleanUpReplicas
      ? generationSince + configuration.cleanUpInterval : nil
  }

  func cleanUpIfDue(at time: ReplicaTime) {
    guard let due = cleanUpAt, due <= time.now else { return }
    generationSince = time.now
    let atRisk = unconfirmed(leftBehindBy: document.context.generation + 1)
    document.advanceGeneration()
    note(upserts: [], removed: [])
    contextChanged(at: time.now)
    announce(at: time.now)
    writeAnew(atRisk, at: time)
  }

  /// Merges what a peer has made for this replica. If its generation counts own writes as seen that no other replica was known to have, they are
  /// not taken for removed, but written anew.
  func mergeState(_ delta: Delta, at time: ReplicaTime) -> Bool {
    let before = document.context.generation
    let atRisk = unconfirmed(leftBehindBy: delta.generation ?? 0)
    let isNew = merge(delta, at: time)
    if document.context.generation > before {
      generationSince = time.now
      writeAnew(atRisk, at: time)
    }
    return isNew
  }

  /// Puts entries under new dots in place of those that a generation covers: whoever lacks them would take those for removed.
  private func writeAnew(_ entries: [Entry], at time: ReplicaTime) {
    guard !entries.isEmpty else { return }
    merge(Delta(covered: DotSet(entries.map(\.dot)), entries: []), at: time)
    guard let applied = document.rewrite(entries, at: clock.next(at: time)) else { return }
    take(applied, at: time)
    tell(.rewritten(count: entries.count))
  }

  /// Own entries that no other replica was known to have when a generation passed them.
  private func unconfirmed(leftBehindBy generation: UInt32) -> [Entry] {
    guard generation > document.context.generation else { return [] }
    let future = CausalContext(generation: generation)
    var dots: [Dot] = []
    for own in ownReplicas where future.generationCovers(own) {
      var unconfirmed = DotSet()
      unconfirmed.insert(document.context.seen[own].subtracting(confirmed[own]), of: own)
      dots += document.liveDots(within: CausalContext(seen: unconfirmed)).map(\.dot)
    }
    return document.entries(of: dots)
  }
}
