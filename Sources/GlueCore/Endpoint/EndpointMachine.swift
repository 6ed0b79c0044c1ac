import DequeModule
import GlueAddress
import OrderedCollections

/// The whole protocol of one endpoint as a deterministic state machine. It has no clock, socket, task or lock: datagrams,
/// commands and the time go in; datagrams, deliveries and events come out.
///
///                 datagrams ┐                                   ┌ datagrams   nextDatagram(into:at:)
///      publish, subscribe … ┼─▶ Discovery ─▶ sessions ─▶ streams ┼ deliveries  takeDeliveries(into:)
///                      time ┘                                   └ events      nextEvent()
///
/// The rule for draining: after every input call ``nextDatagram(into:at:)`` until nil, ``takeDeliveries(into:)`` and
/// ``nextEvent()`` until nil; then sleep until ``nextWakeup`` and call ``advance(to:)``.
///
/// Not thread-safe: its owner guards it.
public final class EndpointMachine {
  // Its properties are exempt from the run-time exclusivity check, which cost 40 % of the time of a lone message (2.7 µs with,
  // 1.6 µs without, both sides together); nothing here calls back into itself.

  /// The configuration it was made with.
  public let configuration: EndpointConfiguration
  /// This life of the endpoint.
  public let incarnation: Incarnation

  @exclusivity(unchecked) var discovery: Discovery
  /// By the session ID that this endpoint chose.
  @exclusivity(unchecked) var sessions: OrderedDictionary<UInt32, Session> = [:]
  @exclusivity(unchecked) var sessionsByPeer: [EndpointID: Session] = [:]
  /// Sessions that may have something to send.
  @exclusivity(unchecked) var ready = Deque<Session>()
  /// The publication that was published on last.
  @exclusivity(unchecked) var recentPublication: LocalPublication?
  /// Datagrams outside sessions, complete.
  @exclusivity(unchecked) var outbox = Deque<(destination: SocketAddress, bytes: [UInt8])>()
  @exclusivity(unchecked) var topics = LocalTopics()
  /// Groups to which data can be sent for several peers at once; see ``EndpointConfiguration/dataGroups``.
  @exclusivity(unchecked) var dataGroups: [SocketAddress]
  @exclusivity(unchecked) var groups = GroupSending()
  /// Publications without users that are not acknowledged yet.
  @exclusivity(unchecked) var withdrawn: [LocalPublication] = []
  /// Publications without users that still keep something for those who come later.
  @exclusivity(unchecked) var retired: [LocalPublication] = []
  /// Publications that ended with something unserved, by their number.
  @exclusivity(unchecked) var pastPublications = PastStreams()
  /// The streams of direct messages of sessions that ended, by the session's number.
  @exclusivity(unchecked) var pastSessions = PastStreams()
  /// When something has to be done about holes, and when what has expired is let go.
  @exclusivity(unchecked) var historyDue = Timestamp.distantFuture
  @exclusivity(unchecked) var trimDue = Timestamp.distantFuture
  let historyMemory: HistoryMemory
  let inbox = Inbox()
  let budget: ReceiveBudget
  /// Nil in an open network.
  let seal: DatagramSeal?
  /// When a datagram with another key, or with none, was last reported.
  @exclusivity(unchecked) var keyMismatchReportedAt: Timestamp?
  /// When a time far ahead of this endpoint's was last reported.
  @exclusivity(unchecked) var timeAheadReportedAt: Timestamp?
  /// Streams whose publishers are to be told that their values are held here, and when they are.
  @exclusivity(unchecked) var untoldHeld: [ReceivedStream] = []
  @exclusivity(unchecked) var heldGatheredUntil = Timestamp(nanoseconds: 0)
  @exclusivity(unchecked) var events = Deque<EndpointEvent>()
  @exclusivity(unchecked) var packetNumber: UInt64 = 0
  /// When sessions need time. Those in ``ready`` are noted when they have nothing more to send, or have had a turn.
  @exclusivity(unchecked) var alarms = SessionAlarms()
  @exclusivity(unchecked) var resetBudget: TokenBucket
  /// Sealed datagrams of senders whose keys are not known that may still be tried to open.
  @exclusivity(unchecked) var strangerBudget: TokenBucket
  @exclusivity(unchecked) var isStopped = false
  /// The two clocks at one moment, to tell the wall clock of others.
  private let origin: WallOrigin

  /// Whether ``EndpointEvent/acknowledged(_:below:)`` is reported. Whoever waits for nobody can do without.
  @exclusivity(unchecked) public var reportsAcknowledgements = true

  /// - Parameters:
  ///   - incarnation: 64 random bits, not 0, from a source that differs at every start.
  ///   - keySalt: 64 more random bits, independent of `seed`; only needed in a network with a key.
  ///   - seed: feeds the generator from which jitter, tokens and session IDs come.
  ///   - now: the time at this moment.
  ///   - wallMicroseconds: microseconds since 1970 at `now`.
  public init(
    configuration: EndpointConfiguration, incarnation: Incarnation, keySalt: UInt64 = 0, seed: UInt64,
    now: Timestamp, wallMicroseconds: UInt64
  ) {
    var configuration = configuration
    configuration.transport = configuration.transport.clamped()
    configuration.topics = configuration.topics.clamped()
    configuration.discovery.limits = configuration.discovery.limits.clamped()
    self.configuration = configuration
    let limits = configuration.discovery.limits
    resetBudget = TokenBucket(perSecond: limits.resetsPerSecond, burst: limits.resetsPerSecond)
    strangerBudget = TokenBucket(perSecond: limits.strangersPerSecond, burst: limits.strangersPerSecond)
    self.incarnation = incarnation
    dataGroups = configuration.dataGroups
    origin = WallOrigin(now: now, microseconds: wallMicroseconds)
    budget = ReceiveBudget(
      assemblyLimit: configuration.transport.reassemblyBytes, reorderLimit: configuration.transport.reorderBytes)
    historyMemory = HistoryMemory(
      limitBytes: configuration.topics.historyBytes, store: configuration.store)
    seal = DatagramSeal(
      keys: configuration.keys, id: configuration.id, incarnation: incarnation, salt: keySalt,
      networkID: configuration.networkID)
    var discoveryConfiguration = configuration.discovery
    discoveryConfiguration.isSealed = seal != nil
    discovery = Discovery(
      configuration: discoveryConfiguration,
      local: LocalIdentity(
        id: configuration.id, name: configuration.name, incarnation: incarnation,
        capabilities: .groupData, receiveBufferBytes: configuration.receiveBufferBytes),
      seed: seed)
    discovery.wallOrigin = origin
  }

  deinit {
    // Streams and their readers hold each other, and so do the streams in line for memory and the budget.
    for session in sessions.values {
      session.control.stream.abandon()
      session.direct.stream.abandon()
    }
    for stream in topics.received.values {
      for reader in stream.all { reader.carriers = [] }
      stream.release()
    }
    for publication in topics.publications.values { publication.stream.abandon() }
    budget.abandon()
  }

  // MARK: Inputs

  /// Begins to announce.
  public func start(at now: Timestamp) {
    discovery.start(at: now)
    drainDiscovery(at: now)
  }

  /// Says goodbye to every peer. Afterwards only the drain rule applies.
  public func stop(at now: Timestamp) {
    guard !isStopped else { return }
    // What has arrived is acknowledged before the goodbye, or its publishers would report it as not delivered.
    for session in sessions.values {
      guard var bytes = session.lastAcknowledgement(packetNumber: nextPacketNumber, at: now) else { continue }
      sealIfKeyed(&bytes, headerBytes: WireLimits.shortHeaderBytes, packetNumber: packetNumber)
      post(bytes, to: session.peer.address)
    }
    discovery.stop(at: now)
    drainDiscovery(at: now)
    isStopped = true
  }

  /// Lets time pass.
  ///
  /// - Parameter isCaughtUp: Whether all that had arrived was received before: what waits in a socket is not missing.
  public func advance(to now: Timestamp, isCaughtUp: Bool = true) {
    if let due = discovery.nextWakeup, due <= now {
      discovery.advance(to: now)
      drainDiscovery(at: now)
    }
    if historyWakeup <= now { advanceHistory(to: now) }
    if groups.wakeup <= now { advanceGroups(to: now) }
    guard alarms.next <= now else { return }
    // Each has its turn once, even if it wants another one at the same time.
    var due: [Session] = []
    while let session = alarms.takeDue(at: now) { due.append(session) }
    for session in due {
      session.advance(to: now, isCaughtUp: isCaughtUp, counters: &inbox.counters)
      if session.group.memberships > 0, session.readers.values.contains(where: { $0.group != nil && $0.isUnanswered }) {
        barFromGroups(session, at: now)
      }
      makeReady(session, at: now)
    }
  }

  /// Tells that a datagram was too large for the path.
  public func datagramTooLarge(to destination: SocketAddress, byteCount: Int, at now: Timestamp) {
    let isGroup = dataGroups.contains(destination)
    for session in sessions.values
    where isGroup ? session.group.memberships > 0 : session.peer.address == destination {
      session.path.refused(size: byteCount, at: now)
      makeReady(session, at: now)
    }
  }

  // MARK: Outputs

  /// When ``advance(to:)`` has to be called next; nil if never.
  public var nextWakeup: Timestamp? {
    let own = min(alarms.next, historyWakeup, groups.wakeup)
    if let due = discovery.nextWakeup { return min(due, own) }
    return own == .distantFuture ? nil : own
  }

  /// Whether there are deliveries or events to be taken.
  public var hasOutputs: Bool { !inbox.deliveries.isEmpty || !events.isEmpty }

  /// Moves the pending deliveries into an empty array and keeps that array's storage for the next ones.
  public func takeDeliveries(into deliveries: inout [Delivery]) {
    precondition(deliveries.isEmpty, "the array must be empty")
    swap(&deliveries, &inbox.deliveries)
  }

  /// The next event.
  public func nextEvent() -> EndpointEvent? { events.popFirst() }

  // MARK: Questions

  /// The peers with a session, by endpoint ID.
  public var peers: [PeerInfo] { discovery.peers.sorted { $0.id < $1.id } }

  /// How multicast gets through, as it was judged with the last announcement.
  public var multicast: MulticastReport { discovery.multicast }

  /// Whether every peer has told all its subscriptions.
  public var knowsAllSubscriptions: Bool { sessions.values.allSatisfy(\.knowsInterest) }

  /// Datagrams with data that were written for groups.
  package var groupDatagramsSent: UInt64 { inbox.counters.groupDatagramsSent }

  /// Counters by name, in a stable order: what was sent, received, dropped and why.
  public var counters: [(name: String, value: UInt64)] {
    inbox.counters.list + discovery.counters.list
      + Limit.allCases.map { ($0.counterName, inbox.limits[$0] + discovery.limits[$0]) }
  }

  /// Bytes held: unacknowledged messages, what waits for its turn, what is under assembly, what is kept for those who come later.
  public var bufferedBytes: Int {
    var sum = historyMemory.bytes + topics.received.values.reduce(0) { $0 + $1.waitingBytes }
    sum += topics.publications.values.reduce(0) { $0 + $1.stream.log.byteCount }
    for session in sessions.values {
      sum += session.control.stream.log.byteCount + session.direct.stream.log.byteCount + session.relayedBytes
      sum += session.inbound.values.reduce(0) { $0 + $1.bufferedBytes }
    }
    return sum
  }

  // MARK: Helpers of the aspects

  func wallMicroseconds(at now: Timestamp) -> UInt64 { origin.microseconds(at: now) }

  func nextPacketNumber() -> UInt64 {
    packetNumber += 1
    return packetNumber
  }

  /// Puts a session where ``nextDatagram(into:at:)`` looks, if it has anything to send, and notes when it needs time.
  func makeReady(_ session: Session, at now: Timestamp) {
    guard !session.isQueued, !session.isClosed else { return }
    if session.hasWork(at: now) {
      session.isQueued = true
      ready.append(session)
    } else {
      alarms.set(session, at: session.nextWakeup)
    }
  }

  func enqueue(_ reader: RemoteReader, at now: Timestamp) {
    reader.session.enqueue(reader, at: now)
    makeReady(reader.session, at: now)
  }

  /// Counts a limit that was reached, and tells of it at most once a second.
  func reach(_ limit: Limit, at now: Timestamp) {
    inbox.reach(limit, at: now)
    drainLimits()
  }

  private func drainLimits() {
    guard !inbox.reached.isEmpty else { return }
    for (limit, count) in inbox.reached { events.append(.limit(name: limit.name, count: count)) }
    inbox.reached.removeAll(keepingCapacity: true)
  }

  /// Turns losses, and limits that were reached, into events.
  func drainLosses() {
    drainLimits()
    guard !inbox.losses.isEmpty else { return }
    for loss in inbox.losses where loss.stream.isDirect || !loss.subscriptions.isEmpty { events.append(.loss(loss)) }
    inbox.losses.removeAll(keepingCapacity: true)
  }
}
