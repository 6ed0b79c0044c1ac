import GlueCore
import GlueModel
import GlueQuorum

/// Those who use the quorum model of a run: they found it, write, read, take locks, change the members, close it and open it again; and lose
/// power and storages.
final class QuorumUsers {
  let plan: QuorumPlan
  let simulation: Simulation
  let end: Timestamp
  var dice: Dice
  private(set) var disks: [Int: SimulatedQuorumDisk] = [:]
  /// Starts an endpoint in place of a participant.
  private let start: (Int) -> Void
  private(set) var isFounded = false
  private var isFounding = false

  /// When the founding begins: all have started.
  private static let foundingBegins = Timestamp(nanoseconds: 2_000_000_000)
  private static let usersBegin: UInt64 = 3_000_000_000

  init?(of plan: Plan, in simulation: Simulation, start: @escaping (Int) -> Void) {
    guard let quorum = plan.quorum else { return nil }
    self.plan = quorum
    self.simulation = simulation
    self.start = start
    end = plan.healsAt
    dice = Dice(seed: plan.seed, concern: .quorums)
    for host in quorum.disks.keys.sorted() {
      let disk = SimulatedQuorumDisk(host: host, seed: plan.seed)
      if let mutant = simulation.mutant, let mutation = QuorumMutation(mutant) {
        disk.fault = mutation.logFault
        disk.keepsIdentity = mutant == .keepsIdentity
      }
      disks[host] = disk
    }
    simulation.schedule(at: Self.foundingBegins) { [unowned self] _ in found() }
    for _ in 0..<quorum.writes { schedule { users in users.write() } }
    for _ in 0..<quorum.reads { schedule { users in users.read() } }
    for _ in 0..<quorum.locks { schedule { users in users.lock() } }
    for _ in 0..<quorum.changes { schedule { users in users.change() } }
    for _ in 0..<quorum.closings { schedule { users in users.closeOne() } }
    for _ in 0..<quorum.crashes { schedule { users in users.crashOne() } }
    for _ in 0..<quorum.losses { schedule { users in users.loseOne() } }
  }

  private func schedule(_ body: @escaping (QuorumUsers) -> Void) {
    let at = Timestamp(nanoseconds: Self.usersBegin + dice.below(end.nanoseconds - Self.usersBegin))
    simulation.schedule(at: at) { [unowned self] _ in body(self) }
  }

  /// The openings that are not over.
  var openings: [SimulatedQuorum] { simulation.alive.flatMap(\.quorums) }
  /// Those whose users can do something.
  private var usable: [SimulatedQuorum] { openings.filter(\.endpoint.isRunning) }

  func count(_ field: WritableKeyPath<QuorumCounts, UInt64>) {
    simulation.recorder.report.quorums[keyPath: field] += 1
  }

  // MARK: Opening and founding

  /// An endpoint has started in place of a participant: it opens the model, if it takes part.
  func started(_ endpoint: SimulatedEndpoint, as participant: Int) {
    if plan.openers.contains(participant) { open(at: endpoint) }
  }

  private func open(at endpoint: SimulatedEndpoint) {
    let disk = disks[endpoint.host]
    disk?.trouble = plan.disks[endpoint.host] ?? .sound
    let settings = SimulatedQuorumSettings(name: plan.name, configuration: plan.configuration)
    do {
      try endpoint.open(settings, on: disk, seed: dice.next())
    } catch {
      // It is damaged: what it promised is lost, and it takes part anew, as somebody else.
      guard error is LogError, let disk else { return }
      count(\.damages)
      lose(disk)
      _ = try? endpoint.open(settings, on: disk, seed: dice.next())
      addLater(endpoint.machine.configuration.id)
    }
  }

  private func found() {
    guard !isFounded, simulation.now < end else { return }
    simulation.schedule(after: .seconds(1)) { [unowned self] _ in found() }
    let able = usable.filter { plan.voters.contains($0.endpoint.host) && $0.machine.cluster == nil }
    guard !isFounding, !able.isEmpty else { return }
    isFounding = true
    let ids = plan.voters.map { EndpointID(UInt64($0 + 1) * 1_000) }
    let span = Nanoseconds.seconds(5)
    let founder = dice.pick(able)
    founder.ask(within: span, { $0.initialize(voters: ids, timeout: span, at: $1) }) { [unowned self] result in
      isFounding = false
      guard result == .done else { return }
      isFounded = true
      count(\.founded)
    }
    // The founder may end before it is told.
    simulation.schedule(after: .seconds(6)) { [unowned self] _ in isFounding = false }
  }

  // MARK: Writing and reading

  /// Keys that transactions connect.
  private static let groups = [["a", "b", "c"], ["x", "y"]]
  private static let span: ClosedRange<Nanoseconds> = .milliseconds(200) ... .seconds(5)

  private func write() {
    for _ in 0..<(dice.chance(percent: 10) ? dice.int(2...6) : 1) {
      let able = usable
      guard !able.isEmpty else { return }
      write(at: dice.pick(able))
    }
  }

  private func write(at quorum: SimulatedQuorum) {
    let group = dice.pick(Self.groups)
    let write = simulation.recorder.quorums.durability.asked()
    let value = "v\(write)"
    let key = dice.pick(group)
    func known(_ key: String) -> HistoryCell { HistoryCell(key, Self.value(of: key, at: quorum)) }
    let action: HistoryOperation.Action
    switch dice.below(10) {
    case 0..<5: action = .write(key: key, value: value)
    case 5: action = .delete(key: key)
    case 6, 7: action = .compareAndSet(key: key, expected: known(key).value, value: value)
    default:
      let cells = dice.distinct(2, below: group.count).map { group[$0] }
      action = .transaction(conditions: cells.map(known), writes: cells.map { HistoryCell($0, value) })
    }
    submit(write, action, at: quorum)
  }

  /// Each write counts itself as well, so that it is told from all others afterwards.
  private func submit(_ write: Int, _ action: HistoryOperation.Action, at quorum: SimulatedQuorum) {
    let conditions = action.conditions.map { QuorumCondition.value(Self.path($0.key), $0.value.map { .string($0) }) }
    let edits = action.writes.map { cell -> ModelEdit in
      cell.value.map { .set(Self.path(cell.key), .string($0)) } ?? .delete(Self.path(cell.key))
    }
    let entry = simulation.recorder.quorums.history.asked(action, by: quorum.opening, at: simulation.now)
    let span = dice.span(Self.span)
    let operation = QuorumOperation.transaction(conditions, edits + [.increment(Self.path(ofWrite: write), 1)])
    quorum.ask(within: span, { $0.submit(operation, timeout: span, at: $1) }) { [unowned self] result in
      ended(write, entry, result)
    }
  }

  private func ended(_ write: Int, _ entry: Int?, _ result: QuorumResult) {
    let now = simulation.now
    switch result {
    case .committed(let index):
      count(\.written)
      simulation.recorder.quorums.durability.ended(write, .done(index))
      if let entry { simulation.recorder.quorums.history.ended(entry, .committed, at: now) }
    case .rejected(let rejection):
      count(\.rejected)
      if case .forgotten = rejection { return }
      if case .unknownSession = rejection { return }
      simulation.recorder.quorums.durability.ended(write, .notDone)
      var reason: String? = "\(rejection)"
      if case .conditionFailed = rejection { reason = nil }
      if let entry { simulation.recorder.quorums.history.ended(entry, .rejected(reason: reason), at: now) }
    case .failed:
      simulation.recorder.quorums.durability.ended(write, .notDone)
      if let entry { simulation.recorder.quorums.history.ended(entry, .failed, at: now) }
    case .unknown(let token, _):
      count(\.unknown)
      guard dice.chance(percent: 50) else { return }
      simulation.schedule(after: dice.span(.zero ... .seconds(4))) { [unowned self] _ in
        resolve(token, write, entry)
      }
    case .granted, .readable, .done: break
    }
  }

  /// Looks up what became of a write.
  private func resolve(_ token: QuorumToken, _ write: Int, _ entry: Int?) {
    let able = usable
    guard !able.isEmpty else { return }
    let span = dice.span(Self.span)
    dice.pick(able).ask(within: span, { $0.resolve(token, timeout: span, at: $1) }) { [unowned self] result in
      switch result {
      case .committed, .rejected:
        count(\.resolved)
        ended(write, entry, result)
      case .failed, .unknown, .granted, .readable, .done: break
      }
    }
  }

  private func read() {
    let able = usable
    guard !able.isEmpty else { return }
    let quorum = dice.pick(able)
    let keys = dice.pick(Self.groups)
    let isOfOne = dice.chance(percent: 60)
    let key = dice.pick(keys)
    func action() -> HistoryOperation.Action {
      isOfOne
        ? .read(key: key, value: Self.value(of: key, at: quorum))
        : .transaction(conditions: keys.map { HistoryCell($0, Self.value(of: $0, at: quorum)) }, writes: [])
    }
    let entry = simulation.recorder.quorums.history.asked(
      .read(key: key, value: nil), by: quorum.opening, at: simulation.now)
    let span = dice.span(Self.span)
    quorum.read(within: span) { [unowned self] result in
      guard case .readable = result else { return }
      count(\.reads)
      simulation.recorder.quorums.history.ended(entry, .committed, read: action(), at: simulation.now)
    }
  }

  static func path(_ key: String) -> ModelPath { ModelPath(unchecked: key) }
  static func path(ofWrite write: Int) -> ModelPath { ModelPath(unchecked: "w/\(write)") }

  private static func value(of key: String, at quorum: SimulatedQuorum) -> String? {
    quorum.machine.state.document.read(path(key))?.value?.string
  }

  // MARK: Locks

  private func lock() {
    let able = usable
    guard !able.isEmpty else { return }
    let quorum = dice.pick(able)
    let name = dice.pick(["door", "gate"])
    let life = UInt64(dice.int(1_000...Int(QuorumLocks.longestLife.count / 1_000_000)))
    let operation = QuorumOperation.acquire(lock: name, ttl: life, waits: dice.chance(percent: 60), note: "")
    let span = dice.span(.milliseconds(500) ... .seconds(8))
    quorum.ask(within: span, { $0.submit(operation, timeout: span, at: $1) }) { [unowned self] result in
      guard case .granted(let token) = result else { return }
      count(\.granted)
      let verdict = simulation.recorder.quorums.locks.granted(
        name, token: token, to: quorum.opening, at: simulation.now)
      simulation.recorder.judge(.quorumLocks, verdict, at: simulation.now)
      for _ in 0..<dice.int(0...2) {
        simulation.schedule(after: dice.span(.zero ... .seconds(3))) { [unowned self] _ in
          writeProtected(by: name, token, at: quorum)
        }
      }
      simulation.schedule(after: dice.span(.milliseconds(100) ... .seconds(9))) { [unowned self] _ in
        giveBack(name, token, at: quorum)
      }
    }
  }

  private func writeProtected(by name: String, _ token: UInt64, at quorum: SimulatedQuorum) {
    guard !quorum.isClosed, quorum.endpoint.isRunning else { return }
    let write = simulation.recorder.quorums.durability.asked()
    let span = dice.span(Self.span)
    let operation = QuorumOperation.transaction(
      [.held(lock: name, token: token)], [.increment(Self.path(ofWrite: write), 1)])
    quorum.ask(within: span, { $0.submit(operation, timeout: span, at: $1) }) { [unowned self] result in
      ended(write, nil, result)
      guard case .committed(let index) = result else { return }
      let verdict = simulation.recorder.quorums.locks.committed(name, token: token, at: index)
      simulation.recorder.judge(.quorumLocks, verdict, at: simulation.now)
    }
  }

  private func giveBack(_ name: String, _ token: UInt64, at quorum: SimulatedQuorum) {
    guard !quorum.isClosed, quorum.endpoint.isRunning else { return }
    let span = dice.span(Self.span)
    let operation = QuorumOperation.release(lock: name, token: token)
    quorum.ask(within: span, { $0.submit(operation, timeout: span, at: $1) }) { _ in }
  }

  // MARK: Members and storages

  private func change() {
    guard let host = plan.disks.keys.sorted().randomElement(using: &dice) else { return }
    let id = EndpointID(UInt64(host + 1) * 1_000)
    change(dice.chance(percent: 40) ? .remove(id) : .add(id, asVoter: dice.chance(percent: 75)))
  }

  private func change(_ change: QuorumChange) {
    let able = usable
    guard !able.isEmpty else { return }
    let span = dice.span(.seconds(2) ... .seconds(10))
    dice.pick(able).ask(within: span, { $0.change(change, timeout: span, at: $1) }) { _ in }
  }

  /// Whoever has lost a storage gets a vote again, with the new one.
  private func addLater(_ endpoint: EndpointID) {
    simulation.schedule(after: dice.span(.seconds(2) ... .seconds(8))) { [unowned self] _ in
      if simulation.now < end { change(.add(endpoint, asVoter: true)) }
    }
  }

  private func closeOne() {
    let able = usable
    guard able.count > 1 else { return }
    // One whose storage has failed is looked after first.
    let failed = able.first { $0.machine.failure != nil }
    let quorum = failed ?? dice.pick(able)
    let endpoint = quorum.endpoint
    quorum.close()
    if failed != nil, let disk = disks[endpoint.host], dice.chance(percent: 50) {
      lose(disk)
      addLater(endpoint.machine.configuration.id)
    }
    simulation.schedule(after: dice.span(.milliseconds(1) ... .seconds(6))) { [unowned self] simulation in
      guard endpoint.isRunning, endpoint.quorums.isEmpty, simulation.now < end else { return }
      open(at: endpoint)
    }
  }

  private func crashOne() {
    if let host = plan.disks.keys.sorted().randomElement(using: &dice) { crash(host, losesStorage: false) }
  }

  private func loseOne() {
    if let host = plan.unlucky.randomElement(using: &dice) { crash(host, losesStorage: true) }
  }

  /// An endpoint ends amid something, and starts again.
  private func crash(_ host: Int, losesStorage: Bool) {
    guard let endpoint = simulation.endpoints[host], !isRendezvous(host) else { return }
    simulation.end(endpoint)
    if losesStorage, let disk = disks[host] {
      lose(disk)
      addLater(endpoint.machine.configuration.id)
    }
    simulation.schedule(after: dice.span(.milliseconds(10) ... .seconds(5))) { [unowned self] simulation in
      if simulation.now < end { restart(host) }
    }
  }

  private func lose(_ disk: SimulatedQuorumDisk) {
    count(\.losses)
    disk.lose()
  }

  private func isRendezvous(_ host: Int) -> Bool {
    simulation.endpoints[host]?.machine.configuration.discovery.isRendezvous ?? false
  }

  /// Starts what has ended, if nobody has taken its place.
  private func restart(_ host: Int) {
    let id = EndpointID(UInt64(host + 1) * 1_000)
    let isTaken = simulation.alive.contains {
      $0.machine.configuration.id == id || $0.machine.configuration.name == "endpoint-\(host)"
    }
    if simulation.endpoints[host] == nil, !isTaken { start(host) }
  }

  /// The faults are over: members that have ended start again.
  func heal() { for host in plan.disks.keys.sorted() { restart(host) } }
}
