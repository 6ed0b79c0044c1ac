import DequeModule
import GlueCore

/// Messages on their way to peers. To each a bounded number of bytes waits; what does not fit is dropped, as a network drops it: everything here
/// is asked for again, or repeated.
struct QuorumOutbox: Sendable {
  private struct Queue: Sendable {
    let peer: EndpointID
    var messages: Deque<[UInt8]> = []
    var bytes = 0
  }

  /// In the order of endpoint IDs. Peers without messages have none.
  private var queues: [Queue] = []
  /// Whose turn was last; the next one is the one after it.
  private var last = EndpointID(0)
  /// Messages that were dropped.
  private(set) var dropped: UInt64 = 0

  /// Bytes that wait for the peer to whom most do.
  var largestQueue: Int { queues.map(\.bytes).max() ?? 0 }

  /// Puts a message at the end of what goes to a peer.
  mutating func append(_ bytes: [UInt8], to peer: EndpointID) {
    let index = index(of: peer)
    if index == queues.count || queues[index].peer != peer { queues.insert(Queue(peer: peer), at: index) }
    guard queues[index].messages.isEmpty || queues[index].bytes + bytes.count <= QuorumConfiguration.messageBytes else {
      dropped += 1
      return
    }
    queues[index].messages.append(bytes)
    queues[index].bytes += bytes.count
  }

  /// The next message to a peer that has room; peers take turns.
  mutating func next(where hasRoom: (EndpointID) -> Bool) -> (peer: EndpointID, bytes: [UInt8])? {
    let start = queues.firstIndex { $0.peer > last } ?? 0
    for offset in queues.indices {
      let index = (start + offset) % queues.count
      let peer = queues[index].peer
      guard hasRoom(peer), let bytes = queues[index].messages.popFirst() else { continue }
      last = peer
      queues[index].bytes -= bytes.count
      if queues[index].messages.isEmpty { queues.remove(at: index) }
      return (peer, bytes)
    }
    return nil
  }

  /// Drops what was not yet taken.
  mutating func remove(_ peer: EndpointID) {
    let index = index(of: peer)
    if index < queues.count, queues[index].peer == peer { queues.remove(at: index) }
  }

  private func index(of peer: EndpointID) -> Int { queues.firstIndex { $0.peer >= peer } ?? queues.count }
}
