import CGlueNetwork
import GlueAddress
import Synchronization

/// One non-blocking UDP socket, for unicast, multicast and broadcast.
///
/// Any thread may send on it at any time, each with its own ``SendBatch``. Receiving is for one thread at a time, so
/// that datagrams keep their order. No error of a datagram ends the socket's life: it works again as soon as the
/// network does.
///
/// The socket closes in ``close()``, or when the last reference to it goes.
public final class DatagramSocket: Sendable {
  /// Where the socket is bound; the port is the one the system chose if zero was asked for.
  public let localAddress: SocketAddress
  /// The size of the receive buffer that the system granted, in bytes as it counts them, with its own overhead: Linux
  /// doubles what was asked for, and needs more than a datagram's own bytes for each.
  public let receiveBufferBytes: Int
  /// The size of the send buffer that the system granted, in bytes as it counts them.
  public let sendBufferBytes: Int
  /// Whether the kernel joins datagrams of one sender on the way in; false if it was not asked to or cannot.
  public let receivesOffloaded: Bool

  let descriptor: Descriptor
  /// Whether runs of datagrams go out as one until the kernel refuses.
  let segmentationWorks: Atomic<Bool>

  /// Opens a socket and binds it.
  ///
  /// - Parameters:
  ///   - address: The local address. The wildcard address of a family receives on all interfaces, port 0 lets the system
  ///     choose a port.
  ///   - options: The settings.
  /// - Throws: ``NetworkError`` that names the address or setting, for example when the port is taken.
  public init(binding address: SocketAddress, options: Options = Options()) throws(NetworkError) {
    let family = address.ip.family
    let number = try require(
      cglue_socket_open(family.rawValue), "open", "a UDP socket",
      expected: "a host with IP\(family), and free descriptors"
    )
    let descriptor = Descriptor(number)
    receivesOffloaded = try Self.configure(number, family: family, options: options)

    var system = cglue_address(address)
    try require(
      cglue_socket_bind(number, &system), "bind", "\(address)",
      expected: "a free port on an address of this host, or a port that all its sockets share (reuseAddress, reusePort)"
    )
    try require(
      cglue_socket_local_address(number, &system), "read", "the local address of \(address)", expected: "a bound socket"
    )
    localAddress = system.socketAddress ?? address
    receiveBufferBytes = Int(max(0, cglue_socket_buffer_bytes(number, true)))
    sendBufferBytes = Int(max(0, cglue_socket_buffer_bytes(number, false)))
    segmentationWorks = Atomic(Self.platformSegments && options.sendOffload)
    self.descriptor = descriptor
  }

  /// Whether a run of datagrams handed over now would go out as one (GSO). Becomes false for good when the kernel
  /// refuses; datagrams then go one by one.
  public var sendsOffloaded: Bool { segmentationWorks.load(ordering: .relaxed) }

  /// Starts receiving what is sent to a multicast group on one interface. Joining twice has no further effect.
  ///
  /// - Throws: ``NetworkError`` if `group` is no multicast address of the socket's family, the interface is gone, or the
  ///   system's limit of groups per socket (Linux: 20) is reached.
  public func join(group: IPAddress, on interface: NetworkInterface) throws(NetworkError) {
    let code = try changeMembership(of: group, on: interface, joining: true)
    if code == .addressInUse { return }  // a member already
    if let code { throw membershipError("join", group, interface, code) }
  }

  /// Stops receiving what is sent to a multicast group on one interface. Leaving a group that was not joined has no
  /// effect, and neither has leaving on an interface that is gone.
  ///
  /// - Throws: ``NetworkError`` if `group` is no multicast address of the socket's family, or the system refuses.
  public func leave(group: IPAddress, on interface: NetworkInterface) throws(NetworkError) {
    let code = try changeMembership(of: group, on: interface, joining: false)
    if code == .addressNotAvailable || code == .noSuchInterface { return }
    if let code { throw membershipError("leave", group, interface, code) }
  }

  /// Lets the system drop datagrams that begin so, on Linux; elsewhere they are received like others. Shorter datagrams are
  /// dropped, too.
  ///
  /// - Parameters:
  ///   - first: The first byte, as far as `mask` goes.
  ///   - next: The four bytes behind it, the first one the highest.
  /// - Returns: Whether the system took it; it is a matter of speed only.
  @discardableResult
  public func ignoreDatagrams(first: UInt8, mask: UInt8, next: UInt32) -> Bool {
    (descriptor.use { cglue_socket_ignore($0, mask, first, next) } ?? -1) >= 0
  }

  /// Ends the socket. What other threads are doing with it at this moment ends first; later sends report
  /// ``SystemErrorCode/closed``. Further calls do nothing.
  public func close() { descriptor.close() }

  private func changeMembership(
    of group: IPAddress, on interface: NetworkInterface, joining: Bool
  ) throws(NetworkError) -> SystemErrorCode? {
    guard group.isMulticast, group.family == localAddress.ip.family else {
      throw membershipError(joining ? "join" : "leave", group, interface, nil)
    }
    var system = cglue_address(group)
    let result =
      descriptor.use { cglue_socket_membership($0, &system, interface.index, joining) } ?? -SystemErrorCode.closed
      .rawValue
    return result < 0 ? SystemErrorCode(rawValue: -result) : nil
  }

  private func membershipError(
    _ verb: String, _ group: IPAddress, _ interface: NetworkInterface, _ code: SystemErrorCode?
  ) -> NetworkError {
    let range = localAddress.ip.family == .v4 ? "224.0.0.0/4" : "ff00::/8"
    return NetworkError(
      operation: verb, subject: "\(group) on \(interface.name)", code: code,
      expectation: "a multicast group in \(range), an interface that exists, and at most 20 groups per socket")
  }

  #if os(Linux)
    private static let platformSegments = true
  #else
    private static let platformSegments = false
  #endif
}
