import GlueCore
import GlueModel

/// What can be decoded from bytes of others: messages, what they carry, and what stands in logs and states. For fuzzing.
package enum QuorumPart: CaseIterable, Sendable {
  case message, raft, command, batch, outcome, entry, membership, state

  /// Bytes, decoded as this and encoded again; nil if they are none.
  package func reencoded(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
    do throws(WireError) {
      switch self {
      case .message: return try QuorumMessage(encoded: bytes).encoded()
      case .raft: return try RaftMessage(encoded: Array(bytes)).encoded()
      case .command: return try QuorumCommand(encoded: bytes).encoded()
      case .batch: return try QuorumBatch(encoded: Array(bytes)).encoded()
      case .outcome:
        let outcome = try Self.whole(bytes) { (reader) throws(WireError) in try QuorumOutcome(from: &reader) }
        return WireWriter.encode(atMost: outcome.encodedBytesBound) { outcome.write(to: &$0) }
      case .entry:
        let entry = try Self.whole(bytes) { (reader) throws(WireError) in try RaftEntry(from: &reader) }
        return WireWriter.encode(atMost: entry.encodedBoundWithPlace) { entry.write(to: &$0) }
      case .membership:
        let membership = try Self.whole(bytes) { (reader) throws(WireError) in try Membership(from: &reader) }
        return WireWriter.encode(atMost: Membership.encodedBound) { membership.write(to: &$0) }
      case .state: return try QuorumState(encoded: Array(bytes)).encoded()
      }
    } catch {
      return nil
    }
  }

  private static func whole<Part>(
    _ bytes: UnsafeRawBufferPointer, _ part: (inout WireReader) throws(WireError) -> Part
  ) throws(WireError) -> Part {
    var reader = WireReader(bytes)
    let value = try part(&reader)
    guard reader.isAtEnd else { throw .invalidValue(.quorumMessage) }
    return value
  }
}

extension QuorumMachine {
  /// Bytes and counts that wait in an opening, each of which has a bound. For fuzzing.
  package var waiting: [(name: String, amount: Int, bound: Int)] {
    // One message more than fits alone is taken.
    let message = QuorumConfiguration.messageBytes + QuorumStateLimits.commandBytes
    return [
      ("bytes of messages to a peer", outbox.largestQueue, message),
      ("bytes of broadcasts", broadcastBytes, QuorumConfiguration.broadcastBytes),
      ("events", events.count, QuorumConfiguration.events),
      ("held requests", leading?.held.count ?? 0, QuorumConfiguration.heldAsks),
      ("reads at the leader", leading?.reads.count ?? 0, RaftConfiguration.readLimit),
      ("requests", client.pending.count, 2 * configuration.requests),
    ]
  }
}
