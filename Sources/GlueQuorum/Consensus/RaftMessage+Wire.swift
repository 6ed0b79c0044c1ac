import GlueCore

/// ```
/// byte 0           kind: 0 VOTE?, 1 VOTE, 2 APPEND, 3 APPENDED, 4 HEARTBEAT, 5 HEARD, 6 BEHIND, 7 STAND
/// then             term; the numbers are varints
///
/// VOTE?            flags (1: only asks what would be, 2: the leader wants it), last index, last term
/// VOTE             flags (1: says what would be, 2: granted)
/// APPEND           previous index, previous term, commit, entries
/// APPENDED         0, index, term   |   1, previous, hint, term of the hint
/// HEARTBEAT        round, commit
/// HEARD            round, received, synced, term of that
/// BEHIND           index
/// STAND
///
/// entry            term - the one before, kind (0 empty, 1 command, 2 membership), command: bytes counted by a varint
/// membership       voters u8, learners u8, then each: endpoint u64, storage u64; both lists rise
/// ```
/// Entries go on to the end of the message.
extension RaftMessage {
  private enum Kind: UInt8 {
    case voteRequest, voteReply, append, appendReply, heartbeat, heartbeatReply, behind, stand
  }

  /// The kind, a result or flags, and five numbers of at most 10 bytes.
  private static let fixedBytes = 2 + 5 * 10

  /// The message as bytes.
  public func encoded() -> [UInt8] {
    var bound = Self.fixedBytes
    if case .append(let append) = self {
      for entry in append.entries { bound += entry.encodedBound }
    }
    return WireWriter.encode(atMost: bound) { write(to: &$0) }
  }

  private func write(to writer: inout WireWriter) {
    switch self {
    case .voteRequest(let request):
      begin(.voteRequest, &writer)
      writer.u8((request.isPreVote ? 1 : 0) | (request.isTransfer ? 2 : 0))
      writer.varint(request.lastIndex)
      writer.varint(request.lastTerm)
    case .voteReply(let reply):
      begin(.voteReply, &writer)
      writer.u8((reply.isPreVote ? 1 : 0) | (reply.isGranted ? 2 : 0))
    case .append(let append):
      begin(.append, &writer)
      writer.varint(append.previousIndex)
      writer.varint(append.previousTerm)
      writer.varint(append.commit)
      var last = append.previousTerm
      for entry in append.entries {
        writer.varint(entry.term &- last)
        last = entry.term
        entry.content.write(to: &writer)
      }
    case .appendReply(let reply):
      begin(.appendReply, &writer)
      switch reply.result {
      case .synced(let index, let term):
        writer.u8(0)
        writer.varint(index)
        writer.varint(term)
      case .refused(let previous, let hint, let hintTerm):
        writer.u8(1)
        writer.varint(previous)
        writer.varint(hint)
        writer.varint(hintTerm)
      }
    case .heartbeat(_, let round, let commit):
      begin(.heartbeat, &writer)
      writer.varint(round)
      writer.varint(commit)
    case .heartbeatReply(let reply):
      begin(.heartbeatReply, &writer)
      writer.varint(reply.round)
      writer.varint(reply.received)
      writer.varint(reply.synced)
      writer.varint(reply.syncedTerm)
    case .behind(_, let index):
      begin(.behind, &writer)
      writer.varint(index)
    case .stand: begin(.stand, &writer)
    }
  }

  private func begin(_ kind: Kind, _ writer: inout WireWriter) {
    writer.u8(kind.rawValue)
    writer.varint(term)
  }

  /// Reads a message.
  ///
  /// - Throws: ``WireError`` if the bytes are no message that a member would send.
  public init(encoded bytes: [UInt8]) throws(WireError) {
    let result = bytes.withUnsafeBytes { buffer -> Result<RaftMessage, WireError> in
      var reader = WireReader(buffer)
      do throws(WireError) { return .success(try RaftMessage(reading: &reader)) } catch { return .failure(error) }
    }
    self = try result.get()
  }

  private init(reading reader: inout WireReader) throws(WireError) {
    guard let kind = Kind(rawValue: try reader.u8()) else { throw .invalidValue(.type) }
    let term = try reader.position()
    switch kind {
    case .voteRequest:
      let flags = try reader.u8()
      guard flags <= 2 else { throw .invalidValue(.unitFlags) }
      self = .voteRequest(
        VoteRequest(
          term: term, lastIndex: try reader.position(), lastTerm: try reader.position(), isPreVote: flags & 1 != 0,
          isTransfer: flags & 2 != 0))
    case .voteReply:
      let flags = try reader.u8()
      guard flags <= 3 else { throw .invalidValue(.unitFlags) }
      self = .voteReply(VoteReply(term: term, isPreVote: flags & 1 != 0, isGranted: flags & 2 != 0))
    case .append:
      var append = Append(
        term: term, previousIndex: try reader.position(), previousTerm: try reader.position(),
        commit: try reader.position())
      var last = append.previousTerm
      var index = append.previousIndex
      while !reader.isAtEnd {
        // Neither sum overflows: both are at most WireLimits.position before they grow, and are checked after.
        last += try reader.position()
        index += 1
        guard last <= term, index <= WireLimits.position else { throw .invalidValue(.position) }
        append.entries.append(RaftEntry(index: index, term: last, try RaftEntry.Content(reading: &reader)))
      }
      self = .append(append)
    case .appendReply:
      switch try reader.u8() {
      case 0:
        self = .appendReply(
          AppendReply(term: term, result: .synced(index: try reader.position(), term: try reader.position())))
      case 1:
        let previous = try reader.position()
        let hint = try reader.position()
        self = .appendReply(
          AppendReply(term: term, result: .refused(previous: previous, hint: hint, hintTerm: try reader.position())))
      default: throw .invalidValue(.type)
      }
    case .heartbeat: self = .heartbeat(term: term, round: try reader.position(), commit: try reader.position())
    case .heartbeatReply:
      self = .heartbeatReply(
        HeartbeatReply(
          term: term, round: try reader.position(), received: try reader.position(), synced: try reader.position(),
          syncedTerm: try reader.position()))
    case .behind: self = .behind(term: term, index: try reader.position())
    case .stand: self = .stand(term: term)
    }
    guard reader.isAtEnd, isValid else { throw .invalidValue(.position) }
  }
}
