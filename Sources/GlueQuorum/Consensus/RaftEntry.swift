import GlueCore

/// One entry of the log.
public struct RaftEntry: Hashable, Sendable {
  /// What it says.
  public enum Content: Hashable, Sendable {
    /// Nothing: a new leader's first, so that it can commit what it found (Raft paper §8).
    case empty
    /// What the state is changed by.
    case command([UInt8])
    /// Who the members are from now on: in force as soon as it is in the log (dissertation §4.1).
    case membership(Membership)
  }

  /// Where it stands.
  public var index: LogIndex
  /// In which term a leader made it.
  public var term: Term
  /// What it says.
  public var content: Content

  /// Joins the parts.
  public init(index: LogIndex, term: Term, _ content: Content) {
    self.index = index
    self.term = term
    self.content = content
  }
}

/// What a member must remember beside its log (Raft paper, figure 2). Synced before any message that depends on it.
public struct RaftHardState: Hashable, Sendable {
  /// The latest term it has seen.
  public var term: Term
  /// Whom it voted for in that term.
  public var vote: MemberID?

  /// Joins the parts.
  public init(term: Term = 0, vote: MemberID? = nil) {
    self.term = term
    self.vote = vote
  }
}

/// The committed state up to an entry, in place of the log up to it (Raft paper §7).
public struct RaftSnapshot: Hashable, Sendable {
  /// The last entry that is in it.
  public var index: LogIndex
  /// That entry's term.
  public var term: Term
  /// The members as of that entry.
  public var membership: Membership
  /// The encoded state.
  public var state: [UInt8]

  /// Joins the parts.
  public init(index: LogIndex, term: Term, membership: Membership, state: [UInt8]) {
    self.index = index
    self.term = term
    self.membership = membership
    self.state = state
  }
}

/// What has to be on disk, and synced, before the member goes on.
public struct RaftWrite: Sendable {
  /// In place of what is stored; nil: unchanged.
  public var hardState: RaftHardState?
  /// A snapshot that came from somebody else: everything up to its entry, and what follows that does not fit it, is dropped first.
  public var snapshot: RaftSnapshot?
  /// In order and without gaps. They replace what is stored from the index of the first one on.
  public var entries: [RaftEntry] = []

  /// Joins the parts.
  public init(hardState: RaftHardState? = nil, snapshot: RaftSnapshot? = nil, entries: [RaftEntry] = []) {
    self.hardState = hardState
    self.snapshot = snapshot
    self.entries = entries
  }
}

extension StoredRaft {
  /// Whose storage it is, as far as a membership in it says so.
  package func owner(of storage: StorageID) -> EndpointID? {
    let memberships =
      [snapshot.membership]
      + entries.compactMap { entry in
        if case .membership(let membership) = entry.content { membership } else { nil }
      }
    return memberships.lazy.flatMap(\.all).first { $0.storage == storage }?.endpoint
  }
}

/// What a storage held when it was opened.
public struct StoredRaft: Sendable {
  /// Term and vote.
  public var hardState: RaftHardState
  /// Where the log begins.
  public var snapshot: RaftSnapshot
  /// What follows the snapshot, without gaps.
  public var entries: [RaftEntry]

  /// Joins the parts.
  public init(hardState: RaftHardState = RaftHardState(), snapshot: RaftSnapshot, entries: [RaftEntry] = []) {
    self.hardState = hardState
    self.snapshot = snapshot
    self.entries = entries
  }
}
