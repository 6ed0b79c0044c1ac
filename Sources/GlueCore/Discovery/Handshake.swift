import GlueAddress

/// An endpoint that has proven its address and is not a peer yet: it has not sent its WELCOME, or its ID or name has
/// another holder.
struct Handshake: Sendable {
  /// Another endpoint holds the ID or the name.
  struct Claim: Sendable {
    enum Holder: Equatable, Sendable {
      case local
      case peer(EndpointID, Incarnation)
    }
    enum State: Sendable {
      /// The holder, a peer, is being probed.
      case probing
      /// The holder is alive; who is older is not known before the claimant has told its uptime.
      case comparing
      /// The claimant was told that it loses.
      case refused
      /// The holder was told that it loses; its BYE is awaited.
      case granted
    }
    var kind: Clash.Kind
    var holder: Holder
    var state: State
    /// Whether the owner has been told of the clash.
    var isReported = false
  }

  let id: EndpointID
  let incarnation: Incarnation
  /// Where it was proven to be.
  var address: SocketAddress
  let origin: PeerInfo.Origin
  let slot: Int
  let session: UInt32
  /// When it is forgotten.
  var deadline: Timestamp
  /// Whether an announcement of it came by multicast or broadcast.
  var isHeard = false
  /// Its announcement, once it came, and the estimate of its start.
  var announcement: Announcement?
  var startEstimate: Int64 = .max
  /// Its WELCOME, once it came, and that datagram's number.
  var welcome: Welcome?
  var welcomeNumber: UInt64 = 0
  /// Datagrams with a long header that came since the proof of its address; used where they are sealed.
  var received: ReplayWindow
  /// What its key is derived from, with the incarnation; 0 in an open network.
  let keySalt: UInt64
  var repetition: Repetition?
  /// The token of its last challenge: what makes it believe a CLASH from an endpoint that is not its peer.
  var itsToken: UInt64 = 0
  var claim: Claim?

  var key: Key { Key(id: id, incarnation: incarnation) }

  /// Names a handshake while others come and go.
  struct Key: Hashable, Sendable {
    var id: EndpointID
    var incarnation: Incarnation
  }

  mutating func note(_ announcement: Announcement, at now: Timestamp) {
    let estimate = GlueCore.startEstimate(uptimeMilliseconds: announcement.uptimeMilliseconds, at: now)
    startEstimate = min(startEstimate, estimate)
    self.announcement = announcement
  }

  /// Whether the session that a WELCOME offers can be joined to ours: it belongs to none yet, or to ours already. One that
  /// belongs to an earlier session of ours is told of ours, so that its owner can start anew.
  func accepts(_ welcome: Welcome) -> Bool { welcome.yourSession == 0 || welcome.yourSession == session }

  func seniority(at now: Timestamp) -> Seniority {
    Seniority(id: id, incarnation: incarnation, uptime: uptimeNanoseconds(since: startEstimate, at: now))
  }

  func party(at now: Timestamp) -> ClashParty {
    ClashParty(
      id: id, name: announcement?.name ?? "", incarnation: incarnation,
      uptime: uptimeNanoseconds(since: startEstimate, at: now), address: address)
  }
}

extension Peer {
  func seniority(at now: Timestamp) -> Seniority {
    Seniority(id: info.id, incarnation: info.incarnation, uptime: info.uptime(at: now))
  }
  func party(at now: Timestamp) -> ClashParty {
    ClashParty(
      id: info.id, name: info.name, incarnation: info.incarnation, uptime: info.uptime(at: now), address: info.address)
  }
}
