import GlueAddress
import GlueCore
import GlueSimulation
import Testing

@Suite(.apart) struct TransportScenarios {
  /// Large samples stalled where the heartbeat backed off too far (CycloneDDS #484).
  @Test func largeMessagesUnderLossDoNotStall() throws {
    let scenario = Scenario(hosts: 2, seed: 484)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    scenario.links { $0.lossPerMillion = 50_000 }
    scenario.publish(100, from: publisher, bytes: 65_536, every: .milliseconds(50))
    scenario.run(.seconds(6))
    #expect(scenario.numbers(at: subscriber) == Array(0..<100))
    // No message waited for a backed-off timer.
    let times = subscriber.received.map(\.at)
    #expect(zip(times, times.dropFirst()).allSatisfy { $1.since($0) < .milliseconds(500) })
  }

  /// A fifth of everything is lost both ways: what is repeated is hardly more than what was lost, and no message waits long.
  @Test func aFifthOfLossCostsWhatWasLost() throws {
    let scenario = Scenario(hosts: 2, seed: 20)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    scenario.links { $0.lossPerMillion = 200_000 }
    scenario.publish(100, from: publisher, bytes: 65_536, every: .milliseconds(50))
    scenario.run(.seconds(7))
    #expect(scenario.numbers(at: subscriber) == Array(0..<100))
    let times = subscriber.received.map(\.at)
    #expect(zip(times, times.dropFirst()).allSatisfy { $1.since($0) < .milliseconds(500) })
    // A fifth of what is sent, of which a fifth is repeated again: a quarter of the payload.
    let repeated = scenario.counter("bytes_repeated", of: publisher)
    #expect(repeated < 100 * 65_536 * 3 / 10, "\(repeated) bytes were repeated")
  }

  /// Half of the datagrams come 5 ms late. Each of them was taken for lost.
  @Test func reorderingCostsNoRepetitions() throws {
    let scenario = Scenario(hosts: 2, seed: 21)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    scenario.links {
      $0.reorderingPerMillion = 500_000
      $0.reorderingDelay = .milliseconds(5)
    }
    scenario.publish(100, from: publisher, bytes: 65_536, every: .milliseconds(50))
    scenario.run(.seconds(7))
    #expect(scenario.numbers(at: subscriber) == Array(0..<100))
    let repeated = scenario.counter("bytes_repeated", of: publisher)
    #expect(repeated < 100 * 65_536 / 10, "\(repeated) bytes were repeated")
  }

  /// What waits in a narrow uplink is not asked for again and again: the receiver learns from its requests how long answers take.
  @Test func aNarrowUplinkIsNotFilledWithRepetitions() throws {
    let scenario = Scenario(hosts: 2, seed: 22)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    scenario.simulation.network[0].bandwidth = 250_000
    scenario.links { $0.lossPerMillion = 50_000 }
    scenario.publish(400, from: publisher, bytes: 8_000, every: .milliseconds(50))
    scenario.run(.seconds(25))
    #expect(scenario.numbers(at: subscriber) == Array(0..<400))
    let repeated = scenario.counter("bytes_repeated", of: publisher)
    #expect(repeated < 400 * 8_000 / 5, "\(repeated) bytes were repeated")
  }

  /// One lost fragment killed the transport (Zenoh #1343); here it costs its own repetition.
  @Test func oneLostFragmentCostsOnlyItsRepetition() throws {
    let scenario = Scenario(hosts: 2, seed: 1_343)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    // The fifth datagram with data vanishes.
    var seen = 0
    scenario.simulation.onDatagram = { bytes, endpoint, _ in
      guard endpoint === publisher, bytes.count > 1_000 else { return }
      seen += 1
      scenario.simulation.network[0, 1].lossPerMillion = seen == 5 ? 1_000_000 : 0
    }
    scenario.publish(1, from: publisher, bytes: 100_000)
    scenario.run(.seconds(1))
    #expect(scenario.numbers(at: subscriber) == [0])
    let repeated = scenario.counter("bytes_repeated", of: publisher)
    #expect(repeated > 0 && repeated <= 2 * 1_472, "\(repeated) bytes were repeated")
  }

  /// Blocking traffic stalled droppable traffic (Zenoh #2584).
  @Test func aBlockedTopicDoesNotStallAnother() throws {
    let topics = [SimulatedTopic("blocked"), SimulatedTopic("free"), SimulatedTopic("lossy", reliability: .bestEffort)]
    let scenario = Scenario(hosts: 3, topics: topics, seed: 2_584)
    let publisher = try scenario.start(0, publishes: [0, 1, 2]) { $0.transport.sendBufferBytes = 256 << 10 }
    let slow = try scenario.start(1, subscribes: ["blocked"], holdsBack: true) {
      $0.transport.streamWindowBytes = 64 << 10
    }
    let fast = try scenario.start(2, subscribes: ["free", "lossy"])
    scenario.run(.seconds(2))
    slow.makeSlow()
    scenario.publish(200, from: publisher, topic: 0, bytes: 8_000)
    for topic in [1, 2] { scenario.publish(100, from: publisher, topic: topic, every: .milliseconds(10)) }
    scenario.run(.seconds(2))
    #expect(scenario.numbers(at: fast, topic: "free") == Array(0..<100))
    #expect(scenario.numbers(at: fast, topic: "lossy") == Array(0..<100))
    #expect(scenario.numbers(at: slow, topic: "blocked").count < 200)
    for number in 0..<100 where number > 0 {
      let at = fast.received.filter { $0.topic == "free" }.map(\.at)
      #expect(at[number].since(at[number - 1]) < .milliseconds(100))
    }
  }

  /// The last message of a burst has no successor that would show its loss.
  @Test func theLostLastMessageOfABurstArrivesAfterAProbe() throws {
    let scenario = Scenario(hosts: 2, seed: 10)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    scenario.publish(9, from: publisher)
    scenario.run(.milliseconds(50))
    scenario.simulation.network[0, 1].lossPerMillion = 1_000_000
    scenario.publish(1, from: publisher)
    scenario.run(.milliseconds(1))
    scenario.simulation.network[0, 1].lossPerMillion = 0
    let start = scenario.simulation.now
    scenario.run(.seconds(1), until: { scenario.numbers(at: subscriber).count == 10 })
    #expect(scenario.numbers(at: subscriber) == Array(0..<10))
    #expect(scenario.simulation.now.since(start) < .milliseconds(50))
  }

  /// A window shut by best-effort data that was all lost opened never again, for no topic (seed 73).
  @Test func lostBestEffortDataDoesNotShutTheWindowForGood() throws {
    let topics = [SimulatedTopic("lossy", reliability: .bestEffort), SimulatedTopic("t")]
    let scenario = Scenario(hosts: 2, topics: topics, seed: 73)
    let publisher = try scenario.start(0, publishes: [0, 1])
    let subscriber = try scenario.start(1, subscribes: ["#"])
    scenario.run(.seconds(2))
    scenario.simulation.network[0, 1].isUnicastBlocked = true
    scenario.noteLinks()
    for _ in 0..<3 { scenario.publish(1, from: publisher, topic: 0, bytes: 200_000) }
    scenario.run(.seconds(1))
    scenario.simulation.network[0, 1].isUnicastBlocked = false
    scenario.noteLinks()
    scenario.publish(5, from: publisher, topic: 1)
    scenario.run(.seconds(3))
    #expect(scenario.numbers(at: subscriber) == Array(0..<5))
  }

  /// A best-effort stream that lost a fragment kept its reassembly memory, until nobody could begin a message (seed 4355).
  @Test func abandonedBestEffortMessagesGiveTheirMemoryBack() throws {
    let topics = [SimulatedTopic("lossy", reliability: .bestEffort), SimulatedTopic("t")]
    let scenario = Scenario(hosts: 2, topics: topics, seed: 4_355)
    let publisher = try scenario.start(0, publishes: [0, 1])
    let subscriber = try scenario.start(1, subscribes: ["#"]) { $0.transport.reassemblyBytes = 512 << 10 }
    scenario.run(.seconds(2))
    scenario.links { $0.lossPerMillion = 100_000 }
    scenario.publish(50, from: publisher, topic: 0, bytes: 150_000, every: .milliseconds(50))
    scenario.run(.seconds(3))
    scenario.links { $0.lossPerMillion = 0 }
    scenario.publish(5, from: publisher, topic: 1, bytes: 200_000)
    scenario.run(.seconds(2))
    #expect(scenario.numbers(at: subscriber) == Array(0..<5))
  }

  /// A message that a reader could not get before it expired is reported, and nothing older than its lifetime is delivered.
  @Test func whatExpiresOnTheWayIsReported() throws {
    let scenario = Scenario(hosts: 2, seed: 12)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    publisher.publish(topic: 0, bytes: 10)
    scenario.run(.milliseconds(100))
    scenario.links { $0.isUnicastBlocked = true }
    for _ in 0..<5 { publisher.publish(topic: 0, bytes: 10, lifetime: .milliseconds(200)) }
    scenario.run(.milliseconds(500))
    scenario.links { $0.isUnicastBlocked = false }
    publisher.publish(topic: 0, bytes: 10)
    scenario.run(.seconds(2))
    #expect(scenario.numbers(at: subscriber) == [0, 6])
    #expect(scenario.losses.map(\.sequences) == [1..<6])
    #expect(scenario.losses.allSatisfy { $0.reason == .expired })
  }

  /// A paused subscriber finds what piled up in its socket, and asks for what did not fit.
  @Test func aPausedSubscriberMissesNothing() throws {
    let scenario = Scenario(hosts: 2, seed: 13)
    let publisher = try scenario.start(0, publishes: [0])
    let subscriber = try scenario.start(1, subscribes: ["t"])
    scenario.run(.seconds(2))
    scenario.simulation.pause(subscriber, for: .seconds(3))
    scenario.publish(500, from: publisher, bytes: 1_000, every: .milliseconds(4))
    scenario.run(.seconds(6))
    #expect(scenario.numbers(at: subscriber) == Array(0..<500))
  }
}

extension Scenario {
  func noteLinks() { simulation.noteLinks() }
}
