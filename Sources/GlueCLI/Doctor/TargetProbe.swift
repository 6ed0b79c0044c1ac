import GlueAddress

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Knocks at the one address that the settings name: a connected socket is told what an endpoint's own sockets are not, that
/// nobody listens there, or that there is no way.
final class TargetProbe {
  private let descriptor: Int32
  private(set) var outcome = DoctorFacts.Target.silent
  private let address: SocketAddress

  init(_ address: SocketAddress) {
    self.address = address
    #if canImport(Glibc)
      let kind = Int32(SOCK_DGRAM.rawValue)
    #else
      let kind = SOCK_DGRAM
    #endif
    descriptor = socket(address.ip.family == .v4 ? AF_INET : AF_INET6, kind, 0)
    guard descriptor >= 0 else { return }
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    #if os(Linux)
      // Without it only a closed port is reported, not a host that is not there.
      var isOn: Int32 = 1
      let (level, name) =
        address.ip.family == .v4 ? (Int32(IPPROTO_IP), IP_RECVERR) : (Int32(IPPROTO_IPV6), IPV6_RECVERR)
      setsockopt(descriptor, level, name, &isOn, socklen_t(MemoryLayout<Int32>.size))
    #endif
    if Self.connect(descriptor, to: address) != 0 { note(errno) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Sends one byte, which no endpoint takes for anything, and looks for what became of the one before.
  func knock() {
    var byte: UInt8 = 0
    if recv(descriptor, &byte, 1, 0) < 0 { note(errno) }
    if send(descriptor, &byte, 1, 0) < 0 { note(errno) }
  }

  private func note(_ code: Int32) {
    switch code {
    case ECONNREFUSED: outcome = .refused
    case EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, EPERM, EACCES: outcome = .unreachable(Files.reason(code))
    default: break
    }
  }

  private static func connect(_ descriptor: Int32, to address: SocketAddress) -> Int32 {
    switch address.ip.family {
    case .v4:
      var system = sockaddr_in()
      system.sin_family = sa_family_t(AF_INET)
      system.sin_port = address.port.bigEndian
      system.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.ip.low).bigEndian
      return connect(descriptor, &system, MemoryLayout<sockaddr_in>.size)
    case .v6:
      var system = sockaddr_in6()
      system.sin6_family = sa_family_t(AF_INET6)
      system.sin6_port = address.port.bigEndian
      system.sin6_scope_id = address.scope
      withUnsafeMutableBytes(of: &system.sin6_addr) { bytes in
        bytes.storeBytes(of: address.ip.high.bigEndian, as: UInt64.self)
        bytes.storeBytes(of: address.ip.low.bigEndian, toByteOffset: 8, as: UInt64.self)
      }
      return connect(descriptor, &system, MemoryLayout<sockaddr_in6>.size)
    }
  }

  private static func connect<T>(_ descriptor: Int32, _ system: inout T, _ size: Int) -> Int32 {
    withUnsafePointer(to: &system) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        #if canImport(Glibc)
          Glibc.connect(descriptor, address, socklen_t(size))
        #elseif canImport(Musl)
          Musl.connect(descriptor, address, socklen_t(size))
        #else
          Darwin.connect(descriptor, address, socklen_t(size))
        #endif
      }
    }
  }
}
