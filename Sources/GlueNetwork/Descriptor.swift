import CGlueNetwork
import Synchronization

/// An open file descriptor that is closed when nobody uses it any more.
///
/// A descriptor's number is given to somebody else's file as soon as it is closed. So every use is counted, and
/// `close()` takes effect when the last use that began before it has ended: two atomic operations per use, and a
/// datagram can never go into a foreign file.
final class Descriptor: Sendable {
  private let number: CInt
  /// Twice the number of uses in progress, plus `closing`, plus `closed`.
  private let state = Atomic<UInt64>(0)

  private static let closing: UInt64 = 1
  private static let closed: UInt64 = 1 << 63

  init(_ number: CInt) { self.number = number }

  deinit { close() }

  /// Runs `body` with the open descriptor, or returns `nil` if it was closed.
  @inline(__always)
  func use<Result>(_ body: (CInt) -> Result) -> Result? {
    let before = state.add(2, ordering: .acquiring).oldValue
    defer {
      if state.subtract(2, ordering: .acquiringAndReleasing).newValue == Self.closing { closeNow() }
    }
    guard before & Self.closing == 0 else { return nil }
    return body(number)
  }

  /// Ends the use of the descriptor, at once or when the uses in progress have ended. Further calls do nothing.
  func close() {
    if state.bitwiseOr(Self.closing, ordering: .acquiringAndReleasing).newValue == Self.closing { closeNow() }
  }

  private func closeNow() {
    // A use that began after closing may end at the same time: one of the two closes.
    let (isFirst, _) = state.compareExchange(
      expected: Self.closing, desired: Self.closing | Self.closed, ordering: .acquiringAndReleasing)
    if isFirst { cglue_socket_close(number) }
  }
}
