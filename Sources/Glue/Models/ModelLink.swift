import GlueCore
import GlueModel
import GlueNetwork
import Synchronization

/// Joins a replica with its endpoint: carries what it says, tells it who is there, wakes it in time, and has written what it stores.
///
///     topic $model/all/NAME       deltas, from each replica to all others
///     topic $model/one/ID/NAME    what is for the replica of the endpoint with that ID alone
///
/// The replica stands behind one lock. Whoever has an input takes the lock, passes the input and, if nobody does so already, takes the
/// outputs and sends them outside of it: in order, and also within a callback of the endpoint.
final class ModelLink: Sendable {
  /// What the lock guards.
  struct State {
    let machine: ReplicaMachine
    var watchers: [ChangeQueue<[ModelChange]>] = []
    /// Somebody takes the outputs.
    var isDraining = false
    /// To whom nothing can be sent until what was sent has left.
    var full: Set<EndpointID> = []
    var isBroadcastFull = false
    /// A delta is being published.
    var isBroadcasting = false
    /// Why the store could not write, if it cannot.
    var storeFailure: String?
    /// The topics of other replicas, as far as something was sent to them.
    var publications: [EndpointID: Publication] = [:]
    /// The sessions with those who have the model open, and the ones that the replica knows of.
    var sessions: [EndpointMachine.PeerSession] = []
    var met: [EndpointMachine.PeerSession] = []
    /// Who is not heard on purpose.
    var parted: Set<EndpointID> = []
    var timer: (at: Timestamp, task: Task<Void, Never>)?
    var waiters: [ModelWaiter] = []
    /// Nothing more is changed here. What was changed still leaves.
    var isClosed = false
    var areTopicsClosed = false

    /// Tells the replica who has come and gone. Returns the topics that are not needed any more.
    mutating func meet(at time: ReplicaTime) -> [Publication] {
      let there = sessions.filter { !parted.contains($0.id) }
      let gone = met.filter { !there.contains($0) }
      let new = there.filter { !met.contains($0) }
      met = there
      for session in gone { machine.peerVanished(session.id, at: time) }
      for session in new { machine.peerAppeared(session.id, at: time) }
      return gone.compactMap { publications.removeValue(forKey: $0.id) }
    }

    /// Hands changes to those who watch: with the lock, so that what somebody has read and what he then sees of changes fits together.
    mutating func distribute() {
      while let changes = machine.nextChanges() {
        for watcher in watchers { watcher.put(changes) }
      }
    }
  }

  /// What there is to do outside of the lock.
  private enum Output {
    case broadcast([UInt8])
    case message(EndpointID, [UInt8])
    case event(ReplicaEvent)
    case resume([ModelWaiter])
  }

  let endpoint: Endpoint
  let name: String
  let settings: Model.Settings
  let deltas: Publication
  let writer: ModelWriter?
  let nextNumber = Atomic<UInt64>(0)
  private let state: Mutex<State>
  private let tasks = Mutex<[Task<Void, Never>]>([])
  private let subscriptions = Mutex<[CallbackSubscription]>([])

  /// How the topics of models begin to which all replicas listen. A name may have levels, so it comes last.
  static let sharedPrefix = "$model/all/"
  /// Deltas and parts are of use only as long as the session lasts: what was missed is fetched. A reader that takes nothing for so
  /// long misses deltas.
  private static let deltaSettings = TopicSettings(whenFull: .block(timeout: .seconds(2)), history: .none)
  /// A part that is dropped makes those before it worthless, so there is more patience.
  private static let partSettings = TopicSettings(whenFull: .block(timeout: .seconds(60)), history: .none)

  private static func topic(of name: String, _ endpoint: EndpointID) -> String { "$model/one/\(endpoint)/\(name)" }

  init(_ name: String, at endpoint: Endpoint, _ settings: Model.Settings, stored: StoredReplica?) throws {
    self.endpoint = endpoint
    self.name = name
    self.settings = settings
    deltas = try endpoint.publication(Self.sharedPrefix + name, Self.deltaSettings)
    writer = try settings.store.map { try ModelWriter($0) }
    var generator = SystemRandomNumberGenerator()
    state = Mutex(
      State(
        machine: ReplicaMachine(
          endpoint: endpoint.id, seed: generator.next(),
          stored: settings.store == nil ? nil : stored ?? StoredReplica.empty,
          limits: settings.document, configuration: settings.replica, at: .now(settings.clockOffset))))
    withState { $0.machine.policies = settings.policies }
  }

  deinit { for task in tasks.withLock({ $0 }) { task.cancel() } }

  /// Begins to talk to the other replicas.
  func open() throws {
    let topic = deltas.topic
    let own = endpoint.id
    // First its own topic: who sees the other one's subscriber sends to this one.
    let alone = try endpoint.subscribe(to: Self.topic(of: name, own), history: .none) { [weak self] message in
      let sender = message.publisher.id
      message.withUnsafeBytes { bytes in
        self?.input { (state, time) in
          if !state.parted.contains(sender) { state.machine.receiveMessage(bytes, from: sender, at: time) }
        }
      }
    }
    let all = try endpoint.subscribe(to: topic, history: .none) { [weak self] message in
      guard message.publisher.id != own else { return }
      let sender = message.publisher.id
      message.withUnsafeBytes { bytes in
        self?.input { (state, time) in
          if !state.parted.contains(sender) { state.machine.receiveDelta(bytes, from: sender, at: time) }
        }
      }
    }
    subscriptions.withLock { $0 = [all, alone] }
    let events = endpoint.events
    let following = Task { [weak self] in
      for await event in events {
        switch event {
        case .loss(let report): self?.lost(report)
        case .eventsDropped: self?.lostSomething()
        default: break
        }
      }
    }
    let looking = Task { [weak self, endpoint, deltas] in
      var known: [EndpointMachine.PeerSession] = []
      while !Task.isCancelled {
        known = endpoint.driver.subscribers(of: deltas.id)
        self?.meet(known)
        let seen = known
        let outcome = await endpoint.driver.wait(for: .matched(deltas.id)) { [id = deltas.id] in
          $0.machine.subscribers(of: id) != seen
        }
        if case .ready = outcome { continue }
        // The endpoint has stopped, and with it the model.
        if case .stopped = outcome { self?.close(waitsForStore: false) }
        return
      }
    }
    tasks.withLock { $0 = [following, looking] }
    try writer?.start(self)
    if withState({ $0.isClosed }) { writer?.finish() }
    drain()
  }

  /// Ends the conversation. What was changed still leaves.
  func close(waitsForStore: Bool = true) {
    stop()
    if waitsForStore { writer?.finish() } else { writer?.end() }
  }

  private func stop() {
    let open = state.withLock { state -> ([ModelWaiter], [ChangeQueue<[ModelChange]>])? in
      guard !state.isClosed else { return nil }
      state.isClosed = true
      state.timer?.task.cancel()
      defer { (state.waiters, state.watchers) = ([], []) }
      return (state.waiters, state.watchers)
    }
    guard let (waiters, watchers) = open else { return }
    for waiter in waiters { waiter.resume(.stopped) }
    for watcher in watchers { watcher.finish() }
    for task in tasks.withLock({ $0 }) { task.cancel() }
    for subscription in subscriptions.withLock({ $0 }) { subscription.cancel() }
    drain()
  }

  // MARK: Inputs

  /// Passes an input, and does what follows from it.
  @discardableResult
  func input<R: Sendable, E: Error>(_ body: (inout State, ReplicaTime) throws(E) -> R) throws(E) -> R {
    let result = try state.withLock { (state) throws(E) -> R in
      let result = try body(&state, .now(settings.clockOffset))
      state.distribute()
      return result
    }
    drain()
    return result
  }

  /// Changes the document, if the model is open.
  func change<R: Sendable>(_ body: (ReplicaMachine, ReplicaTime) throws(ModelError) -> R) throws(ModelError) -> R {
    try input { (state, time) throws(ModelError) in
      guard !state.isClosed else { throw .closed }
      return try body(state.machine, time)
    }
  }

  /// Looks at the state, without anything following from it.
  func withState<R: Sendable, E: Error>(_ body: (inout State) throws(E) -> R) throws(E) -> R {
    try state.withLock { (state) throws(E) -> R in try body(&state) }
  }

  /// Nobody knows what was lost: what all others have is looked at.
  private func lostSomething() {
    input { (state, time) in
      for session in state.met {
        state.machine.lostDeltas(from: session.id, at: time)
        state.machine.lostMessages(from: session.id, at: time)
      }
    }
  }

  private func lost(_ report: LossReport) {
    let sender = report.publisher.id
    if report.topic == deltas.topic {
      input { (state, time) in state.machine.lostDeltas(from: sender, at: time) }
    } else if report.topic == Self.topic(of: name, endpoint.id) {
      input { (state, time) in state.machine.lostMessages(from: sender, at: time) }
    }
  }

  /// Takes note of who has the model open. A peer with another session is another one.
  private func meet(_ sessions: [EndpointMachine.PeerSession]) {
    let unused = input { (state, time) -> [Publication] in
      state.sessions = sessions
      return state.meet(at: time)
    }
    for publication in unused { publication.close() }
  }

  /// Behaves as if some endpoints could not be reached, for demonstrations and tests.
  func part(from endpoints: Set<EndpointID>) {
    let unused = input { (state, time) -> [Publication] in
      state.parted = endpoints
      return state.meet(at: time)
    }
    for publication in unused { publication.close() }
  }

  // MARK: Outputs

  private func drain() {
    while let output = nextOutput() { perform(output) }
    closeTopicsIfDone()
  }

  private func nextOutput() -> Output? {
    state.withLock { state in
      // One at a time, so that what is sent keeps its order. Whoever drains looks once more when it has sent something.
      guard !state.isDraining else { return nil }
      let output = output(of: &state)
      if output != nil {
        state.isDraining = true
      } else if !state.isClosed {
        arm(&state)
        writer?.wake()
      }
      return output
    }
  }

  /// Closes the topics of a model that is closed, when the last change has left: that may be in another thread than the one that closes it.
  private func closeTopicsIfDone() {
    let publications = state.withLock { state -> [Publication] in
      guard state.isClosed, !state.areTopicsClosed, !state.isDraining, !state.isBroadcastFull,
        !state.machine.hasBroadcasts
      else { return [] }
      state.areTopicsClosed = true
      defer { state.publications = [:] }
      return [deltas] + state.publications.values
    }
    for publication in publications { publication.close() }
  }

  private func output(of state: inout State) -> Output? {
    if !state.isBroadcastFull, let bytes = state.machine.nextBroadcast() {
      state.isBroadcasting = true
      return .broadcast(bytes)
    }
    guard !state.isClosed else { return nil }
    let full = state.full
    if let message = state.machine.nextMessage(where: { !full.contains($0) }) {
      return .message(message.peer, message.bytes)
    }
    if let event = state.machine.nextEvent() { return .event(event) }
    let ready = state.takeReadyWaiters()
    return ready.isEmpty ? nil : .resume(ready)
  }

  private func perform(_ output: Output) {
    defer { state.withLock { $0.isDraining = false } }
    switch output {
    case .broadcast(let bytes): broadcast(bytes)
    case .message(let peer, let bytes): send(bytes, to: peer)
    case .event(let event):
      switch event {
      case .storeFailed(let reason): state.withLock { $0.storeFailure = reason }
      case .storeRecovered: state.withLock { $0.storeFailure = nil }
      default: break
      }
      endpoint.driver.broadcast(.model(name, event))
    case .resume(let waiters): for waiter in waiters { waiter.resume(.ready) }
    }
  }

  private func broadcast(_ bytes: [UInt8]) {
    if case .some = try? deltas.tryPublish(bytes) { return noteBroadcast(isPublished: true) }
    state.withLock { $0.isBroadcastFull = true }
    // It outlives the model, if that is closed meanwhile: what was changed leaves.
    Task {
      let receipt = try? await deltas.publish(bytes)
      noteBroadcast(isPublished: receipt != nil)
      drain()
    }
  }

  private func noteBroadcast(isPublished: Bool) {
    state.withLock { state in
      state.isBroadcastFull = false
      state.isBroadcasting = false
      if !isPublished { state.machine.deltaWasNotPublished(at: .now(settings.clockOffset)) }
    }
  }

  private func send(_ bytes: [UInt8], to peer: EndpointID) {
    let known = state.withLock { $0.publications[peer] }
    guard let publication = try? known ?? endpoint.publication(Self.topic(of: name, peer), Self.partSettings) else {
      return
    }
    if known == nil { state.withLock { $0.publications[peer] = publication } }
    if case .some = try? publication.tryPublish(bytes) { return }
    state.withLock { _ = $0.full.insert(peer) }
    Task { [weak self] in
      _ = try? await publication.publish(bytes)
      self?.input { (state, _) in _ = state.full.remove(peer) }
    }
  }

  // MARK: Time

  /// Sees to it that the replica is woken in time.
  private func arm(_ state: inout State) {
    let due = state.machine.nextWakeup
    guard due != state.timer?.at else { return }
    state.timer?.task.cancel()
    state.timer = due.map { due in
      let task = Task { [weak self] in
        let wait = due.since(.now)
        guard (try? await Task.sleep(for: wait.duration)) != nil else { return }
        self?.input { (state, time) in
          if state.timer?.at == due { state.timer = nil }
          state.machine.advance(to: time)
        }
      }
      return (due, task)
    }
  }
}

extension ReplicaTime {
  /// The clocks of this host. - Parameter offset: by how much its wall clock is wrong, for tests.
  static func now(_ offset: Duration) -> ReplicaTime {
    let wall = Int64(clamping: MonotonicClock.wallNanoseconds() / 1_000)
    let (seconds, attoseconds) = offset.components
    let sum = wall.addingReportingOverflow(seconds.multipliedReportingOverflow(by: 1_000_000).partialValue)
    let micros = sum.partialValue &+ attoseconds / 1_000_000_000_000
    return ReplicaTime(now: .now, wallMicroseconds: UInt64(max(0, micros)))
  }
}
