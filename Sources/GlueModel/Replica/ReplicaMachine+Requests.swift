import GlueCore

/// What is asked of peers, and what becomes of the answers.
extension ReplicaMachine {
  /// Asks one peer that has something new for it, unless one is being asked already.
  func fetch(at time: ReplicaTime) {
    guard request == nil, !peers.isEmpty else { return }
    let candidates = peersWithNews(at: time.now)
    guard !candidates.isEmpty else { return }
    // Any of them: after a partition all ask at once, and should not ask the same one.
    let peer = peers[candidates[Int(generator.next() % UInt64(candidates.count))]].id
    lastRequest &+= 1
    counters.requests += 1
    request = Request(
      number: lastRequest, peer: peer, context: document.context, askedAt: time.now,
      deadline: time.now + requestPatience)
    send(.need(request: lastRequest, document.context), to: peer, .request)
  }

  private func peersWithNews(at now: Timestamp) -> [Int] {
    var digest: UInt64?
    return peers.indices.filter { index in
      guard peers[index].fetchAfter <= now else { return false }
      switch peers[index].state {
      case .unknown, .included: return false
      case .more: return true
      case .known(let theirs, let context):
        let own = digest ?? document.digest
        digest = own
        if theirs == own { peers[index].agreed = own }
        let isIncluded = includes(theirs, context, own: own)
        if isIncluded { peers[index].state = .included }
        return !isIncluded
      }
    }
  }

  /// Whether nothing is missing here of a state with this digest and, if it was told, context.
  func includes(_ digest: UInt64, _ context: CausalContext?, own: UInt64) -> Bool {
    if digest == own || includedDigests.contains(digest) { return true }
    guard let context else { return false }
    // With the same context, and yet different: one of the two lacks what a generation covers.
    return document.context.covers(context) && context != document.context
  }

  /// A peer is certain to have something that is missing here.
  func expectMore(from sender: EndpointID, at time: ReplicaTime) {
    if let index = index(of: sender) {
      noteMore(index, at: time.now)
    } else {
      // Whoever it was, the others may have it.
      for index in peers.indices where peers[index].question == nil { ask(index, at: time) }
    }
    fetch(at: time)
  }

  func noteMore(_ index: Int, at now: Timestamp) {
    peers[index].state = .more
    peers[index].moreAt = now
  }

  /// The peer has not answered, or cannot: it is asked again after a pause, another one at once.
  func abandonRequest(pause: Nanoseconds, at time: ReplicaTime) {
    guard let request else { return }
    self.request = nil
    inbox.remove(request.peer)
    if let index = index(of: request.peer) { peers[index].fetchAfter = time.now + pause }
    fetch(at: time)
  }

  func refused(_ number: UInt64, by index: Int, at time: ReplicaTime) {
    guard let request, request.number == number, request.peer == peers[index].id else { return }
    abandonRequest(pause: ReplicaConfiguration.busyPause, at: time)
  }

  // MARK: Answers

  func receiveMissing(_ delta: Delta, digest: UInt64, of number: UInt64, from index: Int, at time: ReplicaTime) {
    guard let request, request.number == number, request.peer == peers[index].id else { return }
    var delta = delta
    switch request.phase {
    case .asked: break
    case .finishing(let removed):
      // The digest is that of its state before it took what was found to be missing there.
      ask(index, at: time)
      var covered = delta.covered
      covered.formUnion(removed)
      delta = Delta(generation: delta.generation, covered: covered, entries: delta.entries)
    case .comparing: return abandonRequest(pause: configuration.requestTimeout, at: time)
    }
    self.request = nil
    failedRequests = 0
    // What was told after the question is not in the answer.
    if peers[index].moreAt.map({ $0 <= request.askedAt }) ?? true { peers[index].state = .included }
    includedDigests.append(digest)
    if includedDigests.count > ReplicaConfiguration.includedDigests { includedDigests.removeFirst() }
    if mergeState(delta, at: time) { announce(at: time.now) }
    if digest == document.digest { peers[index].agreed = digest }
    mergeHeld(at: time)
    fetch(at: time)
  }

  /// What was fetched from one peer others may lack, that do not hear it.
  func announce(at now: Timestamp) {
    isAnnouncementCommon = false
    announceAt = announceAt ?? announcedAt.map { max(now, $0 + ReplicaConfiguration.announcePause) } ?? now
  }

  /// The writer of changes has left. Whoever it did not reach gets them from those who have them, of whom one tells it.
  func announceForWriter(at now: Timestamp) {
    guard announceAt == nil, !peers.isEmpty else { return }
    isAnnouncementCommon = true
    announceAt = now + Nanoseconds(generator.next() % ReplicaConfiguration.farewellPause.count)
  }

  // MARK: Reconciliation

  func compare(_ ranges: [ReconciliationRange], theirs context: CausalContext?, from index: Int, at time: ReplicaTime) {
    guard var request else { return }
    var set: ReconciliationSet
    let theirs: CausalContext
    let rounds: Int
    switch (request.phase, context) {
    case (.asked, let context?):
      theirs = context
      rounds = 1
      set = ReconciliationSet(
        document.liveDots(within: theirs).filter { request.context.covers($0.dot) }, salt: request.number)
    case (.comparing(let begun, let known, let count), nil) where count < ReplicaConfiguration.reconciliationRounds:
      set = begun
      theirs = known
      rounds = count + 1
    default: return abandonRequest(pause: configuration.requestTimeout, at: time)
    }
    let answer = set.respond(to: ranges, asClient: true)
    request.deadline = time.now + requestPatience
    if answer.isEmpty {
      let lack = lack(
        of: theirs, comparedWith: request.context, resending: set.differences.newerHere, gone: set.differences.there)
      guard let lack else { return abandonRequest(pause: ReplicaConfiguration.busyPause, at: time) }
      request.phase = .finishing(removed: DotSet(set.differences.here))
      send(
        .finish(request: request.number, wanted: DotSet(set.differences.newerThere), lack), to: request.peer, .request)
    } else {
      request.phase = .comparing(set, theirs: theirs, rounds: rounds)
      send(.reconcile(request: request.number, nil, answer), to: request.peer, .request)
    }
    self.request = request
  }

  /// What a peer lacks whose live dots were compared with those here: a peer that had the context `theirs`, when the one here was `ours`. What has been
  /// merged here since goes along, from the removal log: what that removed was not compared, and what it replaced is not here any more, so
  /// without it the peer would see half of it. nil if the log cannot tell: then all begins anew.
  func lack(of theirs: CausalContext, comparedWith ours: CausalContext, resending: [Dot], gone: [Dot]) -> Delta? {
    guard case .delta(let later) = document.missing(for: ours) else { return nil }
    var removed = later.covered
    removed.formUnion(DotSet(gone))
    let known = later.entries.lazy.map(\.dot).filter { theirs.covers($0) }
    return document.missing(for: theirs, resending: resending + known, removed: removed)
  }
}
