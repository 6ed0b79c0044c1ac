import GlueCore

/// Where nothing happens there are announcements and nothing else. Searching for a larger path MTU, once a minute, is the
/// one exception.
package struct QuietNetwork {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// Nothing sent yet.
  package init() {}

  /// A life sent a frame while everything was quiet; nil: a reset.
  package mutating func sent(_ frame: FrameType?, by life: Life) -> String? {
    checks += 1
    switch frame {
    case .announce, .pad, .mtuProbe, .mtuReply: return nil
    case .challenge, .answer, .welcome, .clash, .bye, .ack, .groupAck, .relay, .data, .status, .heartbeat, .gap, nil:
      return "life \(life) sent \(frame.map { "\($0)" } ?? "a reset") in a quiet network"
    }
  }
}
