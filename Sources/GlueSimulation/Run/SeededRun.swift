import GlueAddress
import GlueCore

/// The run of a plan: puts it into a simulation, lets it happen, and looks at what came of it.
final class SeededRun {
  let plan: Plan
  let simulation: Simulation
  var dice: Dice
  var hostility: Hostility
  private var activeFaults: [PlannedFault] = []
  private var users: ModelUsers!
  private var quorumUsers: QuorumUsers?
  private var nextClone: Int
  /// Hosts whose endpoint was defeated or left for good.
  private var isHealed = false

  init(plan: Plan, options: SimulationOptions) {
    self.plan = plan
    simulation = Simulation(
      hosts: plan.hosts, topics: plan.topics, seed: plan.seed, mutant: options.mutant, traceLines: options.traceLines)
    dice = Dice(seed: plan.seed, concern: .scenario)
    hostility = Hostility(seed: plan.seed, isSealed: plan.isSealed)
    nextClone = plan.participants.count
    simulation.recorder.ignoresContent = plan.mode == .damage && !plan.isSealed
    simulation.network.deliversDamaged = plan.mode == .damage
    users = ModelUsers(of: plan, in: simulation)
    quorumUsers = QuorumUsers(of: plan, in: simulation) { [unowned self] host in start(host) }
    prepare()
  }

  // MARK: Preparation

  private func prepare() {
    for host in plan.disks { simulation.giveDisk(to: host) }
    for host in plan.participants.indices {
      simulation.schedule(at: plan.participants[host].startsAt) { [unowned self] _ in start(host) }
      let clock = plan.participants[host].clock
      if clock.driftPerMillion != 0 { count(.clockDrift) }
      if clock.wallOrigin != LocalClock.rightWallOrigin { count(.wrongWallClock) }
    }
    for message in plan.messages {
      simulation.schedule(at: message.at) { [unowned self] _ in publish(message) }
    }
    for fault in plan.faults {
      simulation.schedule(at: fault.begins) { [unowned self] _ in begin(fault) }
    }
    scheduleChanges()
    simulation.schedule(at: Timestamp(nanoseconds: 500_000_000)) { [unowned self] _ in sample() }
    simulation.onDatagram = { [unowned self] bytes, endpoint, destination in
      let host = destination.ip.isMulticast ? nil : simulation.network.host(at: destination)
      guard host != nil || destination.ip.isMulticast else { return }
      hostility.overhear(
        bytes, from: simulation.network.address(of: endpoint.host), of: endpoint.host, to: host, at: simulation.now)
    }
    guard plan.hasEcho else { return }
    let echo = plan.topics.count - 1
    simulation.onMessage = { [unowned self] endpoint, message in
      // Publishing inside a callback; an echo is not echoed.
      guard !isHealed, message.info.topic != plan.topics[echo].name, message.serial % 16 == 0 else { return }
      endpoint.publish(topic: echo, bytes: 32)
    }
  }

  /// Subscriptions that come and go, and direct messages.
  private func scheduleChanges() {
    for _ in 0..<dice.int(5...20) {
      let at = Timestamp(nanoseconds: 3_000_000_000 + dice.below(plan.healsAt.nanoseconds - 3_000_000_000))
      simulation.schedule(at: at) { [unowned self] _ in changeSubscriptions() }
    }
    for _ in 0..<dice.int(10...60) {
      let at = Timestamp(nanoseconds: 3_000_000_000 + dice.below(plan.healsAt.nanoseconds - 3_000_000_000))
      simulation.schedule(at: at) { [unowned self] _ in sendDirect() }
    }
  }

  /// - Parameter progress: How far the subscriptions of an earlier life were, by their numbers: those go on there.
  private func start(
    _ host: Int, id: EndpointID? = nil, name: String? = nil, as participant: Int? = nil,
    resuming progress: [SubscriptionID: SimulatedEndpoint.Progress] = [:]
  ) {
    let place = participant ?? host
    let participant = plan.participants[place]
    var configuration = participant.configuration
    if let id { configuration.id = id }
    if let name { configuration.name = name }
    let endpoint = simulation.start(on: host, configuration, clock: participant.clock)
    for topic in participant.publishes { _ = try? endpoint.advertise(topic) }
    // Of topics that retain their last value each publication has taken a number.
    let first = 1 + participant.publishes.count { plan.topics[$0].history == .retained }
    for (index, wish) in participant.subscribes.enumerated() {
      let number = SubscriptionID(rawValue: UInt64(first + index))
      _ = try? endpoint.subscribe(wish.filter, options: wish.options, resuming: progress[number])
    }
    users.started(endpoint, as: place)
    quorumUsers?.started(endpoint, as: place)
  }

  // MARK: Users

  private func publish(_ message: Plan.Message) {
    let able = simulation.alive.filter { endpoint in
      endpoint.isRunning && endpoint.publications.contains { $0.topic == message.topic }
    }
    if !able.isEmpty {
      dice.pick(able).publish(
        topic: message.topic, bytes: message.bytes, lifetime: message.lifetime, whenFull: message.whenFull,
        isClear: message.isClear)
      return
    }
    // Nobody publishes this topic now; somebody publishes something else instead.
    let running = simulation.alive.filter(\.isRunning)
    guard !running.isEmpty else { return }
    let endpoint = dice.pick(running)
    guard let topic = endpoint.publications.first?.topic else { return }
    endpoint.publish(topic: topic, bytes: message.bytes, lifetime: message.lifetime, whenFull: message.whenFull)
  }

  private func changeSubscriptions() {
    let running = simulation.alive.filter { $0.isRunning && $0.host < plan.participants.count }
    guard !running.isEmpty else { return }
    let endpoint = dice.pick(running)
    let ids = endpoint.subscriptionIDs
    if ids.count > 1, dice.chance(percent: 50) {
      endpoint.unsubscribe(dice.pick(ids))
    } else {
      let wish = dice.pick(dice.pick(plan.participants).subscribes)
      _ = try? endpoint.subscribe(wish.filter, options: wish.options)
    }
  }

  private func sendDirect() {
    let running = simulation.alive.filter { $0.isRunning && !$0.peers.isEmpty }
    guard !running.isEmpty else { return }
    let endpoint = dice.pick(running)
    let peer = dice.pick(endpoint.peers.keys.sorted())
    endpoint.send(to: peer, bytes: dice.chance(percent: 10) ? dice.int(1_000...30_000) : dice.int(8...300))
  }

  // MARK: Faults

  private func count(_ fault: Fault) {
    simulation.recorder.report.faults[Fault.allCases.firstIndex(of: fault)!] += 1
  }

  private func begin(_ fault: PlannedFault) {
    guard !isHealed else { return }
    count(fault.fault)
    let place = Fault.allCases.firstIndex(of: fault.fault)!
    simulation.recorder.trace.note(.faultBegan, place, fault.hosts[0], fault.strength, at: simulation.now)
    if fault.isOfNetwork {
      activeFaults.append(fault)
      applyFaults()
      simulation.schedule(at: fault.ends) { [unowned self] _ in end(fault) }
      return
    }
    for host in fault.hosts.prefix(2) { hit(host, by: fault) }
  }

  private func end(_ fault: PlannedFault) {
    guard let index = activeFaults.firstIndex(where: { $0.begins == fault.begins && $0.fault == fault.fault }) else {
      return
    }
    activeFaults.remove(at: index)
    simulation.recorder.trace.note(.faultEnded, Fault.allCases.firstIndex(of: fault.fault)!, at: simulation.now)
    applyFaults()
  }

  private func applyFaults() {
    let count = simulation.network.hostCount
    for from in 0..<count {
      var host = HostConditions()
      for fault in activeFaults { fault.apply(to: &host, number: from) }
      simulation.network[from] = host
      for to in 0..<count where to != from {
        var link = simulation.network.baseline
        for fault in activeFaults { fault.apply(to: &link, from: from, to: to, hostCount: count) }
        simulation.network[from, to] = link
      }
    }
    simulation.noteLinks()
  }

  /// What happens to one host at once, or by somebody else.
  private func hit(_ host: Int, by fault: PlannedFault) {
    let endpoint = simulation.endpoints[host]
    switch fault.fault {
    case .addressChange:
      simulation.network.move(
        host: host, to: SimulatedNetwork.address(host: host, move: 1 + dice.int(0...150)))
      simulation.recorder.disturbances += 1
      simulation.trouble(host: host)
    case .crash:
      // Somebody has to be left.
      guard simulation.alive.count > 2, let endpoint else { return }
      simulation.end(endpoint)
    case .reboot, .leave:
      guard let endpoint else { return }
      fault.fault == .leave ? simulation.leave(endpoint) : simulation.end(endpoint)
      let hasNewName = fault.strength % 3 == 0
      // In half of the cases its users have saved how far they are.
      let progress = fault.strength % 4 < 2 ? endpoint.subscriptions.mapValues(\.progress) : [:]
      simulation.schedule(after: .milliseconds(UInt64(fault.strength))) { [unowned self] simulation in
        guard simulation.endpoints[host] == nil else { return }
        start(host, name: hasNewName ? "endpoint-\(host)-\(fault.strength)" : nil, resuming: progress)
      }
    case .pause:
      guard let endpoint else { return }
      simulation.pause(endpoint, for: fault.ends.since(fault.begins) + .seconds(1))
    case .clonedID, .clonedName:
      guard host == fault.hosts[0], nextClone < plan.hosts else { return }
      let original = plan.participants[host].configuration
      start(
        nextClone, id: fault.fault == .clonedID ? original.id : EndpointID(UInt64(nextClone + 1) * 1_000),
        name: fault.fault == .clonedName ? original.name : "clone-\(nextClone)", as: host)
      nextClone += 1
    case .slowSubscriber:
      guard let endpoint, !endpoint.isSlow else { return }
      endpoint.isSlow = true
      simulation.hold(host: host)
      simulation.schedule(at: fault.ends) { simulation in
        endpoint.isSlow = false
        simulation.release(host: host)
      }
    case .hostileBytes, .mutatedCopies, .replays, .forgedSources:
      guard host == fault.hosts[0] else { return }
      attack(fault)
    case .loss, .burstLoss, .duplication, .reordering, .delay, .clogging, .corruption, .truncation, .partition,
      .oneWayPartition, .partialPartition, .chainedPartition, .multicastDead, .unicastDead, .smallMTU, .narrowUplink,
      .receiveOverflow, .clockDrift, .wrongWallClock:
      break
    }
  }

  private func attack(_ fault: PlannedFault) {
    guard simulation.now < fault.ends, !isHealed else { return }
    let targets = simulation.alive.map(\.host)
    if !targets.isEmpty, let shot = hostility.shot(fault.fault, targets: targets) {
      if fault.fault == .replays { simulation.recorder.multicastTold.misled(at: simulation.now) }
      for host in shot.hosts {
        // Whoever holds a datagram back makes what is in it seem younger, for nobody's clocks agree.
        if let original = shot.original { simulation.noteTransit(from: original, to: host) }
        simulation.inject(shot.bytes, from: shot.source, to: host, isGroup: shot.isGroup)
      }
    }
    simulation.schedule(after: .milliseconds(UInt64(max(1, 1_000 / fault.strength)))) { [unowned self] _ in
      attack(fault)
    }
  }

  // MARK: Samples

  private func sample() {
    let alive = simulation.alive
    for endpoint in alive {
      Samples.take(of: endpoint, in: simulation)
      for model in endpoint.models { Samples.take(of: model, in: simulation) }
      for quorum in endpoint.quorums { Samples.take(of: quorum, in: simulation) }
    }
    Samples.takeOfPairs(alive, in: simulation)
    Samples.takeOfNeighbours(alive, in: simulation)
    Samples.takeOfMulticast(alive, in: simulation)
    simulation.schedule(after: .milliseconds(500)) { [unowned self] _ in sample() }
  }

  // MARK: The course of things

  /// Runs to the end and reports.
  func finish() -> SimulationReport {
    simulation.run(for: plan.healsAt.since(Timestamp(nanoseconds: 0)))
    if plan.mode == .liveness {
      heal()
      let healedAt = simulation.now
      // Whoever stands still gets to run again first.
      simulation.run(for: .seconds(60), until: { simulation.alive.allSatisfy(\.isRunning) })
      simulation.run(for: plan.convergenceBound)
      simulation.isSettled = true
      Verdicts.settled(simulation, healedAt: healedAt)
      Verdicts.probe(simulation, topics: plan.topics.count)
      simulation.run(for: .seconds(2))
      Verdicts.modelsSettled(simulation)
      quorumUsers?.conclude(bound: plan.convergenceBound, isRendezvous: plan.isRendezvous)
      // A slow disk may still write, and who published it is told then.
      simulation.run(for: .seconds(20), until: { simulation.alive.allSatisfy { !$0.isWriting } })
      simulation.run(
        for: ModelPlan.restBound, until: { simulation.alive.allSatisfy { $0.models.allSatisfy(\.isAtRest) } })
      simulation.run(for: .milliseconds(500))
      simulation.isQuiet = true
      simulation.run(for: max(.seconds(5), Timestamp(nanoseconds: 60_000_000_000).since(simulation.now)))
    }
    if plan.mode != .liveness { quorumUsers?.judge() }
    for endpoint in simulation.alive {
      for model in endpoint.models { model.end() }
      for quorum in endpoint.quorums { quorum.end() }
    }
    simulation.recorder.finish(network: simulation.network, at: simulation.now)
    var report = simulation.recorder.report
    report.safetyRuns = plan.mode == .liveness ? 0 : 1
    report.livenessRuns = plan.mode == .liveness ? 1 : 0
    let faults = report.faults.reduce(0, +)
    let counts = (3...20).contains(plan.participants.count) && faults >= 5 && report.published >= 1_000
    report.runsThatCount = counts && report.virtualSeconds >= 60 ? 1 : 0
    return report
  }

  private func heal() {
    isHealed = true
    activeFaults = []
    applyFaults()
    for endpoint in simulation.alive { endpoint.isSlow = false }
    quorumUsers?.heal()
    simulation.recorder.trace.note(.phase, 1, at: simulation.now)
  }
}
