import GlueCore
import GlueModel

/// Milliseconds for which somebody has led since the founding, below 2^53. The leader counts them and writes them into the log, so that what runs out does so at the
/// same place for everybody; nothing runs out while nobody leads.
public typealias QuorumTime = UInt64

/// In which requests are counted, so that each applies once (Raft dissertation §6.3). Given by the state, never twice.
public struct SessionID: Hashable, Comparable, Sendable {
  /// The number; 0 stands for none.
  public var number: UInt64

  /// Takes a number.
  public init(_ number: UInt64) { self.number = number }

  /// Orders by number.
  public static func < (a: SessionID, b: SessionID) -> Bool { a.number < b.number }
}

/// Which request of which session.
public struct RequestID: Hashable, Sendable {
  /// Whose.
  public var session: SessionID
  /// Which, from 1: the client counts.
  public var number: UInt64

  /// Joins the parts.
  public init(session: SessionID, number: UInt64) {
    self.session = session
    self.number = number
  }
}

/// What has to hold for a transaction to happen.
public enum QuorumCondition: Hashable, Sendable {
  /// What is at a path, with everything below it, is this; `nil`: nothing is there.
  case node(ModelPath, ModelNode?)
  /// This value is at a path; `nil`: nothing is there.
  case value(ModelPath, ModelValue?)
  /// Something is at a path.
  case exists(ModelPath)
  /// A lock is held, with this token.
  case held(lock: String, token: UInt64)
}

/// What can be asked of a quorum.
public enum QuorumOperation: Hashable, Sendable {
  /// Makes all changes, if all conditions hold.
  case transaction([QuorumCondition], [ModelEdit])
  /// Takes a lock, which stays with a holder who is not heard of for `ttl` milliseconds; or stands in line for it. Others see the note. A session that
  /// holds it already stands in line as well: two tasks of one client keep each other out.
  case acquire(lock: String, ttl: UInt64, waits: Bool, note: String)
  /// Gives a lock back. With token 0: leaves the line.
  case release(lock: String, token: UInt64)
  /// Tells that the session lives, and with it its locks.
  case keepAlive
  /// What became of a request, of any session; if that is not decided, it is now: it does not happen.
  case settle(RequestID)
  /// Opens a session. The same number again opens no other one.
  case openSession(nonce: UInt64)
  /// Gives all locks back and leaves all lines. What became of its requests is remembered as before.
  case closeSession
}

extension QuorumOperation {
  /// As the state takes it: the life of a lock has bounds, and its holder has to count the same one.
  var withinBounds: QuorumOperation {
    guard case .acquire(let lock, let ttl, let waits, let note) = self else { return self }
    return .acquire(lock: lock, ttl: QuorumState.life(ttl), waits: waits, note: note)
  }

  /// A limit that it exceeds whatever the state is: nobody could read it, and what else is in its entry.
  var exceededLimit: QuorumLimit? {
    switch self {
    case .acquire(let lock, _, _, let note):
      if lock.isEmpty || lock.utf8.count > QuorumStateLimits.lockNameBytes { return .lockNameBytes }
      return note.utf8.count > QuorumStateLimits.noteBytes ? .noteBytes : nil
    case .release(let lock, _): return lock.utf8.count > QuorumStateLimits.lockNameBytes ? .lockNameBytes : nil
    case .transaction(let conditions, let edits):
      if QuorumCommand.bytes(of: conditions, edits) > QuorumStateLimits.commandBytes { return .commandBytes }
      let isLong = conditions.contains { condition in
        if case .held(let lock, _) = condition { lock.utf8.count > QuorumStateLimits.lockNameBytes } else { false }
      }
      return isLong ? .lockNameBytes : nil
    case .keepAlive, .settle, .openSession, .closeSession: return nil
    }
  }
}

/// A request as it gets into the log.
public struct QuorumCommand: Hashable, Sendable {
  /// Which; of ``QuorumOperation/openSession(nonce:)`` 0 of session 0.
  public var request: RequestID
  /// The client does not need the outcomes of requests with lower numbers any more.
  public var oldest: UInt64
  /// What.
  public var operation: QuorumOperation

  /// Joins the parts.
  public init(request: RequestID, oldest: UInt64, operation: QuorumOperation) {
    self.request = request
    self.oldest = oldest
    self.operation = operation
  }
}

/// One entry of the log: the time, and what happens then.
public struct QuorumBatch: Hashable, Sendable {
  /// When.
  public var time: QuorumTime
  /// What, in order.
  public var commands: [QuorumCommand]

  /// Joins the parts.
  public init(time: QuorumTime, commands: [QuorumCommand]) {
    self.time = time
    self.commands = commands
  }
}

/// What became of a request.
public enum QuorumOutcome: Hashable, Sendable {
  /// The session is open.
  case opened(SessionID)
  /// It has happened, with this entry of the log.
  case committed(LogIndex)
  /// It was decided that it does not happen.
  case rejected(QuorumRejection)
  /// The lock is held, with this token; this entry told so.
  case granted(token: UInt64, LogIndex)
  /// It stands in line.
  case waiting
  /// The lock was granted, or was to be waited for, and that is over.
  case lost
}

/// How large the state of a quorum may become. The founder's count, for all and for ever: they are part of the state, as whoever refused what others
/// accept would differ from them.
public struct QuorumStateLimits: Hashable, Sendable {
  /// How large the document may become.
  public var document = DocumentLimits()

  /// The defaults.
  public init() {}
}

extension QuorumStateLimits {
  // These are the same everywhere, without being said: the state is a function of the log alone.

  /// How long it is remembered what became of requests, of a session that is silent: 10 minutes.
  package static let window = Nanoseconds.seconds(600)
  static let windowMilliseconds: QuorumTime = 600_000
  /// Sessions; each takes some 200 bytes, and what it remembers. Of more, those without locks go that have been silent longest.
  static let sessions = 10_000
  /// Outcomes that a session remembers; a client has no more requests under way (``QuorumConfiguration/requests``).
  static let results = 1_024
  /// Locks that are held at once.
  static let locks = 10_000
  /// How many stand in line for a lock.
  static let waiters = 1_024
  /// Locks that a session holds or waits for.
  static let locksPerSession = 1_024
  /// Bytes of the name of a lock.
  static let lockNameBytes = 256
  /// Bytes of a transaction with its conditions, encoded: it has to get through in one message, beside others.
  static let commandBytes = 4 << 20
  /// Bytes of a note.
  static let noteBytes = 256
  /// The shortest life of a lock: one that is kept alive three times in that time survives a new leader only by luck.
  static let shortestLife: QuorumTime = 1_000
  /// The longest.
  static let longestLife: QuorumTime = 3_600_000
}
