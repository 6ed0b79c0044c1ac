import GlueCore

extension RaftMachine {
  /// Adds a command to the log. It is committed when ``nextCommitted()`` hands out this index *with this term*.
  public func propose(_ command: [UInt8], at now: Timestamp) throws(RaftRefusal) -> LogIndex {
    self.now = max(self.now, now)
    guard role == .leader else { throw .notLeader }
    guard transfer == nil else { throw .transferring }
    let waiting = max(uncommittedBytes, unwrittenBytes)
    guard waiting == 0 || waiting + command.count <= configuration.uncommittedBytes else { throw .tooMuchUncommitted }
    return append(.command(command))
  }

  /// Changes the members by one step, in force at once (dissertation §4.1).
  public func propose(_ membership: Membership, at now: Timestamp) throws(RaftRefusal) -> LogIndex {
    self.now = max(self.now, now)
    guard role == .leader else { throw .notLeader }
    guard transfer == nil else { throw .transferring }
    if fault != .changesAtOnce {
      guard log.membershipIndex <= commitIndex else { throw .changeUnderWay }
      // Without it two leaders could each change a membership by one, and both of theirs decide (raft-dev, July 2015).
      guard hasCommittedInTerm || fault == .changesBeforeOwnEntry else { throw .notReady }
      guard membership.isValid else { throw .badChange("there must be 1 … 9 voters and at most 9 learners") }
      let old = self.membership
      let changed = Set(old.all + membership.all).filter {
        old.isVoter($0) != membership.isVoter($0) || old.contains($0) != membership.contains($0)
      }
      guard changed.count == 1 else {
        throw .badChange("\(changed.count) members would change, and one can at a time")
      }
    }
    let index = append(.membership(membership))
    updateFollowers(at: now)
    return index
  }

  @discardableResult
  func append(_ content: RaftEntry.Content) -> LogIndex {
    let entry = RaftEntry(index: log.lastIndex + 1, term: term, content)
    log.append(entry)
    uncommittedBytes += entry.encodedBound
    unwrittenBytes += entry.encodedBound
    noteUnwritten()
    wakeAppends()
    return entry.index
  }

  func wakeAppends() {
    appendsDue = true
    appendCursor = 0
  }

  func updateFollowers(at now: Timestamp) {
    let members = membership.all
    followers.removeAll { !members.contains($0.member) }
    for other in members where other != member && !followers.contains(where: { $0.member == other }) {
      followers.append(RaftProgress(other, next: log.lastIndex + (log.lastIndex > commitIndex ? 0 : 1), at: now))
    }
    followers.sort { $0.member < $1.member }
    wakeAppends()
  }

  // MARK: Sending

  enum Audience { case all, voters }

  /// Begins a round of heartbeats: what echoes it was sent after now.
  func beginRound(to audience: Audience) {
    isRoundDue = false
    round += 1
    for place in followers.indices where audience == .all || membership.isVoter(followers[place].member) {
      if followers[place].checkRound == 0 {
        followers[place].checkRound = round
        followers[place].checkNext = followers[place].next
      }
      followers[place].commitTold = max(followers[place].commitTold, min(commitIndex, followers[place].match))
      send(.heartbeat(term: term, round: round, commit: commitIndex), to: followers[place].member)
    }
    confirmReads()
  }

  /// The next message with entries, or what stands in for it.
  func nextAppend(_ follower: inout RaftProgress) -> RaftMessage? {
    guard !follower.isWaiting else { return nil }
    let previous = follower.next - 1
    guard let previousTerm = log.term(at: previous) else {
      follower.state = .behind
      follower.isWaiting = true
      return .behind(term: term, index: log.baseIndex)
    }
    if follower.state == .replicate {
      guard follower.next <= log.lastIndex else {
        guard follower.commitTold < min(commitIndex, follower.match) else { return nil }
        follower.commitTold = commitIndex
        return .heartbeat(term: term, round: 0, commit: commitIndex)
      }
      guard follower.inflight.count < configuration.inflightMessages,
        follower.inflightBytes < configuration.inflightBytes
      else { return nil }
    }
    let entries = log.slice(from: follower.next, to: log.lastIndex, bytes: configuration.appendBytes)
    if follower.state == .replicate, let last = entries.last {
      let bytes = entries.reduce(0) { $0 + $1.encodedBound }
      follower.next = last.index + 1
      follower.inflight.append((last.index, bytes))
      follower.inflightBytes += bytes
    } else {
      follower.isWaiting = true
    }
    follower.commitTold = max(follower.commitTold, min(commitIndex, previous + LogIndex(entries.count)))
    return .append(
      .init(term: term, previousIndex: previous, previousTerm: previousTerm, commit: commitIndex, entries: entries))
  }

  // MARK: Replies

  private func place(of sender: MemberID) -> Int? {
    role == .leader ? followers.firstIndex { $0.member == sender } : nil
  }

  func take(_ reply: RaftMessage.AppendReply, from sender: MemberID, at now: Timestamp) {
    guard let place = place(of: sender) else { return }
    followers[place].lastHeard = now
    switch reply.result {
    case .synced(let index, let term): synced(index, term, place, at: now)
    case .refused(let previous, let hint, let hintTerm):
      let follower = followers[place]
      // An older one says nothing: it is about a place that fits by now, or another one than was asked about last.
      guard previous > follower.match, follower.state == .replicate || previous == follower.next - 1 else { return }
      let fit = hint < log.baseIndex ? hint : log.lastIndex(upTo: hint, termAtMost: hintTerm)
      followers[place].begin(.probe, next: min(previous, fit + 1))
      wakeAppends()
    }
  }

  func take(_ reply: RaftMessage.HeartbeatReply, from sender: MemberID, at now: Timestamp) {
    guard let place = place(of: sender) else { return }
    followers[place].lastHeard = now
    followers[place].round = max(followers[place].round, min(reply.round, round))
    let isChecked = followers[place].checkRound != 0 && reply.round >= followers[place].checkRound
    if isChecked {
      followers[place].checkRound = 0
      if fault == .neverResends {
      } else if followers[place].state != .replicate {
        // Whatever was under way is lost, or would have been answered by now.
        followers[place].isWaiting = false
      } else if reply.received + 1 < followers[place].checkNext {
        followers[place].begin(.probe, next: reply.received + 1)
      }
      wakeAppends()
    }
    if followers[place].state == .replicate { synced(reply.synced, reply.syncedTerm, place, at: now) }
    confirmReads()
  }

  private func synced(_ index: LogIndex, _ term: Term, _ place: Int, at now: Timestamp) {
    guard index > 0 || term > 0 || log.baseIndex == 0 else { return }
    guard let own = log.term(at: index) else {
      // It got a state that is older than this log: it needs a later one.
      if followers[place].state == .behind, index < log.baseIndex { followers[place].isWaiting = false }
      return
    }
    guard own == term else { return }
    followers[place].synced(index)
    wakeAppends()
    advanceCommit(at: now)
    tellTransfer()
  }

  // MARK: Committing

  /// Commits what a majority of the voters has on disk, if it is of this term (Raft paper, figure 8).
  func advanceCommit(at now: Timestamp) {
    guard role == .leader else { return }
    let own = fault == .leaderCountsUnsynced ? log.lastIndex : min(stable, log.lastIndex)
    let reached = reachedByMajority(own: own) { $0.match }
    guard reached > commitIndex, log.term(at: reached) == term || fault == .commitsOldTerm else { return }
    while commitIndex < reached {
      commitIndex += 1
      uncommittedBytes -= log.entry(at: commitIndex)?.encodedBound ?? 0
    }
    wakeAppends()
    if !hasCommittedInTerm {
      hasCommittedInTerm = true
      for token in readsBeforeCommit { enqueueRead(token) }
      readsBeforeCommit.removeAll()
    }
    if !membership.isVoter(member), log.membershipIndex <= commitIndex { leave(at: now) }
  }

  /// It has no vote any more, and that is committed: somebody else leads from here on (dissertation §4.2.2).
  private func leave(at now: Timestamp) {
    for place in followers.indices {
      send(.heartbeat(term: term, round: 0, commit: commitIndex), to: followers[place].member)
    }
    let voters = followers.filter { membership.isVoter($0.member) && $0.match == log.lastIndex }
    if let next = voters.max(by: { $0.sign < $1.sign }) { send(.stand(term: term), to: next.member) }
    follow(nil, at: now)
  }

  // MARK: Reading

  /// Asks for an index such that a state with everything up to it holds whatever was committed before now
  /// (dissertation §6.4).
  public func requestRead(_ token: UInt64, at now: Timestamp) {
    self.now = max(self.now, now)
    guard role == .leader, reads.count + readsBeforeCommit.count < RaftConfiguration.readLimit else {
      answers.append((token, nil))
      return
    }
    guard hasCommittedInTerm else {
      readsBeforeCommit.append(token)
      return
    }
    enqueueRead(token)
  }

  private func enqueueRead(_ token: UInt64) {
    if fault == .readsWithoutRound { return answers.append((token, commitIndex)) }
    // A round that is under way may have been answered before the read was asked for.
    reads.append((token, commitIndex, fault == .readsFromOldRound ? max(round, 1) : round + 1))
    if membership.majority == 1, membership.isVoter(member) {
      beginRound(to: .voters)
    } else {
      confirmReads()
    }
  }

  func confirmReads() {
    guard role == .leader else { return }
    confirmedRound = max(confirmedRound, reachedByMajority(own: round) { $0.round })
    while let first = reads.first, first.round <= confirmedRound {
      reads.removeFirst()
      answers.append((first.token, first.index))
    }
    // One round at a time, so that all who ask meanwhile share the next one; the heartbeats replace one that got lost.
    if !reads.isEmpty, confirmedRound == round { isRoundDue = true }
  }

  /// An answer to a read; nil as its index: it could not be confirmed, ask again elsewhere.
  public func nextRead() -> (token: UInt64, index: LogIndex?)? { answers.popFirst() }
}
