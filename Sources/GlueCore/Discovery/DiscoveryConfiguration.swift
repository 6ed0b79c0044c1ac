import GlueAddress

/// How peers are found and kept (docs/protocol.md §4). Every value has its reason beside it.
public struct DiscoveryConfiguration: Sendable {
  /// Time between announcements in a small group. Shorter finds deaths sooner, at a proportional cost in datagrams.
  public var interval: Nanoseconds = .seconds(1)
  /// Intervals without a sign of life after which a peer is gone. Five ride out the loss of four announcements in a row;
  /// fewer detect death sooner and err more often.
  public var leaseMultiplier: Double = 5
  /// Where announcements go: multicast groups, broadcast addresses (IPv4 addresses that end in 255 are taken as such) or
  /// rendezvous endpoints. Empty: nobody is announced to, so the endpoint must be found by those that announce to it.
  public var targets: [SocketAddress] = []
  /// Whether others announce to this endpoint by unicast. It then introduces them to each other as soon as it meets them,
  /// without waiting for proof that they do not hear each other.
  public var isRendezvous = false

  /// Whether this endpoint passes on datagrams between peers that do not hear each other. Costs what these send to each other;
  /// without it two that hear nobody else in common have no way.
  public var relays = true

  /// Whether datagrams are sealed: who has no key then has no say, and what was recorded is not believed again.
  var isSealed = false

  /// Announcements after the one at start. They are close together because the first one is the most likely to be lost:
  /// switches and multicast memberships settle just then.
  public var startupAnnouncements: [Nanoseconds] = [.milliseconds(250), .milliseconds(500), .seconds(1)]
  /// Peers per unit of stretch: at twice as many the interval is doubled, and so on. Keeps the group's rate of
  /// announcements at about this many per interval.
  public var stretchPeers = 50
  /// Most that the interval is stretched. It also multiplies the time to notice a death.
  public var maximumStretch = 4
  /// Longest random delay before a newcomer heard by multicast is challenged, in a group of up to a hundred. Spreads the answers
  /// of a whole group over that time; costs up to as much in the time to find each other.
  public var answerJitter: Nanoseconds = .milliseconds(20)
  /// The random delay is no longer than this for each peer known. Larger spreads the answers of a small group more than
  /// any network needs, and keeps its newcomers waiting.
  public var answerSpread: Nanoseconds = .milliseconds(1)
  /// In a larger group the random delay is up to this for each peer known. A newcomer takes some six datagrams to meet a peer, and
  /// 30,000 a second are what an endpoint can process while it does other things too; answers of a thousand within 20 ms would
  /// overflow its socket, and be repeated. Larger spares newcomers more, and keeps them waiting.
  public var answerPace: Nanoseconds = .microseconds(200)

  /// Challenges sent to a peer before its silence is believed. Three pass through 30 % loss each way with probability 0.87,
  /// and a live peer that is removed wrongly comes back with its next announcement.
  public var probes = 3
  /// Time between these challenges. Three make the 300 ms that the replacement of a rebooted endpoint takes.
  public var probeSpacing: Nanoseconds = .milliseconds(100)
  /// Length of a token's time window. Tokens live for one to two of these; the protocol demands 5 to 20 s.
  public var tokenWindow: Nanoseconds = .seconds(10)
  /// Time for a proven endpoint to complete its side of the handshake.
  public var handshakeTimeout: Nanoseconds = .seconds(2)
  /// First and longest time between repetitions of WELCOME.
  public var welcomeRepetition: ClosedRange<Nanoseconds> = .milliseconds(10) ... .milliseconds(500)
  /// What a lease announced by a peer is held within, so that none is immortal and none dies of rounding.
  public var leaseBounds: ClosedRange<Nanoseconds> = .milliseconds(100) ... .seconds(600)

  /// What strangers and peers may cost.
  public var limits = DiscoveryLimits()
  /// Locators of an introduction that are challenged, and that are passed on in one.
  public var maximumLocators = 4
  /// Intervals of a peer's without an announcement of its by multicast after which it is told by unicast that it is not heard.
  /// Fewer begin the exchange by unicast sooner, and for more peers in vain: at 10 % loss for one in a thousand.
  public var silentIntervals = 3
  /// Intervals of a peer's in which it lives and nothing comes by multicast, until that is told. Ten in a row are lost once in
  /// two days at a steady 30 % loss and an interval of one second.
  public var verdictIntervals = 10
  /// Endpoint IDs listed in one announcement: 256 bytes. Larger groups take turns.
  public var heardEntries = 32

  /// The defaults; they announce to nobody.
  public init() {}

  /// How long a peer is probed before it is given up.
  var probeSpan: Nanoseconds { probeSpacing * UInt64(clamping: probes) }
}

/// What this endpoint tells others about itself.
public struct LocalIdentity: Sendable {
  /// The endpoint ID, not 0.
  public var id: EndpointID
  /// The name, 1 … 256 bytes.
  public var name: String
  /// This life, not 0.
  public var incarnation: Incarnation
  /// What the endpoint can do.
  public var capabilities: Announcement.Capabilities
  /// Bytes of the socket's receive buffer: peers keep less than that in flight.
  public var receiveBufferBytes: Int
  /// Other addresses that reach this endpoint, the best first; few, since they go with every announcement.
  public var locators: [SocketAddress]
  /// Attributes of the announcement, the will among them; a few hundred bytes at most, since they go with every one.
  public var attributes: Attributes

  /// All fields.
  public init(
    id: EndpointID, name: String, incarnation: Incarnation, capabilities: Announcement.Capabilities = [],
    receiveBufferBytes: Int = 212_992, locators: [SocketAddress] = [], attributes: Attributes = Attributes()
  ) {
    self.id = id
    self.name = name
    self.incarnation = incarnation
    self.capabilities = capabilities
    self.receiveBufferBytes = receiveBufferBytes
    self.locators = locators
    self.attributes = attributes
  }
}
