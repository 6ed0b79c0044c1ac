import GlueCore

/// What to measure of a publisher with many topics.
public struct TopicScaleOptions: Sendable {
  /// Topics of the publisher, and subscriptions of the subscriber.
  public var topics = 10_000
  /// One subscription to everything, in place of one to each topic.
  public var usesWildcard = false
  /// Streams and subscriptions that an endpoint grants a peer; nil: the default.
  public var perPeer: Int?
  /// Datagrams lost on each link, each by itself, in per cent.
  public var lossPercent = 0
  /// Time that an endpoint takes for each datagram, system calls included.
  public var processing = Nanoseconds.microseconds(10)
  /// What all chance follows from.
  public var seed: UInt64 = 1
  /// Virtual time in which everything has to be matched.
  public var limit = Nanoseconds.seconds(60)

  /// The defaults.
  public init() {}
}

/// What it took to match topics and subscriptions.
public struct TopicScaleResult: Sendable {
  /// Virtual seconds from when the two knew each other, until nothing more was matched.
  public var seconds: Double
  /// Topics for which the publisher counts the subscriber as a reader, and that the subscriber has opened.
  public var matched: Int
  /// Topics or subscriptions that were refused for a limit, as events told it.
  public var refused: Int
  /// Datagrams that both sent.
  public var datagrams: Int
  /// Bytes that both sent, headers of IPv4 and UDP included.
  public var bytes: Int
  /// Broken invariants.
  public var violations: [Violation]
}

/// Measures how long a publisher and a subscriber take for many topics.
public final class TopicScale {
  private let options: TopicScaleOptions
  private let simulation: Simulation
  private var meter: TrafficMeter
  private var publications: [PublicationID] = []

  /// A publisher with all its topics, and nobody else.
  public init(_ options: TopicScaleOptions) throws {
    self.options = options
    simulation = Simulation(hosts: 3, topics: [], seed: options.seed, traceLines: 0)
    meter = TrafficMeter(hosts: 3)
    for from in 0..<3 {
      simulation.network[from].processing = options.processing
      for to in 0..<3 where to != from {
        simulation.network[from, to].lossPerMillion = options.lossPercent * 10_000
      }
    }
    simulation.noteLinks()
    simulation.onDatagram = { [unowned self] bytes, endpoint, _ in
      meter.noteSent(by: endpoint.host, bytes: bytes.count, at: simulation.now)
    }
    let publisher = start(0)
    for number in 0..<options.topics {
      publications.append(
        try publisher.machine.advertise(Self.topic(number), options: PublicationOptions(), at: publisher.now))
    }
    publisher.drain()
    simulation.run(for: .seconds(3))
  }

  private static func topic(_ number: Int) -> String { "plant/line-\(number % 100)/sensor-\(number)" }

  /// A subscriber joins on a host of its own, the first one or a second, with all its subscriptions.
  public func join(_ number: Int) throws -> TopicScaleResult {
    precondition((1...2).contains(number), "there are two hosts for subscribers")
    meter = TrafficMeter(hosts: 3)
    let publisher = simulation[0]
    let subscriber = start(number)
    publisher.keepsEvents = true
    subscriber.keepsEvents = true
    let filters = options.usesWildcard ? ["#"] : (0..<options.topics).map(Self.topic)
    for filter in filters {
      _ = try subscriber.machine.subscribe(filter, options: SubscriptionOptions(), at: subscriber.now)
    }
    subscriber.drain()
    let limit = simulation.now + options.limit
    while subscriber.peers.isEmpty, simulation.now < limit { simulation.run(for: .milliseconds(1)) }
    let begin = simulation.now
    var end = begin
    var (matched, refused) = (0, 0)
    // Looked at ever less often, since looking takes its time, too.
    while simulation.now < limit, matched + refused < options.topics {
      simulation.run(for: max(.milliseconds(1), Nanoseconds(simulation.now.since(begin).count / 50)))
      let before = matched + refused
      matched = min(readers(of: number), subscriber.machine.topicStreams)
      refused += takeRefusals(of: publisher, by: subscriber) + takeRefusals(of: subscriber, by: publisher)
      if matched + refused != before { end = simulation.now }
    }
    let violations = simulation.recorder.report.violations
    simulation.recorder.report.violations = []
    return TopicScaleResult(
      seconds: Double(end.since(begin).count) / 1e9, matched: matched, refused: refused,
      datagrams: meter.sent.datagrams, bytes: meter.sent.bytes, violations: violations)
  }

  private func start(_ host: Int) -> SimulatedEndpoint {
    var configuration = EndpointConfiguration(id: EndpointID(UInt64(host + 1)), name: "endpoint-\(host)")
    configuration.discovery.targets = [SimulatedNetwork.group]
    configuration.transport.maximumDatagramBytes = 1_472
    configuration.topics.localTopics = max(configuration.topics.localTopics, options.topics)
    if let most = options.perPeer {
      configuration.topics.streamsPerPeer = most
      configuration.topics.subscriptionsPerPeer = most
    }
    return simulation.start(on: host, configuration)
  }

  /// Topics that have the subscriber on this host as a reader; each subscriber before it has its share.
  private func readers(of host: Int) -> Int {
    publications.count { simulation[0].machine.matchedSubscribers(of: $0) >= host }
  }

  /// What one of the two was refused by the other. The two subscribers refuse each other's subscriptions, too, which matter
  /// to nobody.
  private func takeRefusals(of endpoint: SimulatedEndpoint, by other: SimulatedEndpoint) -> Int {
    defer { endpoint.events.removeAll(keepingCapacity: true) }
    let id = other.machine.configuration.id
    return endpoint.events.count { event in
      switch event {
      case .publicationRefused(_, id), .subscriptionRefused(_, id): true
      default: false
      }
    }
  }
}
