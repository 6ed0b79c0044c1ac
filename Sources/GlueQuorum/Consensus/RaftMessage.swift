import GlueCore

/// What members tell each other. Each message has the sender's term; whoever hears a later one than its own follows it
/// (Raft paper §5.1), except from a ``VoteRequest`` that only asks what would be.
public enum RaftMessage: Hashable, Sendable {
  /// Asks for a vote, or whether there would be one.
  case voteRequest(VoteRequest)
  /// Answers that.
  case voteReply(VoteReply)
  /// Brings entries from the leader.
  case append(Append)
  /// Says what of them is on disk, or why they do not fit.
  case appendReply(AppendReply)
  /// The leader lives. A round of 0 wants no reply: it only tells what is committed.
  case heartbeat(term: Term, round: UInt64, commit: LogIndex)
  /// Answers that, with the leader's round.
  case heartbeatReply(HeartbeatReply)
  /// The leader no longer has the entry that the follower needs next; it needs the state at `index` or later.
  case behind(term: Term, index: LogIndex)
  /// The leader hands over: stand for election at once (dissertation §3.10).
  case stand(term: Term)

  /// Asks for a vote.
  public struct VoteRequest: Hashable, Sendable {
    /// The candidate's term; that it would have, if it only asks what would be.
    public var term: Term
    /// The last entry of its log.
    public var lastIndex: LogIndex
    /// That entry's term.
    public var lastTerm: Term
    /// Whether it only asks what would be (dissertation §9.6).
    public var isPreVote = false
    /// Whether the present leader wants it, so that hearing that one is no reason to refuse (dissertation §4.2.3).
    public var isTransfer = false
  }

  /// Answers a request for a vote.
  public struct VoteReply: Hashable, Sendable {
    /// The term that was asked for if granted, else that of the voter.
    public var term: Term
    /// Whether it says what would be.
    public var isPreVote: Bool
    /// Whether it votes for the candidate.
    public var isGranted: Bool
  }

  /// Brings entries.
  public struct Append: Hashable, Sendable {
    /// The leader's term.
    public var term: Term
    /// The entry before the first one.
    public var previousIndex: LogIndex
    /// That entry's term.
    public var previousTerm: Term
    /// Up to where the leader's log is committed.
    public var commit: LogIndex
    /// Follow `previousIndex` without gaps, their terms never fall and never exceed `term`.
    public var entries: [RaftEntry] = []
  }

  /// Answers an append.
  public struct AppendReply: Hashable, Sendable {
    /// The follower's term.
    public var term: Term
    /// What came of it.
    public var result: Result

    /// What came of an append.
    public enum Result: Hashable, Sendable {
      /// The log is on disk up to this entry, and fits the leader's.
      case synced(index: LogIndex, term: Term)
      /// There is no such entry as `previous`. The leader's may fit at `hint`, the last one whose term is not above
      /// that of `previous`.
      case refused(previous: LogIndex, hint: LogIndex, hintTerm: Term)
    }
  }

  /// Answers a heartbeat.
  public struct HeartbeatReply: Hashable, Sendable {
    /// The follower's term.
    public var term: Term
    /// The round that it answers.
    public var round: UInt64
    /// Up to where its log is known to fit the leader's; what was sent beyond it is lost, or overtaken.
    public var received: LogIndex
    /// Up to where that is on disk.
    public var synced: LogIndex
    /// That entry's term.
    public var syncedTerm: Term
  }

  /// The sender's term.
  public var term: Term {
    switch self {
    case .voteRequest(let request): request.term
    case .voteReply(let reply): reply.term
    case .append(let append): append.term
    case .appendReply(let reply): reply.term
    case .heartbeat(let term, _, _), .behind(let term, _), .stand(let term): term
    case .heartbeatReply(let reply): reply.term
    }
  }

  /// Whether a member can take it: numbers that can be added, entries without gaps, terms that do not fall.
  var isValid: Bool {
    let limit = WireLimits.position
    guard term > 0, term <= limit else { return false }
    switch self {
    case .voteRequest(let request):
      return request.lastIndex <= limit && request.lastTerm < request.term
        && !(request.isPreVote && request.isTransfer)
    case .append(let append): return append.isValid
    case .voteReply, .stand: return true
    case .appendReply(let reply):
      switch reply.result {
      case .synced(let index, let term): return index <= limit && term <= reply.term
      case .refused(let previous, let hint, let term): return previous <= limit && hint <= previous && term <= limit
      }
    case .heartbeat(_, let round, let commit): return round <= limit && commit <= limit
    case .heartbeatReply(let reply):
      return reply.round <= limit && reply.received <= limit && reply.synced <= reply.received
        && reply.syncedTerm <= reply.term
    case .behind(_, let index): return index <= limit
    }
  }
}

extension RaftMessage.Append {
  fileprivate var isValid: Bool {
    let limit = WireLimits.position
    guard previousIndex <= limit, commit <= limit, previousTerm <= term else { return false }
    var index = previousIndex
    var last = previousTerm
    for entry in entries {
      guard entry.index == index + 1, entry.index <= limit, entry.term >= last, entry.term <= term, entry.term > 0
      else {
        return false
      }
      if case .membership(let membership) = entry.content, !membership.isValid { return false }
      index = entry.index
      last = entry.term
    }
    return true
  }
}

extension Membership {
  /// Whether a log may hold it: somebody decides, and nobody beyond the limits.
  var isValid: Bool {
    !voters.isEmpty && voters.count <= Self.voterLimit && learners.count <= Self.learnerLimit
  }
}
