import GlueCore

/// What hosts sent and received, and the most in a short while. Bytes include the headers of IPv4 and UDP.
struct TrafficMeter {
  /// The while over which a peak is taken: a burst that is shorter is what buffers are for.
  static let window = Nanoseconds.milliseconds(100)
  /// Headers of IPv4 and UDP.
  static let headerBytes = 28

  /// Datagrams and bytes.
  struct Amount {
    var datagrams = 0
    var bytes = 0
  }

  private(set) var sent = Amount()
  private(set) var received = Amount()
  /// The most that one host sent or received in ``window``.
  private(set) var peakSent = Amount()
  private(set) var peakReceived = Amount()
  private var sending: [Window]
  private var receiving: [Window]

  private struct Window {
    var number: UInt64 = 0
    var amount = Amount()
  }

  init(hosts: Int) {
    sending = Array(repeating: Window(), count: hosts)
    receiving = Array(repeating: Window(), count: hosts)
  }

  mutating func noteSent(by host: Int, bytes: Int, at now: Timestamp) {
    Self.note(bytes, &sent, &sending[host], &peakSent, now)
  }

  mutating func noteReceived(by host: Int, bytes: Int, at now: Timestamp) {
    Self.note(bytes, &received, &receiving[host], &peakReceived, now)
  }

  private static func note(
    _ bytes: Int, _ total: inout Amount, _ window: inout Window, _ peak: inout Amount, _ now: Timestamp
  ) {
    let bytes = bytes + headerBytes
    total.datagrams += 1
    total.bytes += bytes
    let number = now.nanoseconds / Self.window.count
    if window.number != number { window = Window(number: number) }
    window.amount.datagrams += 1
    window.amount.bytes += bytes
    peak.datagrams = max(peak.datagrams, window.amount.datagrams)
    peak.bytes = max(peak.bytes, window.amount.bytes)
  }
}
