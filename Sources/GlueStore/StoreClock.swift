import GlueCore
import GlueNetwork

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A moment on the two clocks that a store dates messages by: the exact one, which ends with the boot, and the wall clock, which
/// goes on but may be set.
public struct StoreClock: Hashable, Sendable {
  /// Names the boot whose clock ``boot`` is read from. Empty if the host does not tell; then nothing is of the same boot.
  public var bootID: String
  /// The clock that counts sleep and starts anew with each boot; what an endpoint is driven by.
  public var boot: Timestamp
  /// Microseconds since 1970 by the host's wall clock.
  public var wallMicroseconds: UInt64

  /// A moment.
  public init(bootID: String, boot: Timestamp, wallMicroseconds: UInt64) {
    self.bootID = bootID
    self.boot = boot
    self.wallMicroseconds = wallMicroseconds
  }

  /// Now, on this host.
  public static func current() -> StoreClock {
    StoreClock(
      bootID: hostBootID, boot: Timestamp(nanoseconds: MonotonicClock.nowNanoseconds()),
      wallMicroseconds: MonotonicClock.wallNanoseconds() / 1_000)
  }

  /// Read once: a process does not outlive its boot.
  private static let hostBootID = readBootID()
}

#if canImport(Darwin)
  private func readBootID() -> String {
    var text = [CChar](repeating: 0, count: 64)
    var size = text.count - 1
    guard sysctlbyname("kern.bootsessionuuid", &text, &size, nil, 0) == 0 else { return "" }
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
#else
  private func readBootID() -> String {
    let file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var text = [UInt8](repeating: 0, count: 64)
    let count = read(file, &text, text.count)
    return String(decoding: text.prefix(max(count, 0)).prefix { $0 > UInt8(ascii: " ") }, as: UTF8.self)
  }
#endif
