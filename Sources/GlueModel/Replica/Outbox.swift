import DequeModule
import GlueCore

/// Messages on their way to peers, each cut into parts that are taken one by one: a long one holds nobody else up, and costs no memory
/// beyond its own bytes. To each peer at most one message of a ``Concern`` waits, so a peer that reads nothing costs no more than that.
struct Outbox: Sendable {
  /// What a message is about. A later one makes the one before it worthless, also if parts of that are on their way already: a peer
  /// has one request at a time, so the one whose answer it still lacks it has given up.
  enum Concern: Sendable {
    /// What this replica has.
    case status
    /// What this replica wants of the peer.
    case request
    /// What the peer wants of this replica.
    case answer
    /// As `answer`, and so long that only so many are served at once.
    case served
    /// Which changes of this replica the peer should confirm.
    case wish
    /// Which changes of the peer are here.
    case confirmation
  }

  private struct Queue: Sendable {
    let peer: EndpointID
    var messages: Deque<Outgoing> = []
  }

  private struct Outgoing: Sendable {
    let bytes: [UInt8]
    let number: UInt64
    let concern: Concern
    var partsTaken = 0

    func isReplaced(by later: Concern) -> Bool {
      switch later {
      case .answer, .served: concern == .answer || concern == .served
      case .status, .request, .wish, .confirmation: concern == later
      }
    }
  }

  /// In the order of endpoint IDs. Peers without messages have none.
  private var queues: [Queue] = []
  /// Whose turn was last; the next one is the one after it.
  private var last = EndpointID(0)
  private var nextNumber: UInt64 = 1
  /// Bytes in messages that were not yet taken whole.
  private(set) var byteCount = 0
  /// Answers that count as served and were not yet taken whole.
  private(set) var served = 0

  /// Puts a message at the end of what goes to a peer, in place of what was said of the same concern.
  mutating func append(_ bytes: [UInt8], to peer: EndpointID, _ concern: Concern) {
    let index = index(of: peer)
    if index == queues.count || queues[index].peer != peer { queues.insert(Queue(peer: peer), at: index) }
    withdraw(concern, at: index)
    queues[index].messages.append(Outgoing(bytes: bytes, number: nextNumber, concern: concern))
    nextNumber &+= 1
    byteCount += bytes.count
    if concern == .served { served += 1 }
  }

  /// Drops what was said to a peer of a concern, as far as it was not yet taken. Returns whether there was something.
  @discardableResult
  mutating func withdraw(_ concern: Concern, for peer: EndpointID) -> Bool {
    let index = index(of: peer)
    guard index < queues.count, queues[index].peer == peer else { return false }
    let isFound = withdraw(concern, at: index)
    if queues[index].messages.isEmpty { queues.remove(at: index) }
    return isFound
  }

  @discardableResult
  private mutating func withdraw(_ concern: Concern, at index: Int) -> Bool {
    let earlier = queues[index].messages.firstIndex { $0.isReplaced(by: concern) }
    if let earlier { forget(queues[index].messages.remove(at: earlier)) }
    return earlier != nil
  }

  /// Whether something of a concern waits for a peer.
  func hasWaiting(_ concern: Concern, for peer: EndpointID) -> Bool {
    let index = index(of: peer)
    return index < queues.count && queues[index].peer == peer
      && queues[index].messages.contains { $0.isReplaced(by: concern) }
  }

  /// The next message, or part of one, to a peer that has room; peers take turns.
  mutating func next(where hasRoom: (EndpointID) -> Bool) -> (peer: EndpointID, bytes: [UInt8])? {
    let start = queues.firstIndex { $0.peer > last } ?? 0
    for offset in queues.indices {
      let index = (start + offset) % queues.count
      let peer = queues[index].peer
      guard hasRoom(peer) else { continue }
      last = peer
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
    if message.concern == .served { served -= 1 }
  }

  private func index(of peer: EndpointID) -> Int { queues.firstIndex { $0.peer >= peer } ?? queues.count }
}
