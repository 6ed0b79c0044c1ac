import GlueCore
import GlueModel
import GlueNetwork
import GlueQuorum
import Synchronization

/// Joins an opening of a quorum model with its endpoint: carries what it says, tells it who is there, wakes it in time, and has its
/// storage do what it wants.
///
///     topic $quorum/here/NAME      nothing: whoever has the model open subscribes, so that all know of each other
///     topic $quorum/all/NAME       what the leader tells all that are not members
///     topic $quorum/one/ID/NAME    what is for the opening of the endpoint with that ID alone
///
/// The machine stands behind one lock. Whoever has an input takes the lock, passes the input and, if nobody does so already, takes the
/// outputs and sends them outside of it: in order, and also within a callback of the endpoint.
final class QuorumLink: Sendable {
  /// What the lock guards.
  struct State {
    let machine: QuorumMachine
    var watchers: [ChangeQueue<QuorumChanges>] = []
    /// What was asked for and is not over.
    var asked: Set<UInt64> = []
    /// Who waits for the result of what he asked for.
    var waiting: [UInt64: UnsafeContinuation<QuorumResult, Never>] = [:]
    /// Results that came before somebody waited for them.
    var early: [UInt64: QuorumResult] = [:]
    /// Who waits for a lock to be lost.
    var holders: [QuorumLock.Signal] = []
    /// Somebody takes the outputs.
    var isDraining = false
    /// To whom nothing can be sent until what was sent has left.
    var full: Set<EndpointID> = []
    /// The topics of others, as far as something was sent to them.
    var publications: [EndpointID: Publication] = [:]
    /// The sessions with those who have the model open, as far as the machine knows of them.
    var met: [EndpointMachine.PeerSession] = []
    /// When the clock's thread looks next.
    var alarm: Timestamp?
    /// The subscription to what the leader tells all.
    var news: CallbackSubscription?
    var isSubscribing = false
    /// The endpoint took no subscription: it has stopped.
    var cannotListen = false
    /// Somebody closes it.
    var isClosing = false
    var isClosed = false
  }

  /// What there is to do outside of the lock.
  private enum Output {
    case broadcast([UInt8])
    case message(EndpointID, [UInt8])
    case event(QuorumEvent)
    case results([(UnsafeContinuation<QuorumResult, Never>, QuorumResult)])
    case listen(Bool)
  }

  let endpoint: Endpoint
  let name: String
  let settings: Quorum.Settings
  private let presence: Publication
  private let announcements: Publication
  private let writer: QuorumWriter?
  private let clock: QuorumClock
  private let state: Mutex<State>
  /// It is closed, and its storage too.
  private let isOver = Atomic<Bool>(false)
  private let tasks = Mutex<[Task<Void, Never>]>([])
  private let subscriptions = Mutex<[CallbackSubscription]>([])

  /// How the topics begin by which openings know of each other. A name may have levels, so it comes last.
  static let presencePrefix = "$quorum/here/"
  private static let newsPrefix = "$quorum/all/"
  /// News are of use only as long as they are new: what was missed is fetched.
  private static let newsSettings = TopicSettings(whenFull: .block(timeout: .seconds(1)), history: .none)
  /// What does not get through in this time was asked for again long ago.
  private static let messageSettings = TopicSettings(whenFull: .block(timeout: .seconds(10)), history: .none)

  /// So long closing waits for a thread that is just sending, which may be the same one, in a callback; and for somebody who can lead in its place.
  private static let longestGoodbye = Nanoseconds.milliseconds(100)

  private static func topic(of name: String, _ endpoint: EndpointID) -> String { "$quorum/one/\(endpoint)/\(name)" }

  init(_ name: String, at endpoint: Endpoint, _ settings: Quorum.Settings, _ opened: consuming OpenedStorage?) throws {
    self.endpoint = endpoint
    self.name = name
    self.settings = settings
    presence = try endpoint.publication(Self.presencePrefix + name, Self.newsSettings)
    announcements = try endpoint.publication(Self.newsPrefix + name, Self.newsSettings)
    clock = try QuorumClock()
    var generator = SystemRandomNumberGenerator()
    let machine: QuorumMachine
    if let opened {
      machine = try QuorumMachine(
        endpoint: endpoint.id, storage: opened.storage, cluster: opened.cluster, stored: opened.stored,
        configuration: settings.configuration, seed: generator.next(), at: .now)
      writer = try QuorumWriter(opened.takeStore())
    } else {
      machine = try QuorumMachine(
        endpoint: endpoint.id, configuration: settings.configuration, seed: generator.next(), at: .now)
      writer = nil
    }
    state = Mutex(State(machine: machine))
  }

  deinit { for task in tasks.withLock({ $0 }) { task.cancel() } }

  /// Begins to talk to the others.
  func open() throws {
    let own = endpoint.id
    // First its own topic: who sees the other one's subscriber sends to this one.
    let alone = try subscribe(to: Self.topic(of: name, own))
    let here = try endpoint.subscribe(to: presence.topic, history: .none) { _ in }
    subscriptions.withLock { $0 = [alone, here] }
    let looking = Task { [weak self, endpoint, presence] in
      var known: [EndpointMachine.PeerSession] = []
      while !Task.isCancelled {
        known = endpoint.driver.subscribers(of: presence.id)
        self?.meet(known)
        let seen = known
        let outcome = await endpoint.driver.wait(for: .matched(presence.id)) { [id = presence.id] in
          $0.machine.subscribers(of: id) != seen
        }
        if case .ready = outcome { continue }
        // The endpoint has stopped, and with it the model.
        if case .stopped = outcome { self?.close() }
        return
      }
    }
    tasks.withLock { $0 = [looking] }
    try clock.start(self)
    try writer?.start(self)
    if withState({ $0.isClosed }) {
      writer?.finish()
      clock.end()
    }
    drain()
  }

  private func subscribe(to topic: String) throws -> CallbackSubscription {
    let own = endpoint.id
    return try endpoint.subscribe(to: topic, history: .none) { [weak self] message in
      let sender = message.publisher.id
      guard sender != own else { return }
      message.withUnsafeBytes { bytes in
        self?.input { (state, now) in state.machine.receive(bytes, from: sender, at: now) }
      }
    }
  }

  /// Ends it: locks are given back, and somebody else leads, as far as that can be done at once.
  func close() {
    let isFirst = state.withLock { state in
      guard !state.isClosing else { return false }
      state.isClosing = true
      state.machine.close(at: .now)
      return true
    }
    guard isFirst else {
      // Also for somebody else who closes it the storage is closed then.
      let began = Timestamp.now
      while !isOver.load(ordering: .acquiring), Timestamp.now < began + QuorumWriter.longestFinish {
        IOThread.sleep(.milliseconds(1))
      }
      return
    }
    defer { isOver.store(true, ordering: .releasing) }
    // What that says leaves first, also if another thread is just sending.
    let began = Timestamp.now
    drain()
    while withState({ $0.isDraining || $0.machine.isHandingOver }), Timestamp.now < began + Self.longestGoodbye {
      IOThread.sleep(.milliseconds(1))
      drain()
    }
    let (watchers, publications, news, holders) = state.withLock { state in
      state.isClosed = true
      defer { (state.watchers, state.publications, state.news, state.holders) = ([], [:], nil, []) }
      return (state.watchers, Array(state.publications.values), state.news, state.holders)
    }
    drain()
    for holder in holders { holder.raise() }
    for watcher in watchers { watcher.finish() }
    for task in tasks.withLock({ $0 }) { task.cancel() }
    for subscription in subscriptions.withLock({ $0 }) { subscription.cancel() }
    news?.cancel()
    clock.end()
    writer?.finish()
    for publication in publications + [presence, announcements] { publication.close() }
  }

  // MARK: Inputs

  /// Passes an input, and does what follows from it.
  @discardableResult
  func input<R: Sendable>(_ body: (inout State, Timestamp) -> R) -> R {
    let result = state.withLock { state in
      let result = body(&state, .now)
      state.distribute()
      return result
    }
    drain()
    return result
  }

  /// Looks at the state, without anything following from it.
  func withState<R: Sendable, E: Error>(_ body: (inout State) throws(E) -> R) throws(E) -> R {
    try state.withLock { (state) throws(E) -> R in try body(&state) }
  }

  /// Takes note of who has the model open. A peer with another session is another one.
  private func meet(_ sessions: [EndpointMachine.PeerSession]) {
    let unused = input { (state, now) -> [Publication] in
      let gone = state.met.filter { !sessions.contains($0) }
      let new = sessions.filter { !state.met.contains($0) }
      state.met = sessions
      for session in gone { state.machine.peerVanished(session.id, at: now) }
      for session in new { state.machine.peerAppeared(session.id, at: now) }
      return gone.compactMap { state.publications.removeValue(forKey: $0.id) }
    }
    for publication in unused { publication.close() }
  }

  /// Asks the machine for something, and waits until it is over. A task that is cancelled meanwhile does not get it.
  func ask(
    evenIfCancelled: Bool = false, _ body: (QuorumMachine, Timestamp) -> UInt64
  ) async throws -> QuorumResult {
    if !evenIfCancelled { try Task.checkCancellation() }
    let ticket = input { (state, now) in
      let ticket = body(state.machine, now)
      state.asked.insert(ticket)
      return ticket
    }
    let result = await withTaskCancellationHandler {
      await withUnsafeContinuation { (continuation: UnsafeContinuation<QuorumResult, Never>) in
        let early = withState { state -> QuorumResult? in
          if let result = state.early.removeValue(forKey: ticket) { return result }
          state.waiting[ticket] = continuation
          return nil
        }
        if let early { continuation.resume(returning: early) }
      }
    } onCancel: {
      cancel(ticket)
    }
    withState { state in
      state.asked.remove(ticket)
      state.early[ticket] = nil
    }
    if Task.isCancelled, case .failed(.closed) = result, !withState({ $0.isClosed }) { throw CancellationError() }
    return result
  }

  private func cancel(_ ticket: UInt64) {
    let continuation = input { (state, now) -> UnsafeContinuation<QuorumResult, Never>? in
      guard state.asked.contains(ticket) else { return nil }
      state.machine.cancel(ticket, at: now)
      if let continuation = state.waiting.removeValue(forKey: ticket) { return continuation }
      // It may not wait yet: then it finds this.
      if state.early[ticket] == nil { state.early[ticket] = .failed(.closed) }
      return nil
    }
    continuation?.resume(returning: .failed(.closed))
  }

  // MARK: Outputs

  private func drain() {
    while let output = nextOutput() { perform(output) }
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

  private func output(of state: inout State) -> Output? {
    if let results = state.takeResults() { return .results(results) }
    if state.isClosed { return nil }
    let full = state.full
    if let message = state.machine.nextMessage(where: { !full.contains($0) }) {
      return .message(message.peer, message.bytes)
    }
    if let bytes = state.machine.nextBroadcast() { return .broadcast(bytes) }
    if let event = state.machine.nextEvent() { return .event(event) }
    let wants = state.machine.wantsNews
    if wants != (state.news != nil), !state.isSubscribing, !(wants && state.cannotListen) {
      state.isSubscribing = true
      return .listen(wants)
    }
    return nil
  }

  private func perform(_ output: Output) {
    defer { state.withLock { $0.isDraining = false } }
    switch output {
    case .results(let results): for (continuation, result) in results { continuation.resume(returning: result) }
    case .message(let peer, let bytes): send(bytes, to: peer)
    // What is not taken is dropped: whoever lacks it fetches it.
    case .broadcast(let bytes): _ = try? announcements.tryPublish(bytes)
    case .event(let event):
      if case .lockLost(let name, let token) = event { signalLoss(of: name, token) }
      endpoint.driver.broadcast(.quorum(name, event))
    case .listen(let wants): listen(wants)
    }
  }

  /// Listens to what the leader tells all, or stops: a member gets it from Raft.
  private func listen(_ wants: Bool) {
    let new = wants ? try? subscribe(to: announcements.topic) : nil
    let old = state.withLock { state -> CallbackSubscription? in
      state.isSubscribing = false
      state.cannotListen = wants && new == nil
      if state.isClosed { return new }
      defer { state.news = new }
      return state.news
    }
    old?.cancel()
  }

  private func send(_ bytes: [UInt8], to peer: EndpointID) {
    let known = state.withLock { $0.publications[peer] }
    guard let publication = try? known ?? endpoint.publication(Self.topic(of: name, peer), Self.messageSettings) else {
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

  private func signalLoss(of lock: String, _ token: UInt64) {
    let lost = withState { state -> [QuorumLock.Signal] in
      let lost = state.holders.filter { $0.name == lock && $0.token == token }
      state.holders.removeAll { $0.name == lock && $0.token == token }
      return lost
    }
    for signal in lost { signal.raise() }
  }

  // MARK: Time

  /// Sees to it that the machine is woken in time. A clock that rings too early is set anew then: that costs less than setting it after each input.
  private func arm(_ state: inout State) {
    guard let due = state.machine.nextWakeup, due < state.alarm ?? Timestamp(nanoseconds: .max) else { return }
    state.alarm = due
    clock.set(due)
  }

  /// The clock rings. Returns when it has to ring again.
  func ring() -> Timestamp? {
    input { (state, now) in
      state.alarm = nil
      if let due = state.machine.nextWakeup, due <= now { state.machine.advance(to: now) }
    }
    return withState { $0.alarm }
  }

  // MARK: The storage

  /// What the storage has to do next.
  func nextJob() -> QuorumJob? { withState { $0.machine.nextJob(at: .now) } }

  func jobDone(stateBytes: Int?) { input { (state, now) in state.machine.jobDone(stateBytes: stateBytes, at: now) } }

  func jobFailed(_ reason: String) { input { (state, now) in state.machine.jobFailed(reason: reason, at: now) } }
}

extension QuorumLink.State {
  /// The results for which somebody waits.
  mutating func takeResults() -> [(UnsafeContinuation<QuorumResult, Never>, QuorumResult)]? {
    var taken: [(UnsafeContinuation<QuorumResult, Never>, QuorumResult)] = []
    while let (ticket, result) = machine.nextResult() {
      if let continuation = waiting.removeValue(forKey: ticket) {
        taken.append((continuation, result))
      } else if asked.contains(ticket) {
        early[ticket] = result
      }
    }
    return taken.isEmpty ? nil : taken
  }

  /// Hands changes to those who watch: with the lock, so that what somebody has read and what he then sees of changes fits together.
  mutating func distribute() {
    while let changes = machine.nextChanges() {
      for watcher in watchers { watcher.put(changes) }
    }
  }
}
