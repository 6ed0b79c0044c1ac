import GlueAddress

/// ANNOUNCE: who the sender is, how to reach it, what it hears (docs/protocol.md §4.1).
public struct Announcement: Equatable, Sendable {
  /// Set once when the endpoint stops.
  public var isLeaving: Bool = false
  /// By unicast: whether the sender hears the addressee by multicast or broadcast.
  public var hearsYou: Bool = false
  /// Lowest protocol version the sender speaks.
  public var minimumVersion: UInt8 = 1
  /// Highest protocol version the sender speaks.
  public var maximumVersion: UInt8 = 1
  /// What the sender can do; unknown bits are ignored.
  public var capabilities: Capabilities = []
  /// Milliseconds between announcements now.
  public var intervalMilliseconds: UInt64 = 1000
  /// Lease as a multiple of the interval, in tenths.
  public var leaseTenths: UInt64 = 50
  /// Milliseconds since the sender started.
  public var uptimeMilliseconds: UInt64 = 0
  /// Changes to the sender's subscriptions so far.
  public var interestVersion: UInt64 = 0
  /// The endpoint's name, 1 … 256 bytes.
  public var name: String
  /// Other addresses that reach the sender.
  public var locators: [SocketAddress] = []
  /// Endpoint IDs the sender has heard by multicast or broadcast.
  public var heard: [EndpointID] = []
  /// Attributes, unknown ones included.
  public var attributes: Attributes = Attributes()

  /// An announcement with defaults in all fields but the name.
  public init(name: String) { self.name = name }

  /// What an endpoint can do.
  public struct Capabilities: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt32
    /// From bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Answers requests for history.
    public static let history = Capabilities(rawValue: 1)
    /// Holds messages durably.
    public static let durableCache = Capabilities(rawValue: 2)
    /// Relays.
    public static let relay = Capabilities(rawValue: 4)
    /// Accepts data sent to groups.
    public static let groupData = Capabilities(rawValue: 8)
    /// Announces itself by multicast or broadcast.
    public static let announcesToGroup = Capabilities(rawValue: 16)
  }
}

/// CLASH: an ID or a name has another, older holder (docs/protocol.md §4.4).
public struct Clash: Equatable, Sendable {
  /// What two endpoints claim.
  public enum Kind: UInt8, Sendable {
    /// The endpoint ID.
    case endpointID = 0
    /// The endpoint name.
    case name = 1
  }
  /// What is claimed twice.
  public var kind: Kind
  /// The token of a challenge by the addressee, or 0.
  public var token: UInt64
  /// The holder's ID.
  public var holder: EndpointID
  /// The holder's incarnation.
  public var incarnation: Incarnation
  /// Milliseconds since the holder started.
  public var uptimeMilliseconds: UInt64
  /// The holder's name.
  public var name: String

  /// All fields.
  public init(
    kind: Kind, token: UInt64, holder: EndpointID, incarnation: Incarnation, uptimeMilliseconds: UInt64, name: String
  ) {
    self.kind = kind
    self.token = token
    self.holder = holder
    self.incarnation = incarnation
    self.uptimeMilliseconds = uptimeMilliseconds
    self.name = name
  }
}

/// WELCOME: the parameters of a session (docs/protocol.md §5.1).
public struct Welcome: Equatable, Sendable {
  /// The session ID that the addressee must use towards the sender.
  public var session: UInt32
  /// The addressee's session ID as the sender knows it, or 0.
  public var yourSession: UInt32
  /// The addressee's incarnation: a WELCOME that was recorded means nothing to anybody else.
  public var addressee: Incarnation
  /// Bytes of the sender's socket receive buffer.
  public var receiveBufferBytes: UInt64
  /// Whether the sender can tell the addressee's group datagrams by their tag.
  public var acceptsGroupTag: Bool
  /// The sender's announcement.
  public var announcement: Announcement

  /// All fields.
  public init(
    session: UInt32, yourSession: UInt32, addressee: Incarnation, receiveBufferBytes: UInt64, acceptsGroupTag: Bool,
    announcement: Announcement
  ) {
    self.session = session
    self.yourSession = yourSession
    self.addressee = addressee
    self.receiveBufferBytes = receiveBufferBytes
    self.acceptsGroupTag = acceptsGroupTag
    self.announcement = announcement
  }
}

/// ACK: which datagrams arrived (docs/protocol.md §5.3).
public struct Ack: Equatable, Sendable {
  /// The largest packet number received.
  public var largest: UInt64
  /// Microseconds between its arrival and this frame.
  public var delayMicroseconds: UInt64
  /// Datagrams received in this session, without duplicates.
  public var count: UInt64

  /// All fields.
  public init(largest: UInt64, delayMicroseconds: UInt64, count: UInt64) {
    self.largest = largest
    self.delayMicroseconds = delayMicroseconds
    self.count = count
  }
}

/// The fields of a DATA frame before its units (docs/protocol.md §6.2).
public struct DataHeader: Equatable, Sendable {
  /// The sender's number of the stream.
  public var stream: UInt64
  /// Position of the first unit.
  public var position: UInt64
  /// Position − sequence of the message to which the first unit belongs.
  public var lag: UInt64
  /// Microseconds from the publication of the first message that begins in the frame to its sending.
  public var ageMicroseconds: UInt64

  /// All fields.
  public init(stream: UInt64, position: UInt64, lag: UInt64, ageMicroseconds: UInt64) {
    self.stream = stream
    self.position = position
    self.lag = lag
    self.ageMicroseconds = ageMicroseconds
  }
}

/// STATUS: what of a stream arrived, and how much more may come (docs/protocol.md §6.3).
public struct Status: Equatable, Sendable {
  /// The addressee's number of the stream.
  public var stream: UInt64
  /// All positions below were received or skipped.
  public var next: UInt64
  /// Bytes of units that may be outstanding beyond `next`.
  public var windowBytes: UInt64
  /// Missing ranges to repeat, ascending, not touching, none empty; at most 64.
  public var missing: [Range<UInt64>]

  /// Most ranges in one frame.
  public static let maximumMissing = 64

  /// All fields.
  public init(stream: UInt64, next: UInt64, windowBytes: UInt64, missing: [Range<UInt64>] = []) {
    self.stream = stream
    self.next = next
    self.windowBytes = windowBytes
    self.missing = missing
  }
}

/// HEARTBEAT: what of a stream there is to have (docs/protocol.md §6.4).
public struct Heartbeat: Equatable, Sendable {
  /// The sender's number of the stream.
  public var stream: UInt64
  /// Lowest position the sender can still send.
  public var first: UInt64
  /// One above the highest position published.
  public var end: UInt64

  /// All fields.
  public init(stream: UInt64, first: UInt64, end: UInt64) {
    self.stream = stream
    self.first = first
    self.end = end
  }
}

/// GAP: what of a stream will never come (docs/protocol.md §6.5).
public struct Gap: Equatable, Sendable {
  /// Why.
  public enum Reason: UInt8, Sendable {
    /// The messages' lifetime was over.
    case expired = 1
    /// The sender's limits did not let it keep them.
    case evicted = 2
    /// The topic's queue policy dropped them.
    case dropped = 3
    /// They were never meant for this receiver.
    case neverOffered = 4
  }
  /// The sender's number of the stream.
  public var stream: UInt64
  /// First position that will not come.
  public var position: UInt64
  /// How many positions, at least 1.
  public var count: UInt64
  /// Sequence number of the message behind the range: what was lost follows from the last message the receiver had.
  public var nextSequence: UInt64
  /// Why.
  public var reason: Reason

  /// All fields.
  public init(stream: UInt64, position: UInt64, count: UInt64, nextSequence: UInt64, reason: Reason) {
    self.stream = stream
    self.position = position
    self.count = count
    self.nextSequence = nextSequence
    self.reason = reason
  }
}

/// Why an endpoint says goodbye (docs/protocol.md §5.7).
public enum ByeReason: UInt8, Sendable {
  /// It stops.
  case leaving = 0
  /// It lost a clash.
  case lostClash = 1
}

/// One or more consecutive fragments of a message on the wire (docs/protocol.md §6.1). `body` points into the buffer it was read from.
public struct Unit {
  /// Bytes of body in every fragment of a message but its last. Three and a header fill a 1,472-byte datagram (also a sealed one
  /// over IPv6), two one of 1,200; larger would waste more of the last datagram.
  public static let fragmentBytes = 456

  /// How many fragments a body has; one without bytes has one.
  @inline(__always)
  public static func fragments(bodyBytes: Int) -> UInt64 {
    bodyBytes <= fragmentBytes ? 1 : UInt64((bodyBytes + fragmentBytes - 1) / fragmentBytes)
  }

  /// What the unit carries beyond its bytes.
  public struct Flags: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt8
    /// From bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Begins with the first fragment of its message.
    public static let first = Flags(rawValue: 1)
    /// Ends with the last fragment of its message.
    public static let last = Flags(rawValue: 2)
    /// Has a lifetime.
    public static let lifetime = Flags(rawValue: 4)
    /// The message's body begins with attributes.
    public static let attributes = Flags(rawValue: 8)
    /// A whole message without lifetime and attributes.
    static let plain: Flags = [.first, .last]
    /// All known bits.
    public static let known: Flags = [.first, .last, .lifetime, .attributes]
  }
  /// What the unit is.
  public var flags: Flags
  /// Publication time, microseconds after the stream's epoch; 0 unless first.
  public var timeMicroseconds: UInt64
  /// Microseconds from publication to expiry; nil without a lifetime.
  public var lifetimeMicroseconds: UInt64?
  /// Bytes of the message's whole body; of this unit's if it is first and last. 0 unless first.
  public var totalBytes: UInt64
  /// The bytes of these fragments.
  public var body: UnsafeRawBufferPointer

  /// How many fragments these are.
  @inline(__always) public var fragments: UInt64 { Self.fragments(bodyBytes: body.count) }
}

/// A control message: the body of a message of stream 0 (docs/protocol.md §7).
public enum ControlMessage: Equatable, Sendable {
  /// The sender wants what matches.
  case subscribe(subscription: UInt64, filter: String, type: String?, attributes: Attributes)
  /// The sender no longer wants it.
  case unsubscribe(subscription: UInt64)
  /// Every subscription up to this version has been sent.
  case interest(version: UInt64)
  /// The sender is about to send this stream.
  case open(StreamOpening)
  /// Nothing at or beyond the position will be sent.
  case close(stream: UInt64, position: UInt64)
  /// A subscription's filter matches but its type does not, or it is an inquiry and this an answer.
  case mismatch(
    subscription: UInt64, topic: String, publisherType: String, subscriberType: String,
    attributes: Attributes = Attributes())
  /// Another endpoint, and where it is.
  case introduce(Introduction)
  /// The sender has reached a limit and does not take this; nothing comes of it.
  case refused(RefusedRequest)
  /// What the sender has of streams. `asks`: the receiver is to say what it has of them; `isAll`: it has been told of all that is
  /// there for the subscriptions that it has told.
  case have([StreamHolding], asks: Bool, isAll: Bool)
  /// The sender wants a part of a stream that the receiver holds.
  case fetch(StreamFetch)
  /// An inquiry was answered, but for so many topics that were left out.
  case answered(subscription: UInt64, omitted: UInt64)
  /// The sender has stored messages that the receiver published.
  case stored(StoreID, [StoredRange])
}

/// INTRODUCE: another endpoint, and where it is (docs/protocol.md §7).
public struct Introduction: Hashable, Sendable {
  /// Which.
  public var endpoint: EndpointID
  /// Which life of it.
  public var incarnation: Incarnation
  /// Milliseconds since the introducer heard from it.
  public var heldMilliseconds: UInt64
  /// Where it may be reached, the likeliest first.
  public var locators: [SocketAddress]
  /// How many endpoints pass on what goes from the introducer to it; 0: they hear each other.
  public var hops: UInt8

  /// All fields.
  public init(
    endpoint: EndpointID, incarnation: Incarnation, heldMilliseconds: UInt64, locators: [SocketAddress],
    hops: UInt8 = 0
  ) {
    self.endpoint = endpoint
    self.incarnation = incarnation
    self.heldMilliseconds = heldMilliseconds
    self.locators = locators
    self.hops = hops
  }
}

/// What an endpoint has of a stream (docs/protocol.md §7.1).
public struct StreamHolding: Hashable, Sendable {
  /// The stream.
  public var stream: StreamHash
  /// The lowest sequence number that it can give to others.
  public var first: UInt64
  /// It has had everything below this, or knows that it will never have it; at least `first`. 0: it has nothing of the stream.
  public var end: UInt64

  /// Most in one message.
  public static let maximumCount = 1_024

  /// All fields.
  public init(stream: StreamHash, first: UInt64, end: UInt64) {
    self.stream = stream
    self.first = first
    self.end = end
  }
}

/// Messages that are stored durably (docs/protocol.md §7.1).
public struct StoredRange: Hashable, Sendable {
  /// Of which stream.
  public var stream: StreamHash
  /// The lowest sequence number.
  public var first: UInt64
  /// One above the highest; above `first`.
  public var end: UInt64

  /// Most in one message.
  public static let maximumCount = 1_024

  /// All fields.
  public init(stream: StreamHash, first: UInt64, end: UInt64) {
    self.stream = stream
    self.first = first
    self.end = end
  }
}

/// A request for a part of a stream (docs/protocol.md §7.1).
public struct StreamFetch: Hashable, Sendable {
  /// The requester's number for it, which the OPEN that answers it repeats.
  public var request: UInt64
  /// Of which stream.
  public var stream: StreamHash
  /// From which sequence number on; nil: from where the requester's subscriptions say.
  public var from: UInt64?
  /// Below which sequence number; nil: all that there is.
  public var below: UInt64?

  /// All fields.
  public init(request: UInt64, stream: StreamHash, from: UInt64?, below: UInt64?) {
    self.request = request
    self.stream = stream
    self.from = from
    self.below = below
  }
}

/// What a REFUSED answers, by the number that its addressee gave it (docs/protocol.md §7).
public enum RefusedRequest: Hashable, Sendable {
  /// An OPEN.
  case stream(UInt64)
  /// A SUBSCRIBE.
  case subscription(UInt64)
  /// A FETCH.
  case fetch(UInt64)
}

/// OPEN: what a stream carries (docs/protocol.md §7).
public struct StreamOpening: Equatable, Sendable {
  /// The sender's number of the stream.
  public var stream: UInt64
  /// The topic.
  public var topic: String
  /// The topic's type, if it has one.
  public var type: String?
  /// Whether what is lost is repeated.
  public var isReliable: Bool
  /// Wall clock of the stream's time zero, microseconds since 1970.
  public var epochMicroseconds: UInt64
  /// First position the receiver will get.
  public var position: UInt64
  /// Sequence number of the message at that position.
  public var sequence: UInt64
  /// Attributes, unknown ones included.
  public var attributes: Attributes

  /// All fields.
  public init(
    stream: UInt64, topic: String, type: String?, isReliable: Bool, epochMicroseconds: UInt64, position: UInt64,
    sequence: UInt64, attributes: Attributes = Attributes()
  ) {
    self.stream = stream
    self.topic = topic
    self.type = type
    self.isReliable = isReliable
    self.epochMicroseconds = epochMicroseconds
    self.position = position
    self.sequence = sequence
    self.attributes = attributes
  }
}

/// An ordered list of attributes (docs/protocol.md §8): key and value, unknown ones kept.
public struct Attributes: Equatable, Sendable {
  /// One attribute.
  public struct Entry: Equatable, Sendable {
    /// The key; 0–63 belong to the protocol.
    public var key: UInt64
    /// The value's bytes, as the key defines them.
    public var value: [UInt8]
    /// A key and its value.
    public init(key: UInt64, value: [UInt8]) {
      self.key = key
      self.value = value
    }
  }
  /// The entries in the order in which they were added.
  public var entries: [Entry]
  /// A list of entries.
  public init(_ entries: [Entry] = []) { self.entries = entries }
  /// Whether there is none.
  public var isEmpty: Bool { entries.isEmpty }
}
