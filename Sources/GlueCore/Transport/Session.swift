import Crypto
import DequeModule
import GlueAddress
import OrderedCollections

/// What this endpoint knows of one peer, and the transport of everything between the two (docs/protocol.md §5, §6).
///
/// Datagrams are numbered, acknowledged and counted here, to measure round trips and loss; which messages arrived is the
/// business of the streams. A session lives from WELCOME to expiry, BYE or replacement of the peer.
final class Session {
  // Its properties are exempt from the run-time exclusivity check, which cost 40 % of the time of a lone message (2.7 µs with,
  // 1.6 µs without, both sides together); nothing here calls back into itself.

  /// The reserved streams of each session, and the first number for topics.
  static let controlStream: UInt64 = 0
  static let directStream: UInt64 = 1
  static let firstTopicStream: UInt64 = 2
  /// Window of a stream before its first STATUS (docs/protocol.md §6.3).
  static let initialWindowBytes = 65_536

  @exclusivity(unchecked) var peer: PeerInfo
  let configuration: TransportConfiguration

  // Sending.
  @exclusivity(unchecked) var roundTrip: RoundTripEstimator
  @exclusivity(unchecked) var congestion: CongestionWindow
  @exclusivity(unchecked) var path: PathProbe
  /// Running while somebody measures the path.
  @exclusivity(unchecked) var echoes: EchoProbes?
  @exclusivity(unchecked) var sent = SentDatagrams()
  let control: RemoteReader
  let direct: RemoteReader
  /// Topic streams that the peer reads, by number.
  @exclusivity(unchecked) var readers: OrderedDictionary<UInt64, RemoteReader> = [:]
  /// One above the position of the last CLOSE among the control messages.
  @exclusivity(unchecked) var closedBelow: UInt64 = 0
  /// The number of the peer's datagram that acknowledged the most of them.
  @exclusivity(unchecked) var controlAcknowledgedIn: UInt64 = 0
  /// Readers with something to send that is being published.
  @exclusivity(unchecked) var queue = Deque<RemoteReader>()
  /// Readers with something to send that was published before: it has its turn when nothing else has, or has had for a while.
  @exclusivity(unchecked) var pastQueue = Deque<RemoteReader>()
  /// How many datagrams went since it had one, while it was not empty.
  @exclusivity(unchecked) var datagramsWithoutPast = 0
  /// Readers with a probe timer, and some of which it was stopped since: of many readers few have one.
  @exclusivity(unchecked) var probed: [RemoteReader] = []
  /// No reader has to be asked before this.
  @exclusivity(unchecked) var probeAt: Timestamp?
  /// When datagrams under way count as gone unless an ACK comes; nil while none are.
  @exclusivity(unchecked) private var silenceAt: Timestamp?
  /// And that however many have left since.
  @exclusivity(unchecked) private var silenceBy = Timestamp(nanoseconds: 0)
  /// How often that happened in a row.
  @exclusivity(unchecked) private var silences = 0
  /// Round trips in a row in which repetition was asked for without any progress, while datagrams were larger than the base.
  @exclusivity(unchecked) private var fruitlessRequests = 0
  /// Until when further requests belong to the same round trip.
  @exclusivity(unchecked) private var fruitlessUntil = Timestamp(nanoseconds: 0)
  @exclusivity(unchecked) var bytesSinceAcknowledgementRequest = 0
  /// The next datagram must ask to be acknowledged at once.
  @exclusivity(unchecked) var wantsAcknowledgement = false
  /// From when on a request for repetition measures a round trip.
  @exclusivity(unchecked) var measureAt = Timestamp(nanoseconds: 0)

  // For others.
  /// Datagrams to be passed on to the peer, with what RELAY says of them.
  @exclusivity(unchecked) var relays = Deque<(header: RelayHeader, receivedAt: Timestamp, datagram: [UInt8])>()
  @exclusivity(unchecked) var relayedBytes = 0
  /// Whether one of them has its turn, rather than this endpoint's own datagrams.
  @exclusivity(unchecked) var isRelaysTurn = false

  // Receiving.
  @exclusivity(unchecked) var replay = ReplayWindow()
  @exclusivity(unchecked) var reordering = Reordering()
  @exclusivity(unchecked) var received: UInt64 = 0
  @exclusivity(unchecked) var group = GroupTraffic()
  @exclusivity(unchecked) var largestReceivedAt = Timestamp(nanoseconds: 0)
  @exclusivity(unchecked) var unacknowledgedBytes = 0
  @exclusivity(unchecked) var acknowledgeAt: Timestamp?
  /// When the first came of what has not been acknowledged.
  @exclusivity(unchecked) private var unacknowledgedSince = Timestamp(nanoseconds: 0)
  @exclusivity(unchecked) var inbound: [UInt64: InboundStream] = [:]
  /// Streams whose STATUS goes with the next ACK.
  @exclusivity(unchecked) var statusDue: [InboundStream] = []
  /// Streams that lack something.
  @exclusivity(unchecked) var lacking: [InboundStream] = []
  @exclusivity(unchecked) var pathReply: UInt16?
  /// Bytes set aside for the peer's large messages.
  @exclusivity(unchecked) var reservedBytes = 0
  private let receiveBufferBytes: Int

  // Security.
  /// Nil in an open network.
  @exclusivity(unchecked) var seal: DatagramSeal?
  /// The keys that the peer's datagrams may be sealed with, as ``DatagramSeal/senderKeys(id:incarnation:salt:)`` gives them.
  @exclusivity(unchecked) var openers: [SymmetricKey] = []

  // Topics.
  /// Type mismatches that it may still cause.
  @exclusivity(unchecked) var mismatches: TokenBucket
  /// What the peer has of streams, and what it is asked for.
  @exclusivity(unchecked) var history: PeerHistory
  /// The store that the peer has, if it has told of one.
  @exclusivity(unchecked) var store: StoreID?
  /// What the peer wants, by its subscription numbers.
  @exclusivity(unchecked) var subscriptions: OrderedDictionary<UInt64, RemoteSubscription> = [:]
  /// Subscriptions of this endpoint up to this number have been told.
  @exclusivity(unchecked) var toldSubscriptions: UInt64 = 0
  @exclusivity(unchecked) var toldInterest: UInt64 = 0
  @exclusivity(unchecked) var hasToldInterest = false
  /// The peer has told all its subscriptions.
  @exclusivity(unchecked) var knowsInterest = false
  /// Whether it waits in the machine's queue, and how many datagrams it has sent in its turn.
  @exclusivity(unchecked) var isQueued = false
  @exclusivity(unchecked) var turn = 0
  /// When it is called next, and its place among those that are (see ``SessionAlarms``).
  @exclusivity(unchecked) var alarmAt = Timestamp.distantFuture
  @exclusivity(unchecked) var alarmPlace = -1
  /// The peer is gone.
  @exclusivity(unchecked) var isClosed = false

  init(
    peer: PeerInfo, configuration: TransportConfiguration, topics: TopicsConfiguration, receiveBufferBytes: Int,
    peerReceiveBufferBytes: Int, at now: Timestamp
  ) {
    history = PeerHistory(requestsPerSecond: topics.requestsPerSecond, at: now)
    mismatches = TokenBucket(perSecond: topics.mismatchesPerSecond, burst: topics.mismatchesPerSecond * 10, at: now)
    self.peer = peer
    self.configuration = configuration
    self.receiveBufferBytes = receiveBufferBytes
    roundTrip = RoundTripEstimator(initial: configuration.initialRoundTrip)
    congestion = CongestionWindow(receiveBufferBytes: peerReceiveBufferBytes)
    path = PathProbe(
      maximum: configuration.maximumDatagramBytes, isRelayed: peer.address.isRelayed, at: now)
    // The control stream is bounded by whoever writes to it: see EndpointMachine.tellInterest.
    let control = OutboundStream(number: Self.controlStream, isReliable: true, epoch: now, limitBytes: .max)
    let direct = OutboundStream(
      number: Self.directStream, isReliable: true, epoch: now, limitBytes: configuration.sendBufferBytes)
    // `unowned` references to self need a second step.
    self.control = RemoteReader(
      stream: control, from: 0, windowBytes: Self.initialWindowBytes, maximumRequests: configuration.maximumGaps)
    self.direct = RemoteReader(
      stream: direct, from: 0, windowBytes: Self.initialWindowBytes, maximumRequests: configuration.maximumGaps)
    self.control.attach(to: self)
    self.direct.attach(to: self)
  }

  /// Half the round trip: the best guess at the one-way delay. Nothing before it has been measured.
  var oneWayDelay: Nanoseconds { roundTrip.hasSample ? Nanoseconds(roundTrip.smoothed.count / 2) : .zero }

  /// The reader of a stream of ours at this peer.
  func reader(of stream: UInt64) -> RemoteReader? {
    switch stream {
    case Self.controlStream: control
    case Self.directStream: direct
    default: readers[stream]
    }
  }

  func enqueue(_ reader: RemoteReader, at now: Timestamp) {
    guard !reader.isQueued else { return }
    guard reader.hasWork else {
      // Its window may be shut: then it has to be asked for a new one.
      if reader.probeAt == nil { reader.armProbe(at: now) }
      return
    }
    reader.setQueued(true)
    // What opens streams goes before what flows in them.
    if reader === control { queue.prepend(reader) } else { append(reader) }
  }

  func append(_ reader: RemoteReader) {
    if reader.isCatchingUp { pastQueue.append(reader) } else { queue.append(reader) }
  }

  /// Whether some reader has something to send.
  var hasReaders: Bool { !queue.isEmpty || !pastQueue.isEmpty }

  func send(_ message: ControlMessage, at now: Timestamp) {
    message.encoded().withUnsafeBytes { bytes in
      _ = control.stream.log.append(
        bytes, attributes: UnsafeRawBufferPointer(start: nil, count: 0), time: control.stream.time(at: now),
        lifetime: nil, published: now, expires: .distantFuture)
    }
    enqueue(control, at: now)
  }

  // MARK: Receiving

  /// Notes a datagram that arrived, and when it has to be acknowledged.
  func noteArrival(asksForAnswer: Bool, acknowledgeNow: Bool, byteCount: Int, at now: Timestamp) {
    guard asksForAnswer || acknowledgeNow else { return }
    unacknowledgedBytes += byteCount
    if acknowledgeNow || unacknowledgedBytes >= receiveBufferBytes / 4 {
      acknowledgeAt = now
      return
    }
    let delay = configuration.acknowledgementDelay
    guard let due = acknowledgeAt else {
      unacknowledgedSince = now
      acknowledgeAt = now + delay
      return
    }
    // What keeps coming shows by itself what is missing: who sends it waits for the acknowledgement of the last of it.
    guard due > now, statusDue.count == 1, statusDue[0].cameAt == now,
      unacknowledgedBytes <= min(Self.initialWindowBytes, statusDue[0].advertisedWindow) / 4
    else { return }
    if now + delay <= unacknowledgedSince + steadyDelay {
      acknowledgeAt = now + delay
    } else if now >= unacknowledgedSince + delay {
      // The rest is not waited for: this thread is awake now.
      acknowledgeAt = now
    }
  }

  /// What keeps coming of one stream is acknowledged within this time of its first, as long as it takes little of the window
  /// (docs/adr/0027). Four acknowledgement delays, but at most 20 ms: round trips and loss are still measured 50 times a second.
  /// A delay that is longer is kept as it is.
  private var steadyDelay: Nanoseconds {
    let delay = configuration.acknowledgementDelay
    return min(delay * 4, max(delay, .milliseconds(20)))
  }

  /// Whether something waits for its acknowledgement for so long that it had better go with what is sent anyway.
  func isAcknowledgementDueSoon(at now: Timestamp) -> Bool {
    guard let acknowledgeAt else { return false }
    let half = Nanoseconds(configuration.acknowledgementDelay.count / 2)
    return acknowledgeAt <= now + half || now >= unacknowledgedSince + Nanoseconds(steadyDelay.count / 2)
  }

  func noteStatusDue(_ stream: InboundStream) {
    guard stream.isReliable, !stream.isStatusDue else { return }
    stream.isStatusDue = true
    statusDue.append(stream)
  }

  /// Brings the list of streams that lack something up to date.
  func noteLacks(of stream: InboundStream) {
    guard stream.isListedAsLacking != stream.isLacking else { return }
    stream.isListedAsLacking.toggle()
    if stream.isListedAsLacking { lacking.append(stream) } else { lacking.removeAll { $0 === stream } }
  }

  func requestDueGaps(at now: Timestamp) {
    for stream in lacking {
      // A STATUS that is about to be written asks for whatever is due by then: many datagrams may come before it.
      if stream.isStatusDue, let acknowledgeAt, acknowledgeAt <= now { continue }
      guard stream.isDue(at: now, received: arrived) else { continue }
      noteStatusDue(stream)
      acknowledgeAt = now
    }
  }

  /// Datagrams that came in the session, and by way of groups.
  var arrived: UInt64 { received + group.received }

  /// What the datagram at hand tells its streams.
  func arrival(of owner: PayloadBuffer?, at now: Timestamp, receivedAt: Timestamp) -> InboundStream.Arrival {
    InboundStream.Arrival(
      now: now, receivedAt: receivedAt, oneWayDelay: oneWayDelay, received: arrived, patience: patience,
      restPatience: max(patience, roundTrip.smoothed + roundTrip.variation * 4), isReordered: reordering.isUsual,
      owner: owner)
  }

  /// How long what was sent may be under way. What a queue had made of round trips once holds up nothing for long.
  var settlingTime: Nanoseconds { min(roundTrip.smoothed, configuration.maximumRetryInterval) }

  /// How long to wait for reordered data before it is requested.
  var patience: Nanoseconds {
    let span = max(roundTrip.smoothed.count, reordering.lateness.count)
    return max(.milliseconds(1), Nanoseconds(span + span / 8))
  }

  func receive(_ ack: Ack, at now: Timestamp, counters: inout Counters) {
    _ = take(sent.acknowledged(ack, at: now), at: now, counters: &counters)
  }

  /// Returns whether it says anything.
  private func take(_ verdict: SentDatagrams.Verdict, at now: Timestamp, counters: inout Counters) -> Bool {
    if let sample = verdict.roundTrip { roundTrip.add(sample, at: now) }
    guard verdict.datagrams > 0 else { return false }
    counters.datagramsLost += verdict.lost
    // The path still carries datagrams that are larger than the base.
    if verdict.arrivedBytes > path.base { fruitlessRequests = 0 }
    congestion.acknowledged(
      charge: verdict.charge, datagrams: verdict.datagrams, lost: verdict.lost, roundTrip: roundTrip, at: now)
    silences = 0
    silenceAt = nil
    if congestion.inFlight > 0 { armSilence(at: now) }
    return true
  }

  /// Takes note of a datagram to a group of which the peer's reader is a member. Returns whether it is to be acknowledged at once.
  func noteSentToGroup(number: UInt64, total: UInt64, bytes: Int, at now: Timestamp) -> Bool {
    let charge = CongestionWindow.charge(for: bytes)
    group.sent.add(number: number, total: total, bytes: bytes, charge: charge, at: now)
    congestion.sent(charge: charge)
    bytesSinceAcknowledgementRequest += charge
    armSilence(at: now)
    guard wantsAcknowledgement || bytesSinceAcknowledgementRequest >= congestion.bytes / 4 else { return false }
    wantsAcknowledgement = false
    bytesSinceAcknowledgementRequest = 0
    return true
  }

  /// Takes what the peer tells of datagrams to groups. Returns whether it loses too many of them.
  func receiveGroupAck(_ ack: Ack, at now: Timestamp, counters: inout Counters) -> Bool {
    let verdict = group.sent.acknowledged(ack, at: now)
    guard take(verdict, at: now, counters: &counters) else { return false }
    return group.note(datagrams: verdict.datagrams, lost: verdict.lost)
  }

  /// Notes a STATUS: a path that no longer carries large datagrams shows in requests that repetition does not satisfy.
  func noteStatus(asksForRepetition: Bool, hasProgress: Bool, at now: Timestamp, counters: inout Counters) {
    guard !hasProgress, asksForRepetition, path.current > path.base else {
      if hasProgress { fruitlessRequests = 0 }
      return
    }
    // Requests that came before a repetition could have been answered say nothing about it.
    guard now >= fruitlessUntil else { return }
    fruitlessUntil = now + roundTrip.smoothed
    fruitlessRequests += 1
    if fruitlessRequests >= PathProbe.fallbackAfterRequests { fallBack(at: now, counters: &counters) }
  }

  private func fallBack(at now: Timestamp, counters: inout Counters) {
    fruitlessRequests = 0
    guard path.current > path.base else { return }
    path.fallBack(at: now)
    counters.pathFallbacks += 1
  }

  /// Takes note of what has changed of the peer. A way by way of others is another path than the direct one: what is known of the
  /// one says nothing of the other.
  func update(_ peer: PeerInfo, at now: Timestamp) {
    let isRelayed = peer.address.isRelayed
    let isOther = isRelayed != self.peer.address.isRelayed
    self.peer = peer
    guard isOther else { return }
    path = PathProbe(maximum: configuration.maximumDatagramBytes, isRelayed: isRelayed, at: now)
    roundTrip = RoundTripEstimator(initial: configuration.initialRoundTrip)
    congestion = CongestionWindow(receiveBufferBytes: peer.receiveBufferBytes)
    sent.forget()
    group.sent.forget()
    fruitlessRequests = 0
    silences = 0
    silenceAt = nil
    relays.removeAll()
    relayedBytes = 0
  }

  // MARK: Timers

  /// How long to wait for an answer, after so many that did not come. The first wait includes the time that an acknowledgement
  /// may take; a probe asks for one at once.
  func probeTimeout(after unanswered: Int) -> Nanoseconds {
    guard unanswered > 0 else {
      let timeout = roundTrip.probeTimeout(acknowledgementDelay: configuration.acknowledgementDelay)
      return min(max(timeout, .milliseconds(1)), configuration.maximumRetryInterval)
    }
    let timeout = max(roundTrip.probeTimeout(acknowledgementDelay: .zero), .milliseconds(2))
    return min(timeout * (1 << UInt64(min(unanswered - 1, 16))), configuration.maximumRetryInterval)
  }

  /// A datagram that asks for an answer has left.
  func armSilence(at now: Timestamp) {
    let due = now + probeTimeout(after: silences)
    guard silenceAt != nil else {
      silenceAt = due
      silenceBy = due + steadyDelay
      return
    }
    // Who has not answered is asked to answer at once, which takes no longer however much follows.
    if silences == 0 { silenceAt = min(due, silenceBy) }
  }

  var nextWakeup: Timestamp {
    var earliest = min(path.nextAt, echoes?.nextAt ?? .distantFuture)
    if let acknowledgeAt { earliest = min(earliest, acknowledgeAt) }
    if let probeAt { earliest = min(earliest, probeAt) }
    if let silenceAt { earliest = min(earliest, silenceAt) }
    for stream in lacking { if let due = stream.nextRequest { earliest = min(earliest, due) } }
    return earliest
  }

  /// Lets time pass. Whatever became due is sent by the next call of ``nextDatagram``.
  ///
  /// - Parameter isCaughtUp: Whether all that had arrived was received before.
  func advance(to now: Timestamp, isCaughtUp: Bool, counters: inout Counters) {
    if isCaughtUp { for stream in lacking { stream.noteRestMissing(at: now) } }
    requestDueGaps(at: now)
    if let due = silenceAt, due <= now {
      // Whatever was under way is gone; best-effort data that shut the window would otherwise keep it shut.
      silences += 1
      silenceAt = nil
      wantsAcknowledgement = true
      sent.forget()
      group.sent.forget()
      congestion.probeTimedOut(consecutive: silences)
      if silences >= PathProbe.fallbackAfter { fallBack(at: now, counters: &counters) }
    }
    guard let due = probeAt, due <= now else { return }
    probeAt = nil
    var count = 0
    for index in probed.indices {
      let reader = probed[index]
      if let due = reader.probeAt, due <= now {
        counters.probeTimeouts += 1
        wantsAcknowledgement = true
        reader.probe(at: now)
        enqueue(reader, at: now)
      }
      guard let next = reader.probeAt else {
        reader.isListedAsProbed = false
        continue
      }
      probeAt = min(probeAt ?? next, next)
      if count < index { probed[count] = reader }
      count += 1
    }
    probed.removeLast(probed.count - count)
  }
}

/// What a peer subscribed to.
struct RemoteSubscription {
  var filter: String
  var type: String?
  /// What it wants of what was published before it began.
  var history = HistoryRequest.none
  /// When it began, on this endpoint's clock.
  var began: Timestamp
  /// Only asks what there is.
  var isInquiry = false
}

extension Timestamp {
  static let distantFuture = Timestamp(nanoseconds: .max)
}
