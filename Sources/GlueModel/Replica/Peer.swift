import GlueCore

/// What a replica knows of another one that has the model open.
struct Peer: Sendable {
  let id: EndpointID
  /// Since when it is known.
  let since: Timestamp
  /// Whether it was said to be there; its messages may come before.
  var hasAppeared = false
  /// Which opening of the model it is; nil before its first STATUS.
  var instance: UInt64?
  /// What it was last known to have.
  var state = State.unknown
  /// When it was last certain to have something that is missing here.
  var moreAt: Timestamp?
  /// From when on to fetch what it has more. A short wait lets changes that are on their way arrive by themselves.
  var fetchAfter: Timestamp
  /// The digest that both were last known to share.
  var agreed: UInt64?
  /// It was asked for its STATUS: when to ask again, and the pause after that.
  var question: (again: Timestamp, pause: Nanoseconds)?
  /// When it was last told or asked something, for taking turns.
  var askedAt: Timestamp
  /// Whether it said that it is there for a moment only.
  var isTransient = false
  /// Whether it has said that it has what it was asked to confirm.
  var hasConfirmed = false
  /// Changes of it that are to be confirmed when they are here.
  var wish: DotSet?
  /// Whether a change of its own has come from it.
  var hasWritten = false
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

  /// Whether it holds the model, as far as is known, and stays.
  var isLasting: Bool { hasAppeared && instance != nil && !isTransient }
  /// Whether it is about to say what it has. Who does not answer for long is no replica: anybody may subscribe to the topic.
  func isAwaited(patience: Nanoseconds) -> Bool {
    hasAppeared && instance == nil && question.map { $0.pause <= patience } ?? false
  }

  /// Its first messages may come a little before it is said to be there. Who is not by then has gone again.
  func ghostAt(patience: Nanoseconds) -> Timestamp? { hasAppeared ? nil : since + patience * 5 }
  func isGhost(at now: Timestamp, patience: Nanoseconds) -> Bool {
    ghostAt(patience: patience).map { $0 <= now } ?? false
  }

  init(_ id: EndpointID, at now: Timestamp) {
    self.id = id
    since = now
    fetchAfter = now
    askedAt = now
  }
}
