import DequeModule
import GlueCore
import GlueModel

/// ```
/// STATE      version u8: 1, limits (keys varint, bytes of a value varint, bytes of a transaction varint), time varint, last session varint, last token varint,
///            sessions (count; session varint, nonce u64, last seen varint, floor varint, outcomes (count; number varint, outcome)) ascending,
///            locks (count; name, token varint, holder, line (count)) ascending; a claim is request, ttl varint, note
///            document up to the end, as the model encodes it
/// ```
extension QuorumState {
  private static let version: UInt8 = 1
  /// Sessions, tokens and changes of the document are counted up to here at most, so that nothing overflows.
  private static let numberLimit: UInt64 = 1 << 61

  /// The state as bytes: the same for the same state. What follows from it, as when something runs out, is not in them.
  public func encoded() -> [UInt8] {
    let document = document.stateBytes()
    let sessions = sessions.sorted { $0.key < $1.key }
    let locks = locks_.sorted { $0.key < $1.key }
    var bound = 64 + document.count
    for (_, session) in sessions {
      bound += 64 + session.results.reduce(0) { $0 + 10 + $1.outcome.encodedBytesBound }
    }
    for (name, lock) in locks {
      bound += 32 + name.text.utf8.count + lock.holder.encodedBytesBound
      bound += lock.line.reduce(10) { $0 + $1.encodedBytesBound }
    }
    return WireWriter.encode(atMost: bound) { writer in
      writer.u8(Self.version)
      writer.varint(count: self.document.limits.keys)
      writer.varint(count: self.document.limits.valueBytes)
      writer.varint(count: self.document.limits.transactionBytes)
      writer.varint(time)
      writer.varint(lastSession)
      writer.varint(lastToken)
      writer.varint(count: sessions.count)
      for (id, session) in sessions {
        writer.varint(id.number)
        session.write(to: &writer)
      }
      writer.varint(count: locks.count)
      for (name, lock) in locks {
        writer.text(name.text)
        writer.varint(lock.token)
        lock.holder.write(to: &writer)
        writer.varint(count: lock.line.count)
        for claim in lock.line { claim.write(to: &writer) }
      }
      writer.bytes(document)
    }
  }

  /// Reads a state. Only what ``encoded()`` gives is one: its bytes are compared.
  ///
  /// - Throws: `WireError` if the bytes are none. The counts in them size no allocation.
  public init(encoded bytes: [UInt8]) throws(WireError) {
    self = try bytes.read { (reader) throws(WireError) in try QuorumState(from: &reader) }
    guard encoded() == bytes else { throw .invalidValue(.quorumMessage) }
  }

  private init(from reader: inout WireReader) throws(WireError) {
    guard try reader.u8() == Self.version else { throw .invalidValue(.quorumMessage) }
    var limits = QuorumStateLimits()
    limits.document.keys = try reader.limit()
    limits.document.valueBytes = try reader.limit()
    limits.document.transactionBytes = try reader.limit()
    self.init(limits: limits)
    time = try reader.varint()
    lastSession = try reader.varint()
    lastToken = try reader.varint()
    guard time <= QuorumBatch.latest, max(lastSession, lastToken) <= Self.numberLimit else {
      throw .invalidValue(.quorumMessage)
    }
    var last = SessionID(0)
    for _ in 0..<(try reader.count(atMost: QuorumStateLimits.sessions)) {
      let id = SessionID(try reader.varint())
      let session = try QuorumSession(from: &reader, latest: time)
      guard id > last, id.number <= lastSession, nonces[session.nonce] == nil else {
        throw .invalidValue(.quorumMessage)
      }
      last = id
      sessions[id] = session
      nonces[session.nonce] = id
    }
    var lastName: LockName?
    var tokens: Set<UInt64> = []
    for _ in 0..<(try reader.count(atMost: QuorumStateLimits.locks)) {
      let name = LockName(try reader.text(.quorumMessage, limit: QuorumStateLimits.lockNameBytes))
      guard lastName.map({ $0 < name }) ?? true, !name.text.utf8.isEmpty else { throw .invalidValue(.quorumMessage) }
      lastName = name
      let token = try readLock(name, from: &reader)
      guard tokens.insert(token).inserted else { throw .invalidValue(.quorumMessage) }
    }
    let delta = try Delta(encoded: reader.rest())
    guard delta.operation == nil,
      delta.covered.parts.allSatisfy({ $0.replica == Self.writer && $0.counters.end <= Self.numberLimit })
    else { throw .invalidValue(.quorumMessage) }
    document = Document(
      replica: Self.writer, context: CausalContext(generation: delta.generation ?? 0, seen: delta.covered),
      entries: delta.entries, limits: document.limits)
    makeDeadlines()
  }

  /// Reads a lock, whose token it returns.
  private mutating func readLock(_ name: LockName, from reader: inout WireReader) throws(WireError) -> UInt64 {
    let token = try reader.varint()
    var lock = HeldLock(holder: try HeldLock.Claim(from: &reader), token: token)
    for _ in 0..<(try reader.count(atMost: QuorumStateLimits.waiters)) {
      lock.line.append(try HeldLock.Claim(from: &reader))
    }
    // A holder has not run out.
    guard token >= 1, token <= lastToken, deadline(of: lock.holder) > time,
      Set(lock.line.map(\.request)).count == lock.line.count,
      !lock.line.contains(where: { $0.request == lock.holder.request })
    else { throw .invalidValue(.quorumMessage) }
    for claim in [lock.holder] + lock.line {
      guard let known = sessions[claim.request.session]?.stakes.count, known <= QuorumStateLimits.locksPerSession else {
        throw .invalidValue(.quorumMessage)
      }
      sessions[claim.request.session]?.raiseStake(name, claim.ttl)
    }
    locks_[name] = lock
    return token
  }
}

extension QuorumSession {
  fileprivate func write(to writer: inout WireWriter) {
    writer.u64(nonce)
    writer.varint(lastSeen)
    writer.varint(floor)
    writer.varint(count: results.count)
    for result in results {
      writer.varint(result.number)
      result.outcome.write(to: &writer)
    }
  }

  fileprivate init(from reader: inout WireReader, latest: QuorumTime) throws(WireError) {
    self.init(nonce: try reader.u64(), lastSeen: try reader.varint())
    floor = try reader.varint()
    guard lastSeen <= latest, floor >= 1 else { throw .invalidValue(.quorumMessage) }
    var next = floor
    for _ in 0..<(try reader.count(atMost: QuorumStateLimits.results)) {
      let number = try reader.varint()
      // Ascending: next is 0 after the highest there is.
      guard number >= next, next > 0 else { throw .invalidValue(.quorumMessage) }
      next = number &+ 1
      results.append(Result(number: number, outcome: try QuorumOutcome(from: &reader)))
    }
  }
}

extension HeldLock.Claim {
  fileprivate var encodedBytesBound: Int { 40 + note.utf8.count }

  fileprivate func write(to writer: inout WireWriter) {
    writer.request(request)
    writer.varint(ttl)
    writer.text(note)
  }

  fileprivate init(from reader: inout WireReader) throws(WireError) {
    self.init(
      request: try reader.request(), ttl: try reader.varint(),
      note: try reader.text(.quorumMessage, limit: QuorumStateLimits.noteBytes))
    guard ttl == QuorumState.life(ttl) else { throw .invalidValue(.quorumMessage) }
  }
}

extension WireReader {
  /// How much there may be of something.
  fileprivate mutating func limit() throws(WireError) -> Int {
    guard let limit = Int(exactly: try varint()) else { throw .invalidValue(.quorumMessage) }
    return limit
  }

  /// How many follow.
  fileprivate mutating func count(atMost limit: Int) throws(WireError) -> Int {
    let count = try varint()
    guard count <= UInt64(limit) else { throw .tooLong(.quorumMessage, limit: limit) }
    return Int(count)
  }
}
