import DequeModule
import GlueCore

/// Messages on their way to peers, each cut into parts that are taken one by one: a long one holds nobody else up, and costs no memory
/// beyond its own bytes.
struct Outbox: Sendable {
  private struct Queue: Sendable {
    let peer: EndpointID
    var messages: Deque<Outgoing> = []
  }

  private struct Outgoing: Sendable {
    let bytes: [UInt8]
    let number: UInt64
    /// Whether it answers a request, of which only so many are served at once.
    let isAnswer: Bool
    var partsTaken = 0
  }

  /// In the order of endpoint IDs. Peers without messages have none.
  private var queues: [Queue] = []
  /// The peer served last; the next one is the one after it.
  private var served = EndpointID(0)
  private var nextNumber: UInt64 = 1
  /// Bytes in messages that were not yet taken whole.
  private(set) var byteCount = 0
  /// Answers not yet taken whole.
  private(set) var answers = 0

  /// Puts a message at the end of what goes to a peer.
  mutating func append(_ bytes: [UInt8], to peer: EndpointID, isAnswer: Bool = false) {
    let index = index(of: peer)
    if index == queues.count || queues[index].peer != peer { queues.insert(Queue(peer: peer), at: index) }
    queues[index].messages.append(Outgoing(bytes: bytes, number: nextNumber, isAnswer: isAnswer))
    nextNumber &+= 1
    byteCount += bytes.count
    if isAnswer { answers += 1 }
  }

  /// The next message, or part of one, to a peer that has room; peers take turns.
  mutating func next(where hasRoom: (EndpointID) -> Bool) -> (peer: EndpointID, bytes: [UInt8])? {
    let start = queues.firstIndex { $0.peer > served } ?? 0
    for offset in queues.indices {
      let index = (start + offset) % queues.count
      let peer = queues[index].peer
      guard hasRoom(peer) else { continue }
      served = peer
      return (peer, take(from: index))
    }
    return nil
  }

  /// Whether nothing waits.
  var isEmpty: Bool { queues.isEmpty }

  /// Drops what was not yet taken.
  mutating func remove(_ peer: EndpointID) {
    let index = index(of: peer)
    guard index < queues.count, queues[index].peer == peer else { return }
    for message in queues.remove(at: index).messages { forget(message) }
  }

  private mutating func take(from index: Int) -> [UInt8] {
    let message = queues[index].messages[0]
    let part = MessagePart.cut(message.bytes, number: message.number, index: message.partsTaken)
    queues[index].messages[0].partsTaken += 1
    if message.partsTaken + 1 >= MessagePart.count(of: message.bytes) {
      forget(queues[index].messages.removeFirst())
      if queues[index].messages.isEmpty { queues.remove(at: index) }
    }
    return part
  }

  private mutating func forget(_ message: Outgoing) {
    byteCount -= message.bytes.count
    if message.isAnswer { answers -= 1 }
  }

  private func index(of peer: EndpointID) -> Int { queues.firstIndex { $0.peer >= peer } ?? queues.count }
}
