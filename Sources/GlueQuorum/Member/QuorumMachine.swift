import DequeModule
import GlueCore
import GlueModel

/// One opening of a quorum model: what is decided there, and all that takes part in deciding.
///
/// It is driven from outside and knows no network, disk or clock. **The drain rule**: after every input take the outputs until there are none
/// (messages, broadcasts, results, changes, events, a job for the storage); then come back at ``nextWakeup``, or with the next input.
///
/// Every opening follows the committed log and holds the whole state. One with a storage that the membership names runs Raft beside it
/// and is fed by it; the others are fed by what the leader tells all, and fetch what they lack from anybody who has it. Requests of all of them go to the
/// leader. The channels are assumed to be in order for each sender while a session lasts; everything is repeated that matters.
///
/// Where the methods are: `+Peers` who is there, `+Founding` how a quorum begins, `+Applying` what is decided, `+Member` Raft and the
/// storage, `+Leader` what a leader does for others, `+Following` and `+Serving` how state gets to those who lack it, `+Requests` what is asked here,
/// `+Locks` what it holds, `+Time`.
public final class QuorumMachine {
  /// The settings.
  public let configuration: QuorumConfiguration
  /// Whose opening it is.
  public let endpoint: EndpointID
  /// Its storage, if it has one.
  public let storage: StorageID?

  /// A mistake to make, for tests of the tests…
  package var fault: QuorumFault? { didSet { state.fault = fault } }
  /// …and one of Raft's.
  package var raftFault: RaftFault? { didSet { raft?.fault = raftFault } }

  /// Which quorum it belongs to, or follows; nil as long as it knows none.
  public internal(set) var cluster: ClusterID?
  /// Whether its storage belongs to the cluster, so that it follows no other one.
  var isBound: Bool

  // What is decided.
  /// The state after the last applied entry.
  public internal(set) var state: QuorumState
  /// The last applied entry.
  public internal(set) var applied: LogIndex = 0
  var appliedTerm: Term = 0
  /// The members, as committed; nil as long as there is no state.
  public internal(set) var membership: Membership?
  /// When what is applied was last known to be everything that is decided.
  public internal(set) var currentAt: Timestamp?
  /// The last applied entries, of an opening that has no log of its own.
  var recent = RecentEntries()

  // The member.
  var raft: RaftMachine?
  var isJobUnderWay = false
  /// A quorum that the storage is to become a member of.
  var joining: Joining?
  var compaction = Compaction()
  /// Why the storage cannot be used any more.
  var storageFailure: String?
  /// Since when Raft knows no leader.
  var leaderlessSince: Timestamp?
  /// Whether that is so long ago that what is decided may pass this member by: it may have been removed while it was away.
  var isPassedBy = false
  /// A state that was fetched for Raft, decoded already.
  var fetchedState: (index: LogIndex, state: QuorumState)?
  var leading: Leading?

  // Others.
  /// In the order of endpoint IDs.
  var peers: [QuorumPeer] = []
  /// Whether somebody listens who is no member.
  var hasListeners = false
  /// Whom others told to lead, of an opening that is no member.
  var hint: (leader: EndpointID, term: Term)?
  var following = Following()
  var serving = Serving()
  var founding: Founding?
  /// Whose founding this endpoint waits for.
  var pledge: (cluster: ClusterID, founder: EndpointID, until: Timestamp)?
  /// Since when the cluster that is followed has had no leader.
  var orphanSince: Timestamp?

  // Requests of this opening.
  var client: QuorumClient
  var generator: SeededGenerator
  var isClosed = false

  // Outputs.
  var outbox = QuorumOutbox()
  var broadcasts: Deque<[UInt8]> = []
  var broadcastBytes = 0
  var answers: [(peer: EndpointID, answer: QuorumAnswer)] = []
  var events: Deque<QuorumEvent> = []
  var results: Deque<(ticket: UInt64, result: QuorumResult)> = []
  var changes: Deque<QuorumChanges> = []
  /// What was applied since a test took it; nil: none does.
  package var steps: [QuorumStep]?
  /// Whether somebody takes ``nextChanges()``.
  public var isWatched = false
  var told = Told()

  /// What was told by events last.
  struct Told {
    var leader: EndpointID?
    var role = QuorumRole.observer
    var membership: Membership?
    var foreign: Set<EndpointID> = []
    var foreignStorages: Set<EndpointID> = []
  }

  /// An opening that begins with what its storage holds, or with nothing.
  ///
  /// - Parameters:
  ///   - storage: The storage's identity; nil for an opening without one, which never has a vote.
  ///   - cluster: What the storage belongs to.
  ///   - stored: What it held of that.
  ///   - seed: Random and new at every opening.
  /// - Throws: `WireError` if the stored state is none.
  public init(
    endpoint: EndpointID, storage: StorageID? = nil, cluster: ClusterID? = nil, stored: StoredRaft? = nil,
    configuration: QuorumConfiguration = QuorumConfiguration(), seed: UInt64, at now: Timestamp
  ) throws(WireError) {
    self.configuration = configuration
    self.endpoint = endpoint
    self.storage = storage
    generator = SeededGenerator(seed: seed)
    client = QuorumClient(nonce: generator.next())
    guard let storage, let cluster, let stored else {
      state = QuorumState(limits: configuration.state)
      isBound = false
      return
    }
    self.cluster = cluster
    isBound = true
    state = try QuorumState(encoded: stored.snapshot.state)
    applied = stored.snapshot.index
    appliedTerm = stored.snapshot.term
    membership = stored.snapshot.membership
    compaction.snapshot = stored.snapshot.index
    compaction.stateBytes = stored.snapshot.state.count
    leaderlessSince = now
    raft = RaftMachine(
      member: MemberID(endpoint, storage), stored: stored, configuration: configuration.raft, seed: generator.next(),
      at: now)
    pump(now)
  }
}

// MARK: Looking

extension QuorumMachine {
  /// Who this is as a member; nil without a storage.
  var member: MemberID? { storage.map { MemberID(endpoint, $0) } }

  /// What this opening is.
  public var role: QuorumRole {
    guard let member, raft != nil, let membership else { return .observer }
    return membership.isVoter(member) ? .voter : membership.learners.contains(member) ? .learner : .observer
  }

  /// Whether what is decided comes by way of Raft. It does not for a member that was removed, also if it was away when that was decided.
  var isFedByRaft: Bool {
    guard let raft, let member, storageFailure == nil, raft.membership.contains(member) else { return false }
    return !isPassedBy
  }

  /// Whether it has to listen to what the leader tells all.
  public var wantsNews: Bool { !isClosed && !isFedByRaft }

  /// Who leads, as far as is known here.
  public var leader: EndpointID? {
    if isFedByRaft { return raft?.leader?.endpoint }
    // Others may have heard from itself that it leads, when it did.
    return hint?.leader == endpoint && !isLeader ? nil : hint?.leader
  }

  /// The latest term that is known here.
  public var term: Term { max(leaderTerm, appliedTerm) }

  /// The latest term in which somebody was said to lead.
  var leaderTerm: Term { max(raft?.term ?? 0, hint?.term ?? 0) }

  /// Whether this endpoint leads.
  public var isLeader: Bool { raft?.role == .leader }

  /// Voters that are not there, or came back without their storage.
  public var missingVoters: [EndpointID] {
    guard let membership else { return [] }
    return membership.voters.filter { voter in
      if voter == member { return storageFailure != nil }
      return !peers.contains { $0.id == voter.endpoint && $0.hello?.storage == voter.storage }
    }.map(\.endpoint)
  }

  /// When what is applied here was last known to be everything that is decided; nil: never. For a leader that is when a majority last
  /// confirmed it.
  public func currentTime(_ now: Timestamp) -> Timestamp? {
    if isFedByRaft, let raft, applied >= raft.commitIndex, let time = raft.currentAt(now) {
      currentAt = max(currentAt ?? time, time)
    }
    return currentAt
  }

  /// Why nothing can be done with the storage, if it failed.
  public var failure: String? { storageFailure }
}

// MARK: Outputs

extension QuorumMachine {
  /// The next message to a single peer. Those to whom nothing can be sent now are left out.
  public func nextMessage(where hasRoom: (EndpointID) -> Bool = { _ in true }) -> (peer: EndpointID, bytes: [UInt8])? {
    outbox.next(where: hasRoom)
  }

  /// The next message to all who want news.
  public func nextBroadcast() -> [UInt8]? {
    guard let bytes = broadcasts.popFirst() else { return nil }
    broadcastBytes -= bytes.count
    return bytes
  }

  /// The next event.
  public func nextEvent() -> QuorumEvent? { events.popFirst() }

  /// How the next request ended.
  public func nextResult() -> (ticket: UInt64, result: QuorumResult)? { results.popFirst() }

  /// What was committed next: together with what was read before it gives what can be read now.
  public func nextChanges() -> QuorumChanges? { changes.popFirst() }
}

// MARK: For all parts

extension QuorumMachine {
  func tell(_ event: QuorumEvent) {
    if events.count >= QuorumConfiguration.events { events.removeFirst() }
    events.append(event)
  }

  func end(_ ticket: UInt64, _ result: QuorumResult) { results.append((ticket, result)) }

  func send(_ message: QuorumMessage, to peer: EndpointID) { outbox.append(message.encoded(), to: peer) }

  func broadcast(_ message: QuorumMessage) {
    let bytes = message.encoded()
    // Whoever lacks it fetches it.
    guard broadcastBytes + bytes.count <= QuorumConfiguration.broadcastBytes else { return }
    broadcasts.append(bytes)
    broadcastBytes += bytes.count
  }

  /// Does everything that follows from an input.
  func pump(_ now: Timestamp) {
    var isMoving = true
    while isMoving {
      isMoving = pumpRaft(now)
      if pumpRequests(now) { isMoving = true }
    }
    concludeReads()
    concludeFounding()
    sendAnswers()
    sendNews(now)
    noticeRole(now)
  }
}
