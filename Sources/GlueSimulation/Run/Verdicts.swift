import GlueCore
import GlueModel

/// What is looked at again and again while a run lasts.
enum Samples {
  /// An endpoint's buffers and tables.
  static func take(of endpoint: SimulatedEndpoint, in simulation: Simulation) {
    let machine = endpoint.machine
    let bytes = machine.bufferedBytes + (endpoint.filter?.hoardedBytes ?? 0)
    simulation.recorder.judge(
      .bufferCaps, simulation.recorder.bufferCaps.sampled(endpoint.life, bytes: bytes, cap: cap(of: machine)),
      at: simulation.now)
    let peers = machine.peers
    let ghosts = peers.count { simulation.recorder.life(of: $0.incarnation) == nil } + (endpoint.filter?.ghosts ?? 0)
    simulation.recorder.judge(
      .unprovenState,
      simulation.recorder.unprovenState.sampled(
        endpoint.life, entries: machine.unprovenEntries, cap: machine.unprovenEntriesCap, ghosts: ghosts),
      at: simulation.now)
  }

  /// What a replica holds beside the document.
  static func take(of model: SimulatedModel, in simulation: Simulation) {
    let (buffers, configuration) = (model.replica.buffers, model.replica.configuration)
    for (bytes, limit) in [
      (buffers.pendingDeltas, configuration.pendingDeltaBytes), (buffers.heldDeltas, configuration.heldDeltaBytes),
      (buffers.incompleteMessages, configuration.receivedPartBytes), (model.replica.knownPeers, configuration.peers),
    ] {
      simulation.recorder.judge(
        .bufferCaps, simulation.recorder.bufferCaps.sampled(model.endpoint.life, bytes: bytes, cap: limit),
        at: simulation.now)
    }
    if model.mutation?.mutant == .neverRests { model.chatter() }
  }

  /// What an opening of a quorum model owes its users, and the locks that it takes for held.
  static func take(of quorum: SimulatedQuorum, in simulation: Simulation) {
    for (name, token) in quorum.machine.heldLocks
    where quorum.machine.holds(name, token: token, at: quorum.endpoint.now) {
      let verdict = simulation.recorder.quorums.locks.holds(
        name, token: token, at: quorum.opening, now: simulation.now)
      simulation.recorder.judge(.quorumLocks, verdict, at: simulation.now)
    }
    guard quorum.endpoint.isRunning else { return }
    let verdict = simulation.recorder.quorums.ends.sampled(quorum.opening, overdue: quorum.overdueRequests)
    simulation.recorder.judge(.quorumEnds, verdict, at: simulation.now)
  }

  /// What the configuration lets a machine hold.
  private static func cap(of machine: EndpointMachine) -> Int {
    let configuration = machine.configuration
    let transport = configuration.transport
    // One message may exceed a send buffer that is empty.
    let publication = transport.sendBufferBytes + configuration.topics.maximumMessageBytes * 2
    let session = publication + (256 << 10)
    return machine.openPublications * publication + machine.peers.count * session
      + machine.inboundStreams * (transport.streamWindowBytes * 2 + (64 << 10)) + transport.reassemblyBytes
      + configuration.topics.historyBytes + configuration.topics.maximumMessageBytes
  }

  /// Every two endpoints: does each know the other, if a third one knows both?
  static func takeOfNeighbours(_ alive: [SimulatedEndpoint], in simulation: Simulation) {
    let running = alive.filter(\.isRunning)
    func knows(_ one: SimulatedEndpoint, _ other: SimulatedEndpoint) -> Bool {
      one.peers[other.machine.configuration.id] == other.life
    }
    /// Of two with one ID or name one has to go, and until then others need not know it.
    func isUnique(_ endpoint: SimulatedEndpoint) -> Bool {
      let own = endpoint.machine.configuration
      return alive.count {
        $0.machine.configuration.id == own.id || $0.machine.configuration.name == own.name
      } == 1
    }
    let unique = running.filter(isUnique)
    for one in unique {
      let thirds = unique.filter {
        $0 !== one && knows(one, $0) && knows($0, one) && simulation.isSound(between: one.life, and: $0.life)
      }
      for other in unique where other !== one {
        let hasWay = thirds.contains {
          $0 !== other && knows($0, other) && knows(other, $0)
            && simulation.isSound(between: $0.life, and: other.life)
        }
        // An introducer looks again after up to 16 intervals.
        let interval = max(
          one.machine.configuration.discovery.interval, other.machine.configuration.discovery.interval)
        let verdict = simulation.recorder.convergence.sampled(
          one.life, other.life, isKnown: knows(one, other), hasWay: hasWay, patience: interval * 20 + .seconds(2),
          at: simulation.now)
        simulation.recorder.judge(.convergence, verdict, at: simulation.now)
      }
    }
  }

  /// Every two endpoints: do both have the session, or none?
  static func takeOfPairs(_ alive: [SimulatedEndpoint], in simulation: Simulation) {
    let tables = alive.map(\.machine.peers)
    for (one, table) in zip(alive, tables) where one.isRunning {
      for (other, otherTable) in zip(alive, tables) where other !== one && other.isRunning {
        let mine = table.first { $0.incarnation == other.machine.incarnation }
        let theirs = otherTable.first { $0.incarnation == one.machine.incarnation }
        let isHalf = mine.map { $0.remoteSession != theirs?.localSession } ?? false
        let lives = simulation.recorder.lives
        let verdict = simulation.recorder.wholeSessions.sampled(
          one.life, other.life, isHalf: isHalf, isSound: simulation.isSound(between: one.life, and: other.life),
          lease: max(lives[one.life].lease, lives[other.life].lease), at: simulation.now)
        simulation.recorder.judge(.wholeSessions, verdict, at: simulation.now)
      }
    }
  }
}

extension Samples {
  /// Whether each endpoint says of multicast what is so: by what it told last, and by what its links have been for a while.
  static func takeOfMulticast(_ alive: [SimulatedEndpoint], in simulation: Simulation) {
    for endpoint in alive {
      let usesGroups = endpoint.machine.configuration.discovery.targets.contains { $0.ip.isMulticast }
      guard usesGroups, endpoint.isRunning else {
        simulation.recorder.multicastTold.disturbed(endpoint.life)
        continue
      }
      let others = alive.filter {
        $0 !== endpoint && $0.isRunning && endpoint.peers[$0.machine.configuration.id] == $0.life
      }
      guard !others.isEmpty else {
        // Of peers that it meets when no multicast passes any more it does not know whether they use any.
        simulation.recorder.multicastTold.disturbed(endpoint.life)
        continue
      }
      let span = endpoint.machine.configuration.discovery.interval * 18
      let links = { (others: [SimulatedEndpoint]) in
        others.flatMap {
          [simulation.network[endpoint.host, $0.host], simulation.network[$0.host, endpoint.host]]
        }
      }
      let verdict = simulation.recorder.multicastTold.sampled(
        endpoint.life, isBlocked: links(others).allSatisfy(\.isGroupBlocked),
        // Also of those who are no peers yet: they are when it arrives. What this endpoint announced, or somebody sent
        // in its name, waits in sockets too, while their owners stand still.
        isClogged: alive.contains {
          $0 !== endpoint
            && $0.socket.contains { $0.isGroup && ($0.sender == nil || $0.sender == endpoint.host) }
        }
          || links(alive.filter { $0 !== endpoint }).contains { $0.clogsUntil != nil },
        isSound: others.contains { simulation.isSound(between: endpoint.life, and: $0.life, for: span) },
        patience: span, at: simulation.now)
      simulation.recorder.judge(.multicastTold, verdict, at: simulation.now)
    }
  }
}

/// What is looked at when the network has been sound for long enough.
enum Verdicts {
  /// The bound for everything to converge is over.
  static func settled(_ simulation: Simulation, healedAt: Timestamp) {
    let alive = simulation.alive
    let lives = alive.map(\.life)
    for endpoint in alive {
      let known = endpoint.machine.peers.compactMap { simulation.recorder.life(of: $0.incarnation) }
      simulation.recorder.judge(
        .convergence, simulation.recorder.convergence.settled(endpoint.life, knows: known, of: lives),
        at: simulation.now)
      let configuration = endpoint.machine.configuration
      let sameID = alive.filter { $0.machine.configuration.id == configuration.id }.map(\.life)
      let sameName = alive.filter { $0.machine.configuration.name == configuration.name }.map(\.life)
      simulation.recorder.judge(
        .oneHolder, simulation.recorder.oneHolder.settled(sameID, what: "ID \(configuration.id)"), at: simulation.now)
      simulation.recorder.judge(
        .oneHolder, simulation.recorder.oneHolder.settled(sameName, what: "name \(configuration.name)"),
        at: simulation.now)
    }
    let recorder = simulation.recorder
    let verdict = simulation.recorder.eventualDelivery.deadline(recorder.ledger, publishedBefore: simulation.now) {
      recorder.message($0, $1)?.at
    }
    simulation.recorder.judge(.eventualDelivery, verdict, at: simulation.now)
    for endpoint in alive { reunion(of: endpoint, with: alive, in: simulation) }
    for (topic, description) in recorder.topics.enumerated() where description.history == .retained {
      retained(topic, named: description.name, by: alive, in: simulation)
    }
  }

  /// All who have a model open have met, and have had time to get from each other what they lacked.
  static func modelsSettled(_ simulation: Simulation) {
    let models = simulation.alive.flatMap(\.models)
    for (index, model) in models.enumerated() {
      guard let first = models[..<index].first(where: { $0.settings.name == model.settings.name }) else { continue }
      let verdict = simulation.recorder.models.convergence.settled(
        first.opening, first.replica.document.state(), model.opening, model.replica.document.state(),
        of: model.settings.name)
      simulation.recorder.judge(.modelConvergence, verdict, at: simulation.now)
    }
  }

  /// Whether all who want a topic's value have got the highest that anybody holds.
  private static func retained(
    _ topic: Int, named name: String, by endpoints: [SimulatedEndpoint], in simulation: Simulation
  ) {
    for endpoint in endpoints {
      let held = endpoint.machine.retainedValuesHeld(of: name)
      let verdict = simulation.recorder.retained.held(held, by: endpoint.life, topic: topic)
      simulation.recorder.judge(.retained, verdict, at: simulation.now)
    }
    let holders = endpoints.filter { $0.machine.retainedValuesHeld(of: name) > 0 }
    let highest = holders.compactMap { $0.machine.retainedValue(of: name) }.max { $0.stamp < $1.stamp }
    guard let highest else { return }
    for endpoint in endpoints {
      // Who has known a higher one, which nobody holds any more, takes none that is lower.
      if let known = endpoint.machine.retainedValue(of: name), known.stamp > highest.stamp { continue }
      for id in endpoint.subscriptionIDs {
        let subscription = endpoint.subscriptions[id]!
        guard subscription.topics.contains(topic), subscription.options.history != .none else { continue }
        let key = SubscriptionKey(life: endpoint.life, number: id.rawValue)
        let verdict = simulation.recorder.retained.settled(
          key, topic: topic, highest: highest.stamp, isCleared: highest.isCleared)
        simulation.recorder.judge(.retained, verdict, at: simulation.now)
      }
    }
  }

  /// Whether an endpoint has got what the others hold for it.
  private static func reunion(
    of endpoint: SimulatedEndpoint, with others: [SimulatedEndpoint], in simulation: Simulation
  ) {
    let recorder = simulation.recorder
    for (publisher, record) in recorder.lives.enumerated() where publisher != endpoint.life {
      for (topic, description) in recorder.topics.enumerated()
      where description.history != .none && description.history != .retained {
        let stream = StreamKey(publisher: publisher, topic: topic)
        for holder in others where holder !== endpoint {
          let held = holder.machine.held(description.name, of: record.id, record.incarnation)
          guard !held.isEmpty else { continue }
          for id in endpoint.subscriptionIDs where endpoint.subscriptions[id]!.topics.contains(topic) {
            let subscription = endpoint.subscriptions[id]!
            let key = SubscriptionKey(life: endpoint.life, number: id.rawValue)
            // Ages are told by clocks that drift, and lack the way.
            let age = simulation.now.since(subscription.began)
            let certainAge = Nanoseconds(age.count / 50 * 49)
            let since = simulation.now - certainAge + .milliseconds(200)
            // Nor does anybody know how long a message was on its way, if that was not half a round trip.
            let recent = holder.machine.held(
              description.name, of: record.id, record.incarnation,
              publishedSince: holder.now - certainAge + .milliseconds(200))
            // What others hold that came before what the publisher gave it is not asked for.
            // Nor is it certain that a subscription gets what was published before, if the endpoint had met the publisher
            // already: whoever has it is asked for it once.
            let wantsAll =
              subscription.options.history == .all && endpoint.metAt[publisher].map { $0 >= subscription.began } ?? true
            let first = wantsAll ? recorder.reunion.first(of: key, stream) ?? held.lowerBound : .max
            let wanted = held.filter { number in
              number >= first
                || recent.contains(number) && recorder.message(stream, number).map { $0.at >= since } ?? false
            }
            guard !wanted.isEmpty else { continue }
            let verdict = simulation.recorder.reunion.judged(key, stream, held: wanted, by: holder.life)
            simulation.recorder.judge(.reunion, verdict, at: simulation.now)
          }
        }
      }
    }
  }

  /// Publishes one message on each publication of each endpoint; a second later everybody who wants it must have it.
  static func probe(_ simulation: Simulation, topics: Int) {
    for endpoint in simulation.alive {
      for publication in endpoint.publications
      where simulation.recorder.topics[publication.topic].reliability == .reliable
        // Of values that are published at once only the highest has to arrive.
        && simulation.recorder.topics[publication.topic].history != .retained
      {
        guard let sequence = endpoint.publish(topic: publication.topic, bytes: 64) else { continue }
        let stream = StreamKey(publisher: endpoint.life, topic: publication.topic)
        let wanting = simulation.alive.filter { $0.wants(publication.topic) && $0 !== endpoint }
        simulation.schedule(after: .seconds(1)) { simulation in
          let missing = wanting.filter { !$0.hasReceived(stream, sequence) && !$0.isOver }.map(\.life)
          let verdict = simulation.recorder.eventualDelivery.probe(stream, missing: missing, of: wanting.count)
          simulation.recorder.judge(.eventualDelivery, verdict, at: simulation.now)
        }
      }
    }
  }
}

extension SimulatedEndpoint {
  /// Whether the last message of a stream that reached any of its subscriptions is this one or a later one.
  func hasReceived(_ stream: StreamKey, _ sequence: UInt64) -> Bool {
    lastReceived[stream].map { $0 >= sequence } ?? false
  }
}
