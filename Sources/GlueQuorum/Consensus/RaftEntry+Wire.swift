import GlueCore

/// ```
/// ENTRY        index varint, term varint, content; in APPEND the content stands alone
/// content      kind u8: 0 empty, 1 command (counted bytes), 2 membership
/// membership   voters u8, learners u8, of each member the endpoint u64 and the storage u64; each list ascending
/// ```
extension RaftEntry {
  /// At least as many bytes as the entry takes in a message; what windows and limits count.
  var encodedBound: Int {
    switch content {
    case .empty: 11
    case .command(let command): 21 + command.count
    case .membership: 11 + Membership.encodedBound
    }
  }

  /// At least as many as it takes with its place.
  var encodedBoundWithPlace: Int { encodedBound + 20 }

  /// The entry with its place.
  func write(to writer: inout WireWriter) {
    writer.varint(index)
    writer.varint(term)
    content.write(to: &writer)
  }

  init(from reader: inout WireReader) throws(WireError) {
    let (index, term) = (try reader.position(), try reader.position())
    guard index > 0 else { throw .invalidValue(.position) }
    self.init(index: index, term: term, try Content(reading: &reader))
  }
}

extension RaftEntry.Content {
  func write(to writer: inout WireWriter) {
    switch self {
    case .empty: writer.u8(0)
    case .command(let command):
      writer.u8(1)
      writer.countedBytes(command)
    case .membership(let membership):
      writer.u8(2)
      membership.write(to: &writer)
    }
  }

  init(reading reader: inout WireReader) throws(WireError) {
    switch try reader.u8() {
    case 0: self = .empty
    case 1: self = .command(Array(try reader.countedBytes()))
    case 2: self = .membership(try Membership(from: &reader))
    default: throw .invalidValue(.type)
    }
  }
}

extension Membership {
  /// At most so many bytes.
  static let encodedBound = 2 + 16 * (voterLimit + learnerLimit)

  func write(to writer: inout WireWriter) {
    guard isValid else { return writer.fail() }
    writer.u8(UInt8(voters.count))
    writer.u8(UInt8(learners.count))
    for member in voters + learners {
      writer.u64(member.endpoint.rawValue)
      writer.u64(member.storage.number)
    }
  }

  init(from reader: inout WireReader) throws(WireError) {
    let voters = Int(try reader.u8())
    let learners = Int(try reader.u8())
    self.init(voters: try Self.members(voters, &reader), learners: try Self.members(learners, &reader))
    guard isValid, self.voters.count == voters, self.learners.count == learners else {
      throw .invalidValue(.endpointID)
    }
  }

  private static func members(_ count: Int, _ reader: inout WireReader) throws(WireError) -> [MemberID] {
    var members: [MemberID] = []
    for _ in 0..<count {
      let member = MemberID(try reader.endpointID(), StorageID(try reader.u64()))
      guard member.storage.number != 0, members.last.map({ $0 < member }) ?? true else {
        throw .invalidValue(.endpointID)
      }
      members.append(member)
    }
    return members
  }
}
