/// How many bytes may be under way to one peer. Grows while round trips stay short, shrinks when queueing delay builds up
/// or loss exceeds a tenth, unless that loss turns out to be the path's own (``LossTrial``). In spirit LEDBAT (RFC 6817) with
/// slow start.
struct CongestionWindow {
  /// Bytes that may be under way.
  private(set) var bytes: Int
  private(set) var inFlight = 0
  private var isSlowStart = true
  private var loss = LossTrial()
  /// One verdict on queueing delay per round trip: where the current one began.
  private var roundStart = Timestamp(nanoseconds: 0)
  private let maximum: Int

  /// Enough for a first burst of a 64 KiB message.
  static let initialBytes = 96 << 10
  /// Below this nothing would move: a few datagrams of an unprobed path.
  static let minimumBytes = 8 << 10
  /// Queueing delay that counts as congestion. A receiver that works through a full socket buffer causes less.
  static let queueingTarget = Nanoseconds.milliseconds(5)
  /// Each datagram is charged so many bytes more than its payload, as the receiver's kernel does for its bookkeeping.
  static let datagramOverhead = 512

  /// - Parameter receiveBufferBytes: of the peer's socket; half of it may be filled by us.
  init(receiveBufferBytes: Int) {
    maximum = max(receiveBufferBytes / 2, Self.minimumBytes * 2)
    bytes = min(Self.initialBytes, maximum)
  }

  /// Whether another datagram may leave. One always may when nothing is under way.
  var isOpen: Bool { inFlight < bytes }

  /// What a datagram of so many bytes is charged.
  static func charge(for bytes: Int) -> Int { bytes + datagramOverhead }

  mutating func sent(charge: Int) { inFlight += charge }

  /// Takes the verdict of one ACK: datagrams are no longer under way, some of them since they were lost.
  mutating func acknowledged(
    charge: Int, datagrams: Int, lost: UInt64, roundTrip: RoundTripEstimator, at now: Timestamp
  ) {
    let wasLimited = inFlight * 2 >= bytes
    inFlight = max(0, inFlight - charge)
    if isSlowStart, wasLimited { bytes = min(maximum, bytes + charge) }
    switch loss.note(
      datagrams: datagrams, lost: lost, window: bytes, minimumWindow: Self.minimumBytes, roundTrip: roundTrip.smoothed,
      at: now)
    {
    case .keep: break
    case .shrink:
      isSlowStart = false
      bytes = max(Self.minimumBytes, bytes - bytes / 4)
    case .putBack(let window):
      bytes = max(bytes, window)
    }
    guard now.since(roundStart) > roundTrip.smoothed else { return }
    roundStart = now
    if roundTrip.queueing > Self.queueingTarget {
      isSlowStart = false
      bytes = max(Self.minimumBytes, bytes - bytes / 8)
    } else if !isSlowStart, !loss.isOnTrial, wasLimited {
      bytes = min(maximum, bytes + max(4_096, bytes / 16))
    }
  }

  /// Nothing was heard for a probe timeout: whatever was under way no longer is.
  mutating func probeTimedOut(consecutive: Int) {
    inFlight = 0
    guard consecutive > 1 else { return }
    isSlowStart = false
    bytes = max(Self.minimumBytes, bytes / 2)
  }
}
