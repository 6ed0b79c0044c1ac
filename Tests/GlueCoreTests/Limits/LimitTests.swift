import GlueAddress
import Testing

@testable import GlueCore

/// Every limit there is: when it is reached its counter moves, and an event says so, once a second.
@Suite struct LimitTests {
  @Test(arguments: Limit.allCases) func everyLimitIsCountedAndTold(limit: Limit) throws {
    let (machine, events) = try reach(limit)
    let counter = try #require(machine.counters.first { $0.name == limit.counterName })
    #expect(counter.value > 0)
    let told = events.compactMap { if case .limit(limit.name, let count) = $0 { count } else { nil } }
    #expect(told == [1], "of \(counter.value)")
  }

  /// Brings a machine to a limit, within less than a second of virtual time after it is reached first.
  private func reach(_ limit: Limit) throws -> (EndpointMachine, [EndpointEvent]) {
    switch limit {
    case .peers, .introductionsPerSecond: try reachInGroup(limit)
    case .handshakes, .pendingChallenges, .repliesPerSecond, .replySources, .challengesPerSecond, .resetsPerSecond,
      .strangersPerSecond, .queuedReplies:
      try reachByStrangers(limit)
    case .streamWindowBytes, .reassemblyBytes, .reorderBytes, .maximumGaps: try reachByFrames(limit)
    case .sendBufferBytes, .maximumMessageBytes, .nameBytes, .localTopics: try reachByCalls(limit)
    case .streamsPerPeer, .subscriptionsPerPeer, .controlBytes, .mismatchesPerSecond, .inquiryAnswers:
      try reachByTopics(limit)
    case .routes, .relayQueueBytes: try reachByRelays(limit)
    case .historyBytes, .rememberedStreams, .holdingsPerPeer, .requestsPerSecond: try reachByHistory(limit)
    }
  }

  private func reachInGroup(_ limit: Limit) throws -> (EndpointMachine, [EndpointEvent]) {
    let segment = Segment()
    let isRendezvous = limit == .introductionsPerSecond
    segment.start(id: 1, name: "one", isRendezvous: isRendezvous) {
      $0.discovery.limits.peers = isRendezvous ? 10 : 1
      $0.discovery.limits.introductionsPerSecond = 1
    }
    for id in 2...4 as ClosedRange<UInt64> {
      segment.start(id: id, name: "\(id)", rendezvous: isRendezvous ? segment.address(0) : nil)
    }
    segment.run(for: .milliseconds(200))
    return (segment.machines[0]!, segment.events[0])
  }

  private func reachByRelays(_ limit: Limit) throws -> (EndpointMachine, [EndpointEvent]) {
    let row = RelayRow(of: limit == .routes ? 2 : 3) {
      $0.discovery.limits.routes = limit == .routes ? 1 : 100
      $0.transport.relayQueueBytes = 4_096
    }
    let machine = row.segment.machines[1]!
    for number in 50..<53 as Range<UInt64> where limit == .routes {
      let introduction = Introduction(
        endpoint: EndpointID(number), incarnation: Incarnation(number), heldMilliseconds: 0, locators: [])
      machine.discovery.receive(introduction, from: EndpointID(1), at: row.segment.now)
      machine.drainDiscovery(at: row.segment.now)
    }
    for _ in 0..<10 where limit == .relayQueueBytes {
      let header = RelayHeader(hopsLeft: 8, destination: row.name(2), origin: row.name(0))
      row.send(from: 0, to: 1, header, bytes: 1_000)
    }
    row.segment.drain(1)
    return (machine, row.segment.events[1])
  }

  private func reachByStrangers(_ limit: Limit) throws -> (EndpointMachine, [EndpointEvent]) {
    let strangers = Strangers(keyed: limit == .strangersPerSecond) {
      let limits = $0.discovery.limits
      $0.discovery.limits.handshakes = limit == .handshakes ? 1 : limits.handshakes
      $0.discovery.limits.pendingChallenges = limit == .pendingChallenges ? 1 : limits.pendingChallenges
      $0.discovery.limits.replyBurst = limit == .repliesPerSecond ? 1 : limits.replyBurst
      $0.discovery.limits.replySources = limit == .replySources ? 1 : limits.replySources
      $0.discovery.limits.challengeBurst = limit == .challengesPerSecond ? 1 : 10_000
      $0.discovery.limits.resetsPerSecond = limit == .resetsPerSecond ? 1 : limits.resetsPerSecond
      $0.discovery.limits.strangersPerSecond = limit == .strangersPerSecond ? 10 : limits.strangersPerSecond
      $0.discovery.limits.queuedReplies = 256
    }
    switch limit {
    case .handshakes: for id in 10..<14 as Range<UInt64> { strangers.prove(id) }
    case .repliesPerSecond:
      for _ in 0..<5 {
        strangers.announce(10, at: 10)
        strangers.drain()
      }
    case .resetsPerSecond: for _ in 0..<3 { strangers.useUnknownSession() }
    case .queuedReplies: for id in 10..<300 as Range<UInt64> { strangers.announce(id, at: id) }
    default:
      for id in 10..<30 as Range<UInt64> {
        strangers.announce(id, at: id, arrival: limit == .pendingChallenges ? .group : .unicast)
        strangers.drain()
      }
    }
    strangers.drain()
    return (strangers.machine, strangers.events)
  }

  private func reachByFrames(_ limit: Limit) throws -> (EndpointMachine, [EndpointEvent]) {
    let pair = Pair {
      $0.transport.streamWindowBytes = limit == .streamWindowBytes ? 4_096 : 4 << 20
      $0.transport.reorderBytes = limit == .reorderBytes ? 4_096 : 64 << 20
      $0.transport.maximumGaps = 16
      $0.transport.reassemblyBytes = 100_000
    }
    let peer = try HostilePeer(in: pair, topics: 2)
    for index in 0..<200 as Range<UInt64> {
      switch limit {
      case .reassemblyBytes:
        if index < 2 { peer.send { HostilePeer.write(0, of: peer.streams[Int(index)], total: 90_000, to: &$0) } }
      case .maximumGaps: peer.send { HostilePeer.write(1 + 2 * index, of: peer.streams[0], to: &$0) }
      default: peer.send { HostilePeer.write(1 + index, of: peer.streams[0], to: &$0) }
      }
    }
    return (pair.machines[1], pair.events[1])
  }

  private func reachByHistory(_ limit: Limit) throws -> (EndpointMachine, [EndpointEvent]) {
    let pair = Pair {
      $0.topics.historyBytes = limit == .historyBytes ? 4_096 : 1 << 20
      $0.topics.rememberedStreams = limit == .rememberedStreams ? 1 : 100
      $0.topics.holdingsPerPeer = limit == .holdingsPerPeer ? 1 : 100
      $0.topics.requestsPerSecond = 1
    }
    let options = PublicationOptions(history: .last(100))
    let publications = try ["t", "u", "v"].map { try pair.machines[0].advertise($0, options: options, at: pair.now) }
    _ = try pair.machines[1].subscribe("#", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    for index in 0..<30 { try pair.publish(pattern(300, seed: index), on: publications[index % 3]) }
    pair.run(for: .milliseconds(10))
    let session = try #require(pair.machines[0].sessions.values.first)
    let unknown = (1...20).map { StreamHash(rawValue: $0) }
    switch limit {
    case .rememberedStreams: pair.machines[1].removeSession(with: pair.peer(of: 1), reason: .expired, at: pair.now)
    case .holdingsPerPeer:
      session.send(
        .have(unknown.map { StreamHolding(stream: $0, first: 7, end: 7) }, asks: false, isAll: false), at: pair.now)
    case .requestsPerSecond:
      for stream in unknown {
        session.send(.fetch(StreamFetch(request: 1, stream: stream, from: nil, below: nil)), at: pair.now)
      }
    default: break
    }
    pair.machines[0].makeReady(session, at: pair.now)
    pair.run(for: .milliseconds(10))
    return (pair.machines[1], pair.events[1])
  }

  private func reachByCalls(_ limit: Limit) throws -> (EndpointMachine, [EndpointEvent]) {
    let pair = Pair {
      $0.transport.sendBufferBytes = 4_096
      $0.topics.maximumMessageBytes = limit == .maximumMessageBytes ? 1_000 : 16 << 20
      $0.topics.nameBytes = 4
      $0.topics.localTopics = limit == .localTopics ? 1 : 10
    }
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    pair.drops = { _, _ in true }
    switch limit {
    case .nameBytes:
      for type in [nil, "longer"] {
        #expect(throws: EndpointError.self) {
          _ = try pair.machines[0].subscribe(
            type == nil ? "longer" : "s", options: SubscriptionOptions(type: type), at: pair.now)
        }
      }
    case .localTopics:
      #expect(throws: EndpointError.limitReached(name: "localTopics", limit: 1)) {
        _ = try pair.machines[0].advertise("u", options: PublicationOptions(), at: pair.now)
      }
    default:
      for _ in 0..<5 { try? pair.publish([UInt8](repeating: 0, count: 2_000), on: publication) }
    }
    pair.drain(0)
    return (pair.machines[0], pair.events[0])
  }

  private func reachByTopics(_ limit: Limit) throws -> (EndpointMachine, [EndpointEvent]) {
    let pair = Pair {
      $0.topics.streamsPerPeer = limit == .streamsPerPeer ? 1 : 100
      $0.topics.subscriptionsPerPeer = limit == .subscriptionsPerPeer ? 1 : 100
      $0.topics.controlBytes = 65_536
      $0.topics.mismatchesPerSecond = 1
      $0.topics.inquiryAnswers = 5
    }
    let isMismatch = limit == .mismatchesPerSecond
    for number in 0..<30 {
      let options = PublicationOptions(type: isMismatch ? "T" : nil)
      _ = try pair.machines[0].advertise("t\(number)", options: options, at: pair.now)
    }
    if limit == .controlBytes {
      pair.drops = { sender, _ in sender == 0 }
      let session = try #require(pair.machines[0].sessions.values.first)
      for _ in 0..<8_000 { session.send(.interest(version: 1 << 40), at: pair.now) }
    }
    if limit == .inquiryAnswers {
      _ = try pair.machines[1].inquire(about: "#", at: pair.now)
    } else if limit == .streamsPerPeer || isMismatch {
      _ = try pair.machines[1].subscribe("#", options: SubscriptionOptions(type: isMismatch ? "U" : nil), at: pair.now)
    } else {
      for number in 0..<3 {
        _ = try pair.machines[1].subscribe("t\(number)", options: SubscriptionOptions(), at: pair.now)
      }
    }
    pair.settle()
    let side = limit == .streamsPerPeer || limit == .inquiryAnswers ? 1 : 0
    return (pair.machines[side], pair.events[side])
  }

  @Test func aLimitIsToldOnceASecondHoweverOftenItIsReached() {
    var tally = LimitTally<Limit>()
    var told: [UInt64] = []
    for millisecond in 0..<2_500 as Range<UInt64> {
      for _ in 0..<10 {
        if let count = tally.reach(.peers, at: milliseconds(millisecond)) { told.append(count) }
      }
    }
    #expect(told == [1, 10_001, 20_001])
    #expect(tally[.peers] == 25_000 && tally[.handshakes] == 0)
  }

  @Test func namesOfLimitsAreFields() {
    let fields =
      DiscoveryLimits.bounds.map(\.name) + TransportConfiguration.bounds.map(\.name)
      + TopicsConfiguration.bounds.map(\.name)
    for limit in Limit.allCases { #expect(fields.contains(limit.name)) }
    #expect(Set(fields).count == fields.count)
  }

  /// Values that make no sense reach the core only by programs that use it without `Glue`, which refuses them.
  @Test(arguments: [Int.min, -1, 0, 1, .max]) func senselessNumbersNeitherTrapNorSpin(value: Int) throws {
    let span = Nanoseconds(value > 0 ? UInt64(value) : 0)
    let pair = Pair {
      $0.transport.maximumDatagramBytes = value
      $0.transport.streamWindowBytes = value
      $0.transport.reassemblyBytes = value
      $0.transport.reorderBytes = value
      $0.transport.sendBufferBytes = value
      $0.transport.maximumGaps = value
      $0.transport.initialRoundTrip = span
      $0.transport.acknowledgementDelay = span
      $0.transport.maximumRetryInterval = span
      $0.topics.streamsPerPeer = value
      $0.topics.subscriptionsPerPeer = value
      $0.topics.controlBytes = value
      $0.topics.mismatchesPerSecond = value
      $0.topics.localTopics = value
      $0.discovery.limits.resetsPerSecond = value
      $0.discovery.limits.queuedReplies = value
    }
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    try pair.publish(pattern(2_000, seed: 1), on: publication)
    pair.run(for: .seconds(20))
    #expect(pair.received[1].map(\.payload) == [pattern(2_000, seed: 1)])
    #expect(pair.datagrams < 10_000)
  }

  @Test(arguments: [Int.min, -1, 0, 1, .max]) func senselessDiscoveryLimitsLetEndpointsMeet(value: Int) {
    let segment = Segment()
    for id in 1...2 as ClosedRange<UInt64> {
      segment.start(id: id, name: "\(id)") {
        $0.discovery.limits.peers = value
        $0.discovery.limits.handshakes = value
        $0.discovery.limits.pendingChallenges = value
        $0.discovery.limits.repliesPerSecond = value
        $0.discovery.limits.replyBurst = value
        $0.discovery.limits.replySources = value > 1 ? 1_024 : value
        $0.discovery.limits.challengesPerSecond = value
        $0.discovery.limits.challengeBurst = value
        $0.discovery.limits.introductionsPerSecond = value
        $0.discovery.limits.strangersPerSecond = value
      }
    }
    segment.run(for: .seconds(10))
    #expect(segment.machines.map { $0!.peers.count } == [1, 1])
    #expect(segment.datagrams < 1_000)
  }
}
