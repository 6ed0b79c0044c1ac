import GlueCore

/// What tests, fuzzing and benchmarks look at.
extension ReplicaMachine {
  /// Bytes that are held for peers and from them, beside the document: what ``ReplicaConfiguration`` bounds.
  package var buffers: (pendingDeltas: Int, heldDeltas: Int, incompleteMessages: Int, outgoingMessages: Int) {
    (pendingDeltaBytes, held.byteCount, inbox.byteCount, outbox.byteCount)
  }

  /// Peers that are known, whether or not they were said to be there.
  package var knownPeers: Int { peers.count }

  /// The canonical encoding of a message of the protocol of replicas, of any kind; nil if the bytes are none of this version.
  package static func reencoded(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
    var reader = WireReader(bytes)
    guard case .kind(let kind) = try? PeerMessage.header(reading: &reader) else { return nil }
    switch kind {
    case .delta: return (try? Delta(encoded: reader.rest())).map { PeerMessage.encoded($0) }
    case .part: return (try? MessagePart(reading: &reader))?.encoded()
    case .status, .need, .missing, .reconcile, .finish, .refused, .confirm, .confirmed:
      return (try? PeerMessage(kind, reading: &reader))?.encoded()
    }
  }
}
