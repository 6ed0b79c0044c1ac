import GlueCore
import GlueModel

/// ```
/// OUTCOME    kind u8: 0 opened (session varint), 1 committed (index varint), 2 rejected (rejection), 3 granted (token varint, index varint),
///            4 waiting, 5 lost
/// REJECTION  kind u8: 0 condition (number varint, text), 1 refused (refusal), 2 held (name, note), 3 not held (name), 4 unknown session,
///            5 forgotten, 6 settled, 7 limit (u8)
/// REFUSAL    code u8: 0 wrong kind (path, kind u8, needed kind u8), 1 overflow (path), 2 limit (u8, varint), 3 other
/// ```
extension QuorumOutcome {
  /// At most so many bytes.
  var encodedBytesBound: Int {
    guard case .rejected(let rejection) = self else { return 21 }
    return 2 + rejection.encodedBytesBound
  }

  func write(to writer: inout WireWriter) {
    switch self {
    case .opened(let session):
      writer.u8(0)
      writer.varint(session.number)
    case .committed(let index):
      writer.u8(1)
      writer.varint(index)
    case .rejected(let rejection):
      writer.u8(2)
      rejection.write(to: &writer)
    case .granted(let token, let index):
      writer.u8(3)
      writer.varint(token)
      writer.varint(index)
    case .waiting: writer.u8(4)
    case .lost: writer.u8(5)
    }
  }

  init(from reader: inout WireReader) throws(WireError) {
    switch try reader.u8() {
    case 0: self = .opened(SessionID(try reader.varint()))
    case 1: self = .committed(try reader.varint())
    case 2: self = .rejected(try QuorumRejection(from: &reader))
    case 3: self = .granted(token: try reader.varint(), try reader.varint())
    case 4: self = .waiting
    case 5: self = .lost
    default: throw .invalidValue(.quorumMessage)
    }
  }
}

extension QuorumRejection {
  /// A text names a path at most, and some words.
  private static let textBytes = 2 * ModelPath.pathBytes

  var encodedBytesBound: Int {
    switch self {
    case .conditionFailed(_, let text), .notHeld(let text): 24 + text.utf8.count
    case .refused(.wrongKind(let path, _, _)), .refused(.overflow(let path)): 24 + path.text.utf8.count
    case .refused: 24
    case .held(let lock, let note): 24 + lock.utf8.count + note.utf8.count
    case .unknownSession, .forgotten, .settled, .limit: 2
    }
  }

  func write(to writer: inout WireWriter) {
    switch self {
    case .conditionFailed(let number, let text):
      writer.u8(0)
      writer.varint(count: number)
      writer.text(text)
    case .refused(let refusal):
      writer.u8(1)
      refusal.write(to: &writer)
    case .held(let lock, let note):
      writer.u8(2)
      writer.text(lock)
      writer.text(note)
    case .notHeld(let lock):
      writer.u8(3)
      writer.text(lock)
    case .unknownSession: writer.u8(4)
    case .forgotten: writer.u8(5)
    case .settled: writer.u8(6)
    case .limit(let limit):
      writer.u8(7)
      writer.u8(limit.rawValue)
    }
  }

  init(from reader: inout WireReader) throws(WireError) {
    switch try reader.u8() {
    case 0:
      let number = try reader.varint()
      guard number <= UInt32.max else { throw .invalidValue(.quorumMessage) }
      self = .conditionFailed(Int(number), try reader.text(.quorumMessage, limit: Self.textBytes))
    case 1: self = .refused(try QuorumRefusal(from: &reader))
    case 2:
      let lock = try reader.text(.quorumMessage, limit: QuorumStateLimits.lockNameBytes)
      self = .held(lock: lock, note: try reader.text(.quorumMessage, limit: QuorumStateLimits.noteBytes))
    case 3: self = .notHeld(lock: try reader.text(.quorumMessage, limit: QuorumStateLimits.lockNameBytes))
    case 4: self = .unknownSession
    case 5: self = .forgotten
    case 6: self = .settled
    case 7:
      guard let limit = QuorumLimit(rawValue: try reader.u8()) else { throw .invalidValue(.quorumMessage) }
      self = .limit(limit)
    default: throw .invalidValue(.quorumMessage)
    }
  }
}

extension QuorumRefusal {
  /// As they are numbered on the wire.
  private static let kinds: [ModelKind] = [.value, .counter, .set, .map]
  private static let limits: [ModelLimit] = [.keys, .valueBytes, .transactionBytes, .replicas, .holes]

  fileprivate func write(to writer: inout WireWriter) {
    switch self {
    case .wrongKind(let path, let kind, let needed):
      writer.u8(0)
      writer.text(path.text)
      for kind in [kind, needed] { writer.u8(UInt8(Self.kinds.firstIndex(of: kind) ?? 0)) }
    case .overflow(let path):
      writer.u8(1)
      writer.text(path.text)
    case .limit(let limit, let bound):
      writer.u8(2)
      writer.u8(UInt8(Self.limits.firstIndex(of: limit) ?? 0))
      writer.varint(UInt64(max(0, bound)))
    case .other: writer.u8(3)
    }
  }

  fileprivate init(from reader: inout WireReader) throws(WireError) {
    func kind(_ number: UInt8) throws(WireError) -> ModelKind {
      guard Int(number) < Self.kinds.count else { throw .invalidValue(.quorumMessage) }
      return Self.kinds[Int(number)]
    }
    switch try reader.u8() {
    case 0: self = .wrongKind(try reader.path(), is: try kind(reader.u8()), needs: try kind(reader.u8()))
    case 1: self = .overflow(try reader.path())
    case 2:
      let number = Int(try reader.u8())
      guard number < Self.limits.count, let bound = Int(exactly: try reader.varint()) else {
        throw .invalidValue(.quorumMessage)
      }
      self = .limit(Self.limits[number], bound)
    case 3: self = .other
    default: throw .invalidValue(.quorumMessage)
    }
  }
}
