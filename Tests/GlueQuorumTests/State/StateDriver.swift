import GlueCore
import GlueModel
import GlueQuorum

/// A state, and sessions that number their requests.
struct StateDriver {
  var state = QuorumState()
  var index: LogIndex = 0
  /// The last entry's.
  var applied = QuorumApplied()
  private var numbers: [SessionID: UInt64] = [:]

  /// Applies commands as one entry, so many milliseconds after the one before.
  @discardableResult
  mutating func apply(after: QuorumTime = 0, _ commands: [QuorumCommand]) -> [QuorumOutcome] {
    index += 1
    applied = state.apply(QuorumBatch(time: state.time + after, commands: commands), index: index)
    return applied.outcomes.map { $0.1 }
  }

  mutating func wait(_ milliseconds: QuorumTime) { apply(after: milliseconds, []) }

  mutating func open(_ nonce: UInt64) -> SessionID {
    let request = RequestID(session: SessionID(0), number: 0)
    let outcome = apply([QuorumCommand(request: request, oldest: 0, operation: .openSession(nonce: nonce))])
    guard case .opened(let session)? = outcome.first else { return SessionID(0) }
    return session
  }

  mutating func next(_ session: SessionID) -> RequestID {
    numbers[session, default: 0] += 1
    return RequestID(session: session, number: numbers[session] ?? 0)
  }

  /// Asks with the next number of a session.
  @discardableResult
  mutating func ask(_ session: SessionID, _ operation: QuorumOperation, after: QuorumTime = 0) -> QuorumOutcome {
    again(next(session), operation, after: after)
  }

  /// Asks with a given number.
  @discardableResult
  mutating func again(_ request: RequestID, oldest: UInt64 = 0, _ operation: QuorumOperation, after: QuorumTime = 0)
    -> QuorumOutcome
  {
    apply(after: after, [QuorumCommand(request: request, oldest: oldest, operation: operation)]).first ?? .lost
  }

  /// What became of requests in line, with the last entry.
  func notice(_ request: RequestID) -> QuorumOutcome? { applied.notices.last { $0.0 == request }?.1 }
}

extension QuorumOperation {
  static func lock(_ name: String, ttl: UInt64 = 10_000, waits: Bool = true, note: String = "") -> QuorumOperation {
    .acquire(lock: name, ttl: ttl, waits: waits, note: note)
  }

  static func set(_ path: String, _ value: ModelValue, if conditions: [QuorumCondition] = []) -> QuorumOperation {
    .transaction(conditions, [.set(ModelPath(unchecked: path), value)])
  }
}

extension QuorumOutcome {
  var token: UInt64? { if case .granted(let token, _) = self { token } else { nil } }
  var isCommitted: Bool { if case .committed = self { true } else { false } }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct StateDice: RandomNumberGenerator {
  var seed: UInt64
  /// The latest session and token, as far as noted: most commands are about those.
  private var session: UInt64 = 1
  private var token: UInt64 = 1

  init(seed: UInt64) { self.seed = seed }

  /// Takes note of what an entry did.
  mutating func note(_ applied: QuorumApplied) {
    for (_, outcome) in applied.outcomes + applied.notices {
      if case .opened(let new) = outcome { session = max(session, new.number) }
      token = max(token, outcome.token ?? 0)
    }
  }

  mutating func next() -> UInt64 {
    seed &+= 0x9E37_79B9_7F4A_7C15
    var z = seed
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: UInt64) -> UInt64 { next() % bound }
  mutating func chance(_ percent: UInt64) -> Bool { below(100) < percent }
  mutating func pick<T>(_ list: [T]) -> T { list[Int(below(UInt64(list.count)))] }

  /// Some of the bytes become others, or are not there.
  mutating func damage(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for _ in 0...below(3) where !bytes.isEmpty {
      let place = Int(below(UInt64(bytes.count)))
      switch below(5) {
      case 0: bytes[place] ^= 1 << UInt8(below(8))
      case 1: bytes[place] = pick([0, 1, 0x7F, 0x80, 0xFF])
      case 2: bytes.remove(at: place)
      case 3: bytes.insert(UInt8(below(256)), at: place)
      default: bytes.removeLast(min(bytes.count, Int(below(8))))
      }
    }
    return bytes
  }

  private mutating func recentSession() -> SessionID { SessionID(session - min(session, below(5))) }

  /// A batch that mixes everything, of the latest sessions.
  mutating func batch(after time: QuorumTime) -> QuorumBatch {
    let step: QuorumTime =
      switch below(20) {
      case 0: 600_000 + below(4_000_000)
      case 1, 2: below(700_000)
      case 3...9: below(5_000)
      default: below(3)
      }
    return QuorumBatch(time: time + step, commands: (0..<below(6)).map { _ in command() })
  }

  private mutating func command() -> QuorumCommand {
    let request = RequestID(session: recentSession(), number: chance(2) ? next() : 1 + below(60))
    return QuorumCommand(request: request, oldest: chance(10) ? below(30) : 0, operation: operation())
  }

  private mutating func operation() -> QuorumOperation {
    // The middle two look the same.
    let lock = pick(["a", "caf\u{E9}", "cafe\u{301}", "z"])
    let path = ModelPath(unchecked: pick(["a", "a/b", "c", "d/e", "d/f"]))
    let value = ModelValue.int(Int64(below(3)))
    switch below(20) {
    case 0, 1: return .openSession(nonce: below(12))
    case 2: return .closeSession
    case 3, 4: return .keepAlive
    case 5, 6: return .settle(RequestID(session: recentSession(), number: chance(5) ? next() : below(70)))
    case 7...11:
      return .acquire(
        lock: lock, ttl: pick([0, 1_000, 60_000, 900_000, 3_600_000, .max]), waits: chance(80), note: "n\(below(3))")
    case 12, 13: return .release(lock: lock, token: chance(30) ? 0 : token - min(token, below(4)))
    default:
      let conditions: [QuorumCondition] =
        switch below(8) {
        case 0: [.exists(path)]
        case 1: [.value(path, chance(50) ? value : nil)]
        case 2: [.node(path, chance(50) ? .map([.init(level: "b", node: .value(value))]) : nil)]
        case 3: [.held(lock: lock, token: token)]
        default: []
        }
      let edits: [ModelEdit] = (0...below(2)).map { _ in
        switch below(7) {
        case 0: .delete(path)
        case 1: .add(path, value)
        case 2: .remove(path, value)
        case 3: .increment(path, chance(20) ? .max : 1)
        case 4: .makeMap(path)
        case 5: .resolve(path, .kind(.value))
        default: .set(path, value)
        }
      }
      return .transaction(conditions, edits)
    }
  }
}
