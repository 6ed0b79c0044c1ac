/// How many datagrams a socket's full buffer has dropped.
///
/// The system counts what the socket's filter rejects in the same number: what this endpoint itself has sent to a group. So as many count as lost as cannot
/// have been that; where it has sent to groups of several sockets, possibly fewer than were.
struct QueueDrops {
  private var count: UInt32 = 0
  private var total: UInt64 = 0
  private var lost: UInt64 = 0
  private let sentBefore: UInt64

  /// - Parameter sent: Datagrams that this endpoint had sent to groups when the socket was opened.
  init(sentToGroups sent: UInt64 = 0) { sentBefore = sent }

  /// Takes the system's count of all that were dropped since the socket was opened, which wraps around.
  ///
  /// - Parameter sent: Datagrams that this endpoint has sent to groups so far; 0 if the socket has no filter.
  /// - Returns: How many more were lost.
  mutating func note(_ count: UInt32, sentToGroups sent: UInt64) -> UInt64 {
    total += UInt64(count &- self.count)
    self.count = count
    let own = sent > sentBefore ? sent - sentBefore : 0
    guard total > own, total - own > lost else { return 0 }
    defer { lost = total - own }
    return total - own - lost
  }
}
