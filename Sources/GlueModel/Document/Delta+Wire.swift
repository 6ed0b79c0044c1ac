import GlueCore

/// ```
/// u8 flags: 1 operation, 2 generation
/// [1] varint index of the replica in the set below, varint first counter, varint changes, varint time
/// [2] varint generation
/// the covered dots: see DotSet
/// for each replica in them, ascending: varint count of entries, and for each, ascending:
///   varint counter, less that of the entry before (or 0); at least 1
///   u8 kind: 0 value, 1 amount, 2 element, 3 map
///   varint time, less that of the entry before (or 0), zigzag
///   varint bytes that the path shares with that of the entry before, varint count and bytes of the rest
///   value, element: varint count, and the canonical encoding
///   amount: varint, zigzag; varint folds
/// ```
///
/// A path shares nothing where paths would grow to more than ``pathFactor`` times the bytes so far: a few bytes must not become
/// much memory.
extension Delta {
  private enum Flag {
    static let operation: UInt8 = 1
    static let generation: UInt8 = 2
  }

  private enum Kind {
    static let value: UInt8 = 0
    static let amount: UInt8 = 1
    static let element: UInt8 = 2
    static let map: UInt8 = 3
  }

  /// All paths together may have so many times the bytes of the entries before, and ``pathAllowance`` more.
  static let pathFactor = 16
  /// See ``pathFactor``.
  static let pathAllowance = 64 << 10
  /// What an entry takes at most besides its path and its value.
  static let entryOverheadBytes = 60
  /// What a delta takes at most besides its dots and entries.
  private static let headerBytes = 64

  /// The canonical encoding.
  public func encoded() -> [UInt8] {
    let entryBound = entries.reduce(0) {
      $0 + $1.path.text.utf8.count + $1.content.encodedBytes + Self.entryOverheadBytes
    }
    return encode(atMost: Self.headerBytes + covered.encodedBound + covered.parts.count * 10 + entryBound) { writer in
      writer.u8((operation == nil ? 0 : Flag.operation) | (generation == nil ? 0 : Flag.generation))
      if let operation {
        writer.varint(count: covered.parts.firstIndex { $0.replica == operation.replica } ?? 0)
        writer.varint(operation.counters.lowerBound)
        writer.varint(operation.counters.upperBound - operation.counters.lowerBound)
        writer.varint(operation.time)
      }
      if let generation { writer.varint(UInt64(generation)) }
      covered.write(to: &writer)
      var entryWriter = EntryWriter(start: writer.count)
      var next = 0
      for part in covered.parts {
        var end = next
        while end < entries.count, entries[end].dot.replica == part.replica { end += 1 }
        writer.varint(count: end - next)
        var counter: UInt64 = 0
        for entry in entries[next..<end] {
          writer.varint(entry.dot.counter - counter)
          counter = entry.dot.counter
          entryWriter.write(entry, to: &writer)
        }
        next = end
      }
    }
  }

  /// The delta of an encoding. Total: any bytes give a delta or an error, and memory in proportion to them.
  public init(encoded bytes: UnsafeRawBufferPointer) throws(WireError) {
    var reader = WireReader(bytes)
    let flags = try reader.u8()
    guard flags & ~(Flag.operation | Flag.generation) == 0 else { throw .invalidValue(.modelDelta) }
    var header: (replica: UInt64, first: UInt64, count: UInt64, time: UInt64)?
    if flags & Flag.operation != 0 {
      header = (
        try reader.canonicalVarint(.modelDelta), try reader.canonicalVarint(.modelDelta),
        try reader.canonicalVarint(.modelDelta),
        try reader.canonicalVarint(.modelDelta)
      )
    }
    var generation: UInt32?
    if flags & Flag.generation != 0 {
      generation = UInt32(exactly: try reader.canonicalVarint(.modelDelta))
      guard generation != nil else { throw .invalidValue(.modelDelta) }
    }
    let covered = try DotSet(from: &reader)
    var operation: Operation?
    if let header {
      guard header.replica < UInt64(covered.parts.count), header.count > 0, header.first > 0,
        header.first <= Dot.maximumCounter,
        header.count <= Dot.maximumCounter
      else { throw .invalidValue(.modelDelta) }
      let part = covered.parts[Int(header.replica)]
      let counters = header.first..<(header.first + header.count)
      guard CounterRanges(counters).subtracting(part.counters).isEmpty else { throw .invalidValue(.modelDelta) }
      operation = Operation(replica: part.replica, counters: counters, time: header.time)
    }
    var entries: [Entry] = []
    var entryReader = EntryReader(start: reader.offset)
    for part in covered.parts {
      var counter: UInt64 = 0
      for _ in 0..<(try reader.canonicalVarint(.modelDelta)) {
        let step = try reader.canonicalVarint(.modelDelta)
        guard step > 0, step <= Dot.maximumCounter - counter, part.counters.contains(counter + step) else {
          throw .invalidValue(.modelDelta)
        }
        counter += step
        entries.append(try entryReader.read(Dot(part.replica, counter), from: &reader))
      }
    }
    guard reader.isAtEnd else { throw .invalidValue(.modelDelta) }
    self.init(operation: operation, generation: generation, covered: covered, entries: entries)
  }

  /// What an entry is told in relation to.
  private struct EntryState {
    /// Where the entries begin.
    let start: Int
    var time: UInt64 = 0
    var path: [UInt8] = []
    /// The bytes of all paths so far.
    var pathBytes = 0

    /// Whether a path of so many bytes may share some with the one before.
    func maySharePath(of bytes: Int, at offset: Int) -> Bool {
      pathBytes + bytes <= Delta.pathAllowance + Delta.pathFactor * (offset - start)
    }
  }

  private struct EntryWriter {
    private var state: EntryState

    init(start: Int) { state = EntryState(start: start) }

    mutating func write(_ entry: Entry, to writer: inout WireWriter) {
      let kind =
        switch entry.content {
        case .value: Kind.value
        case .amount: Kind.amount
        case .element: Kind.element
        case .map: Kind.map
        }
      writer.u8(kind)
      writer.varint(zigzag(Int64(bitPattern: entry.time &- state.time)))
      state.time = entry.time
      let path = Array(entry.path.text.utf8)
      var shared = 0
      if state.maySharePath(of: path.count, at: writer.count) {
        while shared < path.count, shared < state.path.count, path[shared] == state.path[shared] { shared += 1 }
      }
      writer.varint(count: shared)
      writer.varint(count: path.count - shared)
      path.withUnsafeBytes { writer.bytes(UnsafeRawBufferPointer(rebasing: $0[shared...])) }
      state.pathBytes += path.count
      state.path = path
      switch entry.content {
      case .value(let value), .element(let value):
        writer.varint(count: value.encodedBytes)
        value.write(to: &writer)
      case .amount(let amount, let folds):
        writer.varint(zigzag(amount))
        writer.varint(UInt64(folds))
      case .map: break
      }
    }
  }

  private struct EntryReader {
    private var state: EntryState

    init(start: Int) { state = EntryState(start: start) }

    mutating func read(_ dot: Dot, from reader: inout WireReader) throws(WireError) -> Entry {
      let kind = try reader.u8()
      state.time &+= UInt64(bitPattern: unzigzag(try reader.canonicalVarint(.modelDelta)))
      let path = try readPath(from: &reader)
      let content: EntryContent
      switch kind {
      case Kind.value: content = .value(try ModelValue(encoded: reader.countedCanonicalBytes()))
      case Kind.amount:
        let amount = unzigzag(try reader.canonicalVarint(.modelDelta))
        guard let folds = UInt32(exactly: try reader.canonicalVarint(.modelDelta)) else {
          throw .invalidValue(.modelDelta)
        }
        content = .amount(amount, folds: folds)
      case Kind.element: content = .element(try ModelValue(encoded: reader.countedCanonicalBytes()))
      case Kind.map: content = .map
      default: throw .invalidValue(.modelDelta)
      }
      return Entry(dot: dot, time: state.time, path: path, content: content)
    }

    private mutating func readPath(from reader: inout WireReader) throws(WireError) -> ModelPath {
      let start = reader.offset
      let shared = try reader.canonicalVarint(.modelPath)
      guard shared <= UInt64(state.path.count) else { throw .invalidValue(.modelPath) }
      let rest = try reader.countedCanonicalBytes()
      let bytes = Int(shared) + rest.count
      guard bytes <= ModelPath.pathBytes else { throw .tooLong(.modelPath, limit: ModelPath.pathBytes) }
      guard shared == 0 || state.maySharePath(of: bytes, at: start) else { throw .invalidValue(.modelPath) }
      state.path.replaceSubrange(Int(shared)..., with: rest)
      state.pathBytes += bytes
      guard state.path.withUnsafeBytes({ ModelPath.problem(with: $0) }) == nil else { throw .invalidValue(.modelPath) }
      guard let text = String(validating: state.path, as: UTF8.self) else { throw .invalidUTF8(.modelPath) }
      return ModelPath(unchecked: text)
    }
  }
}

/// Signed numbers as unsigned ones, so that small ones stay small.
private func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }

private func unzigzag(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
