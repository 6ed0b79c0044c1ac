import GlueCore

/// What a replica knows of another one that has the model open.
struct Peer: Sendable {
  let id: EndpointID
  /// Whether it was said to be there; its messages may come before.
  var hasAppeared = false
  /// Which opening of the model it is; nil before its first STATUS.
  var instance: UInt64?
  /// What it was last known to have.
  var state = State.unknown
  /// From when on to fetch what it has more. A short wait lets changes that are on their way arrive by themselves.
  var fetchAfter: Timestamp
  /// The digest that both were last known to share.
  var agreed: UInt64?
  /// It was asked for its STATUS: when to ask again, and the pause after that.
  var question: (again: Timestamp, pause: Nanoseconds)?
  /// When it was last told or asked something, for taking turns.
  var askedAt: Timestamp
  /// Whether its clock was reported to be wrong.
  var isSkewed = false
  /// Whether it was reported to speak another version.
  var wasRefused = false

  enum State: Sendable {
    /// It has not said.
    case unknown
    /// A state with this digest, and, where that is short, this context.
    case known(digest: UInt64, CausalContext?)
    /// Something that is missing here: a change of it has come that builds on others.
    case more
    /// Nothing that is not here too.
    case included
  }

  init(_ id: EndpointID, at now: Timestamp) {
    self.id = id
    fetchAfter = now
    askedAt = now
  }
}
