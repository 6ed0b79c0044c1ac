import GlueAddress
import GlueCore

/// How a run goes on after its faults.
public enum SimulationMode: String, CaseIterable, Sendable {
  /// Faults go on to the end: nothing forbidden may happen.
  case safety
  /// Faults stop, and within a bound everything has to converge.
  case liveness
  /// Damaged datagrams are delivered as they are. In a network without a key nothing tells a damaged payload from a sound
  /// one, so that nothing is asked there but that endpoints survive within their caps.
  case damage
}

/// Everything that a seed decides beforehand: who takes part, who wants what, and when.
package struct Plan: Sendable {
  /// An endpoint that starts on its host.
  package struct Participant: Sendable {
    var configuration: EndpointConfiguration
    var clock: LocalClock
    var startsAt: Timestamp
    var publishes: [Int]
    var subscribes: [Wish]
  }
  /// A subscription that somebody will have.
  package struct Wish: Sendable {
    var filter: String
    var options: SubscriptionOptions
  }
  /// A message that somebody will publish.
  package struct Message: Sendable {
    var at: Timestamp
    var topic: Int
    var bytes: Int
    var lifetime: Nanoseconds?
    var whenFull: SimulatedEndpoint.WhenFull
    /// Whether it clears the topic, if that retains its last value.
    var isClear = false
  }

  package let seed: UInt64
  package let mode: SimulationMode
  package let participants: [Participant]
  package let topics: [SimulatedTopic]
  package let messages: [Message]
  package let faults: [PlannedFault]
  /// Hosts: those of the participants, and two for intruders.
  package let hosts: Int
  /// All leases are at most this.
  package let lease: Nanoseconds
  package let isRendezvous: Bool
  /// When the faults end.
  package let healsAt: Timestamp
  /// Whether the network has a key. Intruders do not have it.
  package let isSealed: Bool
  static let key = NetworkKey([UInt8](repeating: 0x5A, count: NetworkKey.byteCount))!
  /// Hosts whose endpoints store what they keep.
  let disks: [Int]
  /// The models that participants share.
  let models: [ModelPlan]
  /// The quorum model that participants share.
  let quorum: QuorumPlan?
  /// Whether an echo answers some messages from within the callback.
  package let hasEcho: Bool

  /// From healing to when everybody has to know everybody and to have everything.
  package var convergenceBound: Nanoseconds { lease * 2 + .seconds(4) }

  package init(seed: UInt64, options: SimulationOptions) {
    var dice = Dice(seed: seed, concern: .plan)
    self.seed = seed
    let drawn = dice.below(100)
    mode = options.mode ?? (drawn < 60 ? .liveness : drawn < 92 ? .safety : .damage)
    // Most runs are small: few endpoints find most mistakes, and faster.
    let bounds = options.endpoints
    let most = dice.chance(percent: 15) ? bounds.upperBound : min(8, bounds.upperBound)
    let count = dice.int(bounds.lowerBound...max(bounds.lowerBound, most))
    hosts = count + 2
    let intervalMilliseconds: UInt64 = count > 8 || dice.chance(percent: 60) ? 1_000 : dice.pick([250, 500])
    lease = .milliseconds(intervalMilliseconds * 5)
    isRendezvous = dice.chance(percent: 20)
    healsAt = Timestamp(nanoseconds: (mode == .liveness ? 42 : 62) * 1_000_000_000)
    hasEcho = dice.chance(percent: 30)
    var retainedDice = Dice(seed: seed, concern: .retained)
    topics = Self.makeTopics(&dice, &retainedDice)
    // Mutants meddle with what is on the wire, which a key would keep from them.
    isSealed = dice.chance(percent: 25) && options.mutant == nil
    var participants = Self.makeParticipants(
      count, keys: isSealed ? [Self.key] : [], topics: topics, interval: .milliseconds(intervalMilliseconds),
      isRendezvous: isRendezvous, &dice)
    var groupsDice = Dice(seed: seed, concern: .groups)
    if !isRendezvous, groupsDice.chance(percent: 60) {
      for index in participants.indices { participants[index].configuration.dataGroups = [SimulatedNetwork.group] }
    }
    self.participants = participants
    messages = Self.makeMessages(topics: topics, until: healsAt, seed: seed).map { [topics] message in
      var message = message
      message.isClear = retainedDice.chance(percent: 10) && topics[message.topic].history == .retained
      return message
    }
    var disksDice = Dice(seed: seed, concern: .disks)
    disks = (0..<count).filter { _ in disksDice.chance(percent: 30) }
    models = ModelPlan.make(participants: count, disks: disks, seed: seed)
    quorum = QuorumPlan.make(participants: count, isCertain: options.mutant?.isOfQuorums ?? false, seed: seed)
    faults = PlannedFault.schedule(
      participants: count, isRendezvous: isRendezvous, healsAt: healsAt, mode: mode, lease: lease, seed: seed)
  }

  // MARK: Topics

  private static func makeTopics(_ dice: inout Dice, _ retainedDice: inout Dice) -> [SimulatedTopic] {
    let names = [
      "home/kitchen/temperature", "home/kitchen/light", "home/hall/light", "robot/arm/pose", "robot/base/scan", "fleet",
      "$internal/state", "home/hall", "robot/arm/pose/raw", "a/b/c/d",
    ]
    let picked = dice.distinct(dice.int(3...7), below: names.count)
    var topics = picked.map { index in
      SimulatedTopic(
        names[index], type: dice.chance(percent: 40) ? "T\(index)" : nil,
        reliability: dice.chance(percent: 25) ? .bestEffort : .reliable)
    }
    topics[0].reliability = .reliable
    for index in topics.indices where topics[index].reliability == .reliable {
      topics[index].history = dice.pick([.none, .none, .untilExpiry, .untilExpiry, .last(dice.int(1...60))])
      if retainedDice.chance(percent: 20) { topics[index].history = .retained }
    }
    topics.append(SimulatedTopic("echo", reliability: .reliable))
    return topics
  }

  private static func makeFilter(_ topic: SimulatedTopic, _ dice: inout Dice) -> Wish {
    var levels = topic.name.split(separator: "/").map(String.init)
    switch dice.below(10) {
    case 0..<5: break
    case 5..<7: levels[dice.int(0...(levels.count - 1))] = "+"
    case 7..<9: levels = Array(levels.prefix(dice.int(1...levels.count))) + ["#"]
    default: levels = ["#"]
    }
    var options = SubscriptionOptions()
    // A type that nobody publishes makes a mismatch.
    if dice.chance(percent: 25) { options.type = dice.chance(percent: 20) ? "other" : topic.type }
    options.holdsBackPublisher = dice.chance(percent: 25)
    options.history = dice.pick([.none, .none, .retained, .all, .last(dice.int(1...20))])
    return Wish(filter: levels.joined(separator: "/"), options: options)
  }

  // MARK: Participants

  private static func makeParticipants(
    _ count: Int, keys: [NetworkKey], topics: [SimulatedTopic], interval: Nanoseconds, isRendezvous: Bool,
    _ dice: inout Dice
  ) -> [Participant] {
    let rendezvous = SimulatedNetwork.address(host: 0)
    let windows = [64 << 10, 256 << 10, 1 << 20]
    let buffers = [384 << 10, 1 << 20, 4 << 20]
    return (0..<count).map { host in
      var configuration = EndpointConfiguration(id: EndpointID(UInt64(host + 1) * 1_000), name: "endpoint-\(host)")
      configuration.keys = keys
      configuration.discovery.interval = interval
      configuration.discovery.targets = isRendezvous ? (host == 0 ? [] : [rendezvous]) : [SimulatedNetwork.group]
      configuration.discovery.isRendezvous = isRendezvous && host == 0
      configuration.transport.maximumDatagramBytes = dice.chance(percent: 80) ? 1_472 : 1_200
      configuration.transport.streamWindowBytes = dice.pick(windows)
      configuration.transport.sendBufferBytes = dice.pick(buffers)
      configuration.transport.reassemblyBytes = dice.pick([512 << 10, 4 << 20])
      configuration.topics.maximumMessageBytes = 256 << 10
      configuration.topics.historyBytes = dice.pick([0, 64 << 10, 1 << 20, 64 << 20])
      // The echo has the last number; everybody may publish it.
      let publishes = dice.distinct(dice.int(0...min(3, topics.count - 1)), below: topics.count - 1).sorted()
      let wishes = (0..<dice.int(1...4)).map { _ in makeFilter(dice.pick(topics), &dice) }
      return Participant(
        configuration: configuration, clock: makeClock(&dice),
        startsAt: Timestamp(nanoseconds: host == 0 && isRendezvous ? 0 : dice.below(1_500_000_000)),
        publishes: (host < 2 ? [0] : []) + publishes.filter { host >= 2 || $0 != 0 } + [topics.count - 1],
        subscribes: (host == 2 ? [Wish(filter: topics[0].name, options: SubscriptionOptions())] : []) + wishes)
    }
  }

  private static func makeClock(_ dice: inout Dice) -> LocalClock {
    var clock = LocalClock(origin: 1_000_000_000 + dice.below(1 << 50))
    if dice.chance(percent: 30) { clock.driftPerMillion = Int64(dice.int(-10_000...10_000)) }
    if dice.chance(percent: 20) {
      let hour: UInt64 = 3_600_000_000
      clock.wallOrigin = dice.pick([0, clock.wallOrigin - hour, clock.wallOrigin + hour])
    }
    return clock
  }

  // MARK: Messages

  private static func makeMessages(topics: [SimulatedTopic], until end: Timestamp, seed: UInt64) -> [Message] {
    var dice = Dice(seed: seed, concern: .workload)
    var messages: [Message] = []
    let wanted = dice.int(1_300...1_700)
    let begin: UInt64 = 2_500_000_000
    // Half comes evenly, half in bursts.
    while messages.count < wanted {
      let at = Timestamp(nanoseconds: begin + dice.below(end.nanoseconds - begin))
      let topic = dice.int(0...(topics.count - 2))
      let burst = dice.chance(percent: 8) ? dice.int(5...30) : 1
      let gap = dice.pick([0, 100_000, 5_000_000])
      for index in 0..<burst {
        let lifetime: Nanoseconds? =
          dice.chance(percent: 20) ? dice.span(.milliseconds(30) ... .milliseconds(3_000)) : nil
        let whenFull: SimulatedEndpoint.WhenFull =
          dice.chance(percent: 70) ? .block : dice.chance(percent: 60) ? .dropOldest : .keepLatest
        messages.append(
          Message(
            at: at + Nanoseconds(UInt64(index * gap)), topic: topic, bytes: makeSize(&dice, isBurst: burst > 1),
            lifetime: lifetime, whenFull: whenFull))
      }
    }
    return messages
  }

  private static func makeSize(_ dice: inout Dice, isBurst: Bool) -> Int {
    switch dice.below(1_000) {
    case 0..<20: 0
    case 20..<850: dice.int(1...400)
    case 850..<960: dice.int(400...2_000)
    case 960..<992: dice.int(2_000...20_000)
    default: isBurst ? dice.int(2_000...20_000) : dice.int(20_000...200_000)
    }
  }
}
