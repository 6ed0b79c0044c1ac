import GlueModel
import GlueQuorum

/// What an endpoint tells besides messages. Each has a one-line ``description``.
public enum Event: Sendable {
  /// A peer was found, and a session with it is up.
  case peerAdded(Peer)
  /// A peer's address or name changed, or which of the two hears the other by multicast.
  case peerUpdated(Peer)
  /// A peer is gone.
  case peerRemoved(Peer, reason: PeerRemovalReason)
  /// Messages will not arrive.
  case loss(LossReport)
  /// A filter matches a topic, the types do not; nothing is delivered.
  case typeMismatch(TypeMismatch)
  /// Somebody in this network has another key, or none where one is needed. At most once in ten seconds. Nothing that such
  /// a datagram says is proven.
  case keyMismatch(KeyMismatch)
  /// The file of network keys has changed and cannot be used; the keys remain as they were.
  case keyFileUnusable(String)
  /// A peer has reached its limit on streams and gets nothing of this topic from here, though it subscribed.
  case publicationRefused(topic: String, by: EndpointID)
  /// A peer has reached its limit on subscriptions and sends nothing for this one, whatever it publishes.
  case subscriptionRefused(filter: String, by: EndpointID)
  /// Two endpoints claimed one endpoint ID or name.
  case clash(ClashNotice)
  /// An endpoint is there that speaks other versions of the protocol; the two cannot talk.
  case incompatible(EndpointID, name: String, versions: ClosedRange<UInt8>)
  /// Announcements by multicast do not get through any more, or do again; not told where they did from the start. The session
  /// with every known peer goes on, but newcomers may not be found.
  case multicast(MulticastReport)
  /// A limit was reached: its name in the configuration, and how often so far.
  case limit(name: String, count: UInt64)
  /// A callback takes longer than ``Endpoint/Configuration/slowCallbackThreshold``. Told when it is noticed that it goes on
  /// (`isOver` is false, and the duration is the time so far), which takes some 20 ms, and when it has returned. At most one
  /// event a second for each filter and kind; but a callback that was told to go on is always told to be over. The filter is
  /// empty for a task that holds up ``Endpoint/executor``.
  case slowCallback(filter: String, duration: Duration, isOver: Bool)
  /// A message's payload is no value of the subscribed type; it was skipped.
  case undecodable(topic: String, publisher: Publisher, sequence: UInt64, reason: String)
  /// Which network interfaces are used, which are not, and why: at the start, and whenever that or their addresses change.
  case interfaces(InterfaceChoice)
  /// Nothing was done for longer than was meant, by more than two seconds, which this tells: the host slept, the process was
  /// stopped, or it got no time on an overloaded host. The endpoint has announced itself anew; what peers have lost of it
  /// meanwhile are events of their own.
  case resumed(after: Duration)
  /// What the store held at the start: messages that live, and how many were deleted as they had expired, or as nobody can tell
  /// their age any more.
  case storeLoaded(messages: Int, expired: Int, undatable: Int)
  /// The store cannot be written: the disk is full, or does not work. Everything else goes on; what is not stored is not confirmed,
  /// and tried again. Told at once, and every ten seconds while it lasts.
  case storeFailing(reason: String)
  /// The store can be written again, so long after it first failed.
  case storeRecovered(after: Duration)
  /// A value of a topic that retains its last one is dated so far ahead of this endpoint's wall clock, more than a second: one of the two
  /// clocks is wrong. It is taken all the same; what this endpoint publishes on that topic is dated after it. At most once in ten seconds.
  case timeAhead(topic: String, publisher: Publisher, by: Duration)
  /// A model tells something: its name, and what.
  case model(String, ReplicaEvent)
  /// A quorum model tells something: its name, and what.
  case quorum(String, QuorumEvent)
  /// The network refused datagrams; at most one event a second for each cause.
  case networkError(String)
  /// This reader of events was so slow that so many were dropped.
  case eventsDropped(count: UInt64)
}

/// Messages that will not arrive, reported once.
public struct LossReport: Hashable, Sendable {
  /// The topic; empty for direct messages.
  public let topic: String
  /// Who published them.
  public let publisher: Publisher
  /// The sequence numbers lost. Empty with ``LossReason/publisherGone``, where nobody knows how many there were.
  public let sequences: Range<UInt64>
  /// Why.
  public let reason: LossReason
  /// The filters of the subscriptions concerned.
  public let filters: [String]
}

extension Event: CustomStringConvertible {
  /// One line for people.
  public var description: String {
    switch self {
    case .peerAdded(let peer): "peer added: \(peer)"
    case .peerUpdated(let peer): "peer updated: \(peer)\(peer.hearing.map { ", \($0)" } ?? "")"
    case .peerRemoved(let peer, let reason): "peer removed: \(peer): \(reason)"
    case .loss(let report): "lost: \(report)"
    case .typeMismatch(let mismatch):
      "type mismatch on \(mismatch.topic): publisher \(mismatch.publisher) has \(mismatch.publisherType ?? "no type"), "
        + "subscriber \(mismatch.subscriber) wants \(mismatch.subscriberType)"
    case .keyMismatch(let mismatch): "key mismatch: \(mismatch)"
    case .keyFileUnusable(let reason): "network keys not changed: \(reason)"
    case .publicationRefused(let topic, let peer):
      "refused: \(peer) takes no more streams, and gets nothing of \(topic)"
    case .subscriptionRefused(let filter, let peer):
      "refused: \(peer) takes no more subscriptions, and sends nothing for \(filter)"
    case .clash(let notice): "clash: \(notice); \(notice.loser) has to go"
    case .incompatible(let id, let name, let versions):
      "incompatible: \(name) (\(id)) speaks versions \(versions.lowerBound) to \(versions.upperBound) of the protocol"
    case .multicast(let report): "multicast: \(report)"
    case .limit(let name, let count): "limit reached: \(name), \(count) times so far"
    case .slowCallback(let filter, let duration, let isOver):
      "slow callback: " + (filter.isEmpty ? "a task on the endpoint's executor " : "subscription to \(filter) ")
        + (isOver ? "took \(duration)" : "goes on after \(duration)")
    case .undecodable(let topic, let publisher, let sequence, let reason):
      "undecodable: \(topic) number \(sequence) of \(publisher.name) (\(publisher.id)): \(reason)"
    case .interfaces(let choice): "interface: \(choice)"
    case .resumed(let duration): "resumed: suspended, or without a share of the processor, for \(duration)"
    case .storeLoaded(let messages, let expired, let undatable):
      "store: \(messages) messages loaded, \(expired) had expired"
        + (undatable > 0 ? ", \(undatable) of unknown age deleted" : "")
    case .storeFailing(let reason): "store fails: \(reason); nothing is confirmed as stored meanwhile"
    case .storeRecovered(let duration): "store works again after \(duration)"
    case .timeAhead(let topic, let publisher, let lead):
      "time ahead: the value of \(topic) by \(publisher.name) (\(publisher.id)) is dated \(lead) ahead of this host's clock"
    case .model(let name, let event): "model \(name): \(event)"
    case .quorum(let name, let event): "quorum \(name): \(event)"
    case .networkError(let text): "network: \(text)"
    case .eventsDropped(let count): "\(count) events were dropped, as they were not read"
    }
  }
}

extension Hearing: CustomStringConvertible {
  /// For example `multicast only from it`.
  public var description: String {
    switch self {
    case .bothWays: "multicast both ways"
    case .onlyThem: "multicast only to it"
    case .onlyUs: "multicast only from it"
    case .unicast: "unicast only"
    }
  }
}

extension MulticastReport: CustomStringConvertible {
  /// What is wrong, what follows from it, and where to look.
  public var description: String {
    let peers = bothWays + onlyThem + onlyUs + unicast + undecided
    let detour = "announcements go by unicast to the \(peers == 1 ? "one peer" : "\(peers) peers") known"
    let advice = "check the switch (IGMP and MLD snooping), the access point and firewalls"
    return switch state {
    case .unknown: "nothing is known yet"
    case .works: "works"
    case .unheard: "nobody hears ours; \(detour), but newcomers do not hear of this endpoint: \(advice)"
    case .deaf: "nothing arrives, though others hear ours; \(detour), but newcomers are not heard here: \(advice)"
    case .dead: "nobody hears ours, and nothing arrives; \(detour), but newcomers are not found: \(advice)"
    }
  }
}

extension KeyMismatch: CustomStringConvertible {
  /// For example `10.0.0.7:5000 (endpoint 17) seals with another network key`.
  public var description: String {
    let what =
      switch kind {
      case .otherKey: "seals with another network key"
      case .sealed: "seals with a network key, and this endpoint has none"
      case .open: "has no network key, and this endpoint has one"
      }
    return "\(address) (endpoint \(sender)) \(what)"
  }
}

extension LossReport: CustomStringConvertible {
  /// For example `kitchen/temperature 5..<9 of kitchen (17): expired`.
  public var description: String {
    let name = topic.isEmpty ? "direct messages" : topic
    let range = sequences.isEmpty ? "" : " \(sequences)"
    return "\(name)\(range) of \(publisher.name) (\(publisher.id)): \(reason)"
  }
}
