import GlueAddress
import GlueCore
import GlueSimulation
import Testing

/// A script: a few endpoints on a sound network that the test makes worse as it likes. The checkers watch here as well.
struct Scenario {
  let simulation: Simulation

  init(hosts: Int, topics: [SimulatedTopic] = [SimulatedTopic("t")], seed: UInt64 = 1) {
    simulation = Simulation(hosts: hosts, topics: topics, seed: seed)
  }

  /// Starts an endpoint on a host.
  @discardableResult
  func start(
    _ host: Int, publishes: [Int] = [], subscribes: [String] = [], holdsBack: Bool = false,
    _ change: (inout EndpointConfiguration) -> Void = { _ in }
  ) throws -> SimulatedEndpoint {
    var configuration = EndpointConfiguration(id: EndpointID(UInt64(host + 1)), name: "endpoint-\(host)")
    configuration.transport.maximumDatagramBytes = 1_472
    configuration.discovery.targets = [SimulatedNetwork.group]
    change(&configuration)
    let endpoint = simulation.start(on: host, configuration)
    endpoint.keepsEvents = true
    for topic in publishes { try endpoint.advertise(topic) }
    let options = SubscriptionOptions(holdsBackPublisher: holdsBack)
    for filter in subscribes { try endpoint.subscribe(filter, options: options) }
    return endpoint
  }

  /// Publishes as many messages as were told, some time apart.
  func publish(
    _ count: Int, from endpoint: SimulatedEndpoint, topic: Int = 0, bytes: Int = 100, every gap: Nanoseconds = .zero
  ) {
    for number in 0..<count {
      simulation.schedule(after: gap * UInt64(number)) { _ in endpoint.publish(topic: topic, bytes: bytes) }
    }
  }

  /// Lets time pass; records violations.
  func run(_ span: Nanoseconds, until condition: () -> Bool = { false }) {
    simulation.run(for: span, until: condition)
    for violation in simulation.recorder.report.violations { Issue.record("\(violation)") }
  }

  /// The numbers that reached an endpoint, of one topic.
  func numbers(at endpoint: SimulatedEndpoint, topic: String = "t") -> [UInt64] {
    endpoint.received.filter { $0.topic == topic }.map(\.sequence)
  }

  /// Changes every link.
  func links(_ change: (inout LinkConditions) -> Void) {
    for from in 0..<simulation.network.hostCount {
      for to in 0..<simulation.network.hostCount where from != to { change(&simulation.network[from, to]) }
    }
    simulation.noteLinks()
  }

  /// Nothing passes between two hosts any more.
  func block(_ a: Int, _ b: Int) { set(a, b) { ($0.isUnicastBlocked, $0.isGroupBlocked) = (true, true) } }
  /// Everything does again.
  func join(_ a: Int, _ b: Int) { set(a, b) { ($0.isUnicastBlocked, $0.isGroupBlocked) = (false, false) } }

  private func set(_ a: Int, _ b: Int, _ change: (inout LinkConditions) -> Void) {
    change(&simulation.network[a, b])
    change(&simulation.network[b, a])
    simulation.noteLinks()
  }

  func counter(_ name: String, of endpoint: SimulatedEndpoint) -> UInt64 {
    endpoint.machine.counters.first { $0.name == name }!.value
  }

  var losses: [Loss] { losses(at: 1) }
  func losses(at host: Int) -> [Loss] {
    simulation[host].events.compactMap { if case .loss(let loss) = $0 { loss } else { nil } }
  }
}
