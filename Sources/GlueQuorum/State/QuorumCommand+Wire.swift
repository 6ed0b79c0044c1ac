import GlueCore
import GlueModel

/// ```
/// BATCH      time varint, commands (counted bytes each) up to the end
/// COMMAND    request, oldest varint, kind u8, and by kind
///            0 transaction: conditions (count varint), edits up to the end
///            1 acquire: name, ttl varint, waits u8, note      2 release: name, token varint
///            3 keep alive     4 settle: request     5 open a session: nonce u64     6 close it
/// request    session varint, number varint
/// condition  kind u8 (0 node, 1 value, 2 exists, 3 held); path, and 0 or 1 and the node or value; held: name, token varint
/// edit       kind u8 (0 set, 1 delete, 2 add, 3 remove, 4 increment, 5 make a map, 6 resolve by a value, 7 resolve by a kind), path, and
///            value; increment: zigzag varint; kind: u8
/// node       kind u8: 0 value, 1 concurrent values (count), 2 counter zigzag varint, 3 set (count), 4 map (count; level, node each)
/// value      counted bytes: the canonical encoding of the model
/// path, name, note   text: counted UTF-8
/// ```
extension QuorumBatch {
  /// The batch as bytes.
  public func encoded() -> [UInt8] {
    let commands = commands.map { $0.encoded() }
    return WireWriter.encode(atMost: 10 + commands.reduce(0) { $0 + $1.count + 10 }) { writer in
      writer.varint(time)
      for command in commands { writer.countedBytes(command) }
    }
  }

  /// Reads a batch.
  ///
  /// - Throws: `WireError` if the bytes are none. The counts in them size no allocation.
  public init(encoded bytes: [UInt8]) throws(WireError) {
    self = try bytes.read { (reader) throws(WireError) in
      let time = try reader.varint()
      guard time <= Self.latest else { throw .invalidValue(.quorumMessage) }
      var commands: [QuorumCommand] = []
      while !reader.isAtEnd { commands.append(try QuorumCommand(encoded: reader.countedBytes())) }
      return QuorumBatch(time: time, commands: commands)
    }
  }

  /// Quorum time ends here, after 285,000 years: so sums with it do not overflow, nor does it in microseconds.
  static let latest: QuorumTime = 1 << 53
}

extension QuorumCommand {
  private enum Kind: UInt8 {
    case transaction, acquire, release, keepAlive, settle, openSession, closeSession
  }

  /// About how many bytes it takes.
  var approximateBytes: Int {
    guard case .transaction(let conditions, let edits) = operation else { return 64 }
    return Self.bytes(of: conditions, edits)
  }

  /// About how many bytes a transaction takes.
  static func bytes(of conditions: [QuorumCondition], _ edits: [ModelEdit]) -> Int {
    conditions.reduce(32) { $0 + $1.encodedBytesBound } + edits.reduce(0) { $0 + $1.encodedBytesBound }
  }

  /// The command as bytes.
  func encoded() -> [UInt8] {
    var bound = approximateBytes + 64
    if case .acquire(let lock, _, _, let note) = operation { bound += lock.utf8.count + note.utf8.count + 20 }
    if case .release(let lock, _) = operation { bound += lock.utf8.count + 10 }
    return WireWriter.encode(atMost: bound) { writer in
      writer.request(request)
      writer.varint(oldest)
      switch operation {
      case .transaction(let conditions, let edits):
        writer.u8(Kind.transaction.rawValue)
        writer.varint(count: conditions.count)
        for condition in conditions { condition.write(to: &writer) }
        for edit in edits { edit.write(to: &writer) }
      case .acquire(let lock, let ttl, let waits, let note):
        writer.u8(Kind.acquire.rawValue)
        writer.text(lock)
        writer.varint(ttl)
        writer.u8(waits ? 1 : 0)
        writer.text(note)
      case .release(let lock, let token):
        writer.u8(Kind.release.rawValue)
        writer.text(lock)
        writer.varint(token)
      case .keepAlive: writer.u8(Kind.keepAlive.rawValue)
      case .settle(let request):
        writer.u8(Kind.settle.rawValue)
        writer.request(request)
      case .openSession(let nonce):
        writer.u8(Kind.openSession.rawValue)
        writer.u64(nonce)
      case .closeSession: writer.u8(Kind.closeSession.rawValue)
      }
    }
  }

  init(encoded bytes: UnsafeRawBufferPointer) throws(WireError) {
    var reader = WireReader(bytes)
    request = try reader.request()
    oldest = try reader.varint()
    guard let kind = Kind(rawValue: try reader.u8()) else { throw .invalidValue(.quorumMessage) }
    switch kind {
    case .transaction:
      let conditions = try reader.list { (reader) throws(WireError) in try QuorumCondition(from: &reader) }
      var edits: [ModelEdit] = []
      while !reader.isAtEnd { edits.append(try ModelEdit(quorum: &reader)) }
      operation = .transaction(conditions, edits)
    case .acquire:
      let lock = try reader.text(.quorumMessage, limit: QuorumStateLimits.lockNameBytes)
      let ttl = try reader.varint()
      let waits = try reader.flag()
      operation = .acquire(
        lock: lock, ttl: ttl, waits: waits,
        note: try reader.text(.quorumMessage, limit: QuorumStateLimits.noteBytes))
    case .release:
      let lock = try reader.text(.quorumMessage, limit: QuorumStateLimits.lockNameBytes)
      operation = .release(lock: lock, token: try reader.varint())
    case .keepAlive: operation = .keepAlive
    case .settle: operation = .settle(try reader.request())
    case .openSession: operation = .openSession(nonce: try reader.u64())
    case .closeSession: operation = .closeSession
    }
    guard reader.isAtEnd else { throw .invalidValue(.quorumMessage) }
  }
}

extension QuorumCondition {
  var encodedBytesBound: Int {
    switch self {
    case .node(let path, let node): 24 + path.text.utf8.count + (node?.quorumBytesBound ?? 0)
    case .value(let path, let value): 24 + path.text.utf8.count + (value?.encodedBytes ?? 0)
    case .exists(let path): 24 + path.text.utf8.count
    case .held(let lock, _): 24 + lock.utf8.count
    }
  }

  func write(to writer: inout WireWriter) {
    switch self {
    case .node(let path, let node):
      writer.u8(0)
      writer.text(path.text)
      writer.u8(node == nil ? 0 : 1)
      node?.writeForQuorum(to: &writer)
    case .value(let path, let value):
      writer.u8(1)
      writer.text(path.text)
      writer.u8(value == nil ? 0 : 1)
      if let value { writer.value(value) }
    case .exists(let path):
      writer.u8(2)
      writer.text(path.text)
    case .held(let lock, let token):
      writer.u8(3)
      writer.text(lock)
      writer.varint(token)
    }
  }

  init(from reader: inout WireReader) throws(WireError) {
    switch try reader.u8() {
    case 0:
      let path = try reader.path()
      self = .node(path, try reader.flag() ? try ModelNode(quorum: &reader, depth: 0) : nil)
    case 1:
      let path = try reader.path()
      // A bare nil would be the value null.
      self = .value(path, try reader.flag() ? try reader.value() : ModelValue?.none)
    case 2: self = .exists(try reader.path())
    case 3:
      let lock = try reader.text(.quorumMessage, limit: QuorumStateLimits.lockNameBytes)
      self = .held(lock: lock, token: try reader.varint())
    default: throw .invalidValue(.quorumMessage)
    }
  }
}

extension ModelEdit {
  private static let kinds: [ModelKind] = [.value, .counter, .set, .map]

  fileprivate var encodedBytesBound: Int {
    let bytes =
      switch self {
      case .set(_, let value), .add(_, let value), .remove(_, let value), .resolve(_, .value(let value)):
        value.encodedBytes
      case .delete, .increment, .makeMap, .resolve: 0
      }
    return 32 + path.text.utf8.count + bytes
  }

  fileprivate func write(to writer: inout WireWriter) {
    let kind: UInt8 =
      switch self {
      case .set: 0
      case .delete: 1
      case .add: 2
      case .remove: 3
      case .increment: 4
      case .makeMap: 5
      case .resolve(_, .value): 6
      case .resolve(_, .kind): 7
      }
    writer.u8(kind)
    writer.text(path.text)
    switch self {
    case .set(_, let value), .add(_, let value), .remove(_, let value), .resolve(_, .value(let value)):
      writer.value(value)
    case .increment(_, let amount): writer.zigzag(amount)
    case .resolve(_, .kind(let kind)): writer.u8(UInt8(Self.kinds.firstIndex(of: kind) ?? 0))
    case .delete, .makeMap: break
    }
  }

  fileprivate init(quorum reader: inout WireReader) throws(WireError) {
    let kind = try reader.u8()
    let path = try reader.path()
    switch kind {
    case 0: self = .set(path, try reader.value())
    case 1: self = .delete(path)
    case 2: self = .add(path, try reader.value())
    case 3: self = .remove(path, try reader.value())
    case 4: self = .increment(path, try reader.zigzag())
    case 5: self = .makeMap(path)
    case 6: self = .resolve(path, .value(try reader.value()))
    case 7:
      let kind = Int(try reader.u8())
      guard kind < Self.kinds.count else { throw .invalidValue(.quorumMessage) }
      self = .resolve(path, .kind(Self.kinds[kind]))
    default: throw .invalidValue(.quorumMessage)
    }
  }
}

extension ModelNode {
  fileprivate var quorumBytesBound: Int {
    switch self {
    case .value(let value): 12 + value.encodedBytes
    case .concurrent(let values), .set(let values): values.reduce(12) { $0 + 10 + $1.encodedBytes }
    case .counter: 12
    case .map(let children): children.reduce(12) { $0 + 10 + $1.level.utf8.count + $1.node.quorumBytesBound }
    }
  }

  fileprivate func writeForQuorum(to writer: inout WireWriter) {
    switch self {
    case .value(let value):
      writer.u8(0)
      writer.value(value)
    case .concurrent(let values), .set(let values):
      if case .set = self { writer.u8(3) } else { writer.u8(1) }
      writer.varint(count: values.count)
      for value in values { writer.value(value) }
    case .counter(let sum):
      writer.u8(2)
      writer.zigzag(sum)
    case .map(let children):
      writer.u8(4)
      writer.varint(count: children.count)
      for child in children {
        writer.text(child.level)
        child.node.writeForQuorum(to: &writer)
      }
    }
  }

  /// Maps are as deep as paths have levels.
  fileprivate init(quorum reader: inout WireReader, depth: Int) throws(WireError) {
    guard depth <= ModelPath.levelLimit else { throw .tooLong(.quorumMessage, limit: ModelPath.levelLimit) }
    switch try reader.u8() {
    case 0: self = .value(try reader.value())
    case 1: self = .concurrent(try reader.list { (reader) throws(WireError) in try reader.value() })
    case 2: self = .counter(try reader.zigzag())
    case 3: self = .set(try reader.list { (reader) throws(WireError) in try reader.value() })
    case 4:
      self = .map(
        try reader.list { (reader) throws(WireError) in
          let level = try reader.text(.quorumMessage, limit: ModelPath.levelBytes)
          return Child(level: level, node: try ModelNode(quorum: &reader, depth: depth + 1))
        })
    default: throw .invalidValue(.quorumMessage)
    }
  }
}

// MARK: Parts

extension WireWriter {
  mutating func value(_ value: ModelValue) { countedBytes(value.encoded()) }

  mutating func zigzag(_ number: Int64) { varint(UInt64(bitPattern: number << 1 ^ number >> 63)) }
}

extension WireReader {
  mutating func value() throws(WireError) -> ModelValue { try ModelValue(encoded: countedBytes()) }

  mutating func zigzag() throws(WireError) -> Int64 {
    let number = try varint()
    return Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
  }

  mutating func flag() throws(WireError) -> Bool {
    let byte = try u8()
    guard byte <= 1 else { throw .invalidValue(.quorumMessage) }
    return byte == 1
  }

  mutating func path() throws(WireError) -> ModelPath {
    let text = try text(.modelPath, limit: ModelPath.pathBytes)
    if text.isEmpty { return .root }
    guard ModelPath.problem(with: text) == nil else { throw .invalidValue(.modelPath) }
    return ModelPath(unchecked: text)
  }
}

extension [UInt8] {
  /// Reads all of the bytes.
  func read<T>(_ body: (inout WireReader) throws(WireError) -> T) throws(WireError) -> T {
    let result = withUnsafeBytes { bytes -> Result<T, WireError> in
      var reader = WireReader(bytes)
      do throws(WireError) {
        let value = try body(&reader)
        return reader.isAtEnd ? .success(value) : .failure(.invalidValue(.quorumMessage))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}
