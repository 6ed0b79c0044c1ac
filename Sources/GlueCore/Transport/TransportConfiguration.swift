/// Timers and sizes of the transport. Every value has its reason beside it.
public struct TransportConfiguration: Sendable {
  /// Largest datagram to probe for, in bytes of UDP payload. Loopback carries 65,507; Ethernet 1,472. A probe that is too
  /// large costs one lost datagram per session.
  public var maximumDatagramBytes: Int = 65_507
  /// Bytes that may be outstanding per stream and receiver. Larger rides out longer round trips. A receiver holds at
  /// most twice this for reordering, its bookkeeping included, and a datagram for each kilobyte of it.
  public var streamWindowBytes: Int = 4 << 20
  /// Bytes of partly received large messages in all streams together.
  public var reassemblyBytes: Int = 64 << 20
  /// Bytes that wait for their turn in all streams together. Beyond it, what arrives ahead of a hole is dropped and comes
  /// again later.
  public var reorderBytes: Int = 64 << 20
  /// Unacknowledged bytes a publication keeps for its slowest reliable reader before `publish` has to wait.
  public var sendBufferBytes: Int = 32 << 20
  /// Round trip assumed before one has been measured.
  public var initialRoundTrip: Nanoseconds = .milliseconds(10)
  /// Longest wait before received data is acknowledged; of one stream that keeps coming up to four times as long, but no longer than 20 ms for that. Larger
  /// saves datagrams, smaller releases memory earlier, and repeats a lost lone message earlier. Should be the same at both ends: a sender waits for the time of
  /// its own.
  public var acknowledgementDelay: Nanoseconds = .milliseconds(5)
  /// Longest interval between repeated requests and probes of an unanswering peer.
  public var maximumRetryInterval: Nanoseconds = .milliseconds(500)
  /// Separate gaps in one stream that are tracked, and requests of one reader that wait to be repeated; what goes beyond them
  /// is dropped, and repeated or requested later. More let more be repaired in one round trip, and give a peer more of this
  /// endpoint's processor: a STATUS looks at all gaps of its stream.
  public var maximumGaps: Int = 1_024

  /// Bytes that wait to be passed on to one peer for others. They wait no longer than this endpoint's own datagrams, so this is for
  /// bursts, and while the system takes none; what goes beyond it is dropped, and repeated by who sent it.
  public var relayQueueBytes: Int = 1 << 20

  /// The defaults.
  public init() {}
}

extension TransportConfiguration: BoundedSettings {
  package static var bounds: [SettingBounds<TransportConfiguration>] {
    [
      SettingBounds(
        "maximumDatagramBytes", \.maximumDatagramBytes, WireLimits.baseDatagramBytes...WireLimits.datagramBytes),
      SettingBounds("streamWindowBytes", \.streamWindowBytes, 4_096...1 << 30),
      SettingBounds("reassemblyBytes", \.reassemblyBytes, 4_096...1 << 36),
      SettingBounds("reorderBytes", \.reorderBytes, 4_096...1 << 36),
      SettingBounds("sendBufferBytes", \.sendBufferBytes, 4_096...1 << 36),
      SettingBounds("initialRoundTrip", \.initialRoundTrip, .microseconds(100) ... .seconds(10)),
      SettingBounds("acknowledgementDelay", \.acknowledgementDelay, .zero ... .seconds(1)),
      SettingBounds("maximumRetryInterval", \.maximumRetryInterval, .milliseconds(10) ... .seconds(60)),
      SettingBounds("maximumGaps", \.maximumGaps, 16...65_536),
      SettingBounds("relayQueueBytes", \.relayQueueBytes, 4_096...1 << 30),
    ]
  }
}
