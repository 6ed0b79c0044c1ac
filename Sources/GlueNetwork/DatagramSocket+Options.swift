import CGlueNetwork
import GlueAddress

extension DatagramSocket {
  /// The settings of a socket. They are fixed once it is open.
  public struct Options: Sendable {
    /// Lets several sockets of this host bind the same port, if all of them set it: each then gets every multicast and
    /// broadcast datagram. Default: false. Leave it off for a unicast port: only one of the sockets would get each datagram.
    public var reuseAddress = false
    /// The same for systems that ask for it separately (SO_REUSEPORT): BSD and Apple's need it to share a multicast port;
    /// on Linux it also spreads unicast datagrams over the sockets, and all must belong to the same user. Default: false.
    public var reusePort = false
    /// Allows sending to broadcast addresses. Default: false, so that a wrong address does not reach everybody.
    public var allowsBroadcast = false
    /// How many bytes may wait to be received. A larger buffer survives longer pauses of the receiver and costs that
    /// memory in the kernel when it fills; what does not fit is dropped. Default: 4 MiB. Without privileges the system
    /// caps it (Linux: `net.core.rmem_max`); ``DatagramSocket/receiveBufferBytes`` tells what was granted.
    public var receiveBufferBytes = 4 << 20
    /// How many bytes may wait to be sent before ``DatagramSocket/send(_:startingAt:)`` stops with
    /// ``SendResult/isBlocked``. A larger buffer takes larger bursts, and lets them queue longer. Default: 1 MiB.
    public var sendBufferBytes = 1 << 20
    /// The interface that multicast leaves by. Default: `nil`, the one the routing table says; sending then fails with
    /// ``SystemErrorCode/networkUnreachable`` where there is no route. Single datagrams can name another one, see
    /// ``SendBatch/append(byteCount:to:interfaceIndex:)``.
    public var multicastInterface: NetworkInterface?
    /// Whether sockets of this host, this one included, get the multicast sent from here. Default: true.
    public var multicastLoop = true
    /// How many networks multicast may cross: 1, the default, stays on this one. 0 stays on this host. At most 255.
    public var multicastTTL = 1
    /// Never fragment: a datagram larger than the interface's MTU fails with ``SystemErrorCode/messageTooLarge``, and one
    /// too large further on the way is lost. Default: true.
    public var dontFragment = true
    /// Sends runs of equal datagrams to one destination as one (GSO), where the system has it. About ten times as many
    /// datagrams per second on Linux. Default: true.
    public var sendOffload = true
    /// Lets the kernel join datagrams of one sender on the way in (GRO), where the system has it; ``ReceiveBatch`` takes
    /// them apart again. Needs receive slots of 65,535 bytes. Default: true.
    public var receiveOffload = true

    /// The default settings.
    public init() {}

    /// The settings to share a multicast or broadcast port with other sockets of this host.
    public static var sharedPort: Options {
      var options = Options()
      options.reuseAddress = true
      #if !os(Linux)
        options.reusePort = true
      #endif
      return options
    }
  }

  /// Applies the options to a socket that is not bound yet; returns whether the kernel joins incoming datagrams.
  static func configure(
    _ number: CInt, family: IPAddress.Family, options: Options
  ) throws(NetworkError) -> Bool {
    func set(_ option: cglue_option, _ value: Int) -> CInt {
      cglue_socket_set(number, family.rawValue, option, CInt(clamping: value))
    }
    func need(_ option: cglue_option, _ value: Int, _ name: String) throws(NetworkError) {
      try require(set(option, value), "set", "\(name) to \(value)", expected: "a value that the system allows")
    }

    try need(CGLUE_V6_ONLY, 1, "IPv6 only")
    try need(CGLUE_REUSE_ADDRESS, options.reuseAddress ? 1 : 0, "reuseAddress")
    try need(CGLUE_REUSE_PORT, options.reusePort ? 1 : 0, "reusePort")
    try need(CGLUE_BROADCAST, options.allowsBroadcast ? 1 : 0, "allowsBroadcast")
    try need(CGLUE_RECEIVE_PACKET_INFO, 1, "destination addresses")
    guard (0...255).contains(options.multicastTTL) else {
      throw NetworkError(
        operation: "set", subject: "multicastTTL to \(options.multicastTTL)", code: nil, expectation: "0 to 255")
    }
    try need(CGLUE_MULTICAST_TTL, options.multicastTTL, "multicastTTL")
    try need(CGLUE_MULTICAST_LOOP, options.multicastLoop ? 1 : 0, "multicastLoop")
    if let interface = options.multicastInterface {
      try require(
        set(CGLUE_MULTICAST_INTERFACE, Int(interface.index)), "send multicast on", interface.name,
        expected: "an interface that exists and is up")
    }

    // What follows makes things faster or safer, but a system without it is usable: kernels differ.
    _ = set(CGLUE_MULTICAST_JOINED_ONLY, 1)
    _ = set(CGLUE_DONT_FRAGMENT, options.dontFragment ? 1 : 0)
    _ = set(CGLUE_RECEIVE_TIMESTAMP, 1)
    _ = set(CGLUE_RECEIVE_DROP_COUNT, 1)
    setBuffer(CGLUE_RECEIVE_BUFFER, options.receiveBufferBytes, with: set)
    setBuffer(CGLUE_SEND_BUFFER, options.sendBufferBytes, with: set)
    return options.receiveOffload && set(CGLUE_RECEIVE_OFFLOAD, 1) >= 0
  }

  /// Linux grants as much as it may; Apple's systems refuse too much altogether, so ask for less until it is granted.
  private static func setBuffer(_ option: cglue_option, _ bytes: Int, with set: (cglue_option, Int) -> CInt) {
    var bytes = bytes
    while set(option, bytes) < 0, bytes > 65_536 { bytes /= 2 }
  }
}
