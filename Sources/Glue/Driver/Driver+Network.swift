import GlueAddress
import GlueCore
import GlueNetwork
import Logging

/// When to look at the host's interfaces; what only the I/O thread uses.
struct NetworkWatch {
  /// What tells of changes, and its place in the poller.
  typealias Monitor = (watcher: InterfaceMonitor, slot: Poller.Slot)

  /// One cause (a cable, a new address) shows as several changes within milliseconds; looking at each would be wasted.
  static let settlingTime = Nanoseconds.milliseconds(50)
  /// The shortest time between two looks: a router may change its routes many times a second, and a look costs system
  /// calls for each interface.
  static let spacing = Nanoseconds.milliseconds(500)
  /// When to try again to open what could not be opened: nothing tells that a port is free again.
  static let retryTime = Nanoseconds.seconds(1)

  let monitor: Monitor?
  /// When to look next; `nil` until something changes.
  private(set) var lookAt: Timestamp?
  private var lastLook: Timestamp?

  init(monitor: Monitor?, retries: Bool) {
    self.monitor = monitor
    if retries { lookAt = Timestamp.now + Self.retryTime }
  }

  mutating func noteChange(at now: Timestamp) {
    let earliest = max(now + Self.settlingTime, lastLook.map { $0 + Self.spacing } ?? now)
    lookAt = min(lookAt ?? earliest, earliest)
  }

  /// Whether it is time to look; then nothing is due any more.
  mutating func isDue() -> Bool {
    guard let due = lookAt else { return false }
    let now = Timestamp.now
    guard due <= now else { return false }
    lookAt = nil
    lastLook = now
    return true
  }

  mutating func retry(at now: Timestamp) { lookAt = min(lookAt ?? now + Self.retryTime, now + Self.retryTime) }
}

extension Driver {
  /// Begins to watch the host's interfaces. Without that the endpoint runs all the same, as they are at the start.
  func openMonitor() -> NetworkWatch.Monitor? {
    do {
      let monitor = try InterfaceMonitor()
      return (monitor, try poller.add(monitor))
    } catch {
      log.logger.warning("changes of network interfaces will not be seen", metadata: ["error": "\(error)"])
      return nil
    }
  }

  /// Takes note of changes of the host's interfaces, and once they have settled does what they demand; by the I/O thread.
  func watchNetwork(_ ready: Poller.ReadySet, _ turn: Turn) {
    if let monitor = turn.network.monitor, ready.isReadable(monitor.slot), monitor.watcher.takeChanges() {
      turn.network.noteChange(at: .now)
    }
    guard turn.network.isDue() else { return }
    let old = turn.sockets
    let plan: SocketPlan
    do {
      plan = try SocketPlan(settings, on: .current(), after: old.plan)
    } catch {
      // No descriptors, perhaps; or addresses that contradict each other only now. The sockets stay as they are.
      log.logger.warning("a change of the network interfaces cannot be followed", metadata: ["error": "\(error)"])
      if error is NetworkError { turn.network.retry(at: .now) }
      return
    }
    guard plan != old.plan || !old.problems.isEmpty else { return }
    replaceSockets(by: EndpointSockets(plan, replacing: old, settings: settings, poller: poller), turn)
    if plan.choice != old.plan.choice { broadcast(.interfaces(plan.choice)) }
  }

  private func replaceSockets(by new: EndpointSockets, _ turn: Turn) {
    let old = turn.sockets
    new.ignoreOwnGroupData(incarnation)
    turn.sockets = new
    turn.lastSource = nil
    let sentToGroups = lock.withLock { $0.machine.groupDatagramsSent }
    for entry in new.all where !old.all.contains(where: { $0.socket === entry.socket }) {
      turn.queueDrops[entry.slot.index] = QueueDrops(sentToGroups: sentToGroups)
    }
    sockets.withLock { $0 = new }
    let isChange =
      new.plan.interfaces != old.plan.interfaces || new.plan.targets != old.plan.targets
      || new.data.map(\.socket.localAddress) != old.data.map(\.socket.localAddress)
      || new.problems.count < old.problems.count
    let waiting = lock.withLock { state -> Int? in
      state.reach = new.plan.reach
      // The others learn from an announcement where this endpoint is now, and this one who is there.
      if isChange {
        state.machine.networkChanged(targets: new.plan.targets, dataGroups: new.plan.dataGroups, at: .now)
      }
      state.collect()
      return state.blockedAt.take()
    }
    // Its socket may be gone, see takeBack.
    if let waiting { _ = sendBatches(startingAt: waiting, rounds: .max) }
    for problem in new.problems where !old.problems.contains(problem) {
      guard let code = problem.code else { continue }
      reportNetworkError(code, "\(problem)")
    }
    if !new.problems.isEmpty { turn.network.retry(at: .now) }
  }
}
