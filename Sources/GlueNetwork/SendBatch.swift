import CGlueNetwork
import GlueAddress

/// Datagrams on their way out: the caller writes them one after the other into one buffer, and hands over all at once.
///
/// ```swift
/// let batch = SendBatch(capacityBytes: 1 << 20, maximumDatagrams: 1024)
/// let written = encode(into: batch.nextBuffer)
/// batch.append(byteCount: written, to: peer)
/// let result = socket.send(batch)
/// batch.removeAll()
/// ```
///
/// All memory is allocated in the beginning. A batch is for one thread at a time; use one per sending thread.
public final class SendBatch {
  /// The size of the buffer in bytes.
  public let capacityBytes: Int
  /// The most datagrams it holds.
  public let maximumDatagrams: Int
  // Exempt from the run-time exclusivity check, which the path of every datagram would pay for; nothing here calls back.

  /// The number of datagrams in it.
  @exclusivity(unchecked) public private(set) var count = 0
  /// The number of bytes in it.
  @exclusivity(unchecked) public private(set) var byteCount = 0
  /// Whether there are destinations of both address families.
  @exclusivity(unchecked) private var isMixed = false

  /// What has not been sent by then is not sent any more, see ``SendResult/isOverdue``; in nanoseconds of ``MonotonicClock``. It is looked
  /// at before each system call. No deadline after ``removeAll()``.
  @exclusivity(unchecked) public var deadline = UInt64.max

  struct Datagram {
    var offset: Int
    var byteCount: Int
    var destination: SocketAddress
    var interfaceIndex: UInt32
  }

  /// At most this many messages in one system call; each is a datagram or a run of them.
  static let messagesPerCall = 64
  /// The place of one more message, for a datagram of a run that was refused.
  static let spareMessage = messagesPerCall

  let buffer: UnsafeMutableRawBufferPointer
  let datagrams: UnsafeMutablePointer<Datagram>
  let messages: UnsafeMutablePointer<cglue_message>
  let vectors: UnsafeMutablePointer<iovec>
  let names: UnsafeMutablePointer<sockaddr_storage>
  let controls: UnsafeMutableRawPointer
  /// How many datagrams each message carries.
  let runLengths: UnsafeMutablePointer<Int>

  /// An empty batch.
  ///
  /// - Parameters:
  ///   - capacityBytes: The size of the buffer; at least 65,507 to hold the largest datagram. A larger one makes for
  ///     fewer system calls and costs memory.
  ///   - maximumDatagrams: The most datagrams it can hold; each costs 56 bytes.
  public init(capacityBytes: Int = 1 << 20, maximumDatagrams: Int = 1024) {
    precondition(
      capacityBytes > 0 && maximumDatagrams > 0,
      "SendBatch needs room for a byte and a datagram, got \(capacityBytes) bytes, \(maximumDatagrams) datagrams")
    self.capacityBytes = capacityBytes
    self.maximumDatagrams = maximumDatagrams
    buffer = .allocate(byteCount: capacityBytes, alignment: 64)
    datagrams = .allocate(capacity: maximumDatagrams)
    let messageCount = Self.messagesPerCall + 1
    messages = .allocate(capacity: messageCount)
    vectors = .allocate(capacity: messageCount)
    names = .allocate(capacity: messageCount)
    runLengths = .allocate(capacity: messageCount)
    controls = .allocate(byteCount: messageCount * Int(CGLUE_SEND_CONTROL_BYTES), alignment: 16)
  }

  deinit {
    buffer.deallocate()
    datagrams.deallocate()
    messages.deallocate()
    vectors.deallocate()
    names.deallocate()
    runLengths.deallocate()
    controls.deallocate()
  }

  /// The free space behind the last datagram: write the next one here, then ``append(byteCount:to:interfaceIndex:)`` it.
  public var nextBuffer: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: buffer[byteCount...])
  }

  /// Whether the batch holds no datagram.
  public var isEmpty: Bool { count == 0 }

  /// Whether there is no room for one more datagram of `byteCount` bytes.
  public func isFull(forDatagramOf byteCount: Int) -> Bool {
    count == maximumDatagrams || capacityBytes - self.byteCount < byteCount
  }

  /// Makes the first bytes of ``nextBuffer`` a datagram.
  ///
  /// - Parameters:
  ///   - byteCount: Its size; at most that of ``nextBuffer``, and there must be room for one more datagram.
  ///   - destination: A unicast, multicast or broadcast address.
  ///   - interfaceIndex: The ``NetworkInterface/index`` to leave by, from an address of that interface unless the socket is
  ///     bound to one; 0 lets the routing table, or for multicast ``DatagramSocket/Options/multicastInterface``, decide.
  public func append(byteCount: Int, to destination: SocketAddress, interfaceIndex: UInt32 = 0) {
    precondition(
      byteCount >= 0 && !isFull(forDatagramOf: byteCount),
      "no room for \(byteCount) bytes: \(count) of \(maximumDatagrams) datagrams, \(self.byteCount) of \(capacityBytes) bytes"
    )
    (datagrams + count).initialize(
      to: Datagram(
        offset: self.byteCount, byteCount: byteCount, destination: destination, interfaceIndex: interfaceIndex))
    isMixed = isMixed || destination.ip.family != datagrams[0].destination.ip.family
    self.byteCount += byteCount
    count += 1
  }

  /// The bytes of a datagram, in the order they were appended.
  public subscript(index: Int) -> (bytes: UnsafeRawBufferPointer, destination: SocketAddress) {
    precondition(index >= 0 && index < count, "datagram \(index) of \(count)")
    let datagram = datagrams[index]
    let bytes = buffer[datagram.offset..<(datagram.offset + datagram.byteCount)]
    return (UnsafeRawBufferPointer(rebasing: bytes), datagram.destination)
  }

  /// The bytes of a datagram, to be changed before it is sent.
  public func mutableBytes(at index: Int) -> UnsafeMutableRawBufferPointer {
    precondition(index >= 0 && index < count, "datagram \(index) of \(count)")
    let datagram = datagrams[index]
    return UnsafeMutableRawBufferPointer(
      rebasing: buffer[datagram.offset..<(datagram.offset + datagram.byteCount)])
  }

  /// The index behind the run of datagrams from `index` on whose destinations are of one address family: so many can go out
  /// by one socket.
  public func endOfFamily(from index: Int) -> Int {
    guard isMixed else { return count }
    let family = self[index].destination.ip.family
    return (index + 1..<count).first { datagrams[$0].destination.ip.family != family } ?? count
  }

  /// Whether the deadline has not passed.
  var isDue: Bool { deadline == .max || MonotonicClock.nowNanoseconds() < deadline }

  /// Empties the batch for the next turn.
  public func removeAll() {
    deadline = .max
    count = 0
    byteCount = 0
    isMixed = false
  }
}

/// Not to be shared between threads.
@available(*, unavailable)
extension SendBatch: Sendable {}
