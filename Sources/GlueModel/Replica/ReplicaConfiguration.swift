import GlueCore

/// How a replica behaves towards its peers, and the bounds of its memory. What a document may hold is bounded by its own limits.
public struct ReplicaConfiguration: Sendable {
  /// Local changes that the network has not taken yet, in bytes; 16 MiB. Beyond it they are dropped from the queue, not from the
  /// model: peers are told that there is something to fetch, which costs more than the changes themselves.
  public var pendingDeltaBytes = 16 << 20
  /// Received changes that wait for earlier ones, in bytes; 4 MiB. Beyond it they are dropped, and fetched with what was missing.
  public var heldDeltaBytes = 4 << 20
  /// What is fetched is merged as one and kept until it is complete: this many bytes, 256 MiB. A model whose whole state is larger cannot be joined.
  public var receivedPartBytes = 256 << 20
  /// How many peers are served at once with what they lack; 4. Others are asked to come back, or go to another peer. Each takes the
  /// memory of what it is sent, for a newcomer that of the whole encoded state.
  public var answersAtOnce = 4
  /// How many peers' states are known; 1,024. Others get and send changes, but are not compared with.
  public var peers = 1_024
  /// How long a peer may be silent while it is asked for something; 2 s. Then another one is asked.
  public var requestTimeout: Nanoseconds = .seconds(2)
  /// How long a change waits for earlier ones before they are asked for; 200 ms. Changes of two peers may overtake each other on the way.
  public var holeDelay: Nanoseconds = .milliseconds(200)
  /// Whether this replica is there for a moment only, as that of a command is: others do not rely on it to keep what they write.
  public var isTransient = false
  /// How often a replica with changes compares itself with one of its peers, in turns, until all are known to have them; 30 s. Finds what got lost
  /// unnoticed, and passes changes on between peers that do not hear each other.
  public var statusInterval: Nanoseconds = .seconds(30)
  /// From how many replica IDs in the context on it is cleaned up; 1,024. Each takes some 80 bytes, and 25 on the wire where contexts are sent. See ``cleanUpInterval``.
  public var cleanUpReplicas = 1_024
  /// How long a replica has to run before it cleans up the context, and then until the next time; 30 days. Whoever is away for longer than two
  /// clean-ups loses what it alone had seen of others' writes from before.
  public var cleanUpInterval: Nanoseconds = .seconds(30 * 24 * 3_600)
  /// How long to wait after a failed write of the store, at first; 1 s. Doubles up to ``storeRetryLimit``.
  public var storeRetry: Nanoseconds = .seconds(1)
  /// The longest time between two attempts of a failing store; 30 s.
  public var storeRetryLimit: Nanoseconds = .seconds(30)

  /// The defaults.
  public init() {}
}

extension ReplicaConfiguration {
  /// A message to a peer is cut into parts of so many bytes, so that a long one does not hold others up.
  static let partBytes = 64 << 10
  /// A context of at most so many ranges goes along with STATUS, which saves asking a peer that has nothing new: some 25 bytes each.
  static let statusContextRanges = 40
  /// A peer that is busy is asked again after this.
  static let busyPause = Nanoseconds.milliseconds(200)
  /// The longest time between two STATUS to a peer that does not answer.
  static let askPauseLimit = Nanoseconds.seconds(30)
  /// What was fetched is told to other peers at most once in this time.
  static let announcePause = Nanoseconds.seconds(1)
  /// After the writer of a change has left, within this time one of those that have it tells all others.
  static let farewellPause = Nanoseconds.milliseconds(500)
  /// A request that is not answered is repeated with a time-out that doubles so often at most.
  static let requestDoublings: UInt64 = 5
  /// A clock is compared by answers that come within this time; later ones may have waited anywhere.
  static let promptAnswer = Nanoseconds.seconds(1)
  /// Of peers of which nothing was asked as much is kept as a context of the most replicas takes, 1.6 MB, and some more.
  static let unexpectedPartBytes = 4 << 20
  /// A message with ranges has at most so many bytes: in memory they take forty times as much. A million members that all differ take 3 MB.
  static let reconcileBytes = 8 << 20
  /// A reconciliation ends after so many messages of a side. Each divides by 4, so even a million keys need no more than nine.
  static let reconciliationRounds = 32
  /// Fingerprints of states that this one is known to include, of the latest answers.
  static let includedDigests = 16
  /// Events that were not taken; older ones are dropped.
  static let events = 1_024
}
