import GlueCore
import GlueModel

/// By which a request can be looked up whose fate is not known: at the quorum that it was made of, for ten minutes
/// (``QuorumStateLimits``).
public struct QuorumToken: Hashable, Sendable, CustomStringConvertible {
  /// Of which quorum.
  public var cluster: ClusterID
  /// Which request.
  public var request: RequestID

  /// Joins the parts.
  public init(cluster: ClusterID, request: RequestID) {
    self.cluster = cluster
    self.request = request
  }

  /// Reads ``description``; nil if it is none.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].utf8.count == 32, let high = UInt64(parts[0].prefix(16), radix: 16),
      let low = UInt64(parts[0].suffix(16), radix: 16), let session = UInt64(parts[1]), let number = UInt64(parts[2])
    else { return nil }
    cluster = ClusterID(high: high, low: low)
    request = RequestID(session: SessionID(session), number: number)
  }

  /// As in `000000000000000000000000000004d2-7-12`: quorum, session, number.
  public var description: String { "\(cluster)-\(request.session.number)-\(request.number)" }
}

/// How a request ended.
public enum QuorumResult: Hashable, Sendable {
  /// It is decided, and stands in the log there.
  case committed(LogIndex)
  /// The lock is held, with this fencing token.
  case granted(token: UInt64)
  /// What this opening has applied includes everything that was decided before the read was asked for.
  case readable(LogIndex)
  /// The quorum is founded, or has the members that were asked for.
  case done
  /// It was decided that it does not happen.
  case rejected(QuorumRejection)
  /// It has not happened, and will not.
  case failed(QuorumObstacle)
  /// It was sent, and nobody said in time what became of it: who of the voters is missing. It may have happened, or happen yet.
  case unknown(QuorumToken, missing: [EndpointID])
}

/// Why something did not happen that nobody decided about.
public enum QuorumObstacle: Hashable, Sendable {
  /// No majority, or no leader, in time: the voters that are not there.
  case noQuorum(missing: [EndpointID])
  /// It was founded, and has no leader yet: the voters that are not there.
  case foundedWithoutLeader(missing: [EndpointID])
  /// Nobody who is there knows a quorum of this name.
  case notFounded
  /// There is a quorum of this name, and nobody has given its state in time.
  case stateIsMissing
  /// Too many requests of this opening are not decided yet.
  case tooManyRequests(limit: Int)
  /// The lock was not free in time.
  case lockNotFree(String)
  /// The lock was granted, and has run out before this was known.
  case lockLost(String)
  /// An endpoint does not take part in the founding.
  case declined(EndpointID, QuorumDecline)
  /// Nothing is founded: there is a quorum of this name, which that endpoint belongs to.
  case nameIsTaken(ClusterID, at: EndpointID)
  /// The endpoint that was to be removed is no member; these are.
  case notMember(EndpointID, members: [EndpointID])
  /// The membership cannot be changed so.
  case notChanged(QuorumChange, QuorumChangeResult)
  /// The founder must be one of the voters and have a storage, and there must be 1, 3, 5, 7 or 9 of them.
  case invalidVoters(String)
  /// This storage belongs to a quorum already.
  case isFounded(ClusterID)
  /// It asks about a request of another quorum.
  case foreignToken
  /// The storage of this endpoint failed.
  case storageFailed(String)
  /// This opening is closed.
  case closed
}

/// What has to be done with the storage: one job at a time, on a thread that may block.
public enum QuorumJob: Sendable {
  /// ``RaftLogStore/found(_:_:)``
  case found(ClusterID, RaftSnapshot)
  /// ``RaftLogStore/write(_:)``
  case write(RaftWrite)
  /// ``RaftLogStore/compact(_:keepFrom:)``, with the state as it was, which has to be encoded first.
  case compact(index: LogIndex, term: Term, Membership, QuorumState, keepFrom: LogIndex)
}

/// Changes that were committed together.
public struct QuorumChanges: Sendable {
  /// Up to which entry of the log.
  public var index: LogIndex
  /// What is different.
  public var changes: [ModelChange]
  /// Whether it is exactly what that one entry did. Else it is what all entries since the changes before it did: those in between
  /// are not to be had any more.
  public var isOneEntry: Bool

  /// Joins the parts.
  package init(index: LogIndex, changes: [ModelChange], isOneEntry: Bool) {
    self.index = index
    self.changes = changes
    self.isOneEntry = isOneEntry
  }
}
