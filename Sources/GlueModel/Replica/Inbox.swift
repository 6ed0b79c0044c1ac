import GlueCore

/// Puts the parts of messages together. Parts of one message come in order and whole, or the loss is told; so each peer has at most one
/// message that is not complete.
struct Inbox: Sendable {
  private struct Incomplete: Sendable {
    let peer: EndpointID
    let number: UInt64
    let count: UInt64
    var nextIndex: UInt64
    var bytes: [UInt8]

    func continues(with part: MessagePart) -> Bool {
      number == part.number && nextIndex == part.index && count == part.count
    }
  }

  enum Result: Equatable, Sendable {
    /// The message is complete.
    case message([UInt8])
    /// More has to come.
    case incomplete
    /// What came before it is missing; it is dropped.
    case outOfOrder
    /// No room; the message is dropped.
    case full
  }

  private var messages: [Incomplete] = []
  /// Bytes of incomplete messages.
  private(set) var byteCount = 0

  /// Takes a part. All incomplete messages together have at most `limit` bytes.
  mutating func receive(_ part: MessagePart, from peer: EndpointID, limit: Int) -> Result {
    if part.index == 0 {
      remove(peer)
      // All parts but the last are of one size.
      guard part.count - 1 <= UInt64(limit / ReplicaConfiguration.partBytes) else { return .full }
      messages.append(Incomplete(peer: peer, number: part.number, count: part.count, nextIndex: 0, bytes: []))
    }
    guard let index = messages.firstIndex(where: { $0.peer == peer }) else { return .outOfOrder }
    guard messages[index].continues(with: part) else {
      remove(peer)
      return .outOfOrder
    }
    guard byteCount + part.bytes.count <= limit else {
      remove(peer)
      return .full
    }
    messages[index].bytes.append(contentsOf: part.bytes)
    messages[index].nextIndex += 1
    byteCount += part.bytes.count
    guard messages[index].nextIndex == part.count else { return .incomplete }
    defer { remove(peer) }
    return .message(messages[index].bytes)
  }

  /// Drops what a peer has begun.
  mutating func remove(_ peer: EndpointID) {
    guard let index = messages.firstIndex(where: { $0.peer == peer }) else { return }
    byteCount -= messages.remove(at: index).bytes.count
  }
}
