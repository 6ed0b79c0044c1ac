import GlueCore

/// What this replica is asking a peer for. There is one request at a time: what several peers have is fetched once.
struct Request: Sendable {
  /// Names it; answers repeat it.
  let number: UInt64
  let peer: EndpointID
  /// What this replica had when it asked.
  let context: CausalContext
  let askedAt: Timestamp
  /// When another peer is asked, if nothing comes.
  var deadline: Timestamp
  var phase = Phase.asked

  enum Phase: Sendable {
    /// NEED is sent; MISSING or RECONCILE comes.
    case asked
    /// Live dots are compared with those of a peer that had this context.
    case comparing(ReconciliationSet, theirs: CausalContext, rounds: Int)
    /// The differences are known and FINISH is sent; MISSING comes. These dots live only here: the peer has removed them.
    case finishing(removed: DotSet)
  }
}

/// A comparison that a peer drives.
struct ServedReconciliation: Sendable {
  let peer: EndpointID
  let request: UInt64
  /// What the peer had when it asked.
  let theirs: CausalContext
  /// What this replica had then.
  let ours: CausalContext
  var set: ReconciliationSet
  var rounds = 0
  var usedAt: Timestamp
}
