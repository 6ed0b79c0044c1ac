import GlueCore
import GlueModel

/// An opening of a model in a run: they are numbered as they begin.
package typealias Opening = Int

/// What a host opens a model with.
package struct SimulatedModelSettings: Sendable {
  /// Its name.
  package var name: String
  /// How large it may become here.
  package var limits: DocumentLimits
  /// How the replica behaves.
  package var configuration: ReplicaConfiguration
  /// What is shown here where several values stand.
  package var policies: ModelPolicies

  /// The defaults, with a name.
  package init(
    name: String, limits: DocumentLimits = DocumentLimits(),
    configuration: ReplicaConfiguration = ReplicaConfiguration(), policies: ModelPolicies = ModelPolicies()
  ) {
    (self.name, self.limits, self.configuration, self.policies) = (name, limits, configuration, policies)
  }
}

/// One opening of a model by a simulated endpoint. It joins the replica with the endpoint as the driver's `ModelLink` does: with the topic
/// `$model/all/NAME` for deltas and `$model/one/ID/NAME` for what is for one replica alone.
package final class SimulatedModel {
  /// How long a message waits for room before room is made for it, as in the driver.
  private static let deltaPatience = Nanoseconds.seconds(2)
  private static let messagePatience = Nanoseconds.seconds(60)
  /// The driver's tasks that follow events do so a little later.
  private static let lateness: ClosedRange<Nanoseconds> = .zero ... .milliseconds(5)
  /// How often somebody who stands still is looked at.
  static let pause = Nanoseconds.milliseconds(200)

  /// Its number in the run.
  package let opening: Opening
  /// With what it was opened.
  package let settings: SimulatedModelSettings
  /// The replica.
  package let replica: ReplicaMachine
  /// Whether it was closed, or its endpoint has ended.
  package private(set) var isClosed = false
  /// What the host's wall clock is wrong by here, beside the error that it always has, in microseconds.
  package var wallError: Int64 = 0

  unowned let endpoint: SimulatedEndpoint
  /// Where it is stored; nil: nowhere.
  let disk: SimulatedModelDisk?
  var dice: Dice
  var mutation: ModelMutation?
  /// A batch is being written.
  var isWriting = false
  /// When the replica has something to do.
  private(set) var due: Timestamp?

  private let deltas: PublicationID
  private var all: SubscriptionID?
  private var alone: SubscriptionID?
  /// The topics of other replicas, as far as something was sent to them.
  private var publications: [EndpointID: PublicationID] = [:]
  /// What waits for room, each with the number of its wait.
  private var waiting: [PublicationID: (bytes: [UInt8], peer: EndpointID?, wait: UInt64)] = [:]
  private var lastWait: UInt64 = 0
  private var isBroadcastFull = false
  private var full: Set<EndpointID> = []
  /// The sessions of which the replica knows.
  private var met: [EndpointMachine.PeerSession] = []
  private var observedRevision: UInt64 = 0
  /// Whether something may have to be sent.
  private var hasOutputs = true

  private var simulation: Simulation { endpoint.simulation }
  private var topic: String { "$model/all/\(settings.name)" }
  private func topic(of peer: EndpointID) -> String { "$model/one/\(peer)/\(settings.name)" }

  init(
    _ settings: SimulatedModelSettings, on endpoint: SimulatedEndpoint, disk: SimulatedModelDisk?, opening: Opening,
    dice: Dice
  ) throws {
    self.settings = settings
    self.endpoint = endpoint
    self.disk = disk
    self.opening = opening
    self.dice = dice
    deltas = try endpoint.machine.advertise(
      "$model/all/\(settings.name)", options: PublicationOptions(), at: endpoint.now)
    let stored = disk.map { $0.content ?? .empty }
    replica = ReplicaMachine(
      endpoint: endpoint.machine.configuration.id, seed: self.dice.next(), stored: stored, limits: settings.limits,
      configuration: settings.configuration,
      at: ReplicaTime(now: endpoint.now, wallMicroseconds: endpoint.clock.wallMicroseconds(endpoint.simulation.now)))
    replica.policies = settings.policies
    mutation = endpoint.filter.flatMap { ModelMutation($0.mutant) }
  }

  /// Begins to talk to the other replicas.
  func open() throws {
    // First its own topic: who sees the other one's subscriber sends to this one.
    alone = try endpoint.machine.subscribe(
      topic(of: replica.endpoint), options: SubscriptionOptions(), at: endpoint.now)
    all = try endpoint.machine.subscribe(topic, options: SubscriptionOptions(), at: endpoint.now)
    simulation.recorder.opened(self, at: simulation.now)
    // Whoever was there for an earlier opening is not told of again.
    later { $0.meet() }
    endpoint.drain()
  }

  /// Ends the conversation, and writes what is left.
  package func close() {
    guard !isClosed else { return }
    endpoint.drain()
    // What was changed still leaves; what waits for room does not wait any longer.
    retry(deltas, isLastTry: true)
    while let bytes = replica.nextBroadcast() { _ = isFull(bytes, on: deltas, whenFull: .dropOldest) }
    writeTheRest()
    end()
    for id in [all, alone].compactMap(\.self) { endpoint.machine.unsubscribe(id, at: endpoint.now) }
    for peer in publications.keys.sorted() { endpoint.machine.withdraw(publications[peer]!, at: endpoint.now) }
    endpoint.machine.withdraw(deltas, at: endpoint.now)
    endpoint.models.removeAll { $0 === self }
    endpoint.drain()
  }

  /// It is over, perhaps without a word.
  func end() {
    guard !isClosed else { return }
    isClosed = true
    disk?.crash()
    simulation.recorder.closed(self, at: simulation.now)
  }

  // MARK: Inputs

  private var time: ReplicaTime {
    let wall = Int64(endpoint.clock.wallMicroseconds(simulation.now)) + wallError
    return ReplicaTime(now: endpoint.now, wallMicroseconds: UInt64(max(0, wall)))
  }

  /// Passes an input, and looks at what it did.
  func input(isLocal: Bool = false, _ body: (ReplicaMachine, ReplicaTime) -> Void) {
    guard !isClosed else { return }
    body(replica, time)
    hasOutputs = true
    var told: [[ModelChange]] = []
    while let changes = replica.nextChanges() { told.append(changes) }
    if let shown = mutation?.changes(told) { told = shown }
    let isChanged = replica.revision != observedRevision
    observedRevision = replica.revision
    guard isChanged || !told.isEmpty else { return }
    simulation.recorder.changed(self, told: told, isLocal: isLocal, at: simulation.now)
  }

  /// Its user makes a transaction. Returns whether it was taken.
  @discardableResult
  package func apply(_ edits: [ModelEdit]) -> Bool {
    let before = replica.revision
    var isRefused = false
    input(isLocal: true) { replica, time in
      do { try replica.apply(edits, at: time) } catch { isRefused = true }
    }
    if isRefused { simulation.recorder.refused(self, hasChanged: replica.revision != before, at: simulation.now) }
    endpoint.drain()
    return !isRefused
  }

  /// Takes a message, if it is for this model.
  func take(_ delivery: Delivery) -> Bool {
    guard let id = delivery.subscription, id == all || id == alone else { return false }
    let sender = delivery.stream.publisher
    if id == alone {
      let messages = mutation?.messages(Array(delivery.payload)) ?? [Array(delivery.payload)]
      for bytes in messages {
        input { (replica, time) in bytes.withUnsafeBytes { replica.receiveMessage($0, from: sender, at: time) } }
      }
    } else if sender != replica.endpoint {
      let messages = mutation?.deltas(Array(delivery.payload)) ?? [Array(delivery.payload)]
      for bytes in messages {
        input { (replica, time) in bytes.withUnsafeBytes { replica.receiveDelta($0, from: sender, at: time) } }
      }
    }
    return true
  }

  /// Takes an event, if it concerns this model.
  func take(_ event: EndpointEvent) -> Bool {
    switch event {
    case .matched(deltas, _):
      later { $0.meet() }
    case .loss(let loss) where loss.stream.topic == topic:
      later { $0.input { (replica, time) in replica.lostDeltas(from: loss.stream.publisher, at: time) } }
    case .loss(let loss) where loss.stream.topic == topic(of: replica.endpoint):
      later { $0.input { (replica, time) in replica.lostMessages(from: loss.stream.publisher, at: time) } }
    case .writable(let id) where waiting[id] != nil:
      retry(id, isLastTry: false)
    default: return false
    }
    return true
  }

  /// Does something a little later, when its endpoint runs.
  private func later(_ body: @escaping (SimulatedModel) -> Void) {
    simulation.schedule(after: dice.span(Self.lateness)) { _ in self.whenRunning(body) }
  }

  func whenRunning(_ body: @escaping (SimulatedModel) -> Void) {
    guard !isClosed else { return }
    guard endpoint.isRunning else {
      return simulation.schedule(after: Self.pause) { _ in self.whenRunning(body) }
    }
    body(self)
    endpoint.drain()
  }

  /// Takes note of who has the model open. A peer with another session is another one.
  private func meet() {
    let there = endpoint.machine.subscribers(of: deltas)
    let gone = met.filter { !there.contains($0) }
    let new = there.filter { !met.contains($0) }
    met = there
    guard !gone.isEmpty || !new.isEmpty else { return }
    input { replica, time in
      for session in gone { replica.peerVanished(session.id, at: time) }
      for session in new { replica.peerAppeared(session.id, at: time) }
    }
    for session in gone {
      guard let publication = publications.removeValue(forKey: session.id) else { continue }
      waiting[publication] = nil
      full.remove(session.id)
      endpoint.machine.withdraw(publication, at: endpoint.now)
    }
  }

  /// Has the replica do what is due.
  func advance() {
    guard let due, due <= endpoint.now else { return }
    input { replica, time in replica.advance(to: time) }
  }

  /// Whether nothing is left to say, compare or write.
  package var isAtRest: Bool { due == nil && !isWriting && waiting.isEmpty }

  // MARK: Outputs

  /// Sends what there is to send. Returns whether there was something.
  func send() -> Bool {
    guard hasOutputs, !isClosed else { return false }
    hasOutputs = false
    var hasSent = false
    while !isBroadcastFull, let bytes = replica.nextBroadcast() {
      hasSent = true
      publish(bytes, to: nil)
    }
    while let (peer, bytes) = replica.nextMessage(where: { !full.contains($0) }) {
      hasSent = true
      publish(bytes, to: peer)
    }
    while let event = replica.nextEvent() { simulation.recorder.happened(event, at: self) }
    writeToDisk()
    due = replica.nextWakeup
    return hasSent
  }

  private func publish(_ bytes: [UInt8], to peer: EndpointID?) {
    guard let id = publication(for: peer), isFull(bytes, on: id, whenFull: .refuse) else { return }
    lastWait += 1
    waiting[id] = (bytes, peer, lastWait)
    if let peer { full.insert(peer) } else { isBroadcastFull = true }
    simulation.schedule(after: peer == nil ? Self.deltaPatience : Self.messagePatience) { [wait = lastWait] _ in
      self.whenRunning { model in if model.waiting[id]?.wait == wait { model.retry(id, isLastTry: true) } }
    }
  }

  private func publication(for peer: EndpointID?) -> PublicationID? {
    guard let peer else { return deltas }
    if let known = publications[peer] { return known }
    publications[peer] = try? endpoint.machine.advertise(
      topic(of: peer), options: PublicationOptions(), at: endpoint.now)
    return publications[peer]
  }

  private func isFull(_ bytes: [UInt8], on id: PublicationID, whenFull: FullBufferBehaviour) -> Bool {
    bytes.withUnsafeBytes { (try? endpoint.machine.publish($0, on: id, whenFull: whenFull, at: endpoint.now)) == .full }
  }

  private func retry(_ id: PublicationID, isLastTry: Bool) {
    guard let (bytes, peer, _) = waiting[id] else { return }
    guard !isFull(bytes, on: id, whenFull: isLastTry ? .dropOldest : .refuse) else { return }
    waiting[id] = nil
    if let peer { full.remove(peer) } else { isBroadcastFull = false }
    hasOutputs = true
  }

  /// The mutant that never rests says something on and on.
  /// Says what nobody needs.
  func chatter() {
    guard !isClosed, endpoint.isRunning else { return }
    publish([0], to: nil)
    endpoint.drain()
  }
}

extension SimulatedEndpoint {
  /// Opens a model.
  ///
  /// - Parameters:
  ///   - disk: Where it is stored; nil: nowhere.
  ///   - seed: From which the identity of the replica comes.
  @discardableResult
  package func open(
    _ settings: SimulatedModelSettings, on disk: SimulatedModelDisk? = nil, seed: UInt64
  ) throws -> SimulatedModel {
    let model = try SimulatedModel(
      settings, on: self, disk: disk, opening: simulation.recorder.nextOpening(),
      dice: Dice(seed: seed, concern: .models))
    models.append(model)
    try model.open()
    return model
  }

  /// When the machine, a replica or a quorum model has something to do.
  var nextWakeup: Timestamp? {
    var next = machine.nextWakeup
    for due in models.lazy.map(\.due) + quorums.lazy.map(\.due) {
      if let due { next = next.map { min($0, due) } ?? due }
    }
    return next
  }
}
