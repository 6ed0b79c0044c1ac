import CGlueNetwork

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// What the system says went wrong: an `errno`.
public struct SystemErrorCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The system's number.
  public let rawValue: CInt

  /// The code with the system's number.
  public init(rawValue: CInt) { self.rawValue = rawValue }

  /// EMSGSIZE: larger than the interface, or the path, passes in one piece.
  public static let messageTooLarge = Self(rawValue: EMSGSIZE)
  /// ENETUNREACH: no route there, for example because Wi-Fi is down.
  public static let networkUnreachable = Self(rawValue: ENETUNREACH)
  /// EHOSTUNREACH: nobody answers at that address on the local network.
  public static let hostUnreachable = Self(rawValue: EHOSTUNREACH)
  /// EPERM: a firewall on this host refused it.
  public static let notPermitted = Self(rawValue: EPERM)
  /// EACCES: not allowed, for example broadcast on a socket that does not allow it, or a port below 1024.
  public static let accessDenied = Self(rawValue: EACCES)
  /// ENOBUFS: the system's queues are full.
  public static let noBufferSpace = Self(rawValue: ENOBUFS)
  /// ECONNREFUSED: the other host said that nobody listens on that port.
  public static let connectionRefused = Self(rawValue: ECONNREFUSED)
  /// EADDRINUSE: another socket has that address and does not share it.
  public static let addressInUse = Self(rawValue: EADDRINUSE)
  /// EADDRNOTAVAIL: no interface of this host has that address.
  public static let addressNotAvailable = Self(rawValue: EADDRNOTAVAIL)
  /// ENODEV: there is no such interface, or no longer.
  public static let noSuchInterface = Self(rawValue: ENODEV)
  /// EINVAL: not something the system understands.
  public static let invalidArgument = Self(rawValue: EINVAL)
  /// EBADF: the socket was closed.
  public static let closed = Self(rawValue: EBADF)
  /// EAGAIN: it would have to wait.
  static let wouldBlock = Self(rawValue: EAGAIN)

  /// The system's text, with the number.
  public var description: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { text in
      cglue_error_text(rawValue, text.baseAddress, text.count)
      return "\(String(cString: text.baseAddress!)) (errno \(rawValue))"
    }
  }

  /// Whether the kernel may mean "no segmentation offload on this way" rather than that the datagrams are at fault.
  var mayRefuseSegmentation: Bool {
    [EINVAL, EIO, EOPNOTSUPP, ENOPROTOOPT, EMSGSIZE].contains(rawValue)
  }

  /// Whether it is the late echo of an earlier datagram (an ICMP message), so that receiving can go on.
  var concernsAnEarlierDatagram: Bool {
    [ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN, EMSGSIZE, EPROTO].contains(rawValue)
  }
}
