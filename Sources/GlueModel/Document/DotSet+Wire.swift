import GlueCore

/// A set of dots:
///
/// ```
/// varint count of replicas, and for each, ascending:
///   u64 endpoint, u64 number, varint generation
///   varint count of ranges, and for each, ascending:
///     varint gap: counters between the range before (or 0) and this one, at least 1
///     varint counters in it, less 1
/// ```
///
/// A context is its generation (varint) and the set.
extension DotSet {
  /// Bytes that a replica takes at most, without its ranges.
  private static let partBytes = 8 + 8 + 5 + 10
  /// Bytes that a range takes at most.
  private static let rangeBytes = 20

  /// At least the bytes that ``write(to:)`` writes.
  var encodedBound: Int { 10 + parts.count * Self.partBytes + rangeCount * Self.rangeBytes }

  /// The canonical encoding.
  public func encoded() -> [UInt8] { encode(atMost: encodedBound, write) }

  /// The set of an encoding. Total: any bytes give a set or an error.
  public init(encoded bytes: UnsafeRawBufferPointer) throws(WireError) {
    var reader = WireReader(bytes)
    try self.init(from: &reader)
    guard reader.isAtEnd else { throw .invalidValue(.modelDelta) }
  }

  func write(to writer: inout WireWriter) {
    writer.varint(count: parts.count)
    for part in parts {
      writer.u64(part.replica.endpoint.rawValue)
      writer.u64(part.replica.number)
      writer.varint(UInt64(part.replica.generation))
      writer.varint(count: part.counters.ranges.count)
      var end: UInt64 = 0
      for range in part.counters.ranges {
        writer.varint(range.lowerBound - end)
        writer.varint(range.upperBound - range.lowerBound - 1)
        end = range.upperBound
      }
    }
  }

  init(from reader: inout WireReader) throws(WireError) {
    self.init()
    let count = try reader.canonicalVarint(.modelDelta)
    var last: ReplicaID?
    for _ in 0..<count {
      let endpoint = try reader.endpointID()
      let number = try reader.u64()
      guard let generation = UInt32(exactly: try reader.canonicalVarint(.modelDelta)) else {
        throw .invalidValue(.modelDelta)
      }
      let replica = ReplicaID(endpoint: endpoint, number: number, generation: generation)
      let rangeCount = try reader.canonicalVarint(.modelDelta)
      guard last.map({ $0 < replica }) ?? true, rangeCount > 0 else { throw .invalidValue(.modelDelta) }
      var counters = CounterRanges()
      var end: UInt64 = 0
      for _ in 0..<rangeCount {
        let gap = try reader.canonicalVarint(.modelDelta)
        let length = try reader.canonicalVarint(.modelDelta)
        guard gap > 0, gap <= Dot.maximumCounter - min(end, Dot.maximumCounter),
          length <= Dot.maximumCounter - (end + gap)
        else {
          throw .invalidValue(.modelDelta)
        }
        counters.insert((end + gap)..<(end + gap + length + 1))
        end += gap + length + 1
      }
      insert(counters, of: replica)
      last = replica
    }
  }
}

extension CausalContext {
  /// The canonical encoding.
  public func encoded() -> [UInt8] {
    encode(atMost: 10 + seen.encodedBound) { writer in
      writer.varint(UInt64(generation))
      seen.write(to: &writer)
    }
  }

  /// The context of an encoding. Total: any bytes give a context or an error.
  public init(encoded bytes: UnsafeRawBufferPointer) throws(WireError) {
    var reader = WireReader(bytes)
    guard let generation = UInt32(exactly: try reader.canonicalVarint(.modelDelta)) else {
      throw .invalidValue(.modelDelta)
    }
    self.init(generation: generation, seen: try DotSet(from: &reader))
    guard reader.isAtEnd else { throw .invalidValue(.modelDelta) }
  }
}

/// What the closure writes; `bound` is at least that.
func encode(atMost bound: Int, _ body: (inout WireWriter) -> Void) -> [UInt8] {
  Array(unsafeUninitializedCapacity: bound) { buffer, count in
    var writer = WireWriter(UnsafeMutableRawBufferPointer(buffer))
    body(&writer)
    precondition(!writer.hasFailed, "the bound of \(bound) bytes is too low")
    count = writer.count
  }
}
