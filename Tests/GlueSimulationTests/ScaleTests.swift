import GlueCore
import GlueSimulation
import Testing

/// Short forms of `glue simulate scale`. The figures at full size are in docs/benchmarks.md.
@Suite(.apart) struct ScaleTests {
  private func run(_ change: (inout DiscoveryScaleOptions) -> Void) -> [DiscoveryScaleResult] {
    var options = DiscoveryScaleOptions()
    options.settling = .seconds(4)
    options.steady = .seconds(8)
    change(&options)
    let scale = DiscoveryScale(options)
    return DiscoveryScaleResult.Phase.allCases.map { phase in
      let result = scale.run(phase)
      #expect(result.violations.isEmpty, "\(result.violations)")
      return result
    }
  }

  /// In a steady group an endpoint sends its own announcements and hardly anything else, however large the group is; it meets
  /// everybody soon, and no socket of the default size overflows.
  @Test(arguments: [8, 24]) func aGroupMeetsAndIsQuiet(endpoints: Int) throws {
    let results = run { $0.endpoints = endpoints }
    for result in results { #expect(try #require(result.seconds) <= 8.1, "\(result)") }
    #expect(results.allSatisfy { $0.overflows == 0 })
    // One announcement a second at most, which loss adds nothing to; and searches for larger datagrams once a minute.
    #expect(results[1].sent <= 8 * (1.2 + Double(endpoints) / 10), "\(results[1])")
    // CHALLENGE or ANSWER, WELCOME, interest and acknowledgements: a constant number for each peer.
    #expect(results[0].sent <= 40 + 20 * Double(endpoints), "\(results[0])")
  }

  @Test func severalJoinAtOnce() throws {
    let results = run { ($0.endpoints, $0.newcomers) = (12, 6) }
    for result in results { #expect(try #require(result.seconds) <= 8.1, "\(result)") }
    // Each newcomer meets 17 others, each other endpoint six.
    #expect(results[2].sent >= 2 * (6 * 17 + 12 * 6) / 18, "\(results[2])")
  }

  @Test(arguments: [(16, 1), (10, 1), (10, 2), (10, 3)])
  func aGroupMeetsInSpiteOfLoss(endpoints: Int, seed: Int) throws {
    let results = run {
      ($0.endpoints, $0.lossPercent, $0.settling, $0.seed) = (endpoints, 10, .seconds(30), UInt64(seed))
    }
    for result in results {
      #expect(try #require(result.seconds) <= 20, "\(result)")
    }
  }

  @Test func aRendezvousIntroducesAll() throws {
    for result in run({ ($0.endpoints, $0.meeting) = (12, .rendezvous) }) {
      #expect(try #require(result.seconds) <= 20, "\(result)")
    }
  }

  /// A socket that holds less than a storm brings loses of it, and all meet in spite of that.
  @Test func aGroupMeetsThoughSocketsOverflow() throws {
    let results = run { ($0.endpoints, $0.receiveBufferBytes, $0.processing) = (24, 6_000, .microseconds(200)) }
    #expect(results[0].overflows > 0)
    for result in results { #expect(try #require(result.seconds) <= 30, "\(result)") }
  }

  // MARK: What is held of the dead

  /// Those who have the same tell each other so in some 12 bytes for each stream, once, however often its publisher lived; and who
  /// wants nothing from before gets nothing of it.
  @Test(arguments: [(500, 1), (10, 50)]) func tellingWhatIsHeldCostsFewBytes(topics: Int, lives: Int) throws {
    func make(_ topics: Int, _ lives: Int) throws -> HistoryScale {
      var options = HistoryScaleOptions()
      (options.topics, options.lives) = (topics, lives)
      return try HistoryScale(options)
    }
    let scale = try make(topics, lives)
    let nothing = try make(0, 1).meetAgain()
    let met = scale.meetAgain()
    #expect(met.violations.isEmpty)
    let perStream = Double(met.bytes - nothing.bytes) / Double(2 * scale.streams)
    #expect(perStream > 10 && perStream < 16, "\(perStream) bytes for each stream and side")
    let all = try scale.join(history: .all)
    #expect(try #require(all.seconds) < 2 && all.violations.isEmpty, "\(all)")
  }

  // MARK: Topics

  private func join(_ change: (inout TopicScaleOptions) -> Void) throws -> [TopicScaleResult] {
    var options = TopicScaleOptions()
    change(&options)
    let scale = try TopicScale(options)
    return try (1...2).map { number in
      let result = try scale.join(number)
      #expect(result.violations.isEmpty, "\(result.violations)")
      return result
    }
  }

  @Test(arguments: [true, false]) func tenThousandTopicsAreMatched(byWildcard: Bool) throws {
    let results = try join { ($0.perPeer, $0.usesWildcard) = (10_000, byWildcard) }
    for result in results {
      #expect(result.matched == 10_000 && result.refused == 0, "\(result)")
      // Some 60 bytes tell of a subscription or a topic.
      #expect(result.bytes <= 10_000 * 200, "\(result)")
    }
  }

  /// The default limit for each peer: what exceeds it is refused, one by one, and told on the side that asked.
  @Test(arguments: [true, false]) func limitsOfTopicsAreTold(byWildcard: Bool) throws {
    let results = try join { ($0.topics, $0.usesWildcard) = (1_500, byWildcard) }
    for result in results { #expect(result.matched == 1_024 && result.refused == 476, "\(result)") }
  }
}
