import GlueCore

/// ```
/// replicas   count varint, then endpoint u64, number u64, generation varint of each; everything below names them by index
/// ranges     count varint, then of each:
///   kind     0 equal, 1 fingerprint, 2 members; + 128 if it has an upper bound, which only the last may lack, + 64 if that
///            is in the replica of the bound before
///   upper    replica varint, counter varint; with 64 the distance to the counter of the bound before
///   1        fingerprint, 6 bytes
///   2        count varint, then of each member the distance to the counter before it, or
///            0, replica varint, counter varint, folds varint: for the first, for another replica, for one with folds
/// ```
extension ReconciliationRange {
  private enum Kind {
    static let equal: UInt8 = 0
    static let fingerprint: UInt8 = 1
    static let members: UInt8 = 2
    static let hasUpper: UInt8 = 128
    static let isNear: UInt8 = 64
  }

  static func encode(_ ranges: [ReconciliationRange]) -> [UInt8] {
    let replicas = replicas(in: ranges)
    // At most 26 bytes of each replica, 31 of each range (a kind, a bound, and a count or a fingerprint) and 31 of each member.
    let members = ranges.reduce(0) { sum, range in
      if case .members(let members) = range.content { sum + members.count } else { sum }
    }
    return WireWriter.encode(atMost: 20 + replicas.count * 26 + ranges.count * 31 + members * 31) { writer in
      writer.varint(count: replicas.count)
      for replica in replicas { replica.write(to: &writer) }
      writer.varint(count: ranges.count)
      var last: Dot?
      for range in ranges {
        range.write(to: &writer, after: last, replicas: replicas)
        last = range.upper
      }
    }
  }

  /// All replicas that are named, each once, ascending.
  private static func replicas(in ranges: [ReconciliationRange]) -> [ReplicaID] {
    var replicas: [ReplicaID] = []
    func add(_ replica: ReplicaID) { if replicas.last != replica { replicas.append(replica) } }
    for range in ranges {
      if case .members(let members) = range.content { for member in members { add(member.dot.replica) } }
      if let upper = range.upper { add(upper.replica) }
    }
    replicas.sort()
    return replicas.reduce(into: []) { unique, replica in if unique.last != replica { unique.append(replica) } }
  }

  private func write(to writer: inout WireWriter, after last: Dot?, replicas: [ReplicaID]) {
    func write(_ replica: ReplicaID) { writer.varint(count: replicas.partitioningIndex { $0 >= replica }) }
    let kind =
      switch content {
      case .equal: Kind.equal
      case .fingerprint: Kind.fingerprint
      case .members: Kind.members
      }
    if let upper, let distance = upper.distance(from: last) {
      writer.u8(kind | Kind.hasUpper | Kind.isNear)
      writer.varint(distance)
    } else if let upper {
      writer.u8(kind | Kind.hasUpper)
      write(upper.replica)
      writer.varint(upper.counter)
    } else {
      writer.u8(kind)
    }
    switch content {
    case .equal: break
    case .fingerprint(let fingerprint):
      writer.u32(UInt32(truncatingIfNeeded: fingerprint))
      writer.u16(UInt16(fingerprint >> 32))
    case .members(let members):
      writer.varint(count: members.count)
      var last: Dot?
      for member in members {
        if member.folds == 0, let distance = member.dot.distance(from: last) {
          writer.varint(distance)
        } else {
          writer.varint(0)
          write(member.dot.replica)
          writer.varint(member.dot.counter)
          writer.varint(UInt64(member.folds))
        }
        last = member.dot
      }
    }
  }

  static func decode(_ reader: inout WireReader) throws(WireError) -> [ReconciliationRange] {
    var replicas: [ReplicaID] = []
    for _ in 0..<(try reader.varint()) { replicas.append(try ReplicaID(reading: &reader)) }
    var ranges: [ReconciliationRange] = []
    for _ in 0..<(try reader.varint()) {
      if let last = ranges.last, last.upper == nil { throw .invalidValue(.modelMessage) }
      let last = ranges.last?.upper
      let range = try ReconciliationRange(reading: &reader, after: last, replicas: replicas)
      if let last, let upper = range.upper, upper <= last { throw .invalidValue(.modelMessage) }
      ranges.append(range)
    }
    return ranges
  }

  private init(reading reader: inout WireReader, after last: Dot?, replicas: [ReplicaID]) throws(WireError) {
    let kind = try reader.u8()
    switch kind & (Kind.hasUpper | Kind.isNear) {
    case 0: upper = nil
    case Kind.hasUpper: upper = try Dot(reading: &reader, replicas: replicas)
    case Kind.hasUpper | Kind.isNear: upper = try Dot(try reader.varint(), after: last)
    default: throw .invalidValue(.modelMessage)
    }
    switch kind & ~(Kind.hasUpper | Kind.isNear) {
    case Kind.equal: content = .equal
    case Kind.fingerprint: content = .fingerprint(UInt64(try reader.u32()) | UInt64(try reader.u16()) << 32)
    case Kind.members:
      var members: [LiveDot] = []
      for _ in 0..<(try reader.varint()) {
        let member = try LiveDot(reading: &reader, replicas: replicas, after: members.last?.dot)
        if let last = members.last, member.dot <= last.dot { throw .invalidValue(.modelMessage) }
        members.append(member)
      }
      content = .members(members)
    default: throw .invalidValue(.modelMessage)
    }
  }
}

extension LiveDot {
  fileprivate init(reading reader: inout WireReader, replicas: [ReplicaID], after last: Dot?) throws(WireError) {
    let distance = try reader.varint()
    guard distance == 0 else {
      self.init(dot: try Dot(distance, after: last), folds: 0)
      return
    }
    let dot = try Dot(reading: &reader, replicas: replicas)
    guard let folds = UInt32(exactly: try reader.varint()) else { throw .invalidValue(.modelMessage) }
    self.init(dot: dot, folds: folds)
  }
}

extension Dot {
  fileprivate init(reading reader: inout WireReader, replicas: [ReplicaID]) throws(WireError) {
    let index = try reader.varint()
    let counter = try reader.varint()
    guard index < UInt64(replicas.count), (1...Dot.maximumCounter).contains(counter) else {
      throw .invalidValue(.modelMessage)
    }
    self.init(replicas[Int(index)], counter)
  }

  fileprivate init(_ distance: UInt64, after last: Dot?) throws(WireError) {
    guard let last, (1...Self.maximumCounter).contains(distance), last.counter + distance <= Self.maximumCounter else {
      throw .invalidValue(.modelMessage)
    }
    self.init(last.replica, last.counter + distance)
  }

  /// By how much its counter is higher than that of another dot of the same replica; nil if it is not.
  fileprivate func distance(from other: Dot?) -> UInt64? {
    guard let other, other.replica == replica, other.counter < counter else { return nil }
    return counter - other.counter
  }
}

extension ReplicaID {
  fileprivate func write(to writer: inout WireWriter) {
    writer.u64(endpoint.rawValue)
    writer.u64(number)
    writer.varint(UInt64(generation))
  }

  fileprivate init(reading reader: inout WireReader) throws(WireError) {
    let endpoint = try reader.endpointID()
    let number = try reader.u64()
    guard let generation = UInt32(exactly: try reader.varint()) else { throw .invalidValue(.modelMessage) }
    self.init(endpoint: endpoint, number: number, generation: generation)
  }
}
