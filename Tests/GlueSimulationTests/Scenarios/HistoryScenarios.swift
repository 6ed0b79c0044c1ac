import GlueAddress
import GlueCore
import GlueSimulation
import Testing

/// Late joiners, partitions, and publishers that are gone: what was missed arrives from whoever holds it.
@Suite(.apart) struct HistoryScenarios {
  private let kept = [SimulatedTopic("t", history: .last(2_000))]

  private func publish(
    _ count: Int, from publisher: SimulatedEndpoint, in scenario: Scenario, lifetime: Nanoseconds? = nil,
    every gap: Nanoseconds = .milliseconds(1)
  ) {
    for number in 0..<count {
      scenario.simulation.schedule(after: gap * UInt64(number)) { _ in
        publisher.publish(topic: 0, bytes: 100, lifetime: lifetime)
      }
    }
    scenario.run(gap * UInt64(count) + .milliseconds(100))
  }

  /// Cuts some hosts off from all others, or joins them again.
  private func cut(_ hosts: Set<Int>, in scenario: Scenario, _ isCut: Bool = true) {
    let count = scenario.simulation.network.hostCount
    for from in 0..<count {
      for to in 0..<count where from != to && hosts.contains(from) != hosts.contains(to) {
        scenario.simulation.network[from, to].isUnicastBlocked = isCut
        scenario.simulation.network[from, to].isGroupBlocked = isCut
      }
    }
    scenario.simulation.noteLinks()
  }

  private func subscribe(_ host: Int, in scenario: Scenario, history: HistoryRequest = .none) throws
    -> SimulatedEndpoint
  {
    let endpoint = try scenario.start(host)
    try endpoint.subscribe("t", options: SubscriptionOptions(history: history))
    return endpoint
  }

  @Test(arguments: [0, 50_000, 200_000] as [Int]) func aLateJoinerGetsAllFromASubscriberOfADeadPublisher(loss: Int)
    throws
  {
    let scenario = Scenario(hosts: 3, topics: [SimulatedTopic("t", history: .untilExpiry)], seed: 41)
    let publisher = try scenario.start(0, publishes: [0])
    let holder = try subscribe(1, in: scenario)
    scenario.run(.seconds(2))
    scenario.links { $0.lossPerMillion = loss }
    publish(1_000, from: publisher, in: scenario, lifetime: .seconds(60))
    scenario.run(.seconds(3))
    #expect(scenario.numbers(at: holder) == Array(0..<1_000))
    scenario.simulation.end(publisher)
    let joiner = try subscribe(2, in: scenario, history: .all)
    scenario.run(.seconds(8), until: { scenario.numbers(at: joiner).count == 1_000 })
    #expect(scenario.numbers(at: joiner) == Array(0..<1_000))
    #expect(scenario.losses(at: 2).isEmpty)
    // What has expired is gone everywhere.
    scenario.run(.seconds(65))
    #expect(holder.machine.bufferedBytes == 0)
    #expect(joiner.machine.bufferedBytes == 0)
  }

  @Test func aHealedPartitionBringsWhatWasMissedWithinTwoSeconds() throws {
    let scenario = Scenario(hosts: 2, topics: kept, seed: 42)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try subscribe(1, in: scenario)
    scenario.run(.seconds(2))
    publish(10, from: publisher, in: scenario)
    cut([1], in: scenario)
    publish(1_000, from: publisher, in: scenario, every: .milliseconds(20))
    #expect(scenario.numbers(at: subscriber).count == 10)
    cut([1], in: scenario, false)
    scenario.run(.seconds(2), until: { subscriber.peers.count == 1 })
    scenario.run(.seconds(2))
    #expect(scenario.numbers(at: subscriber) == Array(0..<1_010))
    #expect(scenario.losses(at: 1).isEmpty)
  }

  /// The publisher dies while one subscriber is cut off; another one has what it missed.
  @Test func whatADeadPublisherSaidMeanwhileComesFromOthers() throws {
    let scenario = Scenario(hosts: 3, topics: kept, seed: 43)
    let publisher = try scenario.start(0, publishes: [0])
    let holder = try subscribe(1, in: scenario)
    let cutOff = try subscribe(2, in: scenario)
    scenario.run(.seconds(2))
    publish(100, from: publisher, in: scenario)
    cut([2], in: scenario)
    publish(300, from: publisher, in: scenario)
    scenario.simulation.end(publisher)
    scenario.run(.seconds(15))
    #expect(scenario.numbers(at: holder).count == 400)
    cut([2], in: scenario, false)
    scenario.run(.seconds(3), until: { cutOff.peers.count == 1 })
    scenario.run(.seconds(2))
    #expect(scenario.numbers(at: cutOff) == Array(0..<400))
    #expect(scenario.losses(at: 2).isEmpty)
  }

  /// One has the first part, the other the last.
  @Test func twoHoldersThatDisagreeMakeAWhole() throws {
    let scenario = Scenario(hosts: 4, topics: kept, seed: 44)
    let publisher = try scenario.start(0, publishes: [0])
    let early = try subscribe(1, in: scenario)
    scenario.run(.seconds(2))
    publish(100, from: publisher, in: scenario)
    cut([1], in: scenario)
    scenario.run(.seconds(10))
    let late = try subscribe(2, in: scenario)
    scenario.run(.seconds(2))
    publish(100, from: publisher, in: scenario)
    #expect(scenario.numbers(at: early) == Array(0..<100))
    #expect(scenario.numbers(at: late) == Array(100..<200))
    scenario.simulation.end(publisher)
    scenario.run(.seconds(10))
    cut([1], in: scenario, false)
    let joiner = try subscribe(3, in: scenario, history: .all)
    scenario.run(.seconds(8))
    #expect(scenario.numbers(at: joiner) == Array(0..<200) || scenario.numbers(at: joiner) == Array(100..<200))
    #expect(scenario.numbers(at: early) == Array(0..<200))
  }

  /// Who joins while the publisher is away gets what another one has of it, which is not all. When the publisher is back it is too late for the rest,
  /// but not to be told.
  @Test func whatThePublisherHeldBeyondTheFirstHolderIsReportedAsLost() throws {
    let scenario = Scenario(hosts: 3, topics: kept, seed: 51)
    let publisher = try scenario.start(0, publishes: [0])
    scenario.run(.seconds(1))
    publish(100, from: publisher, in: scenario)
    let holder = try subscribe(1, in: scenario, history: .last(10))
    scenario.run(.seconds(2))
    #expect(scenario.numbers(at: holder) == Array(90..<100))
    cut([0], in: scenario)
    scenario.run(.seconds(30), until: { holder.peers.isEmpty })
    let joiner = try subscribe(2, in: scenario, history: .all)
    scenario.run(.seconds(8))
    #expect(scenario.numbers(at: joiner) == Array(90..<100))
    #expect(scenario.losses(at: 2).isEmpty)
    cut([0], in: scenario, false)
    scenario.run(.seconds(5), until: { joiner.peers.count == 2 })
    scenario.run(.seconds(2))
    #expect(scenario.numbers(at: joiner) == Array(90..<100))
    #expect(scenario.losses(at: 2).map(\.sequences) == [0..<90])
  }

  /// A subscription was there before its publisher was met, which had let go of some by then: who holds that says so. One that was made later misses
  /// nothing.
  @Test(arguments: [true, false]) func whatAPublisherHadLetGoIsReportedAsLostWhenAHolderIsMet(isEarly: Bool) throws {
    let scenario = Scenario(hosts: 3, topics: [SimulatedTopic("t", history: .last(50))], seed: 52)
    let publisher = try scenario.start(0, publishes: [0])
    let holder = try subscribe(1, in: scenario)
    scenario.run(.seconds(2))
    cut([2], in: scenario)
    let early = isEarly ? try subscribe(2, in: scenario) : nil
    scenario.run(.seconds(1))
    publish(30, from: publisher, in: scenario)
    cut([1], in: scenario)
    publish(70, from: publisher, in: scenario)
    cut([2], in: scenario, false)
    scenario.block(1, 2)
    scenario.block(1, 0)
    let joiner = try early ?? subscribe(2, in: scenario, history: .all)
    scenario.run(.seconds(5), until: { scenario.numbers(at: joiner).count == 50 })
    #expect(scenario.numbers(at: joiner) == Array(50..<100))
    scenario.simulation.end(publisher)
    scenario.run(.seconds(10))
    #expect(scenario.losses(at: 2).isEmpty)
    scenario.join(1, 2)
    scenario.run(.seconds(5), until: { !joiner.peers.isEmpty })
    scenario.run(.seconds(2))
    #expect(scenario.numbers(at: joiner) == Array(50..<100))
    #expect(scenario.losses(at: 2).map(\.sequences) == (isEarly ? [0..<50] : []))
    #expect(scenario.numbers(at: holder) == Array(0..<30) + Array(50..<100))
  }

  /// What one subscriber of a dead publisher has got more than another reaches that one at once.
  @Test func subscribersOfADeadPublisherAgree() throws {
    let scenario = Scenario(hosts: 4, topics: kept, seed: 45)
    let publisher = try scenario.start(0, publishes: [0])
    let subscribers = try (1...3).map { try subscribe($0, in: scenario) }
    scenario.run(.seconds(2))
    publish(100, from: publisher, in: scenario)
    // The last ones reach only one of them before the publisher dies.
    for host in [2, 3] { scenario.simulation.network[0, host].lossPerMillion = 1_000_000 }
    publish(20, from: publisher, in: scenario)
    scenario.simulation.end(publisher)
    scenario.run(.seconds(8))
    for subscriber in subscribers { #expect(scenario.numbers(at: subscriber) == Array(0..<120)) }
    for host in 1...3 { #expect(scenario.losses(at: host).isEmpty) }
  }

  @Test func whatNobodyHoldsIsLostForGood() throws {
    let scenario = Scenario(hosts: 3, topics: kept, seed: 46)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try subscribe(1, in: scenario)
    scenario.run(.seconds(2))
    publish(10, from: publisher, in: scenario)
    // One message is lost, those behind it are not, and then the publisher dies.
    scenario.simulation.network[0, 1].lossPerMillion = 1_000_000
    publisher.publish(topic: 0, bytes: 100)
    scenario.run(.microseconds(300))
    scenario.simulation.network[0, 1].lossPerMillion = 0
    publisher.publish(topic: 0, bytes: 100)
    scenario.run(.microseconds(150))
    scenario.simulation.end(publisher)
    scenario.run(.seconds(5))
    #expect(scenario.numbers(at: subscriber) == Array(0..<10))
    scenario.run(.seconds(10))
    #expect(scenario.numbers(at: subscriber) == Array(0..<10) + [11])
    #expect(scenario.losses(at: 1).map(\.sequences) == [10..<11])
    #expect(scenario.losses(at: 1).map(\.reason) == [.publisherGone])
  }

  @Test func aPublisherThatRestartedWithTheSameIDIsAnotherStream() throws {
    let scenario = Scenario(hosts: 3, topics: kept, seed: 47)
    let first = try scenario.start(0, publishes: [0])
    let holder = try subscribe(1, in: scenario)
    scenario.run(.seconds(2))
    publish(50, from: first, in: scenario)
    scenario.simulation.end(first)
    let second = try scenario.start(0, publishes: [0])
    scenario.run(.seconds(2))
    publish(30, from: second, in: scenario)
    #expect(scenario.numbers(at: holder) == Array(0..<50) + Array(0..<30))
    let joiner = try subscribe(2, in: scenario, history: .all)
    scenario.run(.seconds(4))
    #expect(scenario.numbers(at: joiner).count == 80)
  }

  /// The publisher restarts on the other side of a partition: what its new life said there is missed as well.
  @Test func aRestartDuringAPartitionLosesNothing() throws {
    let scenario = Scenario(hosts: 3, topics: kept, seed: 48)
    let first = try scenario.start(0, publishes: [0])
    let holder = try subscribe(1, in: scenario)
    let cutOff = try subscribe(2, in: scenario)
    scenario.run(.seconds(2))
    publish(10, from: first, in: scenario)
    cut([2], in: scenario)
    publish(10, from: first, in: scenario)
    scenario.simulation.end(first)
    let second = try scenario.start(0, publishes: [0])
    scenario.run(.seconds(8))
    publish(10, from: second, in: scenario)
    cut([2], in: scenario, false)
    scenario.run(.seconds(6))
    #expect(scenario.numbers(at: holder).count == 30)
    #expect(scenario.numbers(at: cutOff).count == 30)
    #expect(scenario.losses(at: 2).isEmpty)
  }

  @Test func whoIsAwayLongerThanTheExpiryIsToldWhatItMissed() throws {
    let scenario = Scenario(hosts: 2, topics: [SimulatedTopic("t", history: .untilExpiry)], seed: 49)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try subscribe(1, in: scenario)
    scenario.run(.seconds(2))
    publish(10, from: publisher, in: scenario, lifetime: .seconds(3))
    cut([1], in: scenario)
    publish(10, from: publisher, in: scenario, lifetime: .seconds(3))
    scenario.run(.seconds(15))
    publish(10, from: publisher, in: scenario, lifetime: .seconds(30))
    cut([1], in: scenario, false)
    scenario.run(.seconds(5))
    #expect(scenario.numbers(at: subscriber) == Array(0..<10) + Array(20..<30))
    #expect(scenario.losses(at: 1).map(\.sequences) == [10..<20])
  }

  @Test func aPartitionThatFlapsLosesNothing() throws {
    let scenario = Scenario(hosts: 3, topics: kept, seed: 50)
    let publisher = try scenario.start(0, publishes: [0]) { $0.discovery.interval = .milliseconds(100) }
    let subscribers = try (1...2).map { host in
      let endpoint = try scenario.start(host) { $0.discovery.interval = .milliseconds(100) }
      try endpoint.subscribe("t")
      return endpoint
    }
    scenario.run(.seconds(2))
    for number in 0..<1_000 {
      scenario.simulation.schedule(after: .milliseconds(10) * UInt64(number)) { _ in
        publisher.publish(topic: 0, bytes: 100)
      }
    }
    for round in 0..<10 {
      cut([2], in: scenario, round % 2 == 0)
      scenario.run(.seconds(1))
    }
    cut([2], in: scenario, false)
    scenario.run(.seconds(4))
    for subscriber in subscribers { #expect(scenario.numbers(at: subscriber) == Array(0..<1_000)) }
    for host in 1...2 { #expect(scenario.losses(at: host).isEmpty) }
  }

  /// Joiners cost what they get, and hardly more: nobody answers them who was not asked. What is told of the past is compared with
  /// as many joiners to a network without one.
  @Test func manyLateJoinersAreNoStorm() throws {
    let past = try join(50, publishing: 20)
    let nothing = try join(50, publishing: 0)
    let pairs = Self.pairs(50)
    // Each tells each what it has, and that is acknowledged: some 2.2 datagrams for each two endpoints.
    #expect(past.all - nothing.all < pairs * 7 / 2, "\(past.all) datagrams, \(nothing.all) without a past")
    #expect(past.holder - nothing.holder < 3 * 50, "\(past.holder) datagrams, \(nothing.holder) without a past")
  }

  /// Four times as many cost each two of them no more.
  @Test func twoHundredLateJoinersAreNoStorm() throws {
    let past = try join(200, publishing: 20)
    // 15.2 for each two endpoints, most of them for handshake, path search and interest; 8.2 for each joiner at the busiest holder.
    #expect(past.all < Self.pairs(200) * 20, "\(past.all) datagrams")
    #expect(past.holder < 200 * 12, "\(past.holder) datagrams of a holder")
  }

  /// The pairs that have a joiner in them.
  private static func pairs(_ joiners: UInt64) -> UInt64 { joiners * 9 + joiners * (joiners - 1) / 2 }

  /// Has many join nine holders at once. Returns how many datagrams all sent, and how many the busiest of the holders did.
  private func join(_ joiners: Int, publishing count: Int) throws -> (all: UInt64, holder: UInt64) {
    let scenario = Scenario(hosts: 10 + joiners, topics: kept, seed: 51)
    let publisher = try scenario.start(0, publishes: [0])
    for host in 1..<10 { _ = try subscribe(host, in: scenario) }
    scenario.run(.seconds(2))
    publish(count, from: publisher, in: scenario)
    scenario.simulation.end(publisher)
    scenario.run(.seconds(10))
    let before = (1..<10).map { scenario.counter("datagrams_sent", of: scenario.simulation[$0]) }
    for host in 10..<10 + joiners { _ = try subscribe(host, in: scenario, history: .all) }
    scenario.run(.seconds(3))
    for host in 10..<10 + joiners {
      #expect(scenario.numbers(at: scenario.simulation[host]) == Array(0..<UInt64(count)))
    }
    let holders = (1..<10).map { scenario.counter("datagrams_sent", of: scenario.simulation[$0]) - before[$0 - 1] }
    let others = (10..<10 + joiners).map { scenario.counter("datagrams_sent", of: scenario.simulation[$0]) }
    return (holders.reduce(0, +) + others.reduce(0, +), holders.max() ?? 0)
  }

  /// A narrow uplink is full of the history of many topics for seconds; what is published meanwhile does not wait for all of them.
  @Test func historyDoesNotDelayWhatIsPublished() throws {
    let count = 60
    let topics = [SimulatedTopic("live")] + (0..<count).map { SimulatedTopic("past/\($0)", history: .last(100)) }
    let scenario = Scenario(hosts: 2, topics: topics, seed: 52)
    let publisher = try scenario.start(0, publishes: Array(0...count))
    for topic in 1...count { for _ in 0..<40 { publisher.publish(topic: topic, bytes: 1_200) } }
    scenario.run(.seconds(1))
    scenario.simulation.network[0].bandwidth = 1_000_000
    let joiner = try scenario.start(1)
    try joiner.subscribe("past/+", options: SubscriptionOptions(history: .all))
    try joiner.subscribe("live")
    scenario.run(.milliseconds(100))
    let begin = scenario.simulation.now
    scenario.publish(100, from: publisher, topic: 0, every: .milliseconds(10))
    scenario.run(.milliseconds(1_000))
    let past = joiner.received.count { $0.topic != "live" }
    #expect(past < 40 * count, "the history was there before anything else: nothing was tested")
    scenario.run(.seconds(6))
    #expect(joiner.received.count { $0.topic != "live" } == 40 * count)
    let live = joiner.received.filter { $0.topic == "live" }
    #expect(live.map(\.sequence) == Array(0..<100))
    let delays = live.map { $0.at.since(begin + .milliseconds(10) * $0.sequence).wholeMilliseconds }.sorted()
    #expect(delays[50] < 40, "median \(delays[50]) ms, longest \(delays[99]) ms")
  }
}
