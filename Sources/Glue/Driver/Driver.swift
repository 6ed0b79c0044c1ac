import GlueAddress
import GlueCore
import GlueNetwork
import Logging
import Synchronization

/// Joins the core, which does no I/O, and the sockets, which know no protocol.
///
/// The core is behind one lock. Two kinds of threads drive it: those that call the endpoint's methods, and one I/O thread
/// per endpoint that waits for datagrams, timers and to be woken.
///
///     caller: lock { input; take datagrams } → send → lock { more? } …      no thread hop for a lone message
///     I/O:    wait → receive → lock { input } → callbacks → lock { take datagrams } → send …
///
/// - Datagrams: whoever sets `isSending` owns the send batch, and takes and sends datagrams until there are none.
/// - Deliveries and events are taken from the core by whoever caused them, and handed over by the I/O thread only: one
///   at a time, in order, outside the lock. So a callback may publish, and callbacks do not nest.
///
/// While a callback runs, the I/O thread does nothing else; callers' threads still send. When it takes long, another thread
/// takes over (`Driver+Callbacks.swift`).
final class Driver: Sendable {
  let settings: Endpoint.Configuration
  let coreConfiguration: EndpointConfiguration
  let incarnation: Incarnation
  let log: DriverLog

  let lock: Mutex<DriverState>
  let poller: Poller
  /// Owned by whoever has set `isSending`.
  nonisolated(unsafe) let sendBatch: SendBatch
  /// Datagrams of the batch that are not sealed yet; owned by the same.
  nonisolated(unsafe) var pendingSeals: [(datagram: Int, seal: PendingSeal)] = []
  /// Set by `start`, before the first datagram.
  let sockets = Mutex<EndpointSockets?>(nil)
  let ioThread = Atomic<UInt>(0)
  /// In a callback of the I/O thread: when that began to hand over messages without having drained datagrams since; 0
  /// otherwise.
  let callbacksSince = Atomic<UInt64>(0)
  /// When the last callback began.
  let lastCallbacksAt = Atomic<UInt64>(0)
  let callbackWatch = CallbackWatch.shared
  /// What the store held, to be told at the start.
  let loaded = Mutex<Event?>(nil)
  /// What the I/O thread has.
  let turn = Mutex<Turn?>(nil)
  /// The `callbacksSince` for which a thread was last started to relieve the I/O thread.
  let lastRelief = Atomic<UInt64>(0)
  let callbackThreads = Mutex(CallbackThreads())
  /// How many callback threads there are, or were a moment ago.
  let callbackThreadCount = Atomic<Int>(0)
  let callbackLimiter = RateLimiter(interval: .seconds(1))
  /// Whether tasks have something to do on the I/O thread; changed under the lock.
  let hasJobs = Atomic<Bool>(false)
  let localCounters = LocalCounters()
  /// The models that are open, by name.
  let models = Mutex<[String: ObjectIdentifier]>([:])
  /// The quorum models that are open, by name.
  let quorums = Mutex<[String: ObjectIdentifier]>([:])
  /// How long answers are polled for; zero where the answering endpoint may need this processor.
  let answerPollingLimit: Nanoseconds
  /// How long anything is polled for; zero likewise.
  let busyPollingTime: Nanoseconds
  /// As it was when the endpoint was made; see ``EndpointSockets/plan``.
  private let firstPlan: SocketPlan

  static let ioThreadName = "glue-io"

  init(_ settings: Endpoint.Configuration, plan: SocketPlan) throws {
    self.settings = settings
    let mayPoll = IOThread.processorCount > 1
    answerPollingLimit = mayPoll ? Nanoseconds(settings.answerPollingLimit) : .zero
    busyPollingTime = mayPoll ? Nanoseconds(settings.busyPollingTime) : .zero
    firstPlan = plan
    guard let id = settings.endpointID, let name = settings.endpointName else {
      preconditionFailure("the configuration has no identity: \(settings)")
    }
    var core = EndpointConfiguration(id: id, name: name)
    core.networkID = settings.networkID
    core.keys = settings.networkKeys
    core.discovery.interval = Nanoseconds(settings.discoveryInterval)
    core.discovery.leaseMultiplier = settings.discoveryTimeoutMultiplier
    core.discovery.targets = plan.targets
    core.dataGroups = plan.dataGroups
    core.discovery.isRendezvous = plan.isRendezvous
    core.discovery.relays = settings.relays
    core.discovery.limits = settings.discoveryLimits
    core.transport = settings.transport
    core.topics = settings.topics
    core.store = settings.store?.id
    do {
      core.receiveBufferBytes = try EndpointSockets.grantedReceiveBufferBytes(plan, settings)
      poller = try Poller()
    } catch {
      throw EndpointFailure.network("\(error)")
    }
    var generator = SystemRandomNumberGenerator()
    incarnation = Incarnation(UInt64.random(in: 1 ... .max, using: &generator))
    coreConfiguration = core
    sendBatch = SendBatch(capacityBytes: Self.sendBatchBytes, maximumDatagrams: Self.sendBatchDatagrams)
    log = DriverLog(settings.logger, id: id, name: name)
    lock = Mutex(
      DriverState(
        machine: EndpointMachine(
          configuration: core, incarnation: incarnation, keySalt: generator.next(), seed: generator.next(), now: .now,
          wallMicroseconds: MonotonicClock.wallNanoseconds() / 1_000)))
    try loadStore()
  }

  // MARK: Life

  var isStarted: Bool { lock.withLock { $0.phase != .ready } }
  var failure: EndpointFailure? { lock.withLock { $0.failure } }

  /// Opens the sockets and starts the thread.
  func start() throws {
    let mayStart = lock.withLock { state in
      guard state.phase == .ready, !state.isLeaving else { return false }
      state.phase = .running
      return true
    }
    guard mayStart else { throw EndpointFailure.alreadyStarted }
    do {
      let monitor = openMonitor()
      let opened = try openSockets()
      opened.ignoreOwnGroupData(incarnation)
      sockets.withLock { $0 = opened }
      try startStoring()
      lock.withLock { state in
        guard state.phase < .closing else { return }  // a shutdown was faster
        state.reach = opened.plan.reach
        state.machine.networkChanged(
          targets: opened.plan.targets, dataGroups: opened.plan.dataGroups, at: .now)
        state.machine.start(at: .now)
        state.collect()
      }
      let turn = Turn(sockets: opened, monitor: monitor, endpoint: coreConfiguration.name)
      self.turn.withLock { $0 = turn }
      callbackWatch.add(self)
      try IOThread.start(named: Self.ioThreadName) { [self] in runIOThread(turn) }
      log.logger.info(
        "started",
        metadata: [
          "addresses": "\(opened.data.map { "\($0.socket.localAddress)" }.joined(separator: " "))",
          "network": "\(coreConfiguration.networkID)",
        ])
      broadcast(.interfaces(opened.plan.choice))
    } catch {
      // Nothing runs, and nothing will: whoever waits for something is told.
      close()
      throw error
    }
  }

  private func openSockets() throws -> EndpointSockets {
    do {
      let plan = try SocketPlan(settings, on: .current(), after: firstPlan)
      return try EndpointSockets(plan, settings: settings, poller: poller)
    } catch let error as NetworkError {
      throw EndpointFailure.network("\(error)")
    }
  }

  /// Which interfaces are used, and why.
  var interfaceChoice: InterfaceChoice { sockets.withLock { $0?.plan.choice } ?? firstPlan.choice }

  /// See ``Endpoint/shutdown(timeout:)``.
  func shutdown(timeout: Duration) async {
    requestLeaving()
    let isRunning = lock.withLock { state in
      if state.phase == .running { state.phase = .leaving }
      return state.phase == .leaving
    }
    if isRunning, timeout > .zero {
      _ = await wait(for: .allAcknowledged, timeout: timeout, isCancellable: false) { $0.machine.isAllAcknowledged }
    }
    beginClosing()
    _ = await wait(for: .closed, isCancellable: false) { $0.phase == .closed }
  }

  /// Makes `run()` shut down.
  func requestLeaving() {
    let resumptions = lock.withLock { state -> [Resumption] in
      state.isLeaving = true
      return state.ready(for: [.leaving])
    }
    for resumption in resumptions { resumption.resume() }
  }

  /// The last reference to the endpoint is gone: nobody waits for anything.
  func abandon() { beginClosing() }

  /// Says goodbye and lets the I/O thread end.
  func beginClosing() {
    let (isOver, wakes) = lock.withLock { state -> (Bool, Bool) in
      state.isLeaving = true
      switch state.phase {
      case .ready:
        state.phase = .closing
        return (true, false)
      case .running, .leaving:
        state.machine.stop(at: .now)
        state.collect()
        state.phase = .closing
        return (false, state.wakes())
      case .closing, .closed: return (false, false)
      }
    }
    if wakes { poller.wake() }
    if isOver { close() }
  }

  /// Ends everything: sockets, sequences, waits. Called once there is no I/O thread, or by it.
  func close() {
    let opened = sockets.withLock { $0.take() }
    opened?.close(poller)
    finishStoring()
    let (sinks, direct, resumptions) = lock.withLock { state in
      state.phase = .closed
      state.isLeaving = true
      defer {
        state.sinks = [:]
        state.sinksVersion += 1
        state.directReader = nil
      }
      return (Array(state.sinks.values), state.directReader, state.endAllWaits())
    }
    runJobsElsewhere()
    callbackWatch.remove(self)
    turn.withLock { $0 = nil }
    callbackThreads.withLock { $0.abandon() }
    for sink in sinks {
      switch sink {
      case .queue(let queue): queue.finish()
      case .callback(let sink): discardBacklog(of: sink)
      }
    }
    direct?.finish()
    let readers = lock.withLock { state in
      defer { state.eventReaders = [] }
      return state.eventReaders
    }
    for reader in readers { reader.finish() }
    for resumption in resumptions { resumption.resume() }
  }

  /// A callback is not called any more once the endpoint is closed; what has waited for it is lost.
  private func discardBacklog(of sink: CallbackSink) {
    guard let backlog = sink.backlog else { return }
    var drops = DropCollector()
    for entry in backlog.discard() {
      drops.add(entry.message.stream, entry.message.sequence, .dropped, filter: sink.filter)
    }
    for report in drops.take() { broadcast(.loss(report)) }
  }

  // MARK: Questions

  func multicast() -> MulticastReport { lock.withLock { $0.machine.multicast } }
  func peers() -> [Peer] { lock.withLock { $0.machine.peers.map(Peer.init) } }

  func counters() -> [(name: String, value: UInt64)] {
    lock.withLock { $0.machine.counters.map { Counter(name: $0.name, value: $0.value) } }
      .map { ($0.name, $0.value) } + localCounters.all
  }

  func subscribers(of id: PublicationID) -> [EndpointMachine.PeerSession] {
    lock.withLock { $0.machine.subscribers(of: id) }
  }
  func matchedSubscribers(of id: PublicationID) -> Int { lock.withLock { $0.machine.matchedSubscribers(of: id) } }

  private struct Counter: Sendable {
    let name: String
    let value: UInt64
  }
}
