import GlueCore

/// What a replica's owner should know.
public enum ReplicaEvent: Hashable, Sendable {
  /// A peer's wall clock is ahead of this host's by so many microseconds (negative: behind), more than a second. Told once until it has been right again.
  case clockSkew(peer: EndpointID, microseconds: Int64)
  /// A limit was reached, so many times since the start. Told at most once a second for each.
  case limitReached(ReplicaLimit, count: UInt64)
  /// A peer sent bytes that are not a valid message.
  case invalidMessage(from: EndpointID)
  /// A peer speaks another version of the protocol of models, so nothing is exchanged with it. Told once.
  case unknownVersion(peer: EndpointID, version: UInt8)
  /// The store could not write. The model goes on; it is tried again. Told once until it has succeeded again.
  case storeFailed(reason: String)
  /// The store has written again.
  case storeRecovered
  /// A clean-up passed while this replica was away. So many of its own writes, which no other replica was known to have, were written anew.
  case rewritten(count: Int)
  /// Others know of changes that are said to be of this replica, and it has not made them: it was set back to an earlier state, or somebody
  /// forges. It goes on under another identity.
  case identityTaken
}

extension ReplicaEvent: CustomStringConvertible {
  /// One line for people.
  public var description: String {
    switch self {
    case .clockSkew(let peer, let microseconds):
      "the clock of \(peer) is \(microseconds.magnitude / 1_000) ms \(microseconds < 0 ? "behind" : "ahead of") this host's"
    case .limitReached(let limit, let count): "limit reached: \(limit), \(count) times so far"
    case .invalidMessage(let peer): "\(peer) sent what is no message of a model"
    case .unknownVersion(let peer, let version):
      "\(peer) speaks version \(version) of models; nothing is exchanged with it"
    case .storeFailed(let reason): "the store fails: \(reason); it is tried again"
    case .storeRecovered: "the store works again"
    case .rewritten(let count):
      "away for two clean-ups: \(count) changes that nobody else was known to have were written anew"
    case .identityTaken:
      "others know of changes by this replica that it has not made; it goes on under another identity"
    }
  }
}

/// The limits of a replica, each named as the field of ``ReplicaConfiguration`` or of the document's limits that sets it.
public enum ReplicaLimit: Int, CaseIterable, Sendable {
  case pendingDeltaBytes, heldDeltaBytes, receivedPartBytes, answersAtOnce, peers
  case keys, replicas
}

/// Counts of what a replica has done since its start.
public struct ReplicaCounters: Hashable, Sendable {
  /// Local transactions with an effect.
  public var localTransactions: UInt64 = 0
  /// Transactions merged from the delta topic.
  public var receivedDeltas: UInt64 = 0
  /// Of these, how many had to wait for earlier ones.
  public var heldDeltas: UInt64 = 0
  /// What was asked of peers.
  public var requests: UInt64 = 0
  /// Requests that were not answered in time.
  public var requestTimeouts: UInt64 = 0
  /// Answers to requests of peers.
  public var answers: UInt64 = 0
  /// Answers that had to begin with a reconciliation.
  public var reconciliations: UInt64 = 0
  /// Messages to peers, and parts of them.
  public var messagesSent: UInt64 = 0
  /// Their bytes.
  public var messageBytesSent: UInt64 = 0
  /// Bytes on the delta topic.
  public var deltaBytesSent: UInt64 = 0
  /// What was received and is not valid.
  public var invalidMessages: UInt64 = 0
  /// Batches that the store has failed to write.
  public var storeFailures: UInt64 = 0

  /// All zero.
  public init() {}
}
