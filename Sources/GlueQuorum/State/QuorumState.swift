import GlueCore
import GlueModel

/// What is decided: a document, the outcomes of requests, and locks. The same entries of the log give the same state everywhere, byte for byte.
///
/// Time and identities come from the log; nothing depends on the order of a table, nor on whether the state was made of all entries or of
/// ``encoded()`` and those after it.
public struct QuorumState: Sendable {
  /// The document. Its only writer is the log, so nothing is ever concurrent.
  public internal(set) var document: Document
  /// The time of the last entry.
  public internal(set) var time: QuorumTime = 0

  /// Sessions and tokens are counted from here on.
  var lastSession: UInt64 = 0
  var lastToken: UInt64 = 0
  var sessions: [SessionID: QuorumSession] = [:]
  /// The sessions by the numbers they were opened with.
  var nonces: [UInt64: SessionID] = [:]
  var locks_: [LockName: HeldLock] = [:]
  /// When sessions and locks run out; follows from them.
  var deadlines = DeadlineHeap()

  /// Who writes the document.
  static let writer = ReplicaID(endpoint: EndpointID(1), number: 1)

  /// A mistake to make, for tests of the tests. No part of the state.
  var fault: QuorumFault?

  /// An empty state.
  public init(limits: QuorumStateLimits = QuorumStateLimits()) {
    var limits = limits.document
    // It is for peers that missed changes; here the log of the quorum is.
    limits.removalLogDots = 0
    document = Document(replica: Self.writer, limits: limits)
  }
}

/// A lock, as everybody sees it.
public struct QuorumLockState: Hashable, Sendable {
  /// Its name.
  public let name: String
  /// Whose it is.
  public let holder: SessionID
  /// With which token.
  public let token: UInt64
  /// What the holder says of itself.
  public let note: String
  /// How many stand in line for it.
  public let waiting: Int
}

/// What an entry did.
public struct QuorumApplied: Sendable {
  /// What became of its commands, in order.
  public var outcomes: [(RequestID, QuorumOutcome)] = []
  /// What became of requests that stood in line.
  public var notices: [(RequestID, QuorumOutcome)] = []
  /// What is different in the document. Their time is that of the quorum in microseconds: it began with the founding, and stood while nobody led.
  public var changes: [ModelChange] = []

  /// Nothing.
  package init() {}
}

extension QuorumState {
  /// What became of a request, as far as it is remembered, as it is now: of a lock that is over, ``QuorumOutcome/lost``.
  public func outcome(of request: RequestID) -> QuorumOutcome? {
    sessions[request.session]?.outcome(of: request.number).map { present($0, of: request.session) }
  }

  /// What was decided about a request, as it is now.
  func present(_ outcome: QuorumOutcome, of session: SessionID) -> QuorumOutcome {
    guard case .granted(let token, _) = outcome else { return outcome }
    let isHeld = sessions[session]?.stakes.contains { locks_[$0.name]?.token == token } ?? false
    return isHeld ? outcome : .lost
  }

  /// A lock, if it is held.
  public func lock(_ name: String) -> QuorumLockState? { lock(LockName(name)) }

  private func lock(_ name: LockName) -> QuorumLockState? {
    locks_[name].map { lock in
      QuorumLockState(
        name: name.text, holder: lock.holder.request.session, token: lock.token, note: lock.holder.note,
        waiting: lock.line.count)
    }
  }

  /// The locks that are held, in the order of the bytes of their names.
  public var locks: [QuorumLockState] { locks_.keys.sorted().compactMap { lock($0) } }

  /// How many sessions there are.
  public var sessionCount: Int { sessions.count }

  /// 64 bits over ``encoded()``, so over everything: document, sessions with what they remember, locks, time. For checks: it costs as much as
  /// encoding.
  public var digest: UInt64 {
    var hash = Hash64()
    hash.combine(encoded())
    return hash.value
  }

  /// The earliest time at which something runs out: the leader makes an entry then. A function of the encoded state.
  public var nextExpiry: QuorumTime? { deadlines.first?.time }

  /// How many deadlines are kept, also of what is over already.
  package var deadlineCount: Int { deadlines.count }
}
