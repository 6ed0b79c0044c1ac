import GlueAddress
import GlueCore

/// One life of an endpoint: the machine, the clock of its host, its socket, and a driver that does what the real one does:
/// drains after every input, checks expiry when it hands over, waits for room for 100 ms, and stops when it is defeated.
package final class SimulatedEndpoint {
  /// A subscription and what its user has not used up yet.
  package struct Subscription {
    var filter: String
    var options: SubscriptionOptions
    /// When it was made.
    var began: Timestamp
    /// Topics of the run that it matches.
    var topics: [Int]
    var progress: Progress
    var backlog: [ReceivedMessage] = []
  }
  /// How far a subscription is: what its user saves, and what the checker knows of it.
  package struct Progress {
    private(set) var position = ReadPosition()
    /// Of each reliable stream the next number.
    private(set) var next: [StreamKey: UInt64] = [:]

    mutating func advance(past message: ReceivedMessage, of stream: StreamKey, isReliable: Bool) {
      // A topic's value comes again.
      guard message.mark == nil else { return }
      position.advance(past: message.sequence, of: message.info)
      // Whoever publishes best effort promises nothing about what was before.
      if isReliable { next[stream] = message.sequence + 1 }
    }
  }
  /// A publication.
  package struct Publication {
    package var id: PublicationID
    package var topic: Int
  }
  /// What a driver does when a publication is full.
  package enum WhenFull: Sendable { case block, dropOldest, keepLatest }

  /// Its number in the run.
  package let life: Life
  /// Where it runs.
  package let host: Int
  /// The core.
  package let machine: EndpointMachine
  /// The host's clock.
  package let clock: LocalClock
  /// Subscriptions by number.
  package internal(set) var subscriptions: [SubscriptionID: Subscription] = [:]
  /// Publications in the order in which they were opened.
  package internal(set) var publications: [Publication] = []
  /// The models it has open.
  package internal(set) var models: [SimulatedModel] = []
  /// The quorum models it has open.
  package internal(set) var quorums: [SimulatedQuorum] = []
  /// Peers it has a session with, by ID: their lives.
  package internal(set) var peers: [EndpointID: Life] = [:]
  /// When it last met a life.
  var metAt: [Life: Timestamp] = [:]
  /// Events that scripts wait for, if they asked for them.
  package var keepsEvents = false
  /// What happened, if asked for.
  package internal(set) var events: [EndpointEvent] = []
  /// Messages handed over, if asked for: topic, sequence, serial.
  package internal(set) var received:
    [(topic: String, sequence: UInt64, serial: UInt64, isCleared: Bool, at: Timestamp)] = []

  unowned let simulation: Simulation
  /// Until when it stands still.
  var pausedUntil: Timestamp?
  var isOver = false
  /// Datagrams that arrived while it stood still.
  var socket: [SimulatedNetwork.Arriving] = []
  var socketArrivals: [Timestamp] = []
  var socketBytes = 0
  /// When it will have done with what is in its socket, where that takes time.
  var busyUntil = Timestamp(nanoseconds: 0)
  var wakeAt: Timestamp?
  var filter: MutantFilter?
  /// What it stores on; nil: it holds things in memory only.
  var disk: SimulatedDisk?
  /// Whether its store is busy, or waits after a failure.
  var isWriting = false
  /// Whether its user takes its time.
  package internal(set) var isSlow = false
  var isConsuming = false
  /// Publications whose message waits for room.
  var blocked: [PublicationID: [WaitingMessage]] = [:]
  /// Topics that were wanted, then not, then again, and whose messages have come since from these publishers. A publisher may
  /// learn of the end of the old subscription after it has published for it; the new one has no claim to that.
  var renewed: [Int: Set<Life>] = [:]
  /// The highest number delivered of each stream.
  var lastReceived: [StreamKey: UInt64] = [:]
  private var deliveries: [Delivery] = []
  private var isDraining = false

  struct WaitingMessage {
    var serial: UInt64
    var bytes: Int
    var lifetime: Nanoseconds?
    var isClear = false
  }

  init(
    life: Life, host: Int, configuration: EndpointConfiguration, incarnation: Incarnation, clock: LocalClock,
    seed: UInt64, in simulation: Simulation
  ) {
    self.life = life
    self.host = host
    self.clock = clock
    self.simulation = simulation
    machine = EndpointMachine(
      configuration: configuration, incarnation: incarnation, keySalt: ~seed, seed: seed,
      now: clock.local(simulation.now),
      wallMicroseconds: clock.wallMicroseconds(simulation.now))
  }

  /// Its time.
  package var now: Timestamp { clock.local(simulation.now) }
  /// Whether it runs and does not stand still.
  package var isRunning: Bool { !isOver && pausedUntil == nil }

  // MARK: Inputs

  func start() {
    machine.start(at: now)
    drain()
  }

  func receive(_ datagram: SimulatedNetwork.Arriving, receivedAt: Timestamp) {
    let source = datagram.source
    if let fromHost = datagram.sender {
      simulation.noteTransit(from: fromHost, to: host, receivedAt.since(datagram.sentAt))
      if let (fromHost, sentAt) = datagram.original {
        simulation.noteTransit(from: fromHost, to: host, receivedAt.since(sentAt))
      }
    } else {
      simulation.recorder.amplification.received(life, from: source, bytes: datagram.bytes.count)
      simulation.recorder.hostileDatagrams += 1
    }
    if filter != nil, !passesFilter(datagram) { return }
    datagram.bytes.withUnsafeBytes { bytes in
      machine.receive(
        bytes, from: source, arrival: datagram.isGroup ? .group : .unicast, at: now, receivedAt: clock.local(receivedAt)
      )
      drain()
    }
  }

  private func passesFilter(_ datagram: SimulatedNetwork.Arriving) -> Bool {
    let simulation = simulation
    let verdict = filter!.incoming(
      datagram.bytes, from: datagram.source, own: (machine.configuration.id, machine.incarnation), host: host,
      fromHost: datagram.sender, isGroup: datagram.isGroup,
      isKnownLife: { simulation.recorder.life(of: $0) != nil },
      uptime: simulation.now.since(simulation.recorder.lives[life].startedAt), at: simulation.now)
    if let incarnation = verdict.yieldsTo {
      simulation.defeated(self, by: simulation.recorder.life(of: incarnation))
      return false
    }
    return verdict.passes && !isOver
  }

  func wake() {
    machine.advance(to: now)
    for model in models { model.advance() }
    for quorum in quorums { quorum.advance() }
    drain()
  }

  // MARK: Draining

  /// The driver's rule: datagrams, deliveries, events, until nothing is left; then sleep.
  func drain() {
    // A message published inside a callback is drained by the drain that made the callback.
    guard !isDraining, !isOver else { return }
    isDraining = true
    var isDone = false
    while !isDone, !isOver {
      isDone = !sendDatagrams()
      machine.takeDeliveries(into: &deliveries)
      if !deliveries.isEmpty {
        isDone = false
        let others = models.isEmpty && quorums.isEmpty ? deliveries : deliveries.filter { !isOfModels($0) }
        var messages = others.map { ReceivedMessage($0) }
        deliveries.removeAll(keepingCapacity: true)
        if filter != nil { messages = filter!.deliveries(messages, at: now) }
        for message in messages { take(message) }
      }
      while let event = machine.nextEvent() {
        isDone = false
        if let filter, !filter.passes(event) { continue }
        if !models.contains(where: { $0.take(event) }), !quorums.contains(where: { $0.take(event) }) { take(event) }
      }
      for model in models where model.send() { isDone = false }
      for quorum in quorums where quorum.send() { isDone = false }
    }
    isDraining = false
    simulation.endOfTurn()
    guard !isOver else { return }
    writeToDisk()
    simulation.scheduleWake(of: self)
  }

  /// Takes what is for a model.
  private func isOfModels(_ delivery: Delivery) -> Bool {
    models.contains { $0.take(delivery) } || quorums.contains { $0.take(delivery) }
  }

  private func sendDatagrams() -> Bool {
    var hasSent = false
    let buffer = simulation.buffer
    while let datagram = machine.nextDatagram(into: buffer, at: now) {
      hasSent = true
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<datagram.byteCount])
      guard filter != nil else {
        simulation.send(bytes, from: self, to: datagram.destination)
        continue
      }
      let others = simulation.otherAddresses(than: host)
      let replaced = filter!.outgoing(
        Array(bytes), to: datagram.destination, others: others, at: simulation.now)
      for (bytes, destination) in replaced {
        bytes.withUnsafeBytes { simulation.send($0, from: self, to: destination) }
      }
    }
    return hasSent
  }

  private func take(_ message: ReceivedMessage) {
    guard let publisher = simulation.recorder.life(of: message.info.incarnation) else {
      return simulation.recorder.judge(
        .integrity, "delivered a message of a publisher that never was", at: simulation.now)
    }
    guard let id = message.subscription else {
      return simulation.recorder.deliveredDirect(
        number: message.serial, digest: message.digest, from: publisher, to: life, at: simulation.now)
    }
    guard let topic = simulation.recorder.topic(named: message.info.topic) else {
      return simulation.recorder.judge(
        .integrity, "delivered a message of a topic that never was", at: simulation.now)
    }
    guard subscriptions[id] != nil else {
      return simulation.recorder.judge(
        .interestOnly, "delivered to subscription \(id.rawValue) of life \(life), which has ended", at: simulation.now)
    }
    let stream = StreamKey(publisher: publisher, topic: topic)
    subscriptions[id]!.progress.advance(
      past: message, of: stream, isReliable: simulation.recorder.topics[topic].reliability == .reliable)
    let holdsBack = subscriptions[id]!.options.holdsBackPublisher
    renewed[topic]?.insert(publisher)
    lastReceived[stream] = max(lastReceived[stream] ?? 0, message.sequence)
    simulation.recorder.delivered(
      stream, sequence: message.sequence, digest: message.digest, to: SubscriptionKey(life: life, number: id.rawValue),
      isSound: !holdsBack && simulation.isSound(between: publisher, and: life), metAt: metAt[publisher],
      mark: message.mark, at: simulation.now)
    if holdsBack {
      subscriptions[id]!.backlog.append(message)
      if !isSlow { consume(id) } else { simulation.consumeLater(self) }
    } else {
      handOver(message, stream)
    }
  }

  private func handOver(_ message: ReceivedMessage, _ stream: StreamKey) {
    let isExpired = message.expiresAt.map { $0 <= now } ?? false
    if isExpired {
      simulation.recorder.trace.note(
        .expired, life, stream.publisher, stream.topic, Int(message.sequence), at: simulation.now)
      return
    }
    if let filter, filter.keepsPastExpiry, message.expiresAt != nil {
      return simulation.handOverTooLate(stream, sequence: message.sequence, to: self)
    }
    simulation.recorder.handedOver(
      stream, sequence: message.sequence, to: life,
      delay: simulation.longestTransit(
        from: stream.publisher, to: life, isKept: simulation.recorder.topics[stream.topic].history != .none),
      at: simulation.now)
    if keepsEvents {
      let isCleared = message.mark?.isCleared ?? false
      received.append((message.info.topic, message.sequence, message.serial, isCleared, simulation.now))
    }
    simulation.onMessage?(self, message)
  }

  /// Uses up what a subscription that holds back its publishers has got; all of it, or so many messages.
  func consume(_ id: SubscriptionID, most: Int = .max) {
    var count = 0
    while count < most, subscriptions[id]?.backlog.isEmpty == false {
      let message = subscriptions[id]!.backlog.removeFirst()
      count += 1
      guard let publisher = simulation.recorder.life(of: message.info.incarnation),
        let topic = simulation.recorder.topic(named: message.info.topic)
      else { continue }
      handOver(message, StreamKey(publisher: publisher, topic: topic))
      machine.consumed(message.bytes, of: message.info, at: now)
    }
  }

  /// Has its user take its time from now on.
  package func makeSlow() {
    isSlow = true
    simulation.hold(host: host)
  }

  var hasBacklog: Bool {
    subscriptionIDs.contains { subscriptions[$0]?.backlog.isEmpty == false }
  }
  /// In a stable order.
  var subscriptionIDs: [SubscriptionID] { subscriptions.keys.sorted() }
}
