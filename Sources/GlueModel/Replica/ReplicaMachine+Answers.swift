import GlueCore

/// What peers ask for.
extension ReplicaMachine {
  /// A reconciliation that its peer has left is forgotten after so many times the timeout of requests.
  private static let patience: UInt64 = 5

  func answer(_ number: UInt64, having theirs: CausalContext, to index: Int, at time: ReplicaTime) {
    let peer = peers[index].id
    learn(theirs, of: index, at: time)
    reconciliations.removeAll {
      $0.peer == peer || $0.usedAt + configuration.requestTimeout * Self.patience <= time.now
    }
    // It has given up what it asked before.
    outbox.withdraw(.answer, for: peer)
    guard outbox.served + reconciliations.count < configuration.answersAtOnce else {
      reach(.answersAtOnce, at: time.now)
      return send(.refused(request: number), to: peer, .answer)
    }
    counters.answers += 1
    // Nobody asks who has the same: of what a generation covers one of the two has something, and the other has not.
    let isAlike = theirs == document.context && theirs.generation > 0
    switch isAlike ? .needsReconciliation : document.missing(for: theirs) {
    case .delta(let delta):
      send(.missing(request: number, digest: document.digest, delta), to: peer, .served)
    case .needsReconciliation:
      counters.reconciliations += 1
      let set = ReconciliationSet(document.liveDots(within: theirs), salt: number)
      send(.reconcile(request: number, document.context, set.opening()), to: peer, .answer)
      reconciliations.append(
        ServedReconciliation(
          peer: peer, request: number, theirs: theirs, ours: document.context, set: set, usedAt: time.now))
    }
    fetch(at: time)
  }

  /// NEED tells what the peer has, newer than its STATUS.
  private func learn(_ theirs: CausalContext, of index: Int, at time: ReplicaTime) {
    confirm(by: theirs)
    if document.context.covers(theirs) {
      peers[index].state = .included
    } else {
      noteMore(index, at: time.now)
      peers[index].fetchAfter = max(peers[index].fetchAfter, time.now + configuration.holeDelay)
    }
  }

  func answer(_ ranges: [ReconciliationRange], of number: UInt64, to index: Int, at time: ReplicaTime) {
    guard let session = session(number, of: index),
      reconciliations[session].rounds < ReplicaConfiguration.reconciliationRounds
    else { return send(.refused(request: number), to: peers[index].id, .answer) }
    reconciliations[session].rounds += 1
    reconciliations[session].usedAt = time.now
    let answer = reconciliations[session].set.respond(to: ranges, asClient: false)
    send(.reconcile(request: number, nil, answer), to: peers[index].id, .answer)
  }

  func finish(_ number: UInt64, wanted: DotSet, merging delta: Delta, from index: Int, at time: ReplicaTime) {
    guard let place = session(number, of: index) else {
      return send(.refused(request: number), to: peers[index].id, .answer)
    }
    let session = reconciliations.remove(at: place)
    // Only dots that were compared: a range may name more than there are.
    let resending = session.set.members.lazy.map(\.dot).filter(wanted.contains)
    let answer = lack(of: session.theirs, comparedWith: session.ours, resending: Array(resending), gone: [])
    let digest = document.digest
    if mergeState(delta, at: time) { announce(at: time.now) }
    if let answer {
      send(.missing(request: number, digest: digest, answer), to: peers[index].id, .served)
    } else {
      send(.refused(request: number), to: peers[index].id, .answer)
    }
    peers[index].state = .included
    mergeHeld(at: time)
    fetch(at: time)
  }

  private func session(_ number: UInt64, of index: Int) -> Int? {
    reconciliations.firstIndex { $0.request == number && $0.peer == peers[index].id }
  }
}
