import GlueCore

/// ```
/// replicas   count varint, then endpoint u64, number u64, generation varint of each; everything below names them by index
/// ranges     count varint, then of each:
///   kind     0 equal, 1 fingerprint, 2 members; + 128 if it has an upper bound, which only the last may lack
///   upper    replica varint, counter varint
///   1        count varint, sum u64
///   2        count varint, then of each member the distance to the counter before it, or
///            0, replica varint, counter varint, folds varint: for the first, for another replica, for one with folds
/// ```
extension ReconciliationRange {
  private enum Kind {
    static let equal: UInt8 = 0
    static let fingerprint: UInt8 = 1
    static let members: UInt8 = 2
    static let hasUpper: UInt8 = 128
  }

  static func encode(_ ranges: [ReconciliationRange]) -> [UInt8] {
    let replicas = replicas(in: ranges)
    // At most 26 bytes of each replica, 40 of each range and 31 of each member.
    let members = ranges.reduce(0) { sum, range in
      if case .members(let members) = range.content { sum + members.count } else { sum }
    }
    return WireWriter.encode(atMost: 20 + replicas.count * 26 + ranges.count * 40 + members * 31) { writer in
      writer.varint(count: replicas.count)
      for replica in replicas { replica.write(to: &writer) }
      writer.varint(count: ranges.count)
      for range in ranges { range.write(to: &writer, replicas: replicas) }
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

  private func write(to writer: inout WireWriter, replicas: [ReplicaID]) {
    func write(_ replica: ReplicaID) { writer.varint(count: replicas.partitioningIndex { $0 >= replica }) }
    let kind =
      switch content {
      case .equal: Kind.equal
      case .fingerprint: Kind.fingerprint
      case .members: Kind.members
      }
    writer.u8(kind | (upper == nil ? 0 : Kind.hasUpper))
    if let upper {
      write(upper.replica)
      writer.varint(upper.counter)
    }
    switch content {
    case .equal: break
    case .fingerprint(let fingerprint):
      writer.varint(fingerprint.count)
      writer.u64(fingerprint.sum)
    case .members(let members):
      writer.varint(count: members.count)
      var last: Dot?
      for member in members {
        if let last, last.replica == member.dot.replica, member.folds == 0, last.counter < member.dot.counter {
          writer.varint(member.dot.counter - last.counter)
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
      let range = try ReconciliationRange(reading: &reader, replicas: replicas)
      if let last = ranges.last?.upper, let upper = range.upper, upper <= last { throw .invalidValue(.modelMessage) }
      ranges.append(range)
    }
    return ranges
  }

  private init(reading reader: inout WireReader, replicas: [ReplicaID]) throws(WireError) {
    let kind = try reader.u8()
    upper = kind & Kind.hasUpper == 0 ? nil : try Dot(reading: &reader, replicas: replicas)
    switch kind & ~Kind.hasUpper {
    case Kind.equal: content = .equal
    case Kind.fingerprint: content = .fingerprint(Fingerprint(count: try reader.varint(), sum: try reader.u64()))
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
      guard let last, distance <= Dot.maximumCounter, last.counter + distance <= Dot.maximumCounter else {
        throw .invalidValue(.modelMessage)
      }
      self.init(dot: Dot(last.replica, last.counter + distance), folds: 0)
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
