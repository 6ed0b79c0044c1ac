import GlueCore

/// What is held of publishers that are gone.
public struct HistoryScaleOptions: Sendable {
  /// Topics of each life of the publisher; each has one message of 100 bytes.
  public var topics = 10_000
  /// How often the publisher lived.
  public var lives = 1
  /// What all chance follows from.
  public var seed: UInt64 = 1

  /// The defaults.
  public init() {}
}

/// What it took two endpoints, or one and a newcomer, to tell each other what they hold.
public struct HistoryScaleResult: Sendable {
  /// Datagrams that all sent.
  public var datagrams: Int
  /// Bytes that all sent, headers of IPv4 and UDP included.
  public var bytes: Int
  /// Virtual seconds from when they knew each other until the newcomer had everything; nil if it never had.
  public var seconds: Double?
  /// Broken invariants.
  public var violations: [Violation]
}

/// Measures what it costs to hold messages of publishers that are gone, and to tell of them: two holders that have all of it, and
/// newcomers.
public final class HistoryScale {
  /// In which much more is told than announcements, if it is.
  private static let settling = Nanoseconds.seconds(15)
  /// Virtual time in which anything has to be done.
  private static let limit = Nanoseconds.seconds(120)

  private let options: HistoryScaleOptions
  private let simulation: Simulation
  private var meter = TrafficMeter(hosts: 4)
  private var holders: [SimulatedEndpoint] = []

  /// How many streams each of the two holds.
  public var streams: Int { options.topics * options.lives }
  /// Bytes that the holders charge for what they keep, on average.
  public var chargedBytes: Int { holders.reduce(0) { $0 + $1.machine.bufferedBytes } / holders.count }

  /// Two holders that have everything, and no publisher any more.
  public init(_ options: HistoryScaleOptions) throws {
    self.options = options
    let topics = (0..<options.topics).map {
      SimulatedTopic("plant/line-\($0 % 100)/sensor-\($0)", history: .last(1))
    }
    simulation = Simulation(hosts: 4, topics: topics, seed: options.seed, traceLines: 0)
    simulation.onDatagram = { [unowned self] bytes, endpoint, _ in
      meter.noteSent(by: endpoint.host, bytes: bytes.count, at: simulation.now)
    }
    for host in 1...2 {
      holders.append(start(host))
      try holders[host - 1].subscribe("#")
    }
    simulation.run(for: .seconds(3))
    for _ in 0..<options.lives {
      let publisher = start(0)
      var last: PublicationID?
      for topic in 0..<options.topics { last = try publisher.advertise(topic) }
      if let last { run { publisher.machine.matchedSubscribers(of: last) == 2 } }
      for topic in 0..<options.topics { publisher.publish(topic: topic, bytes: 100) }
      let count = holders[0].received.count + options.topics
      run { self.holders.allSatisfy { $0.received.count >= count } }
      simulation.end(publisher)
    }
    // The last one is missed when its lease is over.
    simulation.run(for: Self.settling)
  }

  /// The two holders lose sight of each other, and meet again: both have the same.
  public func meetAgain() -> HistoryScaleResult {
    cut(true)
    run { self.holders.allSatisfy { $0.peers.isEmpty } }
    cut(false)
    return measure { self.holders.allSatisfy { $0.peers.count == 1 } }
  }

  /// Somebody comes who has nothing, and subscribes to everything.
  public func join(history: HistoryRequest) throws -> HistoryScaleResult {
    let newcomer = start(3)
    try newcomer.subscribe("#", options: SubscriptionOptions(history: history))
    defer {
      simulation.leave(newcomer)
      simulation.run(for: .seconds(1))
    }
    let wanted = history == .none ? 0 : streams
    return measure(until: { newcomer.received.count >= wanted }) { newcomer.peers.count == 2 }
  }

  private func measure(until isDone: () -> Bool = { true }, whenMet haveMet: () -> Bool) -> HistoryScaleResult {
    meter = TrafficMeter(hosts: 4)
    let limit = simulation.now + Self.limit
    run(haveMet)
    let begin = simulation.now
    while !isDone(), simulation.now < limit { simulation.run(for: .milliseconds(1)) }
    let seconds = isDone() ? Double(simulation.now.since(begin).count) / 1e9 : nil
    simulation.run(for: Self.settling)
    let violations = simulation.recorder.report.violations
    simulation.recorder.report.violations = []
    return HistoryScaleResult(
      datagrams: meter.sent.datagrams, bytes: meter.sent.bytes, seconds: seconds, violations: violations)
  }

  private func run(_ condition: () -> Bool) {
    let limit = simulation.now + Self.limit
    while !condition(), simulation.now < limit { simulation.run(for: .milliseconds(10)) }
  }

  private func cut(_ isCut: Bool) {
    for (from, to) in [(1, 2), (2, 1)] {
      simulation.network[from, to].isUnicastBlocked = isCut
      simulation.network[from, to].isGroupBlocked = isCut
    }
    simulation.noteLinks()
  }

  private func start(_ host: Int) -> SimulatedEndpoint {
    var configuration = EndpointConfiguration(id: EndpointID(UInt64(host + 1)), name: "endpoint-\(host)")
    configuration.discovery.targets = [SimulatedNetwork.group]
    configuration.transport.maximumDatagramBytes = 1_472
    configuration.topics.streamsPerPeer = max(configuration.topics.streamsPerPeer, streams)
    let endpoint = simulation.start(on: host, configuration)
    endpoint.keepsEvents = true
    return endpoint
  }
}
