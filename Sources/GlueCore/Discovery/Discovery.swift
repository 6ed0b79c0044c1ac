import DequeModule
import GlueAddress
import OrderedCollections

/// Finds the other endpoints of a network, keeps track of which are alive, and sees to it that each endpoint ID and each
/// name has one holder (docs/protocol.md §4, §5.1, §5.6, §5.7).
///
/// A deterministic state machine without clock, socket or task. The rule for draining: after every input call
/// ``nextAction()`` until it gives nil; then sleep until ``nextWakeup`` and call ``advance(to:)``.
///
/// What an endpoint (ID, incarnation) is to this one:
///
///     announcement, WELCOME,
///     introduction ┌─────────┐ CHALLENGE      ┌───────────┐  valid ANSWER
///     ────────────>│ unknown ├───────────────>│ unknown   ├───────────────┐
///                  └─────────┘ no state kept  └───────────┘               v
///                       ^                                   ID unclaimed ┌───────────┐
///                       │ timeout                    ┌───────────────────┤  proven   │
///                       ├────────────────────────────┤   send WELCOME    └─────┬─────┘
///                       │                            v                         │ ID has a holder
///                       │                     ┌─────────────┐ name has a  ┌────v─────┐ holder is silent: replaced
///                       │                     │  handshake  ├────────────>│  claim   ├───────────────────────┐
///                       │                     └──────┬──────┘ holder      └────┬─────┘                       │
///                       │                            │ its WELCOME             │ holder answers:             │
///                       │                            v                         │ CLASH to the younger        │
///                       │   expired, bye      ┌─────────────┐                  v                             │
///                       └─────────────────────┤    peer     │<─── handshake <──┼─────────────────────────────┘
///                                             └─────────────┘             forgotten, or the holder's BYE
///
/// A peer in doubt (its lease nearly over, leaving by hearsay, its session unknown to it, its ID claimed) is probed by up
/// to three challenges. Its answer or its silence decides; hearsay never does.
public struct Discovery: Sendable {
  /// What it was made with.
  public internal(set) var configuration: DiscoveryConfiguration
  /// What it tells about this endpoint.
  public internal(set) var local: LocalIdentity
  /// What happened how often.
  public internal(set) var counters = DiscoveryCounters()

  enum Phase: Sendable { case idle, running, stopped }
  var phase = Phase.idle
  var generator: SeededGenerator
  var startedAt = Timestamp(nanoseconds: 0)
  /// This endpoint's two clocks at one moment; without it announcements do not tell the wall clock.
  var wallOrigin: WallOrigin?
  var interestVersion: UInt64 = 0

  var table: PeerTable
  var routes: RouteTable
  /// Peers with a WELCOME to repeat, a probe or a move under way.
  var busy: OrderedSet<Int> = []
  var handshakes: [Handshake] = []
  var pendingChallenges: [PendingChallenge] = []
  /// No look at the leases is due before this.
  var leaseCheckAt: Timestamp?
  /// Nothing is due before this for busy peers, handshakes and pending challenges.
  var timerAt: Timestamp?

  var announceAt: Timestamp?
  /// Startup announcements made so far.
  var startupIndex = 0
  /// When the present series of startup announcements began.
  var startupAt = Timestamp(nanoseconds: 0)
  /// The interval that the last announcement to the targets told, which is thus the time to the next one.
  var announcedInterval: Nanoseconds
  /// Where the next list of IDs begins.
  var listCursor = 0
  /// Since when this endpoint has been listening without a break.
  var listeningSince = Timestamp(nanoseconds: 0)
  /// How multicast gets through, as it was last judged.
  public internal(set) var multicast = MulticastReport()
  /// The same, of the last look alone.
  var multicastDoubt = MulticastReport.State.unknown
  /// Whether it was last told that it does not.
  var isMulticastBroken = false

  let tokens: AddressToken
  var replies: ReplyLimiter
  var challengeBudget: TokenBucket
  var introductionBudget: TokenBucket
  /// The last datagram from an unproven address that was replied to: each gets one reply, however many frames it has.
  var lastReplied: (address: SocketAddress, packetNumber: UInt64)?
  /// Rivals towards which this endpoint, the weaker one, has declared itself the holder (see ``Seniority``).
  var stoodAgainst: [Handshake.Key] = []

  var actions: Deque<Action> = []
  var limits = LimitTally<Limit>()
  var incompatibleReportedAt: Timestamp?

  struct PendingChallenge: Sendable {
    var dueAt: Timestamp
    var id: EndpointID
    var incarnation: Incarnation
    var address: SocketAddress
    var origin: PeerInfo.Origin
  }

  /// A machine that does nothing before ``start(at:)``.
  ///
  /// - Parameter seed: feeds the generator of jitter, session IDs and the token key. It must be unpredictable outside
  ///   of simulations.
  public init(configuration: DiscoveryConfiguration, local: LocalIdentity, seed: UInt64) {
    // Values that would make the machine spin, or session IDs guessable, are brought to the nearest that do not.
    var configuration = configuration
    let shortest = Nanoseconds.milliseconds(10)
    configuration.interval = max(configuration.interval, shortest)
    configuration.probeSpacing = max(configuration.probeSpacing, .milliseconds(1))
    let repetition = configuration.welcomeRepetition
    configuration.welcomeRepetition =
      max(repetition.lowerBound, .milliseconds(1))...max(repetition.upperBound, .milliseconds(1))
    configuration.limits = configuration.limits.clamped()
    let limits = configuration.limits
    self.configuration = configuration
    self.local = local
    generator = SeededGenerator(seed: seed)
    tokens = AddressToken(key: (generator.next(), generator.next()), window: configuration.tokenWindow)
    replies = ReplyLimiter(
      entries: limits.replySources, perSecond: limits.repliesPerSecond, burst: limits.replyBurst,
      key: (generator.next(), generator.next()))
    challengeBudget = TokenBucket(perSecond: limits.challengesPerSecond, burst: limits.challengeBurst)
    introductionBudget = TokenBucket(perSecond: limits.introductionsPerSecond, burst: limits.introductionsPerSecond)
    table = PeerTable(capacity: limits.peers + limits.handshakes)
    routes = RouteTable(capacity: limits.routes)
    announcedInterval = configuration.interval
  }

  // MARK: Inputs

  /// Begins to announce and to answer.
  public mutating func start(at now: Timestamp) {
    guard phase == .idle else { return }
    phase = .running
    startedAt = now
    listeningSince = now
    beginStartupAnnouncements(at: now)
  }

  /// Whether a sealed datagram with a long header is new: it was not received before, and is no older than the proof of its
  /// sender's address. Asked once for each.
  public mutating func isNew(_ header: LongHeader) -> Bool {
    if let slot = table.slot(of: header.sender, header.incarnation) {
      return table[slot].received.accept(header.packetNumber)
    }
    if let index = handshakeIndex(header) { return handshakes[index].received.accept(header.packetNumber) }
    return true
  }

  /// Announces as at start: others may not have been able to read what was announced before, or there was nothing to read.
  public mutating func announceAgain(at now: Timestamp) {
    if phase == .running { beginStartupAnnouncements(at: now) }
  }

  /// Takes one frame of a datagram with a long header.
  ///
  /// - Parameter datagramBytes: the size of the whole datagram; what is too small is not replied to.
  public mutating func receive(
    _ frame: DiscoveryFrame, header: LongHeader, from source: SocketAddress, arrival: Arrival, datagramBytes: Int,
    at now: Timestamp
  ) {
    guard phase == .running else { return }
    // What this endpoint sends to a group comes back to it.
    if header.sender == local.id && header.incarnation == local.incarnation { return }
    switch frame {
    case .announce(let announcement):
      receive(announcement, header, source, arrival, datagramBytes, now)
    case .challenge(let token):
      receiveChallenge(token, header, source, datagramBytes, now)
    case .answer(let token, let incarnation):
      if incarnation == local.incarnation { receiveAnswer(token, header, source, now) }
    case .welcome(let welcome):
      receive(welcome, header, source, datagramBytes, now)
    case .clash(let clash):
      receive(clash, header, source, now)
    }
  }

  /// Takes a peer's BYE. The caller has found the session in the datagram that it came in.
  public mutating func receiveBye(from peer: EndpointID, reason: ByeReason, at now: Timestamp) {
    guard phase == .running, let slot = table.slot(of: peer) else { return }
    removePeer(slot, reason: reason == .lostClash ? .lostClash : .bye, at: now)
  }

  /// Takes a reset. If it echoes the session ID that a peer at that address chose, the session is in doubt.
  public mutating func receiveReset(connection: UInt32, from source: SocketAddress, at now: Timestamp) {
    guard phase == .running else { return }
    // A reset names nobody. They are rare and rate-limited by their sender, so a search will do.
    for slot in table.indices where table.contains(slot) {
      guard table[slot].info.remoteSession == connection, table[slot].info.address == source else { continue }
      // A reset is not sealed, so it may be forged. Where datagrams are, it is no more than a reason to ask: a peer that has
      // forgotten the session answers the challenge with one of its own, and then with a WELCOME.
      probe(slot, for: configuration.isSealed ? .life : .session, at: now)
      return
    }
  }

  /// Takes note of a valid datagram in the session with this ID of ours; gives the peer's place, or nil if there is no
  /// such session. Cheap: called for every datagram.
  ///
  /// - Parameter datagramBytes: its size. A new address is challenged once so many bytes came from it that the challenge is
  ///   no larger.
  @discardableResult
  public mutating func signOfLife(
    session: UInt32, from source: SocketAddress, datagramBytes: Int = WireLimits.challengeDatagramBytes,
    at now: Timestamp
  ) -> Int? {
    guard phase == .running, let slot = table.slot(session: session) else { return nil }
    table[slot].info.leaseDeadline = now + table[slot].lease
    if table[slot].info.address == source {
      table[slot].addressHeardAt = now
      table[slot].sessionHeardAt = now
    } else {
      // It knows the session, so this is more than hearsay, but not yet proof that it receives there.
      let credit = (table[slot].stray.map { $0.address == source ? $0.bytes : 0 } ?? 0) + datagramBytes
      let isEnough = credit >= WireLimits.challengeDatagramBytes
      table[slot].stray = (source, isEnough ? 0 : credit)
      if isEnough { heardElsewhere(slot, at: source, in: nil, at: now) }
    }
    if !table[slot].isConfirmed {
      table[slot].isConfirmed = true
      table[slot].welcome = nil
    }
    return slot
  }

  /// Takes note that this endpoint's subscriptions changed; the next announcement tells.
  public mutating func interestChanged(to version: UInt64) {
    interestVersion = max(interestVersion, version)
  }

  /// Takes note that addresses or interfaces changed: announces as at start, for everybody has to learn the new address,
  /// and challenges each peer. That shows a peer the new address by unicast, and lets its system correct what it knows of
  /// ours (ARP, neighbour discovery), which may otherwise send to a network card that is gone for ten seconds. A peer that
  /// does not answer is no longer reached there, and its next announcement from another address moves the session.
  ///
  /// - Parameters:
  ///   - locators: The other addresses of this endpoint; `nil` if they are the same.
  ///   - targets: Whom to announce to; `nil` if they are the same. The number of an interface in them may be another one.
  public mutating func networkChanged(
    locators: [SocketAddress]? = nil, targets: [SocketAddress]? = nil, at now: Timestamp
  ) {
    if let locators { local.locators = locators }
    if let targets { configuration.targets = targets }
    guard phase == .running else { return }
    listeningSince = now
    beginStartupAnnouncements(at: now)
    for slot in table.indices where table.contains(slot) { probe(slot, for: .path, at: now) }
  }

  /// Says goodbye to everybody. Afterwards nothing is taken or sent any more.
  public mutating func stop(at now: Timestamp) {
    guard phase == .running else {
      phase = .stopped
      return
    }
    leave(reason: .leaving, at: now)
  }

  // MARK: Outputs

  /// The next thing to do.
  public mutating func nextAction() -> Action? { actions.popFirst() }

  // MARK: Questions

  /// The peers, in an order that depends on nothing but the inputs so far.
  public var peers: [PeerInfo] {
    table.indices.compactMap { table.contains($0) ? table[$0].info : nil }
  }
  /// How many peers there are.
  public var peerCount: Int { table.count }
  /// How many proven endpoints are not peers yet.
  public var handshakeCount: Int { handshakes.count }
  /// The peer with an endpoint ID.
  public func peer(_ id: EndpointID) -> PeerInfo? { table.slot(of: id).map { table[$0].info } }
  /// The peer with a name.
  public func peer(named name: String) -> PeerInfo? { table.slot(name: name).map { table[$0].info } }
  /// The peer in a place, see ``PeerInfo/slot``.
  public func peer(slot: Int) -> PeerInfo? { table.contains(slot) ? table[slot].info : nil }
  /// The peer whose session has this ID of ours.
  public func peer(session: UInt32) -> PeerInfo? { table.slot(session: session).map { table[$0].info } }
  /// The peer whose group datagrams carry this tag; the first one, if several peers share it.
  public func peer(groupTag: UInt32) -> PeerInfo? { table.slot(tag: groupTag).map { table[$0].info } }
  /// Whether a session ID was given to an endpoint whose handshake is not complete: its datagrams come too early, and are
  /// to be dropped without a reset.
  public func isHandshake(session: UInt32) -> Bool { table.isReserved(session: session) }
  /// How long this endpoint has been running.
  public func uptime(at now: Timestamp) -> Nanoseconds { now.since(startedAt) }

  // MARK: For all aspects

  /// Queues a frame. Frames for one address that are queued in the same turn share a datagram.
  mutating func send(_ frame: DiscoveryFrame, to address: SocketAddress) {
    switch frame {
    case .announce: counters.announcementsSent += 1
    case .challenge: counters.challengesSent += 1
    case .answer: counters.answersSent += 1
    case .welcome: counters.welcomesSent += 1
    case .clash: counters.clashesSent += 1
    }
    let frameMinimum = frame.minimumDatagramBytes
    // A turn leaves a handful of actions, so a short look back finds what can be shared.
    for index in actions.indices.suffix(8).reversed() {
      guard case .send(var frames, address, let minimum) = actions[index] else { continue }
      let overhead = WireLimits.longHeaderBytes + (configuration.isSealed ? DatagramSeal.longOverhead : 0)
      let bytes = frames.reduce(overhead + frame.byteCount) { $0 + $1.byteCount }
      guard bytes <= (address.isRelayed ? WireLimits.relayedBaseBytes : WireLimits.baseDatagramBytes) else { break }
      if case .answer = frame {
        // An answer proves the address from which the other frames are to be believed.
        frames.insert(frame, at: 0)
      } else if case .welcome = frame, let old = frames.firstIndex(where: \.isWelcome) {
        frames[old] = frame
      } else {
        frames.append(frame)
      }
      actions[index] = .send(frames, to: address, minimumBytes: max(minimum, frameMinimum))
      return
    }
    actions.append(.send([frame], to: address, minimumBytes: frameMinimum))
  }

  /// Counts a limit that bit, and tells of it at most once a second.
  mutating func hit(_ limit: Limit, at now: Timestamp) {
    if let count = limits.reach(limit, at: now) { actions.append(.limit(limit, count: count)) }
  }

  /// Takes one of the replies to an unproven address, if one is left.
  mutating func mayReply(to address: SocketAddress, at now: Timestamp) -> Bool {
    let outcome = replies.take(for: address, at: now)
    if outcome.hasReplacedOther { hit(.replySources, at: now) }
    if !outcome.isGranted { hit(.repliesPerSecond, at: now) }
    return outcome.isGranted
  }

  /// Says goodbye and forgets everything.
  mutating func leave(reason: ByeReason, at now: Timestamp) {
    // Whoever passes on our goodbyes must not have had its own before.
    for isRelayed in [true, false] {
      for slot in table.indices where table.contains(slot) && table[slot].info.address.isRelayed == isRelayed {
        actions.append(.sendBye(to: table[slot].info, reason: reason))
      }
    }
    for target in configuration.targets {
      send(.announce(makeAnnouncement(listing: .nobody, isLeaving: true, at: now)), to: target)
    }
    for slot in table.indices where table.contains(slot) { _ = table.remove(slot) }
    for handshake in handshakes { table.release(handshake.slot) }
    handshakes = []
    pendingChallenges = []
    busy = []
    announceAt = nil
    leaseCheckAt = nil
    timerAt = nil
    phase = .stopped
  }
}

extension DiscoveryFrame {
  fileprivate var isWelcome: Bool {
    if case .welcome = self { true } else { false }
  }
}
