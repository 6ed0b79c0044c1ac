import GlueAddress

/// What is known of a peer: an endpoint that proved its address, and with which a session is up.
public struct PeerInfo: Equatable, Sendable {
  /// How a peer was found.
  public enum Origin: UInt8, Sendable {
    /// Its announcement came by multicast or broadcast.
    case group = 0
    /// Its announcement came by unicast: this endpoint is its rendezvous.
    case unicast = 1
    /// Another peer introduced it.
    case introduction = 2
    /// It came to us: the answer to our announcement.
    case contact = 3
  }

  /// The endpoint ID.
  public internal(set) var id: EndpointID
  /// The name.
  public internal(set) var name: String
  /// Its life.
  public internal(set) var incarnation: Incarnation
  /// Where it is reached; proven. If that is by way of others it is no place in the network: see `SocketAddress.isRelayed`.
  public internal(set) var address: SocketAddress
  /// The peer that passes on what goes to it; nil if it is reached directly, or nobody does at the moment.
  public internal(set) var relay: EndpointID?
  /// The number of the peer's place here: small, its own while it is a peer, used again later. For indexing arrays.
  public internal(set) var slot: Int
  /// The session ID in datagrams from the peer.
  public internal(set) var localSession: UInt32
  /// The session ID in datagrams to the peer.
  public internal(set) var remoteSession: UInt32
  /// The protocol version spoken with it.
  public internal(set) var version: UInt8
  /// Bytes of its socket's receive buffer.
  public internal(set) var receiveBufferBytes: Int
  /// What it can do.
  public internal(set) var capabilities: Announcement.Capabilities
  /// The interest version it announced last.
  public internal(set) var interestVersion: UInt64
  /// Other addresses it named; not proven.
  public internal(set) var locators: [SocketAddress]
  /// Attributes of its announcement.
  public internal(set) var attributes: Attributes
  /// How it was found.
  public internal(set) var origin: Origin
  /// Since when it is a peer.
  public internal(set) var since: Timestamp
  /// Its announcement interval.
  public internal(set) var interval: Nanoseconds
  /// When it is gone unless it shows a sign of life.
  public internal(set) var leaseDeadline: Timestamp
  /// Which of the two hears the other by multicast or broadcast; nil if that is not known yet.
  public internal(set) var hearing: Hearing?
  /// Whether the tag in its group datagrams names only it here.
  public internal(set) var hasUniqueTag: Bool
  /// Whether it accepts the tag in this endpoint's group datagrams.
  public internal(set) var acceptsGroupTag: Bool
  /// What its key is derived from, with the incarnation; 0 in an open network.
  var keySalt: UInt64 = 0
  /// When it started on this endpoint's clock, in nanoseconds; before the clock's origin if negative. Late by the shortest
  /// one-way delay of its announcements.
  public internal(set) var startEstimate: Int64
  /// By how much its wall clock is ahead of this endpoint's, less the one-way delay, in microseconds; nil until it has told.
  public internal(set) var clockLeadMicroseconds: Int64?

  /// How long it has been running, at least.
  public func uptime(at now: Timestamp) -> Nanoseconds { uptimeNanoseconds(since: startEstimate, at: now) }
}

/// Why a peer is gone.
public enum PeerRemovalReason: Hashable, Sendable {
  /// Its lease ended.
  case expired
  /// It said goodbye, or announced that it leaves and was silent since.
  case bye
  /// A new incarnation, or a new holder of its name, took its place after it did not answer.
  case replaced
  /// It said goodbye because it lost a clash.
  case lostClash
  /// It no longer knew the session. A new one follows.
  case sessionLost
}

/// One of two endpoints that claim the same ID or name.
public struct ClashParty: Equatable, Sendable {
  /// The endpoint ID.
  public var id: EndpointID
  /// The name.
  public var name: String
  /// Its life.
  public var incarnation: Incarnation
  /// How long it has been running.
  public var uptime: Nanoseconds
  /// Where it is; nil for this endpoint itself, and if only a third party knows.
  public var address: SocketAddress?
}

/// Two endpoints claimed one ID or name, and both are alive.
public struct ClashReport: Equatable, Sendable {
  /// What both claim.
  public var kind: Clash.Kind
  /// Which keeps it.
  public var holder: ClashParty
  /// Which has to stop.
  public var loser: ClashParty
}

/// How often something happened since the start.
public struct DiscoveryCounters: Equatable, Sendable {
  /// Announcements sent, each destination counted.
  public internal(set) var announcementsSent: UInt64 = 0
  /// Challenges sent.
  public internal(set) var challengesSent: UInt64 = 0
  /// Answers sent.
  public internal(set) var answersSent: UInt64 = 0
  /// WELCOMEs sent, repetitions included.
  public internal(set) var welcomesSent: UInt64 = 0
  /// CLASHes sent.
  public internal(set) var clashesSent: UInt64 = 0
  /// Answers with a token that is wrong or too old.
  public internal(set) var invalidAnswers: UInt64 = 0
  /// Frames in datagrams too small to be answered.
  public internal(set) var undersized: UInt64 = 0
  /// CLASHes that prove nothing against this endpoint.
  public internal(set) var ignoredClashes: UInt64 = 0
  /// Endpoints without a protocol version in common.
  public internal(set) var incompatible: UInt64 = 0
}

extension Discovery {
  /// What the owner has to do or to know.
  public enum Action: Equatable, Sendable {
    /// Send one datagram: a long header, these frames in this order, and PAD up to the least size.
    case send([DiscoveryFrame], to: SocketAddress, minimumBytes: Int)
    /// A session with a new peer is up.
    case peerAdded(PeerInfo)
    /// Something that others may care about changed: address, relay, remote session, capabilities, interest version, locators,
    /// attributes, who hears whom by multicast.
    case peerUpdated(PeerInfo)
    /// A peer is gone, as it last was.
    case peerRemoved(PeerInfo, reason: PeerRemovalReason)
    /// Send this INTRODUCE on the control stream of a peer.
    case introduce(ControlMessage, to: EndpointID)
    /// Send BYE in the session of a peer that is being forgotten.
    case sendBye(to: PeerInfo, reason: ByeReason)
    /// Two others, or this endpoint and another that has to stop, claim the same.
    case clash(ClashReport)
    /// This endpoint has to stop; it has already forgotten its peers.
    case defeated(ClashReport)
    /// An endpoint is there that speaks no version of ours. At most once a second.
    case incompatible(EndpointID, name: String, versions: ClosedRange<UInt8>)
    /// Multicast does not get through, or does so again.
    case multicast(MulticastReport)
    /// A limit was hit, so many times since the start. At most once a second each.
    case limit(Limit, count: UInt64)
  }
}

/// 73 years in nanoseconds. Times and uptimes beyond it mean nothing, and below it sums and differences cannot overflow.
private let longest: UInt64 = 1 << 61

/// The span from a moment that may lie before the clock's origin to now; zero if it lies ahead.
func uptimeNanoseconds(since start: Int64, at now: Timestamp) -> Nanoseconds {
  Nanoseconds(UInt64(max(0, Int64(min(now.nanoseconds, longest)) - start)))
}

/// When an endpoint started that says now that it has been running for so long.
func startEstimate(uptimeMilliseconds: UInt64, at now: Timestamp) -> Int64 {
  Int64(min(now.nanoseconds, longest)) - Int64(min(Nanoseconds.milliseconds(uptimeMilliseconds).count, longest))
}
