import GlueAddress

/// Names a publication of this endpoint.
public struct PublicationID: Hashable, Sendable {
  /// The stream number on the wire.
  public let rawValue: UInt64
  /// Wraps a number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Names a subscription of this endpoint.
public struct SubscriptionID: Hashable, Comparable, Sendable {
  /// The subscription number on the wire.
  public let rawValue: UInt64
  /// Wraps a number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// Orders by age.
  public static func < (a: SubscriptionID, b: SubscriptionID) -> Bool { a.rawValue < b.rawValue }
}

/// How a topic's messages are carried.
public enum Reliability: Sendable, Hashable {
  /// Delivered, or reported as lost.
  case reliable
  /// Sent once; what the network drops is lost.
  case bestEffort
}

/// How a publication behaves.
public struct PublicationOptions: Sendable, Hashable {
  /// The topic's type; nil for none.
  public var type: String?
  /// Whether lost data is repeated.
  public var reliability: Reliability = .reliable
  /// A hash of the payload's schema; a difference warns, it does not refuse.
  public var schemaHash: UInt64?
  /// What is kept for those who come later. Of best-effort topics nothing is.
  public var history: HistoryPolicy = .none

  /// The defaults with a type.
  public init(type: String? = nil, reliability: Reliability = .reliable, history: HistoryPolicy = .none) {
    self.type = type
    self.reliability = reliability
    self.history = history
  }
}

/// How a subscription behaves.
public struct SubscriptionOptions: Sendable, Hashable {
  /// Only topics of this type; nil for all.
  public var type: String?
  /// A hash of the payload's schema; a difference warns, it does not refuse.
  public var schemaHash: UInt64?
  /// Whether unconsumed bytes hold the publisher back: the driver must call ``EndpointMachine/consumed(_:of:at:)``
  /// for each delivery that ``Delivery/isHeld`` marks.
  public var holdsBackPublisher: Bool = false
  /// Whether nothing is wanted but to be told which topics match, see ``EndpointMachine/inquire(about:at:)``. Nobody sends data
  /// for it or counts it as a subscriber.
  public var isInquiry: Bool = false
  /// What is wanted of what was published before.
  public var history: HistoryRequest = .none
  /// How far it was read before. Of other streams everything is wanted, whatever `history` says.
  public var position: ReadPosition? {
    didSet { if position != nil { history = .all } }
  }
  /// Whether nothing is delivered: the endpoint publishes the topic, which retains its last value, and has to know that.
  var isListener = false

  /// The defaults with a type.
  public init(
    type: String? = nil, holdsBackPublisher: Bool = false, history: HistoryRequest = .none,
    position: ReadPosition? = nil
  ) {
    self.type = type
    self.holdsBackPublisher = holdsBackPublisher
    self.history = position == nil ? history : .all
    self.position = position
  }
}

/// What happens when a publication's buffer is full.
public enum FullBufferBehaviour: Sendable {
  /// Refuse the message; ``EndpointEvent/writable(_:)`` tells when to try again.
  case refuse
  /// Make room: readers that have not got the oldest messages lose them, with a GAP that says so.
  case dropOldest
  /// Keep only the new message: readers lose everything older they have not got.
  case keepLatest
}

/// What became of a `publish`.
public enum PublishResult: Sendable, Equatable {
  /// The message has this sequence number, and ends below the position: ``EndpointMachine/isAcknowledged(_:below:)``.
  case admitted(sequence: UInt64, position: UInt64)
  /// No room: the slowest reliable reader has to catch up first.
  case full
}

/// Why the core refused a call.
public enum EndpointError: Error, Equatable, Sendable {
  /// A topic name or filter that breaks the rules; says which.
  case invalidTopic(String, reason: String)
  /// The message exceeds the limit.
  case messageTooLarge(bytes: Int, limit: Int)
  /// No such publication or subscription, or it was closed.
  case unknownHandle
  /// No such peer now.
  case unknownPeer(String)
  /// A limit of the configuration was reached.
  case limitReached(name: String, limit: Int)
  /// The topic does not retain its last value, so there is none to clear.
  case notRetained(topic: String)
  /// The topic retains a value that is dated at the end of time, so that none can be higher.
  case finalValue(topic: String)
  /// The topic is already published by this endpoint with other options.
  case conflictingPublication(topic: String)
  /// The endpoint was stopped, or lost a clash.
  case stopped
}

/// The unchanging facts about a stream, shared by its deliveries.
public final class StreamInfo: Sendable {
  /// The topic; empty for direct messages.
  public let topic: String
  /// The topic's type.
  public let type: String?
  /// The publisher's endpoint ID.
  public let publisher: EndpointID
  /// The publisher's name when the stream was opened.
  public let publisherName: String
  /// The publisher's incarnation.
  public let incarnation: Incarnation
  /// The number of the stream within the incarnation.
  public let number: UInt64
  /// Whether this is a direct message to this endpoint rather than one on a topic.
  public let isDirect: Bool
  /// The stream's name for all endpoints.
  public let hash: StreamHash

  /// All facts.
  public init(
    topic: String, type: String?, publisher: EndpointID, publisherName: String, incarnation: Incarnation,
    number: UInt64, isDirect: Bool
  ) {
    self.topic = topic
    self.type = type
    self.publisher = publisher
    self.publisherName = publisherName
    self.incarnation = incarnation
    self.number = number
    self.isDirect = isDirect
    hash = StreamHash(publisher: publisher, incarnation: incarnation, number: number)
  }
}

/// A message for one subscription. `payload` stays valid while `owner` lives, or, where `owner` is nil, as long as the
/// buffer that was passed to ``EndpointMachine/receive(_:from:arrival:at:receivedAt:)``.
public struct Delivery {
  /// For whom; nil for a direct message.
  public var subscription: SubscriptionID?
  /// Of which stream.
  public var stream: StreamInfo
  /// The message's number in its stream.
  public var sequence: UInt64
  /// Publication time by the publisher's wall clock, microseconds since 1970.
  public var publishedMicroseconds: UInt64
  /// When the message was published, on this endpoint's clock, as well as the one-way delay is known.
  public var publishedAt: Timestamp
  /// When the message expires; it must not be handed over then or later.
  public var expiresAt: Timestamp?
  /// The encoded attributes, without their count of bytes; empty if there are none.
  public var attributes: UnsafeRawBufferPointer
  /// The payload.
  public var payload: UnsafeRawBufferPointer
  /// Keeps payload and attributes alive, if they are not in the received datagram.
  public var owner: AnyObject?
  /// Whether its bytes hold the publisher back until ``EndpointMachine/consumed(_:of:at:)`` is told of them.
  public var isHeld = false
  /// Whether it is to be dropped where there is no room for it: its subscription would hold the publisher back, but must not, as
  /// others share the stream, or cannot, as the publication is best effort.
  public var isDroppable = false
}

/// Why messages will not arrive.
public enum LossReason: Hashable, Sendable {
  /// Their lifetime was over.
  case expired
  /// The publisher could not keep them for this reader.
  case evicted
  /// The topic's queue policy dropped them.
  case dropped
  /// Best effort: the network lost them.
  case bestEffort
  /// The publisher is gone, and what it had not got across with it.
  case publisherGone
  /// The message exceeds this endpoint's limit.
  case tooLarge
}

/// Messages that will not arrive, reported once.
public struct Loss: Sendable {
  /// Of which stream.
  public var stream: StreamInfo
  /// The subscriptions concerned, ascending.
  public var subscriptions: [SubscriptionID]
  /// Sequence numbers lost. Empty with `publisherGone`, where nobody knows how many there were.
  public var sequences: Range<UInt64>
  /// Why.
  public var reason: LossReason
}

/// What an endpoint tells besides messages.
public enum EndpointEvent: Sendable {
  /// A peer was found and a session with it is up.
  case peerAdded(PeerInfo)
  /// A peer's address or abilities changed, or which of the two hears the other by multicast.
  case peerUpdated(PeerInfo)
  /// A peer is gone.
  case peerRemoved(PeerInfo, reason: PeerRemovalReason)
  /// Messages will not arrive.
  case loss(Loss)
  /// Filter matches, type does not. `local` says whether the publisher is this endpoint.
  case typeMismatch(TypeMismatch)
  /// Somebody in this network has another key, or none where one is needed. At most once in ten seconds.
  case keyMismatch(KeyMismatch)
  /// A peer has reached its limit on streams and takes no publication of this topic.
  case publicationRefused(topic: String, by: EndpointID)
  /// A peer has reached its limit on subscriptions and sends nothing for this one.
  case subscriptionRefused(filter: String, by: EndpointID)
  /// Two endpoints claimed one ID or name.
  case clash(ClashReport)
  /// An endpoint is there that speaks no version of the protocol that is spoken here.
  case incompatible(EndpointID, name: String, versions: ClosedRange<UInt8>)
  /// This endpoint lost a clash and must stop.
  case defeated(ClashReport)
  /// Announcements by multicast do not get through any more, or do again. Not told where they did from the start.
  case multicast(MulticastReport)
  /// A limit was reached: its name as in the configuration, and how often so far.
  case limit(name: String, count: UInt64)
  /// The number of matched remote subscribers of a publication changed.
  case matched(PublicationID, subscribers: Int)
  /// A peer has told all its subscriptions.
  case interestKnown(EndpointID)
  /// A peer has answered an inquiry.
  case inquiryAnswered(SubscriptionID, by: EndpointID)
  /// A publication that refused a message has room again.
  case writable(PublicationID)
  /// Every matched reliable reader has everything of the publication below this position.
  case acknowledged(PublicationID, below: UInt64)
  /// A store has more of a publication: ``EndpointMachine/storedCount(of:_:)``. Or somebody holds its value, or a higher one is known:
  /// ``EndpointMachine/retention(of:_:)``.
  case stored(PublicationID)
  /// A value of a topic that retains its last one is dated so far ahead of this endpoint's wall clock. At most once in ten seconds.
  case timeAhead(StreamInfo, Nanoseconds)
  /// A peer acknowledged direct messages; ``EndpointMachine/directOutcome(in:endingAt:)`` tells which.
  case directAcknowledged(EndpointID)
}

/// A datagram of this network that was sealed otherwise than this endpoint's. Nothing in it is proven.
public struct KeyMismatch: Hashable, Sendable {
  /// What is wrong.
  public enum Kind: Hashable, Sendable {
    /// It was sealed with a key that this endpoint does not have.
    case otherKey
    /// It was sealed, and this endpoint has no key.
    case sealed
    /// It was not sealed, and this endpoint has a key.
    case open
  }
  /// What is wrong.
  public var kind: Kind
  /// The endpoint that it says it comes from.
  public var sender: EndpointID
  /// Where it came from.
  public var address: SocketAddress
}

/// A filter that matches a topic of another type.
public struct TypeMismatch: Hashable, Sendable {
  /// The topic.
  public var topic: String
  /// The publisher's type; nil for none.
  public var publisherType: String?
  /// The subscriber's type.
  public var subscriberType: String
  /// The publisher.
  public var publisher: EndpointID
  /// The subscriber.
  public var subscriber: EndpointID
}

/// A datagram to send.
public struct OutgoingDatagram: Hashable, Sendable {
  /// Where to.
  public var destination: SocketAddress
  /// Bytes written into the buffer.
  public var byteCount: Int
  /// How to seal it, if that is left to who sends it.
  package var pendingSeal: PendingSeal?

  init(destination: SocketAddress, byteCount: Int) {
    self.destination = destination
    self.byteCount = byteCount
  }

  init(destination: SocketAddress, _ written: WrittenDatagram) {
    self.destination = destination
    byteCount = written.byteCount
    pendingSeal = written.pending
  }
}

/// How a datagram came in.
public enum Arrival: Sendable, Hashable {
  /// To this endpoint's own address.
  case unicast
  /// To a multicast group or a broadcast address.
  case group
}
