import GlueAddress
import GlueCore

/// Sees everything that happens in a run, keeps the books that need the view from above, and asks the checkers.
package struct Recorder {
  /// A life as the run knows it.
  package struct LifeRecord {
    var host: Int
    var id: EndpointID
    var incarnation: Incarnation
    var name: String
    var startedAt: Timestamp
    var endedAt: Timestamp?
    var lease: Nanoseconds
    var interval: Nanoseconds
  }

  /// A published message.
  package struct MessageRecord {
    var at: Timestamp
    var lifetime: Nanoseconds?
    var bytes: Int
  }

  package let seed: UInt64
  package let topics: [SimulatedTopic]
  package var report = SimulationReport()
  package var trace: Trace
  package private(set) var lives: [LifeRecord] = []
  /// Sessions that ended, lives that began, windows that closed: whatever makes bytes be sent again that were not lost.
  package var disturbances: UInt64 = 0

  var integrity = Integrity()
  var atMostOnce = AtMostOnce()
  var order = Order()
  var ledger = DeliveryLedger()
  var eventualDelivery = EventualDelivery()
  var acknowledgement = Acknowledgement()
  var expiry = Expiry()
  var interestOnly = InterestOnly()
  var isolation = Isolation()
  var bufferCaps = BufferCaps()
  var repetition = BoundedRepetition()
  var announcementRate = AnnouncementRate()
  var quietNetwork = QuietNetwork()
  var wholeSessions = WholeSessions()
  var oneHolder = OneHolder()
  var amplification = Amplification()
  var convergence = Convergence()
  var unprovenState = UnprovenState()
  var multicastTold = MulticastTold()
  var relaying = Relaying()
  var reunion = Reunion()
  var durability = Durability()
  var retained = Retained()
  package var models = ModelBooks()
  package var quorums = QuorumBooks()
  var hostileDatagrams: UInt64 = 0
  /// Damaged payloads are delivered: what depends on their content is not judged.
  var ignoresContent = false

  private var livesByIncarnation: [UInt64: Life] = [:]
  private var livesByName: [RelayedEndpoint: Life] = [:]
  private var topicsByName: [String: Int] = [:]
  private var messages: [StreamKey: [MessageRecord]] = [:]
  private var directs: [UInt64: UInt64] = [:]
  private var directOrder: [StreamKey: UInt64] = [:]
  /// Violations of one invariant that are kept; the first tells the most.
  private static let keptViolations = 3

  package init(seed: UInt64, topics: [SimulatedTopic], traceLines: Int) {
    self.seed = seed
    self.topics = topics
    trace = Trace(capacity: traceLines)
    for (index, topic) in topics.enumerated() { topicsByName[topic.name] = index }
  }

  // MARK: Names

  package func life(of incarnation: Incarnation) -> Life? { livesByIncarnation[incarnation.rawValue] }
  package func life(named endpoint: RelayedEndpoint) -> Life? { livesByName[endpoint] }
  package func topic(named name: String) -> Int? { topicsByName[name] }
  package func message(_ stream: StreamKey, _ sequence: UInt64) -> MessageRecord? {
    guard let list = messages[stream], sequence < UInt64(list.count) else { return nil }
    return list[Int(sequence)]
  }

  /// The place of a value among those of its topic.
  private func stamp(_ mark: RetainedMark?, of stream: StreamKey) -> RetainedStamp {
    let life = lives[stream.publisher]
    return RetainedStamp(time: mark?.time ?? 0, publisher: life.id, incarnation: life.incarnation)
  }

  /// Whether every message of a stream that is kept has to reach whoever wants it, or to be reported as lost.
  private func isSought(_ stream: StreamKey) -> Bool {
    topics[stream.topic].history != .none && topics[stream.topic].history != .retained
  }

  /// How many messages of a stream there are so far.
  func publishedCount(_ stream: StreamKey) -> UInt64 { UInt64(messages[stream]?.count ?? 0) }

  // MARK: Verdicts

  package mutating func judge(_ invariant: Invariant, _ verdict: String?, at now: Timestamp) {
    guard let verdict, !(ignoresContent && Self.contentInvariants.contains(invariant)) else { return }
    guard report.violations.count(where: { $0.invariant == invariant }) < Self.keptViolations else { return }
    report.violations.append(
      Violation(seed: seed, invariant: invariant, at: now, text: verdict, trace: trace.tail))
  }

  /// What damaged datagrams may break in a network without a key.
  private static let contentInvariants: Set<Invariant> = [
    .integrity, .atMostOnce, .order, .eventualDelivery, .expiry, .acknowledgement, .interestOnly, .isolation, .reunion,
    .wholeSessions, .durability, .retained,
    .modelConvergence, .modelIntegrity, .modelRetention, .modelTransactions, .modelNoReturn,
    .quorumLeaders, .quorumLog, .quorumOrder, .quorumDurability, .quorumHistory, .quorumLocks, .quorumProgress,
    .quorumConvergence,
    .convergence, .oneHolder, .boundedRepetition, .amplification, .quietNetwork, .announcementRate,
  ]

  // MARK: Lives

  package mutating func started(
    host: Int, id: EndpointID, incarnation: Incarnation, name: String, interval: Nanoseconds, lease: Nanoseconds,
    at now: Timestamp
  ) -> Life {
    let life = lives.count
    lives.append(
      LifeRecord(
        host: host, id: id, incarnation: incarnation, name: name, startedAt: now, lease: lease, interval: interval))
    livesByIncarnation[incarnation.rawValue] = life
    livesByName[RelayedEndpoint(id: id, tag: UInt32(truncatingIfNeeded: incarnation.rawValue))] = life
    disturbances += 1
    trace.note(.started, life, host, Int(truncatingIfNeeded: id.rawValue), at: now)
    return life
  }

  package mutating func ended(_ life: Life, at now: Timestamp) {
    lives[life].endedAt = now
    ledger.ended(life)
    disturbances += 1
    trace.note(.ended, life, at: now)
  }

  package mutating func disconnected(_ life: Life, from other: Life, at now: Timestamp) {
    disturbances += 1
    multicastTold.disturbed(life)
    ledger.disconnected(life, other)
    order.disconnected(subscriber: life, publisher: other)
  }

  // MARK: Messages

  package mutating func published(
    _ stream: StreamKey, sequence: UInt64, position: UInt64, digest: UInt64, bytes: Int, lifetime: Nanoseconds?,
    readers: [Life], at now: Timestamp
  ) {
    report.published += 1
    trace.note(.published, stream.publisher, stream.topic, Int(sequence), bytes, at: now)
    judge(.integrity, integrity.published(stream, sequence: sequence, digest: digest), at: now)
    messages[stream, default: []].append(MessageRecord(at: now, lifetime: lifetime, bytes: bytes))
    // Of a topic that retains its last value those that a newer one replaces need not arrive.
    guard topics[stream.topic].reliability == .reliable, topics[stream.topic].history != .retained else { return }
    ledger.published(stream, sequence: sequence, readers: readers)
    acknowledgement.published(stream, sequence: sequence, position: position, readers: readers)
  }

  /// A subscription goes on where an earlier one stopped.
  package mutating func resumed(_ subscription: SubscriptionKey, _ stream: StreamKey, at sequence: UInt64) {
    order.resumed(subscription, stream, at: sequence)
    if topics[stream.topic].history != .none { reunion.resumed(subscription, stream, at: sequence) }
  }

  /// A message reached the machine of an endpoint; its driver may still drop it as expired. `metAt` is when it last met the publisher.
  package mutating func delivered(
    _ stream: StreamKey, sequence: UInt64, digest: UInt64, to subscription: SubscriptionKey, isSound: Bool,
    metAt: Timestamp? = nil, mark: RetainedMark? = nil, at now: Timestamp
  ) {
    report.delivered += 1
    trace.note(
      .delivered, subscription.life, stream.publisher, stream.topic, Int(truncatingIfNeeded: sequence), at: now)
    judge(.integrity, integrity.delivered(stream, sequence: sequence, digest: digest), at: now)
    judge(.atMostOnce, atMostOnce.delivered(to: subscription, stream, sequence: sequence), at: now)
    if topics[stream.topic].history == .retained {
      order.mayJump(at: subscription, stream)
      judge(
        .retained, retained.delivered(mark, of: stream, as: stamp(mark, of: stream), to: subscription), at: now)
    }
    judge(.order, order.delivered(to: subscription, stream, sequence: sequence), at: now)
    if isSought(stream) { reunion.delivered(to: subscription, stream, sequence: sequence) }
    if ledger.arrived(stream, sequence: sequence, at: subscription.life) { eventualDelivery.arrived() }
    guard isSound, topics[stream.topic].reliability == .reliable, let message = message(stream, sequence),
      message.bytes <= 1_000,
      // Of what is kept, history comes first, and what is missing is waited for.
      topics[stream.topic].history == .none, message.at >= metAt ?? message.at
    else { return }
    judge(
      .isolation,
      isolation.delivered(stream, sequence: sequence, to: subscription.life, after: now.since(message.at)), at: now)
  }

  package mutating func handedOver(
    _ stream: StreamKey, sequence: UInt64, to life: Life, delay: Nanoseconds, at now: Timestamp
  ) {
    guard let message = message(stream, sequence), let lifetime = message.lifetime else { return }
    judge(
      .expiry,
      expiry.delivered(
        stream, sequence: sequence, publishedAt: message.at, lifetime: lifetime, at: now,
        delay: stream.publisher == life ? .zero : delay), at: now)
  }

  package mutating func lost(_ loss: Loss, at life: Life, now: Timestamp) {
    guard let publisher = self.life(of: loss.stream.incarnation), let topic = topic(named: loss.stream.topic) else {
      return
    }
    let stream = StreamKey(publisher: publisher, topic: topic)
    report.lost += UInt64(loss.sequences.count)
    trace.note(
      .lost, life, publisher, Int(truncatingIfNeeded: loss.sequences.lowerBound),
      Int(truncatingIfNeeded: loss.sequences.upperBound), at: now)
    ledger.lost(stream, loss.sequences, at: life)
    for subscription in loss.subscriptions {
      let key = SubscriptionKey(life: life, number: subscription.rawValue)
      if topics[topic].history != .retained { judge(.order, order.lost(to: key, stream, loss.sequences), at: now) }
      if isSought(stream) { reunion.lost(to: key, stream, loss.sequences) }
    }
  }

  package mutating func endOfTurn(at now: Timestamp, isWaiting: (StreamKey, UInt64, Life) -> Bool) {
    judge(.order, order.endOfTurn(), at: now)
    judge(.acknowledgement, acknowledgement.endOfTurn(ledger, isWaiting: isWaiting), at: now)
  }

  // MARK: Direct messages

  package mutating func sentDirect(number: UInt64, digest: UInt64, from life: Life, at now: Timestamp) {
    report.published += 1
    trace.note(.direct, life, Int(number), at: now)
    directs[number] = digest
  }

  package mutating func deliveredDirect(
    number: UInt64, digest: UInt64, from publisher: Life, to life: Life, at now: Timestamp
  ) {
    report.delivered += 1
    trace.note(.delivered, life, publisher, -1, Int(truncatingIfNeeded: number), at: now)
    if directs[number] != digest {
      judge(.integrity, "delivered a direct message of life \(publisher) that was never sent", at: now)
      return
    }
    // Numbers ascend in the whole run, so also on each path.
    let path = StreamKey(publisher: publisher, topic: life)
    if let last = directOrder[path], last >= number {
      let verdict = "delivered direct message \(number) of life \(publisher) to life \(life) after \(last)"
      judge(last == number ? .atMostOnce : .order, verdict, at: now)
    }
    directOrder[path] = number
  }

  // MARK: The end

  package mutating func finish(network: SimulatedNetwork, at now: Timestamp) {
    judge(
      .boundedRepetition,
      repetition.finished(troubledBytes: network.troubledBytes, disturbances: disturbances), at: now)
    report.runs = 1
    report.virtualSeconds = Double(now.nanoseconds) / 1_000_000_000
    report.datagramsLost = network.drops.reduce(0, +)
    report.traceDigest = trace.digest
    let checks: [UInt64] = Invariant.allCases.map { invariant in
      switch invariant {
      case .integrity: integrity.checks
      case .atMostOnce: atMostOnce.checks
      case .order: order.checks
      case .eventualDelivery: eventualDelivery.checks
      case .expiry: expiry.checks
      case .acknowledgement: acknowledgement.checks
      case .interestOnly: interestOnly.checks
      case .isolation: isolation.checks
      case .bufferCaps: bufferCaps.checks
      case .boundedRepetition: repetition.checks
      case .announcementRate: announcementRate.checks
      case .quietNetwork: quietNetwork.checks
      case .wholeSessions: wholeSessions.checks
      case .oneHolder: oneHolder.checks
      case .amplification: amplification.checks
      case .convergence: convergence.checks
      case .unprovenState: unprovenState.checks
      case .multicastTold: multicastTold.checks
      case .relaying: relaying.checks
      case .reunion: reunion.checks
      case .durability: durability.checks
      case .retained: retained.checks
      case .modelConvergence: models.convergence.checks
      case .modelIntegrity: models.integrity.checks
      case .modelRetention: models.retention.checks
      case .modelTransactions: models.transactions.checks
      case .modelNoReturn: models.noReturn.checks
      case .modelDurability: models.durability.checks
      case .modelWatching: models.watching.checks
      case .quorumLeaders: quorums.leaders.checks
      case .quorumLog: quorums.log.checks
      case .quorumOrder: quorums.order.checks + quorums.watching.checks
      case .quorumMemory: quorums.memory.checks
      case .quorumDurability: quorums.durability.checks
      case .quorumHistory: quorums.history.checks
      case .quorumLocks: quorums.locks.checks
      case .quorumEnds: quorums.ends.checks
      case .quorumProgress: quorums.progress.checks
      case .quorumConvergence: quorums.convergence.checks
      case .totalDecoder: hostileDatagrams
      }
    }
    report.checks = checks
  }
}
