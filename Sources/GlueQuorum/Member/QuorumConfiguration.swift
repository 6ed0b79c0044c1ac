import GlueCore

/// How an opening of a quorum model behaves, and the bounds of its memory.
public struct QuorumConfiguration: Sendable {
  /// Heartbeats, elections and windows of Raft. ``RaftConfiguration/lan`` finds a new leader in half a second.
  public var raft = RaftConfiguration()
  /// How large the state may become, of a quorum that is founded here. Those that follow it have its limits.
  public var state = QuorumStateLimits()
  /// Requests of this opening that are not decided yet; 1,024, which is also the most that count: what became of so many is remembered. More are
  /// refused: nothing queues up silently.
  public var requests = 1_024
  /// A snapshot is made when the log since the last one has so many bytes; 8 MiB. At least as many as the last state, so that at most half
  /// of what is written to disk is snapshots.
  public var compactionBytes = 8 << 20
  /// Entries that an opening without a vote keeps for others that lack them, in bytes; 4 MiB.
  public var recentBytes = 4 << 20

  /// The defaults.
  public init() {}

  /// For one quiet network: a leader that is gone is replaced within half a second.
  public static var lan: QuorumConfiguration {
    var configuration = QuorumConfiguration()
    configuration.raft = .lan
    return configuration
  }
}

extension QuorumConfiguration {
  /// A leader tells those without a vote so often what is committed, also if that is nothing new. The age of a stale read is exact to this.
  static let beaconInterval = Nanoseconds.milliseconds(500)
  /// A request that got no answer is sent again after this, and each time after twice as long, up to 16 times. The transport repeats what gets lost;
  /// this is for a leader that is none any more.
  static let retryInterval = Nanoseconds.milliseconds(500)
  /// Quorum time is counted in whole milliseconds, so a life may end this much earlier there than at the holder.
  static let lifeRounding = Nanoseconds.milliseconds(2)
  /// A request that a member refused for now is sent again after this.
  static let busyPause = Nanoseconds.milliseconds(20)
  /// What was asked of a peer and did not come is asked of another one after this, at first. Doubles up to ``fetchTimeoutLimit``, and
  /// begins anew with every piece that comes: a slow link takes its time.
  static let fetchTimeout = Nanoseconds.seconds(1)
  /// The longest wait for a piece.
  static let fetchTimeoutLimit = Nanoseconds.seconds(30)
  /// So many time-outs in a row, and another peer is asked.
  static let fetchAttempts = 3
  /// Entries go to a peer that lacks them in messages of so many bytes.
  static let entriesBytes = 256 << 10
  /// A state goes to a peer in pieces of so many bytes.
  static let pieceBytes = 64 << 10
  /// So many pieces are on their way at once.
  static let pieceWindow: UInt64 = 8
  /// An encoded state is kept so long after it was last asked for.
  static let servedLifetime = Nanoseconds.seconds(60)
  /// The largest state that is taken from a peer, encoded; 1 GiB. Memory is taken as it comes, not as it is announced.
  static let stateBytes: UInt64 = 1 << 30
  /// An invitation is sent again after this.
  static let invitationInterval = Nanoseconds.milliseconds(300)
  /// Whoever has accepted an invitation refuses others for so long.
  static let pledgeLifetime = Nanoseconds.seconds(10)
  /// A change of the membership is looked after so often until it is done.
  static let changeInterval = Nanoseconds.milliseconds(100)
  /// A learner becomes a voter when it lacks no more entries than this.
  static let caughtUpEntries: LogIndex = 64
  /// What has run out is removed at most so often: one entry of the log each.
  static let expiryInterval = Nanoseconds.milliseconds(250)
  /// An opening that knows a cluster without a leader goes over to another one of the same name after this, if it is bound to none.
  static let orphanPatience = Nanoseconds.seconds(10)
  /// Commands of one message, and so of one entry. A message is short enough for Raft's appends.
  static let commandsPerMessage = 256
  /// Bytes of the commands of one message; a single command may be longer.
  static let commandBytesPerMessage = 128 << 10
  /// Broadcasts that were not taken; beyond it they are dropped, and those who lack them fetch them.
  static let broadcastBytes = 4 << 20
  /// Messages to one peer that were not taken, in bytes; beyond it they are dropped, as a network does.
  static let messageBytes = 8 << 20
  /// Changes for those who watch that were not taken.
  static let changeSets = 4_096
  /// Events that were not taken; older ones are dropped.
  static let events = 1_024
  /// Requests of others that wait until this leader is ready.
  static let heldAsks = 4_096
  /// Bytes of the commands among them.
  static let heldBytes = 16 << 20
  /// A founder waits so long for those who are there to say what they belong to, before it founds.
  static let foundingPause = Nanoseconds.milliseconds(500)
}
