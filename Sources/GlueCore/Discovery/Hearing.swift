/// Which of two peers hears the other by multicast or broadcast.
public enum Hearing: String, Hashable, CaseIterable, Sendable {
  /// Each hears the other.
  case bothWays
  /// The peer hears this endpoint; nothing comes from it.
  case onlyThem
  /// This endpoint hears the peer, which does not hear this one.
  case onlyUs
  /// Neither hears the other: the session and its announcements go by unicast alone. So it is, too, where one of the two does
  /// not use multicast.
  case unicast

  init(peerHearsUs: Bool, weHearPeer: Bool) {
    self = peerHearsUs ? (weHearPeer ? .bothWays : .onlyThem) : (weHearPeer ? .onlyUs : .unicast)
  }
}

/// Whether announcements by multicast or broadcast get through, as all peers together show it.
public struct MulticastReport: Hashable, Sendable {
  /// What is wrong, if anything.
  public enum State: String, Hashable, CaseIterable, Sendable {
    /// Nothing shows it yet: there was no peer that uses multicast, or this endpoint does not.
    case unknown
    /// Somebody hears this endpoint, and it hears somebody.
    case works
    /// This endpoint hears others, and nobody hears it.
    case unheard
    /// Others hear this endpoint, and it hears nobody.
    case deaf
    /// Nobody hears this endpoint, and it hears nobody.
    case dead
  }
  /// What is wrong, if anything.
  public internal(set) var state = State.unknown
  /// Peers with which multicast works in both directions.
  public internal(set) var bothWays = 0
  /// Peers that hear this endpoint and are not heard.
  public internal(set) var onlyThem = 0
  /// Peers that are heard and do not hear this endpoint.
  public internal(set) var onlyUs = 0
  /// Peers with which multicast works in neither direction, those included that do not use it.
  public internal(set) var unicast = 0
  /// Peers of which too little is known yet.
  public internal(set) var undecided = 0

  /// Whether newcomers may fail to find this endpoint, or it them.
  public var isBroken: Bool { state != .unknown && state != .works }

  mutating func count(_ hearing: Hearing?) {
    switch hearing {
    case .bothWays: bothWays += 1
    case .onlyThem: onlyThem += 1
    case .onlyUs: onlyUs += 1
    case .unicast: unicast += 1
    case nil: undecided += 1
    }
  }
}
