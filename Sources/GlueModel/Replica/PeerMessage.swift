import GlueCore

/// What one replica says to another. See docs/model-protocol.md.
///
/// ```
///    a replica                                a peer
///        | ---- STATUS (what I have?) --------> |
///        | <--- STATUS ------------------------ |    the same: done
///        | ---- NEED (what I have) -----------> |
///        | <--- MISSING (what you lack) ------- |    if the version vectors tell
///        |                                      |
///        | ---- NEED -------------------------> |
///        | <--- RECONCILE (fingerprints) ------ |    if they do not
///        | ---- RECONCILE --------------------> |
///        | ---- FINISH (what you lack) -------> |
///        | <--- MISSING ----------------------- |
///        |                                      |
///        | ---- CONFIRM (own changes) --------> |
///        | <--- CONFIRMED --------------------- |    as soon as it has them
/// ```
enum PeerMessage: Equatable, Sendable {
  /// What the sender has, in brief.
  case status(ReplicaStatus)
  /// The sender wants what it lacks. The number names the request; answers repeat it.
  case need(request: UInt64, CausalContext)
  /// What the receiver lacked of the state with this digest.
  case missing(request: UInt64, digest: UInt64, Delta)
  /// The version vectors do not tell what the receiver lacks: compare. The first of a request says what the sender's context is.
  case reconcile(request: UInt64, CausalContext?, [ReconciliationRange])
  /// The comparison is done: what the receiver lacked, and the dots whose entries the sender wants because they were folded.
  case finish(request: UInt64, wanted: DotSet, Delta)
  /// The sender cannot answer now, or does not know the request: ask again, or somebody else.
  case refused(request: UInt64)
  /// The receiver should tell when it has these changes of the sender; a later one takes its place.
  case confirm(DotSet)
  /// The sender has these changes of the receiver.
  case confirmed(DotSet)
}

/// What a replica has, in brief.
struct ReplicaStatus: Equatable, Sendable {
  /// Whether the sender wants to know the same of the receiver.
  var asks: Bool
  /// Which opening of the model speaks.
  var instance: UInt64
  /// What the sender's wall clock shows, in microseconds since 1970.
  var wallMicroseconds: UInt64
  /// Of the context. Equal contexts mean equal states.
  var digest: UInt64
  /// The context itself, where it is short.
  var context: CausalContext?
  /// Whether the sender is there for a moment only, so that nobody should rely on it.
  var isTransient = false
}
