import GlueAddress

/// Readers of one stream that are served together: what is published goes to a multicast group, once for all of them (docs/protocol.md §5.9).
///
///     member.next ≤ … next ≤ … log.end
///       └ by unicast ┘   └ to the group, once every member is there
///
/// What a member lacks is repeated to it alone. So its own ``RemoteReader`` goes on to know what it has, and what has to be repeated; only that which
/// nobody has been sent yet is the group's.
final class GroupReader {
  // Its properties are exempt from the run-time exclusivity check, as those of readers are.

  /// Where it is sent.
  let target: SocketAddress
  @exclusivity(unchecked) private(set) var members: [RemoteReader] = []
  /// The lowest position that has not been sent to the group.
  @exclusivity(unchecked) var next: UInt64
  /// Where it waits: not at all while it has sent everything.
  @exclusivity(unchecked) var place = Place.none
  /// Since when some member holds up the others.
  @exclusivity(unchecked) var heldUpSince: Timestamp?

  enum Place {
    case none
    /// In line to send.
    case queue
    /// Until its members are ready.
    case heldUp
  }

  /// Fewer are served by unicast.
  static let leastMembers = 2
  /// So long a member may hold up the others. A subscriber that gets no processor time for that long is slower than the others.
  static let holdUpLimit = Nanoseconds.milliseconds(50)
  /// How much may lie between two readers that become members at the same time: the one that is ahead waits for the other.
  static let joinBytes = 1 << 20
  /// How often readers are looked at that could become members.
  static let reviewInterval = Nanoseconds.milliseconds(100)

  init(target: SocketAddress, next: UInt64) {
    self.target = target
    self.next = next
  }

  func add(_ reader: RemoteReader) { members.append(reader) }
  func remove(_ reader: RemoteReader) { members.removeAll { $0 === reader } }

  /// Whether all members can take what comes next.
  var isReady: Bool { members.allSatisfy { isReady($0) } }

  func isReady(_ member: RemoteReader) -> Bool {
    member.next >= next && !member.isWindowShut && member.session.congestion.isOpen
  }

  /// The largest datagram that gets to all members.
  var datagramBytes: Int { members.reduce(WireLimits.datagramBytes) { min($0, $1.session.path.current) } }

  /// Writes what comes next, as far as it fits. Returns whether that is anything.
  func write(of stream: OutboundStream, to writer: inout WireWriter, at now: Timestamp) -> Bool {
    let log = stream.log
    let start = next
    let room = stream.isReliable ? members.reduce(Int.max) { min($0, $1.windowRoom(at: start)) } : .max
    while next < log.end {
      // The last unit may exceed the window, so that no window is too small for progress.
      let left = room == .max ? .max : max(room - log.bytes(from: start, to: next), 0)
      guard left > 0 else { break }
      let (end, isGap) = stream.writeRun(
        next..<log.end, as: stream.number, maximumBytes: max(left, OutboundStream.largestFragmentBytes), to: &writer,
        at: now)
      guard end > next else { break }
      if isGap { for member in members { member.noteUnserved(next..<end) } }
      next = end
    }
    return next > start
  }
}

/// What a session has to do with groups of its peer and of this endpoint.
struct GroupTraffic {
  // Sending.
  /// Datagrams to the group that the peer is to acknowledge.
  var sent = SentDatagrams()
  /// How many of the session's readers are members.
  private(set) var memberships = 0
  /// By unicast only until then.
  private(set) var barredUntil = Timestamp(nanoseconds: 0)
  private var bars = 0
  private var judged = (datagrams: 0, lost: 0)

  // Receiving.
  var replay = ReplayWindow()
  var received: UInt64 = 0
  /// How many the peer has been told of.
  var told: UInt64 = 0
  var largestReceivedAt = Timestamp(nanoseconds: 0)

  /// Whoever was served by unicast for a reason is tried again after so long, and after twice as long each time that it fails again.
  private static let firstBar = Nanoseconds.seconds(2)
  private static let mostDoublings = 7
  /// So many datagrams show how much is lost: more than a twentieth is worse by multicast than by unicast, where a switch or an access point
  /// repeats, and what is repeated to one costs the others nothing.
  private static let judgedDatagrams = 256
  private static let worstLoss = 20

  /// Takes note of an acknowledgement. Returns whether too much is lost on the way to this peer.
  mutating func note(datagrams: Int, lost: UInt64) -> Bool {
    guard memberships > 0 else { return false }
    judged.datagrams += datagrams
    judged.lost += Int(clamping: lost)
    guard judged.datagrams >= Self.judgedDatagrams || judged.lost > Self.judgedDatagrams / Self.worstLoss else {
      return false
    }
    // One acknowledgement may tell of many more datagrams, or so many may be lost before they have come together.
    let isBad = judged.lost * Self.worstLoss > max(judged.datagrams, Self.judgedDatagrams)
    if !isBad { bars = 0 }
    judged = (0, 0)
    return isBad
  }

  /// Takes note that the peer is to be served by unicast for a while.
  mutating func bar(at now: Timestamp) {
    barredUntil = now + Self.firstBar * (1 << UInt64(bars))
    bars = min(bars + 1, Self.mostDoublings)
  }

  /// Another of the session's readers becomes a member.
  mutating func join() {
    if memberships == 0 {
      judged = (0, 0)
      sent.rebase()
    }
    memberships += 1
  }

  /// One of them is a member no longer.
  mutating func leave() { memberships -= 1 }
}
