import GlueCore

/// What openings of a quorum model say to each other. docs/quorum-protocol.md has it byte by byte.
enum QuorumMessage: Hashable, Sendable {
  /// Who one is and what one has. On meeting, and when it changes.
  case hello(QuorumHello)
  /// A message of Raft between two members.
  case raft(ClusterID, from: StorageID, to: StorageID, RaftMessage)
  /// Requests to the leader.
  case ask(ClusterID, [QuorumCommand], reads: [UInt64])
  /// What became of them.
  case answer(ClusterID, QuorumAnswer)
  /// What was not taken: by somebody who does not lead, or is not ready.
  case redirect(ClusterID, leader: EndpointID?, requests: [RequestID], nonces: [UInt64], reads: [UInt64])
  /// What is committed, to all. Entries may be left out where they are too long.
  case news(ClusterID, QuorumNews)
  /// Asks for what is from an entry on: entries, or a state that has them in it. Without a cluster: for whatever there is.
  case fetch(ClusterID?, from: LogIndex, needsState: Bool)
  /// Committed entries, for one who lacks them.
  case entries(ClusterID, [RaftEntry])
  /// A state that has to be fetched in pieces, as the entries are not there any more.
  case offer(ClusterID, QuorumOffer)
  /// Asks for a piece of it.
  case want(ClusterID, index: LogIndex, offset: UInt64)
  /// A piece of it.
  case piece(ClusterID, index: LogIndex, offset: UInt64, [UInt8])
  /// Asks a future voter whether it takes part, and for its storage.
  case invite(ClusterID)
  /// It does.
  case accept(ClusterID, StorageID)
  /// It does not.
  case decline(ClusterID, QuorumDecline)
  /// Asks the leader for a step towards another membership.
  case change(ClusterID, number: UInt64, QuorumChange)
  /// How far it is.
  case changed(ClusterID, number: UInt64, QuorumChangeResult)
}

/// What one opening tells about itself.
struct QuorumHello: Hashable, Sendable {
  /// Whether it wants one back.
  var asks = false
  /// What it belongs to, or follows.
  var cluster: ClusterID?
  /// Its storage, if it has one.
  var storage: StorageID?
  /// What it has applied.
  var applied: LogIndex = 0
  var term: Term = 0
  /// Whom it takes for the leader.
  var leader: EndpointID?
}

/// What a leader tells all.
struct QuorumNews: Hashable, Sendable {
  var term: Term
  var leader: EndpointID
  var commit: LogIndex
  /// The last ones up to `commit`, or none.
  var entries: [RaftEntry]
}

/// A state on offer.
struct QuorumOffer: Hashable, Sendable {
  var index: LogIndex
  var term: Term
  var membership: Membership
  /// Of the encoded state.
  var bytes: UInt64
}

struct QuorumAnswer: Hashable, Sendable {
  struct Outcome: Hashable, Sendable {
    var request: RequestID
    /// Of an opening of a session; else 0.
    var nonce: UInt64
    var outcome: QuorumOutcome
  }
  var outcomes: [Outcome] = []
  var reads: [Read] = []

  struct Read: Hashable, Sendable {
    var number: UInt64
    var index: LogIndex
  }
}

/// Why somebody does not take part in a founding.
public enum QuorumDecline: UInt8, Hashable, Sendable {
  /// It has no storage.
  case hasNoStorage
  /// Its storage belongs to a quorum already.
  case isMember
  /// It has accepted another invitation a moment ago.
  case isPledged
  /// It follows another quorum of the name.
  case followsAnother
}

/// A wish for another membership.
public enum QuorumChange: Hashable, Sendable {
  /// This endpoint, with the storage that it has now, gets a vote; or only listens.
  case add(EndpointID, asVoter: Bool)
  /// This endpoint is no member any more.
  case remove(EndpointID)

  /// Which one.
  var endpoint: EndpointID {
    switch self {
    case .add(let endpoint, _), .remove(let endpoint): endpoint
    }
  }
}

/// How far a change of the membership is.
public enum QuorumChangeResult: UInt8, Hashable, Sendable {
  case isDone
  case isUnderWay
  /// The endpoint is not there, or has no storage.
  case isAbsent
  /// The rest would have no majority that is there.
  case wouldStop
  /// There would be too many, or none.
  case wrongCount
  /// Whoever was asked does not lead.
  case notLeader
}
