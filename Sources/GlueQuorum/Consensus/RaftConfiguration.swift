import GlueCore

/// How a member of a quorum behaves. All members should have the same times.
public struct RaftConfiguration: Hashable, Sendable {
  /// How often a leader is heard from. Shorter finds a lost append sooner, and costs two small messages each time and follower.
  public var heartbeatInterval = Nanoseconds.milliseconds(100)
  /// How long a leader may be silent; each wait is random in 1…2 times this, so that somebody else leads within two seconds. Shorter
  /// replaces a dead leader sooner, and a living one behind a busy processor too.
  public var electionTimeout = Nanoseconds.milliseconds(750)
  /// How many bytes of entries are in one message; a larger entry goes alone.
  public var appendBytes = 256 << 10
  /// How many bytes of entries may be under way to one follower (dissertation §10.2.1).
  public var inflightBytes = 4 << 20
  /// How many messages with entries may be under way to one follower.
  public var inflightMessages = 64
  /// How many bytes a leader takes that are not committed yet; what is proposed beyond them is refused.
  public var uncommittedBytes = 16 << 20
  /// How many bytes of entries stay in memory behind a snapshot, so that a slow follower needs no state.
  public var keptBytes = 4 << 20
  /// How many entries stay in memory behind a snapshot.
  public var keptEntries = 10_000

  /// The defaults, which suit wireless networks.
  public init() {}

  /// For a network of cables, where 30 ms without a heartbeat mean something.
  public static var lan: RaftConfiguration {
    var configuration = RaftConfiguration()
    configuration.heartbeatInterval = .milliseconds(30)
    configuration.electionTimeout = .milliseconds(150)
    return configuration
  }

  /// A disk that has not written for so long hangs: whoever has it neither leads nor stands. Cards and cheap flash pause for a second or two.
  static let diskPatience = Nanoseconds.seconds(4)
  /// How many bytes of entries are in one write; a larger entry goes alone.
  static let writeBytes = 32 << 20
  /// How many reads wait at a leader for a round; what is asked beyond them has to be asked again.
  static let readLimit = 65_536
  /// How many small messages wait to be taken or for the disk; more are dropped, as the network may drop any. Appends are
  /// not among them: they are made when they are taken.
  static let outboxLimit = 1_024
}

/// What a member is doing.
public enum RaftRole: Hashable, Sendable {
  /// It follows a leader, or waits for one.
  case follower
  /// It asks whether an election would succeed (dissertation §9.6).
  case preCandidate
  /// It asks for votes.
  case candidate
  /// It decides what comes next in the log.
  case leader
}

/// Why a leader, or somebody who is none, takes no proposal.
public enum RaftRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// Another member leads, or none.
  case notLeader
  /// More than ``RaftConfiguration/uncommittedBytes`` wait.
  case tooMuchUncommitted
  /// An earlier change of the members is not committed yet.
  case changeUnderWay
  /// No entry of this term is committed yet, without which the members must not change.
  case notReady
  /// The members would change by more than one step, or to what cannot be; the text says which.
  case badChange(String)
  /// The leadership is being handed over.
  case transferring

  /// The reason in words.
  public var description: String {
    switch self {
    case .notLeader: "this member does not lead"
    case .tooMuchUncommitted: "too much waits to be committed"
    case .changeUnderWay: "an earlier change of the members is not committed yet"
    case .notReady: "the leader has committed nothing in its term yet"
    case .badChange(let reason): "the members cannot change so: \(reason)"
    case .transferring: "the leadership is being handed over"
    }
  }
}
