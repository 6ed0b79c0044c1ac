/// What strangers and peers may cost before, and beside, any session (docs/limits.md). All numbers count per endpoint.
public struct DiscoveryLimits: Sendable {
  /// Most peers. Each costs about a kilobyte here and more above. Further ones are not answered; those there are stay. At most
  /// 4,000, so that session IDs keep 20 random bits.
  public var peers = 1_024
  /// Proven endpoints that are not peers yet, rival claims included. Bounds what those who can answer challenges may hold; a
  /// group that starts together needs some of them at a time.
  public var handshakes = 64
  /// Challenges that wait for their random delay to pass: the burst of newcomers met at once.
  public var pendingChallenges = 1_024
  /// Replies to one unproven address per second. Legitimate peers need about one; more would let a forger of source
  /// addresses aim us at somebody.
  public var repliesPerSecond = 5
  /// Replies to one unproven address in a burst: start-up and a few restarts.
  public var replyBurst = 20
  /// Sources whose replies are counted apart; a newer one takes the place of an older one by chance. More cost 64 bytes each;
  /// fewer give a forger fresh replies sooner, which the rate of challenges bounds.
  public var replySources = 1_024
  /// Challenges to unproven addresses per second, all together. Bounds the work for a flood of forged announcements; a
  /// group of 1,000 is met within a second.
  public var challengesPerSecond = 1_000
  /// Challenges to unproven addresses in a burst: a newcomer meets as many as there may be peers.
  public var challengeBurst = 1_024
  /// Introductions per second, and in a burst. A rendezvous of 200 introduces 40,000 pairs while they join.
  public var introductionsPerSecond = 2_000
  /// Endpoints of which ways by way of peers are remembered. Each costs some hundred bytes; for further ones those
  /// are forgotten that are no peers and that nobody has spoken of for longest.
  public var routes = 1_024
  /// Resets per second, and in a burst, to those who use a session that is not known here. Peers of an endpoint that was
  /// restarted need one each.
  public var resetsPerSecond = 100
  /// Sealed datagrams per second, and in a burst, from senders that have not shown yet that they have the network's key. Each
  /// costs the derivation of a key, some microseconds; a flood of them beyond this costs next to nothing, but keeps newcomers
  /// out for as long as it lasts.
  public var strangersPerSecond = 20_000
  /// Datagrams outside sessions that wait to be sent. More are there only while the system takes none; they are dropped, and
  /// asked for again.
  public var queuedReplies = 8_192

  /// The defaults.
  public init() {}
}

extension DiscoveryLimits: BoundedSettings {
  package static var bounds: [SettingBounds<DiscoveryLimits>] {
    [
      SettingBounds("peers", \.peers, 1...4_000),
      SettingBounds("handshakes", \.handshakes, 1...1_024),
      SettingBounds("pendingChallenges", \.pendingChallenges, 1...65_536),
      SettingBounds("repliesPerSecond", \.repliesPerSecond, 1...1_000_000),
      SettingBounds("replyBurst", \.replyBurst, 1...1_000_000),
      SettingBounds("replySources", \.replySources, 1...1_048_576),
      SettingBounds("challengesPerSecond", \.challengesPerSecond, 1...1_000_000),
      SettingBounds("challengeBurst", \.challengeBurst, 1...1_000_000),
      SettingBounds("introductionsPerSecond", \.introductionsPerSecond, 1...1_000_000),
      SettingBounds("routes", \.routes, 1...65_536),
      SettingBounds("resetsPerSecond", \.resetsPerSecond, 1...1_000_000),
      SettingBounds("strangersPerSecond", \.strangersPerSecond, 10...10_000_000),
      SettingBounds("queuedReplies", \.queuedReplies, 256...1_048_576),
    ]
  }
}
