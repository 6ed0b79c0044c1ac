import GlueCore

extension RaftMachine {
  /// Whether this is the leader of the term; then it follows that one.
  func hear(_ sender: MemberID, at now: Timestamp) -> Bool {
    // Two leaders in one term cannot be; a message that says so changes nothing.
    guard role != .leader, leader == nil || leader == sender else { return false }
    if role != .follower || leader != sender { follow(sender, at: now) }
    leaderHeard = now
    restartElectionTimer(at: now)
    return true
  }

  func take(_ append: RaftMessage.Append, from leader: MemberID) {
    leaderCommit = max(leaderCommit, append.commit)
    let last = append.previousIndex + LogIndex(append.entries.count)
    // What is committed is the same in every leader's log. Terms tell if it is not, and then nothing is changed.
    for entry in append.entries.prefix(while: { $0.index <= commitIndex }) {
      if let term = log.term(at: entry.index), term != entry.term { return }
    }
    let fits = append.previousIndex < log.baseIndex || log.term(at: append.previousIndex) == append.previousTerm
    guard fits || (fault == .skipsPreviousCheck && append.previousIndex <= log.lastIndex) else {
      return refuse(append, to: leader)
    }
    // Before the base everything is committed, so what begins there fits up to the commit.
    for entry in append.entries where entry.index > commitIndex {
      if log.term(at: entry.index) == entry.term { continue }
      if entry.index <= log.lastIndex { truncate(from: entry.index) }
      guard entry.index == log.lastIndex + 1 else { break }
      log.append(entry)
    }
    matched = max(matched, min(last, log.lastIndex))
    commit(append.commit)
    owesReply = true
    replyIfSynced(isNew: false)
  }

  private func refuse(_ append: RaftMessage.Append, to leader: MemberID) {
    // An older append whose place has been committed since says nothing about where the logs part.
    guard append.previousIndex > commitIndex else {
      owesReply = true
      return replyIfSynced(isNew: false)
    }
    let hint = log.lastIndex(
      upTo: min(append.previousIndex, log.lastIndex), termAtMost: append.previousTerm)
    let result = RaftMessage.AppendReply.Result.refused(
      previous: append.previousIndex, hint: hint, hintTerm: log.term(at: hint) ?? 0)
    send(.appendReply(.init(term: term, result: result)), to: leader)
  }

  private func truncate(from index: LogIndex) {
    let old = log.membership
    log.truncate(from: index)
    if fault == .keepsTruncatedMembership { log.keep(old) }
    stable = min(stable, index - 1)
    if let under = writing { writing?.last = min(under.last, index - 1) }
    matched = min(matched, index - 1)
  }

  private func commit(_ index: LogIndex) {
    commitIndex = max(commitIndex, min(index, fault == .commitsUnmatched ? log.lastIndex : matched))
  }

  /// Where the log is known to fit the leader's and is on disk.
  private var syncedMatch: LogIndex {
    fault == .acknowledgesBeforeSync ? matched : min(stable, matched)
  }

  /// Says what is on disk. What the leader waits for may still be on its way there; then it is said again.
  func replyIfSynced(isNew: Bool) {
    guard owesReply, role == .follower, let leader else { return }
    let index = syncedMatch
    guard index == matched || isNew else { return }
    owesReply = index < matched
    guard let term = log.term(at: index) else { return }
    send(.appendReply(.init(term: self.term, result: .synced(index: index, term: term))), to: leader)
  }

  func take(round: UInt64, commit index: LogIndex, from leader: MemberID) {
    leaderCommit = max(leaderCommit, index)
    commit(index)
    guard round > 0 else { return }
    var synced = syncedMatch
    var syncedTerm: Term = 0
    if let term = log.term(at: synced) { syncedTerm = term } else { synced = 0 }
    send(
      .heartbeatReply(
        .init(term: term, round: round, received: matched, synced: synced, syncedTerm: syncedTerm)), to: leader)
  }

  func takeBehind(_ index: LogIndex, from leader: MemberID, at now: Timestamp) {
    leaderCommit = max(leaderCommit, index)
    guard index > commitIndex else {
      owesReply = true
      return replyIfSynced(isNew: true)
    }
    if let needTold, now.since(needTold) < configuration.electionTimeout { return }
    needTold = now
    need = (leader, index)
  }

  /// When everything that is committed here was last known to be all that is: when the leader said so, or, of the leader itself, when a majority was
  /// last heard. Nil if it is not, as far as is known.
  public func currentAt(_ now: Timestamp) -> Timestamp? {
    if role == .leader {
      guard hasCommittedInTerm else { return nil }
      let heard = membership.voters.map { voter in
        voter == member ? now : followers.first { $0.member == voter }?.lastHeard ?? Timestamp(nanoseconds: 0)
      }
      return heard.sorted(by: >)[membership.majority - 1]
    }
    return leader != nil && leaderCommit <= commitIndex ? leaderHeard : nil
  }

  /// When it will have heard no leader for so long that a voter would stand for election; nil: it leads.
  public var leaderIsSilentAt: Timestamp? {
    if role == .leader { return nil }
    guard leader != nil, let leaderHeard else { return Timestamp(nanoseconds: 0) }
    return leaderHeard + configuration.electionTimeout
  }

  /// This member is behind the log of its leader: a state of at least that index is needed.
  public func nextNeed() -> (from: MemberID, index: LogIndex)? {
    defer { need = nil }
    return need
  }
}
