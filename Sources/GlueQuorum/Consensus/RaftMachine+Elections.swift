import GlueCore

extension RaftMachine {
  /// Whether it may start an election: it has a vote, or its removal may not be committed yet. Only it may have the entry
  /// that removes it, and then nobody else can be elected (dissertation §4.2.2). It does not count itself.
  var mayStand: Bool { membership.isVoter(member) || committedMembership.isVoter(member) }

  /// Asks whether an election would succeed, without disturbing anybody (dissertation §9.6).
  func askAround(at now: Timestamp) {
    guard term < WireLimits.position else { return restartElectionTimer(at: now) }
    follow(nil, at: now)
    role = .preCandidate
    granted = [member]
    restartElectionTimer(at: now)
    askForVotes(term: term + 1, isPreVote: true, isTransfer: false)
    countVotes(at: now)
  }

  /// Stands for election in a new term. Its own vote counts when it is on disk.
  func stand(isTransfer: Bool, at now: Timestamp) {
    guard term < WireLimits.position else { return restartElectionTimer(at: now) }
    enter(term + 1, leader: nil, at: now)
    hardState.vote = member
    role = .candidate
    restartElectionTimer(at: now)
    askForVotes(term: term, isPreVote: false, isTransfer: isTransfer)
  }

  private func askForVotes(term: Term, isPreVote: Bool, isTransfer: Bool) {
    let request = RaftMessage.VoteRequest(
      term: term, lastIndex: log.lastIndex, lastTerm: log.lastTerm, isPreVote: isPreVote, isTransfer: isTransfer)
    for voter in membership.voters where voter != member { send(.voteRequest(request), to: voter, waits: !isPreVote) }
    if fault == .countsLearners {
      for learner in membership.learners { send(.voteRequest(request), to: learner, waits: !isPreVote) }
    }
  }

  /// Answers a request for a vote. Whoever asks and whoever answers need not be in this member's membership, which may
  /// be older than the candidate's (dissertation §4.2.2); the candidate counts only its voters.
  func consider(_ request: RaftMessage.VoteRequest, from candidate: MemberID, at now: Timestamp) {
    if !request.isTransfer, fault != .noLeaderStickiness, hearsLeader(at: now) { return }
    if request.term > term, !request.isPreVote { enter(request.term, leader: nil, at: now) }
    guard request.term >= term else {
      return send(.voteReply(.init(term: term, isPreVote: request.isPreVote, isGranted: false)), to: candidate)
    }
    let mayVote =
      (request.isPreVote && request.term > term) || hardState.vote == candidate
      || (hardState.vote == nil && leader == nil) || fault == .votesTwice
    let isUpToDate =
      request.lastTerm > log.lastTerm || (request.lastTerm == log.lastTerm && request.lastIndex >= log.lastIndex)
      || fault == .votesForShorterLog
    guard mayVote, isUpToDate, role != .leader, role != .candidate || request.isPreVote || fault == .votesTwice else {
      return send(.voteReply(.init(term: term, isPreVote: request.isPreVote, isGranted: false)), to: candidate)
    }
    if !request.isPreVote {
      if hardState.vote != candidate { hardState.vote = candidate }
      restartElectionTimer(at: now)
    }
    send(
      .voteReply(.init(term: request.term, isPreVote: request.isPreVote, isGranted: true)), to: candidate,
      waits: !request.isPreVote && fault != .voteNotSynced)
  }

  /// Whether a leader was heard so recently that none other is needed (dissertation §4.2.3).
  private func hearsLeader(at now: Timestamp) -> Bool {
    if role == .leader { return true }
    guard leader != nil, let leaderHeard else { return false }
    return now.since(leaderHeard) < configuration.electionTimeout
  }

  func count(_ reply: RaftMessage.VoteReply, from voter: MemberID, at now: Timestamp) {
    guard role == (reply.isPreVote ? .preCandidate : .candidate),
      membership.isVoter(voter) || fault == .countsLearners
    else { return }
    if reply.isGranted {
      guard reply.term == (reply.isPreVote ? term + 1 : term) else { return }
      if !granted.contains(voter) { granted.append(voter) }
    } else if !refused.contains(voter) {
      refused.append(voter)
    }
    countVotes(at: now)
  }

  func countVotes(at now: Timestamp) {
    let votes =
      fault == .countsLearners ? granted.count : granted.reduce(0) { $0 + (membership.isVoter($1) ? 1 : 0) }
    if votes >= membership.majority {
      if role == .preCandidate { stand(isTransfer: false, at: now) } else if role == .candidate { lead(at: now) }
    } else if refused.count >= membership.majority {
      follow(nil, at: now)
    }
  }

  private func lead(at now: Timestamp) {
    role = .leader
    leader = member
    granted.removeAll()
    refused.removeAll()
    hasCommittedInTerm = false
    round = 0
    confirmedRound = 0
    uncommittedBytes = bytes(after: commitIndex, upTo: log.lastIndex)
    unwrittenBytes = bytes(after: stable, upTo: log.lastIndex)
    followers = []
    updateFollowers(at: now)
    heartbeatDeadline = now + configuration.heartbeatInterval
    append(.empty)
  }

  /// Bytes of entries, as far as they are in memory.
  func bytes(after first: LogIndex, upTo last: LogIndex) -> Int {
    var index = max(first, log.baseIndex)
    var bytes = 0
    while index < min(last, log.lastIndex) {
      index += 1
      bytes += log.entry(at: index)?.encodedBound ?? 0
    }
    return bytes
  }

  // MARK: The quorum of a leader

  func isActive(_ progress: RaftProgress, at now: Timestamp) -> Bool {
    now.since(progress.sign) < configuration.electionTimeout
  }

  /// Whether a majority was heard within an election time-out (dissertation §6.2).
  func hearsMajority(at now: Timestamp) -> Bool {
    var heard = membership.isVoter(member) ? 1 : 0
    for follower in followers where membership.isVoter(follower.member) && isActive(follower, at: now) { heard += 1 }
    return heard >= membership.majority
  }

  /// What a majority of the voters has reached, of a number that each of them has; `own` is this member's.
  func reachedByMajority(own: UInt64, _ value: (RaftProgress) -> UInt64) -> UInt64 {
    var values: [UInt64] = []
    values.reserveCapacity(Membership.voterLimit)
    if membership.isVoter(member) { values.append(own) }
    for follower in followers where membership.isVoter(follower.member) { values.append(value(follower)) }
    guard values.count >= membership.majority else { return 0 }
    values.sort(by: >)
    return values[membership.majority - 1]
  }

  // MARK: Handing over

  /// Hands the leadership over, to the voter with the longest log if none is named (dissertation §3.10). Until it has
  /// happened, or an election time-out is over, nothing is taken. Nothing happens if this member does not lead.
  public func transferLeadership(to target: MemberID?, at now: Timestamp) {
    self.now = max(self.now, now)
    guard role == .leader, transfer == nil else { return }
    let voters = followers.filter { membership.isVoter($0.member) && isActive($0, at: now) }
    guard let best = target ?? voters.max(by: { $0.match < $1.match })?.member, best != member,
      followers.contains(where: { $0.member == best }), membership.isVoter(best)
    else { return }
    transfer = (best, now + configuration.electionTimeout, false)
    tellTransfer()
  }

  /// Whether the one that is to lead has not been told so yet.
  var isTransferring: Bool { transfer.map { !$0.isTold } ?? false }

  func tellTransfer() {
    guard let transfer, !transfer.isTold,
      let target = followers.first(where: { $0.member == transfer.to }), target.match == log.lastIndex
    else { return }
    self.transfer?.isTold = true
    send(.stand(term: term), to: transfer.to)
  }
}
