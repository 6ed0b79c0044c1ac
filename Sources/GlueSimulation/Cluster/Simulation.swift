import GlueAddress
import GlueCore

/// A network, hosts and endpoints in virtual time: what runs by seed and hand-written scenarios stand on. Single-threaded;
/// the same inputs give the same run to the last bit.
package final class Simulation {
  /// What is scheduled.
  enum Event {
    case arrival(SimulatedNetwork.Arriving)
    /// The endpoint takes from its socket what arrived then.
    case taken(SimulatedNetwork.Arriving, arrivedAt: Timestamp)
    case wake(Life)
    case script((Simulation) -> Void)
  }

  /// Virtual time.
  package private(set) var now = Timestamp(nanoseconds: 0)
  /// The network.
  package var network: SimulatedNetwork
  /// The books and the checkers.
  package var recorder: Recorder
  /// The endpoint that runs on each host, if one does.
  package private(set) var endpoints: [SimulatedEndpoint?]
  /// The disks that hosts have for a store.
  package private(set) var disks: [SimulatedDisk?]
  /// Called when a message is handed to a user.
  package var onMessage: ((SimulatedEndpoint, ReceivedMessage) -> Void)?
  /// Called with every datagram that is sent: by whom, where to.
  package var onDatagram: ((UnsafeRawBufferPointer, SimulatedEndpoint, SocketAddress) -> Void)?
  /// Called with every datagram that arrives at a socket: on which host, how many bytes.
  package var onArrival: ((Int, Int) -> Void)?
  /// Nothing but announcements is expected.
  package var isQuiet = false
  /// Changes of interest have had time to become known everywhere.
  package var isSettled = false

  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_507, alignment: 16)
  let mutant: Mutant?
  private var queue = EventQueue<Event>()
  private var serial: UInt64 = 0
  private var dice: Dice
  private var lifeObjects: [SimulatedEndpoint] = []
  private var soundness: Soundness
  private var transits: Transits

  /// A simulation of so many hosts, without endpoints yet.
  package init(
    hosts: Int, topics: [SimulatedTopic], seed: UInt64, mutant: Mutant? = nil, traceLines: Int = 40
  ) {
    network = SimulatedNetwork(hosts: hosts, seed: seed)
    recorder = Recorder(seed: seed, topics: topics, traceLines: traceLines)
    endpoints = Array(repeating: nil, count: hosts)
    disks = Array(repeating: nil, count: hosts)
    dice = Dice(seed: seed, concern: .machines)
    soundness = Soundness(hosts: hosts)
    transits = Transits(hosts: hosts)
    self.mutant = mutant
  }

  deinit { buffer.deallocate() }

  // MARK: Time

  /// Has a script run at a time.
  package func schedule(at time: Timestamp, _ script: @escaping (Simulation) -> Void) {
    queue.schedule(.script(script), at: max(time, now))
  }

  /// Has a script run after a while.
  package func schedule(after span: Nanoseconds, _ script: @escaping (Simulation) -> Void) {
    queue.schedule(.script(script), at: now + span)
  }

  /// Lets a span pass, or less if the condition, asked after each event, comes true.
  package func run(for span: Nanoseconds, until condition: () -> Bool = { false }) {
    let end = now + span
    while !condition() {
      guard let next = queue.nextTime, next <= end, let (time, event) = queue.popFirst() else {
        now = end
        return
      }
      now = max(now, time)
      switch event {
      case .arrival(let datagram): arrive(datagram)
      case .taken(let datagram, let arrivedAt): take(datagram, arrivedAt: arrivedAt)
      case .wake(let life):
        let endpoint = lifeObjects[life]
        // An earlier wake-up may have been asked for since; then this one is stale.
        guard endpoint.isRunning, endpoint.wakeAt == time else { continue }
        endpoint.wakeAt = nil
        endpoint.wake()
      case .script(let script): script(self)
      }
    }
  }

  func scheduleWake(of endpoint: SimulatedEndpoint) {
    guard endpoint.isRunning, let due = endpoint.nextWakeup else { return }
    let time = endpoint.clock.virtual(due, notBefore: now)
    if let scheduled = endpoint.wakeAt, scheduled <= time { return }
    guard time.nanoseconds < .max else { return }
    endpoint.wakeAt = time
    queue.schedule(.wake(endpoint.life), at: time)
  }

  func nextSerial() -> UInt64 {
    serial += 1
    return serial
  }

  // MARK: Endpoints

  /// Gives a host a disk: what endpoints there keep from now on is stored.
  package func giveDisk(to host: Int) { disks[host] = SimulatedDisk(host: host, seed: recorder.seed) }

  /// Starts an endpoint on a host, in place of one that ran there.
  @discardableResult
  package func start(
    on host: Int, _ configuration: EndpointConfiguration, clock: LocalClock = LocalClock()
  ) -> SimulatedEndpoint {
    if let old = endpoints[host] { end(old) }
    var configuration = configuration
    configuration.store = disks[host]?.id
    let incarnation = Incarnation(dice.next() | 1)
    let discovery = configuration.discovery
    let life = recorder.started(
      host: host, id: configuration.id, incarnation: incarnation, name: configuration.name,
      interval: discovery.interval,
      lease: Nanoseconds(UInt64(Double(discovery.interval.count) * discovery.leaseMultiplier)), at: now)
    let endpoint = SimulatedEndpoint(
      life: life, host: host, configuration: configuration, incarnation: incarnation, clock: clock, seed: dice.next(),
      in: self)
    if let mutant { endpoint.filter = MutantFilter(mutant) }
    lifeObjects.append(endpoint)
    endpoints[host] = endpoint
    trouble(host: host)
    endpoint.disk = disks[host]
    endpoint.restore()
    endpoint.start()
    return endpoint
  }

  /// Ends an endpoint without a word.
  package func end(_ endpoint: SimulatedEndpoint) {
    guard !endpoint.isOver else { return }
    endpoint.isOver = true
    endpoint.disk?.crash()
    for model in endpoint.models { model.end() }
    for quorum in endpoint.quorums { quorum.end() }
    for id in endpoint.subscriptionIDs {
      recorder.interestOnly.unsubscribed(host: endpoint.host, topics: endpoint.subscriptions[id]!.topics)
    }
    for publication in endpoint.publications where recorder.topics[publication.topic].history == .retained {
      recorder.interestOnly.unsubscribed(host: endpoint.host, topics: [publication.topic])
    }
    recorder.ended(endpoint.life, at: now)
    if endpoints[endpoint.host] === endpoint { endpoints[endpoint.host] = nil }
    trouble(host: endpoint.host)
  }

  /// Has an endpoint say goodbye and end.
  package func leave(_ endpoint: SimulatedEndpoint) {
    guard endpoint.isRunning else { return end(endpoint) }
    for model in endpoint.models { model.close() }
    for quorum in endpoint.quorums { quorum.close() }
    endpoint.machine.stop(at: endpoint.now)
    endpoint.drain()
    endpoint.writeTheRest()
    end(endpoint)
  }

  /// Has an endpoint stand still: its socket fills up, its time passes.
  package func pause(_ endpoint: SimulatedEndpoint, for span: Nanoseconds) {
    guard endpoint.isRunning else { return }
    endpoint.pausedUntil = now + span
    soundness.hold(host: endpoint.host)
    recorder.disturbances += 1
    recorder.trace.note(.paused, endpoint.life, at: now)
    schedule(after: span) { simulation in simulation.resume(endpoint) }
  }

  private func resume(_ endpoint: SimulatedEndpoint) {
    guard !endpoint.isOver, endpoint.pausedUntil != nil else { return }
    endpoint.pausedUntil = nil
    endpoint.wakeAt = nil
    soundness.release(host: endpoint.host, at: now)
    recorder.trace.note(.resumed, endpoint.life, at: now)
    let (datagrams, arrivals) = (endpoint.socket, endpoint.socketArrivals)
    (endpoint.socket, endpoint.socketArrivals, endpoint.socketBytes) = ([], [], 0)
    for (datagram, arrival) in zip(datagrams, arrivals) where !endpoint.isOver {
      endpoint.receive(datagram, receivedAt: arrival)
    }
    if !endpoint.isOver { endpoint.wake() }
  }

  func defeated(_ endpoint: SimulatedEndpoint, by holder: Life?) {
    guard !endpoint.isOver else { return }
    func contender(_ life: Life) -> OneHolder.Contender {
      let record = recorder.lives[life]
      return OneHolder.Contender(life: life, startedAt: record.startedAt, endedAt: record.endedAt)
    }
    recorder.trace.note(.defeated, endpoint.life, holder ?? -1, at: now)
    let verdict = recorder.oneHolder.defeated(
      contender(endpoint.life), by: holder.map(contender), grace: recorder.lives[endpoint.life].lease * 2 + .seconds(8),
      at: now)
    recorder.judge(.oneHolder, verdict, at: now)
    end(endpoint)
  }

  /// The endpoint on a host; traps where there is none.
  package subscript(host: Int) -> SimulatedEndpoint { endpoints[host]! }

  /// A life, over or not.
  package func endpoint(of life: Life) -> SimulatedEndpoint { lifeObjects[life] }

  /// The lives that are not over, in the order of their hosts.
  package var alive: [SimulatedEndpoint] { endpoints.compactMap(\.self) }

  func otherAddresses(than host: Int) -> [SocketAddress] {
    (0..<network.hostCount).filter { $0 != host && endpoints[$0] != nil }.map { network.address(of: $0) }
  }

  // MARK: Datagrams

  func send(_ bytes: UnsafeRawBufferPointer, from endpoint: SimulatedEndpoint, to destination: SocketAddress) {
    let original = watch(bytes, from: endpoint, to: destination)
    onDatagram?(bytes, endpoint, destination)
    let isSent = network.send(bytes, from: endpoint.host, to: destination, at: now) { time, datagram in
      var datagram = datagram
      datagram.original = original
      queue.schedule(.arrival(datagram), at: time)
    }
    if !isSent {
      network.trouble(bytes)
      endpoint.machine.datagramTooLarge(to: destination, byteCount: bytes.count, at: endpoint.now)
    }
  }

  /// Puts a datagram on the wire that no endpoint sent.
  package func inject(
    _ bytes: [UInt8], from source: SocketAddress, to host: Int, isGroup: Bool = false,
    after delay: Nanoseconds = .microseconds(100)
  ) {
    let datagram = SimulatedNetwork.Arriving(
      host: host, sender: nil, source: source, isGroup: isGroup, bytes: bytes, sentAt: now)
    queue.schedule(.arrival(datagram), at: now + delay)
  }

  private func arrive(_ datagram: SimulatedNetwork.Arriving) {
    guard let endpoint = endpoints[datagram.host] else {
      return datagram.bytes.withUnsafeBytes { network.lose($0, .notRunning) }
    }
    let size = datagram.bytes.count
    onArrival?(datagram.host, size)
    if network[datagram.host].processing > .zero, endpoint.isRunning { return wait(datagram, for: endpoint) }
    guard network.admit(size, at: datagram.host, now: now),
      endpoint.socketBytes + size <= network[datagram.host].receiveBufferBytes
    else {
      return datagram.bytes.withUnsafeBytes { network.lose($0, .receiveBuffer) }
    }
    guard endpoint.isRunning else {
      endpoint.socket.append(datagram)
      endpoint.socketArrivals.append(now)
      endpoint.socketBytes += size + HostConditions.datagramOverhead
      return datagram.bytes.withUnsafeBytes { network.trouble($0) }
    }
    endpoint.receive(datagram, receivedAt: now)
  }

  /// A datagram waits in the socket until the endpoint has done with those before it.
  private func wait(_ datagram: SimulatedNetwork.Arriving, for endpoint: SimulatedEndpoint) {
    let conditions = network[datagram.host]
    let charge = datagram.bytes.count + HostConditions.datagramOverhead
    guard endpoint.socketBytes + charge <= conditions.receiveBufferBytes else {
      return datagram.bytes.withUnsafeBytes { network.lose($0, .receiveBuffer) }
    }
    endpoint.socketBytes += charge
    endpoint.busyUntil = max(endpoint.busyUntil, now) + conditions.processing
    queue.schedule(.taken(datagram, arrivedAt: now), at: endpoint.busyUntil)
  }

  private func take(_ datagram: SimulatedNetwork.Arriving, arrivedAt: Timestamp) {
    guard let endpoint = endpoints[datagram.host], endpoint.isRunning else { return }
    endpoint.socketBytes = max(0, endpoint.socketBytes - datagram.bytes.count - HostConditions.datagramOverhead)
    endpoint.receive(datagram, receivedAt: arrivedAt)
  }

  // MARK: Turns

  /// An endpoint has done with an input: what was told and delivered meanwhile is judged together.
  func endOfTurn() {
    // Not by way of `self` inside of a call that changes the recorder.
    let (lives, topics, lifeObjects) = (recorder.lives, recorder.topics, lifeObjects)
    recorder.endOfTurn(at: now) { stream, sequence, reader in
      let publisher = lives[stream.publisher]
      return lifeObjects[reader].machine.isWaiting(
        topics[stream.topic].name, sequence, of: publisher.id, publisher.incarnation)
    }
  }

  // MARK: Trouble

  /// Something happened to a host; what concerns it is not judged by the bounds of a sound network for a while.
  package func trouble(host: Int) { soundness.touch(host: host, at: now) }
  /// A host is in trouble until further notice.
  package func hold(host: Int) { soundness.hold(host: host) }
  /// The trouble is over.
  package func release(host: Int) { soundness.release(host: host, at: now) }
  /// The links changed.
  package func noteLinks() { soundness.update(from: network, at: now) }

  /// Whether the links between two hosts have been sound for so long, and their hosts.
  func isSound(between one: Life, and other: Life, for grace: Nanoseconds) -> Bool {
    soundness.isSound(recorder.lives[one].host, recorder.lives[other].host, at: now, grace: grace)
  }

  func isSound(between one: Life, and other: Life) -> Bool {
    let (a, b) = (recorder.lives[one], recorder.lives[other])
    let grace = max(a.lease, b.lease) * 2 + .seconds(2)
    return soundness.isSound(a.host, b.host, at: now, grace: grace)
  }

  func noteTransit(from: Int, to: Int, _ span: Nanoseconds) {
    // What has no topics has nothing that expires, and may have a million paths.
    guard !recorder.topics.isEmpty else { return }
    transits.note(from: from, to: to, span, at: now)
  }

  /// A datagram arrives long after it was sent.
  func noteTransit(from original: (host: Int, sentAt: Timestamp), to host: Int) {
    noteTransit(from: original.host, to: host, now.since(original.sentAt) + .milliseconds(1))
  }

  /// The longest time that anything was under way lately between two lives; by way of a third one too, if `isKept` says that others
  /// may have passed it on.
  func longestTransit(from publisher: Life, to life: Life, isKept: Bool = false) -> Nanoseconds {
    let (from, to) = (recorder.lives[publisher].host, recorder.lives[life].host)
    var longest = transits.longest(from: from, to: to, at: now)
    guard isKept else { return longest }
    for host in 0..<network.hostCount where host != from && host != to {
      longest = max(
        longest, transits.longest(from: from, to: host, at: now) + transits.longest(from: host, to: to, at: now))
    }
    return longest
  }

  // MARK: Slowness

  /// Has a slow user take one message after a while, again and again.
  func consumeLater(_ endpoint: SimulatedEndpoint) {
    guard !endpoint.isConsuming else { return }
    endpoint.isConsuming = true
    schedule(after: dice.span(.milliseconds(5) ... .milliseconds(100))) { simulation in
      endpoint.isConsuming = false
      guard !endpoint.isOver, endpoint.hasBacklog else { return }
      guard endpoint.isRunning else { return simulation.consumeLater(endpoint) }
      for id in endpoint.subscriptionIDs { endpoint.consume(id, most: endpoint.isSlow ? 1 : .max) }
      endpoint.drain()
      if endpoint.hasBacklog { simulation.consumeLater(endpoint) }
    }
  }

  /// The mutant that keeps messages past their expiry.
  func handOverTooLate(_ stream: StreamKey, sequence: UInt64, to endpoint: SimulatedEndpoint) {
    let lifetime = recorder.message(stream, sequence)?.lifetime ?? .zero
    schedule(after: lifetime + .seconds(1)) { simulation in
      simulation.recorder.handedOver(
        stream, sequence: sequence, to: endpoint.life,
        delay: simulation.longestTransit(from: stream.publisher, to: endpoint.life), at: simulation.now)
    }
  }
}

extension FrameType {
  /// The place among all types.
  var index: Int {
    switch self {
    case .pad: 0
    case .announce: 1
    case .challenge: 2
    case .answer: 3
    case .welcome: 4
    case .clash: 5
    case .bye: 6
    case .ack: 7
    case .mtuProbe: 8
    case .mtuReply: 9
    case .relay: 10
    case .groupAck: 11
    case .data: 12
    case .status: 13
    case .heartbeat: 14
    case .gap: 15
    }
  }
}
