import GlueModel

/// Why it was decided that something does not happen.
public enum QuorumRejection: Error, Hashable, Sendable {
  /// This condition did not hold, as far as it is about a path or lock.
  case conditionFailed(Int, String)
  /// The model does not allow it.
  case refused(QuorumRefusal)
  /// Somebody else has the lock: his note.
  case held(lock: String, note: String)
  /// The lock is not held, or not with this token.
  case notHeld(lock: String)
  /// The session is not there: it was silent for too long.
  case unknownSession
  /// It is too long ago: nobody knows any more. Or it was asked about a request far ahead of all that were made.
  case forgotten
  /// It was asked what became of it before it could happen.
  case settled
  /// There are too many of something: which limit.
  case limit(QuorumLimit)
}

/// What a model does not allow: as ``ModelError``, without words, since it is remembered, and what is remembered is the same everywhere.
public enum QuorumRefusal: Hashable, Sendable {
  /// At the path is something else than the change needs.
  case wrongKind(ModelPath, is: ModelKind, needs: ModelKind)
  /// The sum of the counter would not fit into 64 bits.
  case overflow(ModelPath)
  /// A limit of the document would be exceeded.
  case limit(ModelLimit, Int)
  /// A value or path that a model cannot hold.
  case other

  init(_ error: ModelError) {
    switch error {
    case .wrongKind(let path, let kind, let needed): self = .wrongKind(path, is: kind, needs: needed)
    case .overflow(let path): self = .overflow(path)
    case .limitExceeded(let limit, let bound): self = .limit(limit, bound)
    case .invalidPath, .invalidValue, .closed, .changedMeanwhile: self = .other
    }
  }
}

/// The limits of ``QuorumStateLimits``.
public enum QuorumLimit: UInt8, Hashable, Sendable, CaseIterable {
  /// ``QuorumStateLimits/sessions``
  case sessions
  /// ``QuorumStateLimits/locks``
  case locks
  /// ``QuorumStateLimits/waiters``
  case waiters
  /// ``QuorumStateLimits/locksPerSession``
  case locksPerSession
  /// ``QuorumStateLimits/lockNameBytes``
  case lockNameBytes
  /// ``QuorumStateLimits/noteBytes``
  case noteBytes
  /// ``QuorumStateLimits/commandBytes``
  case commandBytes
}

extension QuorumRejection: CustomStringConvertible {
  /// One line for people.
  public var description: String {
    switch self {
    case .conditionFailed(let index, let what):
      "condition \(index + 1), about \(what.isEmpty ? "everything" : what), does not hold"
    case .refused(let refusal): refusal.description
    case .held(let lock, let note): "somebody else holds the lock \(lock)\(note.isEmpty ? "" : ": \(note)")"
    case .notHeld(let lock): "the lock \(lock) is not held with this token"
    case .unknownSession: "the session was silent for too long, and is over"
    case .forgotten: "it is too long ago, and nobody knows any more what became of it"
    case .settled: "it was decided that it does not happen, as somebody asked what became of it"
    case .limit(let limit): limit.description
    }
  }
}

extension QuorumRefusal: CustomStringConvertible {
  /// One line for people.
  public var description: String {
    switch self {
    case .wrongKind(let path, let kind, let needed): ModelError.wrongKind(path, is: kind, needs: needed).description
    case .overflow(let path): ModelError.overflow(path).description
    case .limit(let limit, let bound): ModelError.limitExceeded(limit, limit: bound).description
    case .other: "a value or path is none that a model can hold"
    }
  }
}

extension QuorumLimit: CustomStringConvertible {
  /// One line for people.
  public var description: String {
    switch self {
    case .sessions: "all of the \(QuorumStateLimits.sessions) sessions hold locks or wait for some"
    case .locks: "\(QuorumStateLimits.locks) locks are held already"
    case .waiters: "\(QuorumStateLimits.waiters) wait for the lock already"
    case .locksPerSession: "the session holds or waits for \(QuorumStateLimits.locksPerSession) locks already"
    case .lockNameBytes: "the name of a lock has 1 to \(QuorumStateLimits.lockNameBytes) bytes"
    case .commandBytes:
      "a transaction, with what it changes and what it has read, has at most \(QuorumStateLimits.commandBytes >> 20) MiB"
    case .noteBytes: "a note has at most \(QuorumStateLimits.noteBytes) bytes"
    }
  }
}
