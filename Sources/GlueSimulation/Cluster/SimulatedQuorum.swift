import GlueCore
import GlueModel
import GlueQuorum

/// What a host opens a quorum model with.
package struct SimulatedQuorumSettings: Sendable {
  /// Its name.
  package var name: String
  /// How it behaves.
  package var configuration: QuorumConfiguration

  /// The defaults, with a name.
  package init(name: String, configuration: QuorumConfiguration = QuorumConfiguration()) {
    (self.name, self.configuration) = (name, configuration)
  }
}

/// One opening of a quorum model by a simulated endpoint. It joins the machine with the endpoint as the driver's `QuorumLink` does: with the
/// topics `$quorum/here/NAME`, `$quorum/all/NAME` and `$quorum/one/ID/NAME`.
package final class SimulatedQuorum {
  /// What waits for a result.
  private struct Request {
    let deadline: Timestamp
    let end: (QuorumResult) -> Void
  }

  /// How long a message waits for room before it is dropped, as in the driver.
  private static let messagePatience = Nanoseconds.seconds(10)
  /// The driver's tasks that follow events do so a little later.
  private static let lateness: ClosedRange<Nanoseconds> = .zero ... .milliseconds(5)
  /// How often somebody who stands still is looked at.
  static let pause = Nanoseconds.milliseconds(200)

  /// Its number in the run.
  package let opening: Opening
  /// With what it was opened.
  package let settings: SimulatedQuorumSettings
  /// The machine.
  package let machine: QuorumMachine
  /// Whether it was closed, or its endpoint has ended.
  package private(set) var isClosed = false

  unowned let endpoint: SimulatedEndpoint
  /// Where it is stored; nil: it has no vote.
  let disk: SimulatedQuorumDisk?
  /// The storage, as long as it is open.
  var store: RaftLogStore?
  var dice: Dice
  var mutation: QuorumMutation?
  /// What is being written.
  var job: QuorumJob?
  /// When the machine has something to do.
  private(set) var due: Timestamp?
  /// What its members are up to, as far as it was told to the trace.
  var seen = Seen()

  /// What was noted of it last.
  struct Seen {
    var applied: LogIndex = 0
    var leads: Term?
    var role = QuorumRole.observer
  }

  private let presence: PublicationID
  private let announcements: PublicationID
  private var here: SubscriptionID?
  private var alone: SubscriptionID?
  private var news: SubscriptionID?
  /// The topics of others, as far as something was sent to them.
  private var publications: [EndpointID: PublicationID] = [:]
  /// What waits for room, each with the number of its wait.
  private var waiting: [PublicationID: (bytes: [UInt8], peer: EndpointID, wait: UInt64)] = [:]
  private var lastWait: UInt64 = 0
  private var full: Set<EndpointID> = []
  /// The sessions of which the machine knows.
  private var met: [EndpointMachine.PeerSession] = []
  private var requests: [UInt64: Request] = [:]

  private var simulation: Simulation { endpoint.simulation }
  private func topic(of peer: EndpointID) -> String { "$quorum/one/\(peer)/\(settings.name)" }

  init(
    _ settings: SimulatedQuorumSettings, on endpoint: SimulatedEndpoint, disk: SimulatedQuorumDisk?,
    store: RaftLogStore?, opening: Opening, dice: Dice
  ) throws {
    self.settings = settings
    self.endpoint = endpoint
    (self.disk, self.store) = (disk, store)
    self.opening = opening
    self.dice = dice
    presence = try endpoint.machine.advertise(
      "$quorum/here/\(settings.name)", options: PublicationOptions(), at: endpoint.now)
    announcements = try endpoint.machine.advertise(
      "$quorum/all/\(settings.name)", options: PublicationOptions(), at: endpoint.now)
    machine = try QuorumMachine(
      endpoint: endpoint.machine.configuration.id, storage: store?.storage, cluster: store?.cluster,
      stored: store?.stored, configuration: settings.configuration, seed: self.dice.next(), at: endpoint.now)
    machine.steps = []
    machine.isWatched = true
    mutation = endpoint.filter.flatMap { QuorumMutation($0.mutant) }
    machine.fault = mutation?.fault
  }

  /// Begins to talk to the others.
  func open() throws {
    // First its own topic: who sees the other one's subscriber sends to this one.
    alone = try endpoint.machine.subscribe(
      topic(of: machine.endpoint), options: SubscriptionOptions(), at: endpoint.now)
    here = try endpoint.machine.subscribe(
      "$quorum/here/\(settings.name)", options: SubscriptionOptions(), at: endpoint.now)
    simulation.recorder.opened(self, at: simulation.now)
    // Whoever was there for an earlier opening is not told of again.
    later { $0.meet() }
    endpoint.drain()
  }

  /// Locks are given back, somebody else leads, and what is being written is written to its end.
  package func close() {
    guard !isClosed else { return }
    endpoint.drain()
    input { $0.close(at: $1) }
    simulation.recorder.judge(
      .quorumEnds, simulation.recorder.quorums.ends.closed(opening, waiting: requests.count), at: simulation.now)
    endpoint.drain()
    finishJob()
    store?.close()
    end()
    for id in [here, alone, news].compactMap(\.self) { endpoint.machine.unsubscribe(id, at: endpoint.now) }
    for peer in publications.keys.sorted() { endpoint.machine.withdraw(publications[peer]!, at: endpoint.now) }
    for id in [presence, announcements] { endpoint.machine.withdraw(id, at: endpoint.now) }
    endpoint.quorums.removeAll { $0 === self }
    endpoint.drain()
  }

  /// It is over, perhaps without a word. Of what it was asked nobody hears any more.
  func end() {
    guard !isClosed else { return }
    isClosed = true
    if let job, let store { simulation.recorder.interrupted(job, on: store.storage) }
    disk?.crash(job, of: store)
    store = nil
    requests = [:]
    simulation.recorder.closed(self, at: simulation.now)
  }

  // MARK: Inputs

  /// Passes an input, and looks at what it did.
  func input(_ body: (QuorumMachine, Timestamp) -> Void) {
    guard !isClosed else { return }
    body(machine, endpoint.now)
    let steps = machine.steps ?? []
    machine.steps = []
    simulation.recorder.applied(self, steps, at: simulation.now)
    while let changes = machine.nextChanges() { simulation.recorder.told(self, changes, at: simulation.now) }
    while let (ticket, result) = machine.nextResult() {
      if let mutation, mutation.swallows(result) { continue }
      guard let request = requests.removeValue(forKey: ticket) else { continue }
      request.end(result)
    }
    simulation.recorder.looked(at: self, at: simulation.now)
  }

  /// Its user asks for something, and is told how it ended.
  ///
  /// - Parameter span: Within which it has to end.
  package func ask(
    within span: Nanoseconds, _ body: @escaping (QuorumMachine, Timestamp) -> UInt64,
    then end: @escaping (QuorumResult) -> Void
  ) {
    guard !isClosed else { return }
    let deadline = endpoint.now + span
    input { machine, now in requests[body(machine, now)] = Request(deadline: deadline, end: end) }
    endpoint.drain()
  }

  /// Its user waits until everything that is decided by now is known here.
  package func read(within span: Nanoseconds, then end: @escaping (QuorumResult) -> Void) {
    if mutation?.mutant == .readsAtOnce, !isClosed { return end(.readable(machine.applied)) }
    ask(within: span, { $0.read(timeout: span, at: $1) }, then: end)
  }

  /// How many requests are not over that had to be.
  var overdueRequests: Int {
    requests.values.count { endpoint.now > $0.deadline + QuorumEnds.tolerance }
  }

  /// Takes a message, if it is for this model.
  func take(_ delivery: Delivery) -> Bool {
    guard let id = delivery.subscription, id == alone || id == here || id == news else { return false }
    let sender = delivery.stream.publisher
    guard id != here, sender != machine.endpoint else { return true }
    let payload = Array(delivery.payload)
    let bytes = mutation?.received(payload) ?? payload
    input { (machine, now) in bytes.withUnsafeBytes { machine.receive($0, from: sender, at: now) } }
    return true
  }

  /// Takes an event, if it concerns this model.
  func take(_ event: EndpointEvent) -> Bool {
    switch event {
    case .matched(presence, _): later { $0.meet() }
    case .writable(let id) where waiting[id] != nil: retry(id, isLastTry: false)
    default: return false
    }
    return true
  }

  /// Does something a little later, when its endpoint runs.
  private func later(_ body: @escaping (SimulatedQuorum) -> Void) {
    simulation.schedule(after: dice.span(Self.lateness)) { _ in self.whenRunning(body) }
  }

  func whenRunning(_ body: @escaping (SimulatedQuorum) -> Void) {
    guard !isClosed else { return }
    guard endpoint.isRunning else {
      return simulation.schedule(after: Self.pause) { _ in self.whenRunning(body) }
    }
    body(self)
    endpoint.drain()
  }

  /// Takes note of who has the model open. A peer with another session is another one.
  private func meet() {
    let there = endpoint.machine.subscribers(of: presence)
    let gone = met.filter { !there.contains($0) }
    let new = there.filter { !met.contains($0) }
    met = there
    guard !gone.isEmpty || !new.isEmpty else { return }
    input { machine, now in
      for session in gone { machine.peerVanished(session.id, at: now) }
      for session in new { machine.peerAppeared(session.id, at: now) }
    }
    for session in gone {
      guard let publication = publications.removeValue(forKey: session.id) else { continue }
      waiting[publication] = nil
      full.remove(session.id)
      endpoint.machine.withdraw(publication, at: endpoint.now)
    }
  }

  /// Has the machine do what is due.
  func advance() {
    guard let due, due <= endpoint.now else { return }
    input { $0.advance(to: $1) }
  }

  // MARK: Outputs

  /// Sends what there is to send. Returns whether there was something.
  func send() -> Bool {
    guard !isClosed else { return false }
    var hasSent = false
    while let (peer, bytes) = machine.nextMessage(where: { !full.contains($0) }) {
      hasSent = true
      if mutation?.drops(bytes) != true { publish(bytes, to: peer) }
    }
    while let bytes = machine.nextBroadcast() {
      hasSent = true
      // What is not taken is dropped: whoever lacks it fetches it.
      _ = isFull(bytes, on: announcements)
    }
    while let event = machine.nextEvent() { simulation.recorder.happened(event, at: self) }
    if machine.wantsNews != (news != nil) { listen(machine.wantsNews) }
    beginJob()
    due = machine.nextWakeup
    return hasSent
  }

  /// Listens to what the leader tells all, or stops.
  private func listen(_ wants: Bool) {
    if let news { endpoint.machine.unsubscribe(news, at: endpoint.now) }
    news =
      wants
      ? try? endpoint.machine.subscribe(
        "$quorum/all/\(settings.name)", options: SubscriptionOptions(), at: endpoint.now) : nil
  }

  private func publish(_ bytes: [UInt8], to peer: EndpointID) {
    guard let id = publication(for: peer), isFull(bytes, on: id) else { return }
    lastWait += 1
    waiting[id] = (bytes, peer, lastWait)
    full.insert(peer)
    simulation.schedule(after: Self.messagePatience) { [wait = lastWait] _ in
      self.whenRunning { quorum in if quorum.waiting[id]?.wait == wait { quorum.retry(id, isLastTry: true) } }
    }
  }

  private func publication(for peer: EndpointID) -> PublicationID? {
    if let known = publications[peer] { return known }
    publications[peer] = try? endpoint.machine.advertise(
      topic(of: peer), options: PublicationOptions(), at: endpoint.now)
    return publications[peer]
  }

  private func isFull(_ bytes: [UInt8], on id: PublicationID) -> Bool {
    bytes.withUnsafeBytes {
      (try? endpoint.machine.publish($0, on: id, whenFull: .refuse, at: endpoint.now)) == .full
    }
  }

  private func retry(_ id: PublicationID, isLastTry: Bool) {
    guard let (bytes, peer, _) = waiting[id], !isFull(bytes, on: id) || isLastTry else { return }
    waiting[id] = nil
    full.remove(peer)
  }
}

extension SimulatedEndpoint {
  /// Opens a quorum model.
  ///
  /// - Parameters:
  ///   - disk: Where it is stored; nil: it has no vote.
  ///   - seed: From which the chance of this opening comes.
  /// - Throws: `LogError`, if what is on the disk cannot be used.
  @discardableResult
  package func open(
    _ settings: SimulatedQuorumSettings, on disk: SimulatedQuorumDisk? = nil, seed: UInt64
  ) throws -> SimulatedQuorum {
    let store = try disk?.open()
    if let store { simulation.recorder.loaded(store, at: simulation.now) }
    let quorum = try SimulatedQuorum(
      settings, on: self, disk: disk, store: store, opening: simulation.recorder.nextQuorumOpening(),
      dice: Dice(seed: seed, concern: .quorums))
    quorums.append(quorum)
    try quorum.open()
    return quorum
  }
}
