import DequeModule
import GlueCore

/// One member's part in Raft, as etcd practises it: pre-vote, check-quorum, read index, learners, one change at a time.
/// It does no I/O: what it is to do is taken from it after every input, each of the `next…` until it has nothing.
///
/// ```
///             heard nobody              would win              won
///  follower ---------------> preCandidate -----> candidate -----------> leader
///     ^ ^                          |                 |                    |
///     | +----- a leader, or a later term ------------+                    |
///     +------- a later term, no majority heard, or removed ---------------+
/// ```
public final class RaftMachine {
  /// Who this is.
  public let member: MemberID
  /// How it behaves.
  public let configuration: RaftConfiguration
  /// A mistake to make, for tests of the tests.
  package var fault: RaftFault?

  /// What it is doing.
  public internal(set) var role = RaftRole.follower
  /// The leader that it heard in this term.
  public internal(set) var leader: MemberID?
  /// Term and vote.
  public internal(set) var hardState: RaftHardState { didSet { hardVersion += 1 } }
  /// Up to where the log is known to be committed.
  public internal(set) var commitIndex: LogIndex
  var log: RaftLog
  var random: SeededGenerator

  // What is on disk.
  var hardVersion: UInt64 = 0
  var durableVersion: UInt64 = 0
  /// Up to where the log is on disk as it is in memory.
  var stable: LogIndex
  var writing: (version: UInt64, last: LogIndex, snapshot: LogIndex?)?
  /// Since when something has waited for the disk without anything having been written.
  var unwrittenSince: Timestamp?
  var snapshotToWrite: RaftSnapshot?
  var installed: RaftSnapshot?
  var isInstallDurable = false
  var delivered: LogIndex

  // What waits to be taken.
  var ready: Deque<(to: MemberID, message: RaftMessage)> = []
  var held: Deque<(to: MemberID, message: RaftMessage, version: UInt64)> = []
  var answers: Deque<(token: UInt64, index: LogIndex?)> = []
  var need: (from: MemberID, index: LogIndex)?

  // A follower's.
  var electionDeadline = Timestamp(nanoseconds: 0)
  var leaderHeard: Timestamp?
  /// Up to where the log is known to fit that of the leader of this term.
  var matched: LogIndex
  var owesReply = false
  /// What its leader said last to be committed.
  var leaderCommit: LogIndex = 0
  var needTold: Timestamp?

  // A candidate's.
  var granted: [MemberID] = []
  var refused: [MemberID] = []
  var isTransferElection = false

  // A leader's.
  var followers: [RaftProgress] = []
  var heartbeatDeadline = Timestamp(nanoseconds: 0)
  var hasCommittedInTerm = false
  var uncommittedBytes = 0
  /// Bytes of the entries that are not on its own disk yet. A majority may commit them all the same.
  var unwrittenBytes = 0
  var appendsDue = false
  var appendCursor = 0
  var round: UInt64 = 0
  var confirmedRound: UInt64 = 0
  var isRoundDue = false
  var reads: Deque<(token: UInt64, index: LogIndex, round: UInt64)> = []
  var readsBeforeCommit: [UInt64] = []
  var transfer: (to: MemberID, deadline: Timestamp, isTold: Bool)?

  /// Goes on from what a storage held. The caller's state is that of the stored snapshot; what follows it is handed out as
  /// soon as it is known to be committed.
  public init(
    member: MemberID, stored: StoredRaft, configuration: RaftConfiguration, seed: UInt64, at now: Timestamp
  ) {
    self.member = member
    self.configuration = configuration
    hardState = stored.hardState
    log = RaftLog(stored.snapshot)
    for entry in stored.entries where entry.index == log.lastIndex + 1 { log.append(entry) }
    // A storage whose log is ahead of its term is none that this machine wrote, but a term never goes back.
    if log.lastTerm > stored.hardState.term {
      hardState = RaftHardState(term: log.lastTerm)
      hardVersion = 1
    }
    stable = log.lastIndex
    commitIndex = stored.snapshot.index
    delivered = stored.snapshot.index
    matched = stored.snapshot.index
    random = SeededGenerator(seed: seed)
    restartElectionTimer(at: now)
  }

  // MARK: Looking

  /// The latest term that it has seen.
  public var term: Term { hardState.term }
  /// The members in force: the last ones in the log, committed or not.
  public var membership: Membership { log.membership }
  /// The last members that are committed.
  public var committedMembership: Membership { log.membership(at: commitIndex) }
  /// The last entry of the log.
  public var lastIndex: LogIndex { log.lastIndex }
  /// The first entry that is still in memory.
  public var firstIndex: LogIndex { log.firstIndex }

  /// Committed entries from one on, in about so many bytes and at least one if there is one; nil if they are compacted.
  public func entries(from index: LogIndex, bytes: Int) -> [RaftEntry]? {
    guard index >= log.firstIndex else { return nil }
    return log.slice(from: index, to: commitIndex, bytes: bytes)
  }

  /// What a leader knows of the other members.
  public var progress: [(member: MemberID, match: LogIndex, isActive: Bool, lastHeard: Timestamp?)] {
    followers.map { ($0.member, $0.match, isActive($0, at: now), $0.lastHeard) }
  }
  var now = Timestamp(nanoseconds: 0)

  // MARK: Time

  /// When ``advance(to:)`` has something to do.
  public var nextWakeup: Timestamp? {
    if role == .leader {
      let hangsAt = unwrittenSince.map { $0 + RaftConfiguration.diskPatience } ?? heartbeatDeadline
      return min(heartbeatDeadline, transfer?.deadline ?? heartbeatDeadline, hangsAt)
    }
    return mayStand ? electionDeadline : nil
  }

  /// Lets time pass.
  public func advance(to now: Timestamp) {
    self.now = max(self.now, now)
    noteUnwritten()
    if role == .leader {
      guard hearsMajority(at: now) || fault == .noCheckQuorum else { return follow(nil, at: now) }
      // It can neither apply what the others decide nor tell anybody: one of them has to lead.
      if hangs(at: now) {
        transferLeadership(to: nil, at: now)
        return follow(nil, at: now)
      }
      if let transfer, now >= transfer.deadline { self.transfer = nil }
      if now >= heartbeatDeadline {
        heartbeatDeadline = now + configuration.heartbeatInterval
        beginRound(to: .all)
      }
    } else if now >= electionDeadline, mayStand {
      // Its vote could not be written.
      if hangs(at: now) { return restartElectionTimer(at: now) }
      if fault == .noPreVote { stand(isTransfer: false, at: now) } else { askAround(at: now) }
    }
  }

  /// Takes note of whether something waits for the disk.
  func noteUnwritten() {
    let isWaiting = durableVersion < hardVersion || stable < log.lastIndex || installed != nil && !isInstallDurable
    unwrittenSince = isWaiting ? unwrittenSince ?? now : nil
  }

  /// Whether the disk has not come back for so long that it may never do.
  func hangs(at now: Timestamp) -> Bool {
    unwrittenSince.map { now.since($0) >= RaftConfiguration.diskPatience } ?? false
  }

  func restartElectionTimer(at now: Timestamp) {
    let span = configuration.electionTimeout.count
    let wait = span &+ (span == 0 ? 0 : random.next() % span)
    electionDeadline = now + Nanoseconds(max(wait, span))
  }

  // MARK: Messages

  /// Takes a message.
  public func receive(_ message: RaftMessage, from sender: MemberID, at now: Timestamp) {
    self.now = max(self.now, now)
    guard message.isValid, sender != member else { return }
    if case .voteRequest(let request) = message { return consider(request, from: sender, at: now) }
    if case .voteReply(let reply) = message, reply.isPreVote, reply.isGranted {
      return count(reply, from: sender, at: now)
    }
    if message.term > term {
      let isLeaders: Bool
      switch message {
      case .append, .heartbeat, .behind: isLeaders = true
      default: isLeaders = false
      }
      enter(message.term, leader: isLeaders ? sender : nil, at: now)
    }
    guard message.term == term else { return tellTerm(of: message, to: sender) }
    switch message {
    case .voteRequest: break
    case .voteReply(let reply): count(reply, from: sender, at: now)
    case .append(let append): if hear(sender, at: now) { take(append, from: sender) }
    case .appendReply(let reply): take(reply, from: sender, at: now)
    case .heartbeat(_, let round, let commit):
      if hear(sender, at: now) { take(round: round, commit: commit, from: sender) }
    case .heartbeatReply(let reply): take(reply, from: sender, at: now)
    case .behind(_, let index): if hear(sender, at: now) { takeBehind(index, from: sender, at: now) }
    case .stand: if sender == leader, membership.isVoter(member) { stand(isTransfer: true, at: now) }
    }
  }

  /// A leader of an earlier term learns of the later one, or it would never stop (etcd's stuck candidate).
  private func tellTerm(of message: RaftMessage, to sender: MemberID) {
    switch message {
    case .append, .heartbeat, .behind:
      send(.heartbeatReply(.init(term: term, round: 0, received: 0, synced: 0, syncedTerm: 0)), to: sender)
    default: break
    }
  }

  /// Queues a message. It leaves when term and vote, as they are now, are on disk.
  func send(_ message: RaftMessage, to receiver: MemberID, waits: Bool = true) {
    guard ready.count + held.count < RaftConfiguration.outboxLimit else { return }
    if waits, durableVersion < hardVersion {
      held.append((receiver, message, hardVersion))
    } else {
      ready.append((receiver, message))
    }
  }

  /// A message to send, if what it relies on is on disk.
  public func nextMessage() -> (to: MemberID, message: RaftMessage)? {
    if role == .leader, isRoundDue { beginRound(to: .voters) }
    if let first = ready.popFirst() { return first }
    guard role == .leader, appendsDue else { return nil }
    while appendCursor < followers.count {
      if let message = nextAppend(&followers[appendCursor]) { return (followers[appendCursor].member, message) }
      appendCursor += 1
    }
    appendsDue = false
    return nil
  }

  // MARK: Terms

  /// Begins a later term.
  func enter(_ term: Term, leader: MemberID?, at now: Timestamp) {
    hardState = RaftHardState(term: term)
    // Also if the same member leads again: it may have lost what fitted before.
    if fault != .keepsMatchOverTerms { self.leader = nil }
    leaderCommit = 0
    follow(leader, at: now)
  }

  /// Becomes a follower in this term.
  func follow(_ leader: MemberID?, at now: Timestamp) {
    if role == .leader {
      for read in reads { answers.append((read.token, nil)) }
      for token in readsBeforeCommit { answers.append((token, nil)) }
      reads.removeAll()
      readsBeforeCommit.removeAll()
      followers.removeAll()
      transfer = nil
      isRoundDue = false
      appendsDue = false
      leaderHeard = nil
      restartElectionTimer(at: now)
    }
    role = .follower
    granted.removeAll()
    refused.removeAll()
    if self.leader != leader || leader == nil {
      matched = commitIndex
      owesReply = false
    }
    self.leader = leader
  }
}
