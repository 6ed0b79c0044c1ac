import GlueCore

/// What an opening of a quorum model tells besides results.
public enum QuorumEvent: Hashable, Sendable {
  /// Somebody leads, or nobody (nil) as far as this endpoint knows.
  case leader(EndpointID?, term: Term)
  /// The members, as committed.
  case membership(Membership)
  /// What this opening is in the quorum.
  case role(QuorumRole)
  /// Somebody has another quorum of the same name open.
  case foreignCluster(ClusterID, at: EndpointID)
  /// An endpoint is there that the membership names with another storage: it has lost its own and has no vote.
  case foreignStorage(EndpointID)
  /// This opening was bound to no quorum, and follows another one of the name now.
  case wentOver(from: ClusterID, to: ClusterID)
  /// A lock that was held here is not any more.
  case lockLost(String, token: UInt64)
  /// The storage failed; this voter has stopped for good.
  case storageFailed(String)
  /// Somebody sent what cannot be read, or is of another version.
  case unreadable(from: EndpointID, String)
  /// Changes were told together, as those between are not to be had any more: up to which entry.
  case changesJoined(upTo: LogIndex)
}

/// What an opening is in a quorum.
public enum QuorumRole: String, Hashable, Sendable {
  /// Follows what is decided.
  case observer
  /// Has the log on disk, and no vote.
  case learner
  /// Has a vote.
  case voter
}

extension QuorumEvent {
  /// Whether somebody should look after it.
  public var isAlarming: Bool {
    switch self {
    case .leader, .membership, .role, .changesJoined: false
    case .foreignCluster, .foreignStorage, .wentOver, .lockLost, .storageFailed, .unreadable: true
    }
  }
}

extension QuorumEvent: CustomStringConvertible {
  /// One line for people.
  public var description: String {
    switch self {
    case .leader(let leader?, let term): "\(leader) leads in term \(term)"
    case .leader(nil, let term): "nobody leads in term \(term)"
    case .membership(let membership):
      "voters are \(membership.voters.map { "\($0.endpoint)" }.joined(separator: ", "))"
        + (membership.learners.isEmpty
          ? "" : ", learners \(membership.learners.map { "\($0.endpoint)" }.joined(separator: ", "))")
    case .role(let role): "this endpoint is \(role == .observer ? "an" : "a") \(role.rawValue)"
    case .foreignCluster(let cluster, let peer): "endpoint \(peer) belongs to another quorum of that name, \(cluster)"
    case .foreignStorage(let peer): "endpoint \(peer) does not have the storage it voted with, and has no vote"
    case .wentOver(let old, let new): "this endpoint left quorum \(old), which has no leader, for \(new)"
    case .lockLost(let name, let token): "lock \(name) with token \(token) is not held any more"
    case .storageFailed(let reason): "the storage failed, and this endpoint takes no part any more: \(reason)"
    case .unreadable(let peer, let problem): "a message of endpoint \(peer) cannot be read: \(problem)"
    case .changesJoined(let index): "changes up to entry \(index) were joined"
    }
  }
}
