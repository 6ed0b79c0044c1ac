import OrderedCollections

/// A topic that this endpoint publishes.
final class LocalPublication {
  // Its properties are exempt from the run-time exclusivity check, as those of OutboundStream are.

  let id: PublicationID
  let topic: String
  let options: PublicationOptions
  let stream: OutboundStream
  /// Microseconds since 1970 at the stream's time zero.
  let epochMicroseconds: UInt64
  let info: StreamInfo
  /// Bytes of the payloads and attributes of all messages so far.
  @exclusivity(unchecked) var publishedBytes: UInt64 = 0
  /// Uses by `advertise` that were not withdrawn yet; at 0 the publication ends when all is acknowledged.
  @exclusivity(unchecked) var users = 1
  /// This endpoint's own subscriptions that match.
  @exclusivity(unchecked) var localSubscribers: [SubscriptionID] = []
  /// Delivered bytes that own subscriptions which hold back the publisher have not used up yet.
  @exclusivity(unchecked) var unconsumedBytes = 0
  /// Who has stored what of it.
  @exclusivity(unchecked) var copies = StoredCopies()
  /// What is known of the topic, if it retains its last value.
  @exclusivity(unchecked) var retained: RetainedTopic?
  /// The subscription by which this endpoint then learns the topic's value.
  @exclusivity(unchecked) var listener: SubscriptionID?
  /// Who has confirmed that he holds its newest value.
  @exclusivity(unchecked) var holders = RetainedHolders()
  /// They were waited for long enough once, and do not hold up the publisher until they have caught up.
  @exclusivity(unchecked) var isHeldByLaggards = false
  /// The own subscription that was stuck when another one joined it: until it has caught up it holds up nobody.
  @exclusivity(unchecked) var joinedSubscriber: SubscriptionID?

  init(
    id: PublicationID, topic: String, options: PublicationOptions, stream: OutboundStream, epochMicroseconds: UInt64,
    info: StreamInfo
  ) {
    self.id = id
    self.topic = topic
    self.options = options
    self.stream = stream
    self.epochMicroseconds = epochMicroseconds
    self.info = info
  }
}

/// A subscription of this endpoint.
struct LocalSubscription {
  var filter: String
  var options: SubscriptionOptions
  /// When it was made.
  var began: Timestamp
  /// See ``EndpointMachine/setStuck(_:_:)``.
  var isStuck = false
}

/// A subscription of a peer, as the index of filters names it.
struct RemoteSubscriber: Equatable {
  /// The session's number at this endpoint.
  var session: UInt32
  var subscription: UInt64
}

/// Publications and subscriptions of this endpoint, and whose filters match which topics.
struct LocalTopics {
  var publications: OrderedDictionary<UInt64, LocalPublication> = [:]
  var publicationsByTopic: [TopicKey: LocalPublication] = [:]
  private(set) var subscriptions: OrderedDictionary<SubscriptionID, LocalSubscription> = [:]
  /// Those that want something of what was published before, other than the values of topics that retain them.
  private var wantingHistory = 0
  /// Those of them that have read something before.
  private(set) var withPosition: [SubscriptionID] = []
  let ownFilters = FilterIndex<SubscriptionID>()
  let peerFilters = FilterIndex<RemoteSubscriber>()
  var nextStream = Session.firstTopicStream
  var nextSubscription: UInt64 = 1
  /// The numbers of the streams that this endpoint publishes.
  var ownStreams: [StreamHash: UInt64] = [:]
  /// What this endpoint got, or gets, from others.
  var received: [StreamHash: ReceivedStream] = [:]
  /// Those of them that are to be looked at again when ``EndpointMachine/historyDue`` has come.
  var unsettled: [ReceivedStream] = []
  /// Streams that peers hold and of which nothing is known here.
  var unknown: Set<StreamHash> = []
  /// Those of them that somebody is asked for, or will be when he may be asked.
  var unknownUnderWay: Set<StreamHash> = []
  /// When the first of the others was heard of.
  var unknownSince = Timestamp.distantFuture
  /// The topics that retain their last value.
  let retained = RetainedTopics()
  /// Requests for history that are under way, by their numbers.
  var fetches: [UInt64: PendingFetch] = [:]
  var nextRequest: UInt64 = 0
  /// What others answered to those subscriptions of this endpoint that are inquiries.
  var inquiries: [SubscriptionID: Inquiry] = [:]
  /// Changes to the subscriptions so far.
  var interestVersion: UInt64 = 0

  /// Where this endpoint goes on with a stream of which it knows nothing else, from what its subscriptions have read in an earlier
  /// life. Which of them match is not known then: so all that may want something of it have to say so.
  func position(of stream: StreamHash) -> UInt64? {
    guard !withPosition.isEmpty, withPosition.count == wantingHistory else { return nil }
    var lowest: UInt64?
    for id in withPosition {
      guard let next = subscriptions[id]?.options.position?.next(of: stream) else { return nil }
      lowest = min(lowest ?? next, next)
    }
    return lowest
  }

  /// Enters a subscription.
  mutating func insert(_ subscription: LocalSubscription, _ id: SubscriptionID) {
    subscriptions[id] = subscription
    ownFilters.insert(id, under: subscription.filter)
    count(subscription.options, id, isNew: true)
  }

  /// Takes a subscription out.
  mutating func remove(_ id: SubscriptionID) -> LocalSubscription? {
    guard let subscription = subscriptions.removeValue(forKey: id) else { return nil }
    ownFilters.remove(id, from: subscription.filter)
    count(subscription.options, id, isNew: false)
    return subscription
  }

  /// Takes note whether a subscription is stuck.
  mutating func setStuck(_ isStuck: Bool, _ id: SubscriptionID) { subscriptions[id]?.isStuck = isStuck }

  private mutating func count(_ options: SubscriptionOptions, _ id: SubscriptionID, isNew: Bool) {
    if options.history != .none, options.history != .retained { wantingHistory += isNew ? 1 : -1 }
    guard options.position != nil else { return }
    if isNew { withPosition.append(id) } else { withPosition.removeAll { $0 == id } }
  }

  /// This endpoint's subscriptions that want a topic of a type, ascending; and those whose type differs.
  func subscribers(of topic: String, type: String?) -> (matching: [SubscriptionID], mismatched: [SubscriptionID]) {
    var matching: [SubscriptionID] = []
    var mismatched: [SubscriptionID] = []
    for id in ownFilters.matches(topic).sorted() {
      guard let subscription = subscriptions[id], !subscription.options.isListener else { continue }
      if subscription.options.type == nil || subscription.options.type == type {
        matching.append(id)
      } else {
        mismatched.append(id)
      }
    }
    return (matching, mismatched)
  }
}
