#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A bare, blocking UDP socket on 127.0.0.1: what every round trip is compared with.
final class RawSocket: Sendable {
  /// The largest payload of an IPv4 datagram.
  static let maximumBytes = 65_507

  private let descriptor: Int32
  /// Where it listens.
  let port: UInt16

  /// Opens it on a port that the system chooses.
  init() throws {
    #if canImport(Glibc)
      let kind = Int32(SOCK_DGRAM.rawValue)
    #else
      let kind = SOCK_DGRAM
    #endif
    descriptor = socket(AF_INET, kind, 0)
    guard descriptor >= 0 else { throw CommandFailure("cannot open a UDP socket: errno \(errno)") }
    var address = Self.loopback(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let failed = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(descriptor, address, length) != 0 || getsockname(descriptor, address, &length) != 0
      }
    }
    guard !failed else { throw CommandFailure("cannot bind a UDP socket on 127.0.0.1: errno \(errno)") }
    port = UInt16(bigEndian: address.sin_port)
  }

  deinit { close(descriptor) }

  /// Sends every datagram back to where it came from.
  func echoForever() {
    var buffer = [UInt8](repeating: 0, count: Self.maximumBytes)
    var address = sockaddr_in()
    while true {
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
          let count = recvfrom(descriptor, &buffer, buffer.count, 0, address, &length)
          if count >= 0 { _ = sendto(descriptor, buffer, count, 0, address, length) }
        }
      }
    }
  }

  /// Does `count` round trips with an echo on `port`, on a thread of its own, and returns their microseconds.
  static func pingPong(port: UInt16, count: Int, size: Int) async throws -> [Double] {
    let socket = try RawSocket()
    return await withCheckedContinuation { continuation in
      detachThread { continuation.resume(returning: socket.roundTrips(port: port, count: count, size: size)) }
    }
  }

  private func roundTrips(port: UInt16, count: Int, size: Int) -> [Double] {
    var buffer = [UInt8](repeating: 0x61, count: Self.maximumBytes)
    var address = Self.loopback(port: port)
    var times: [Double] = []
    times.reserveCapacity(count)
    withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        for _ in 0..<count {
          let start = Clocks.now()
          _ = sendto(descriptor, buffer, size, 0, address, socklen_t(MemoryLayout<sockaddr_in>.size))
          _ = recv(descriptor, &buffer, buffer.count, 0)
          times.append(Double(Clocks.now() - start) / 1_000)
        }
      }
    }
    return times
  }

  private static func loopback(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }
}
