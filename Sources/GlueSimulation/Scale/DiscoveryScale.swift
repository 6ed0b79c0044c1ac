import GlueAddress
import GlueCore

/// What to measure of discovery among many endpoints.
public struct DiscoveryScaleOptions: Sendable {
  /// How endpoints find each other.
  public enum Meeting: String, CaseIterable, Sendable {
    /// By a group.
    case multicast
    /// By the address of one of them.
    case rendezvous
  }
  /// How many endpoints, one on each host.
  public var endpoints = 100
  /// How many more join afterwards; several within 100 ms.
  public var newcomers = 1
  /// How they find each other.
  public var meeting = Meeting.multicast
  /// Datagrams lost on each link, each by itself, in per cent.
  public var lossPercent = 0
  /// Bytes that a socket holds while its endpoint is busy.
  public var receiveBufferBytes = 212_992
  /// Time that an endpoint takes for each datagram, system calls included.
  public var processing = Nanoseconds.microseconds(10)
  /// What all chance follows from.
  public var seed: UInt64 = 1
  /// Virtual time in which everybody has to know everybody.
  public var limit = Nanoseconds.seconds(120)
  /// Virtual time for what the start leaves behind to pass, before the steady state is measured.
  public var settling = Nanoseconds.seconds(30)
  /// Virtual time over which the steady state is measured.
  public var steady = Nanoseconds.seconds(16)

  /// The defaults.
  public init() {}
}

/// What one phase of a run cost. Rates and sums are per endpoint.
public struct DiscoveryScaleResult: Sendable {
  /// What happened.
  public enum Phase: String, CaseIterable, Sendable {
    /// All start within one second.
    case start
    /// Nothing happens.
    case steady
    /// One more joins, or several.
    case newcomer
    /// Half of them end without a word and start anew, within 100 ms.
    case restart
  }
  /// Which phase.
  public var phase: Phase
  /// Virtual seconds until everybody knew everybody; for the steady state, that it was looked at; nil if that did not happen.
  public var seconds: Double?
  /// Virtual seconds that the sums are of.
  public var span: Double
  /// Datagrams sent, and received, by an endpoint on average.
  public var sent: Double
  /// See ``sent``.
  public var received: Double
  /// Bytes sent, and received, by an endpoint on average, headers of IPv4 and UDP included.
  public var sentBytes: Double
  /// See ``sentBytes``.
  public var receivedBytes: Double
  /// Most datagrams and bytes that one endpoint received within 100 ms.
  public var peakDatagrams: Int
  /// See ``peakDatagrams``.
  public var peakBytes: Int
  /// Datagrams that found a socket full, in all.
  public var overflows: UInt64
  /// Limits that were reached, and how often in all.
  public var limits: [(name: String, count: UInt64)]
  /// Broken invariants.
  public var violations: [Violation]
}

/// Measures what discovery costs many endpoints of the real core in virtual time.
public final class DiscoveryScale {
  private let options: DiscoveryScaleOptions
  private let simulation: Simulation
  private var meter: TrafficMeter
  private var dice: Dice
  private var overflows: UInt64 = 0
  private var hosts: Int { options.endpoints + options.newcomers }

  /// Nothing has started yet.
  public init(_ options: DiscoveryScaleOptions) {
    self.options = options
    // Newcomers have hosts of their own.
    let hosts = options.endpoints + options.newcomers
    simulation = Simulation(hosts: hosts, topics: [], seed: options.seed, traceLines: 0)
    meter = TrafficMeter(hosts: hosts)
    dice = Dice(seed: options.seed, concern: .scenario)
    for from in 0..<hosts {
      simulation.network[from].receiveBufferBytes = options.receiveBufferBytes
      simulation.network[from].processing = options.processing
      guard options.lossPercent > 0 else { continue }
      for to in 0..<hosts where to != from {
        simulation.network[from, to].lossPerMillion = options.lossPercent * 10_000
      }
    }
    simulation.noteLinks()
    simulation.onDatagram = { [unowned self] bytes, endpoint, _ in
      meter.noteSent(by: endpoint.host, bytes: bytes.count, at: simulation.now)
    }
    simulation.onArrival = { [unowned self] host, bytes in
      meter.noteReceived(by: host, bytes: bytes, at: simulation.now)
    }
  }

  /// Runs one phase. They follow one another in the order of ``DiscoveryScaleResult/Phase``.
  public func run(_ phase: DiscoveryScaleResult.Phase) -> DiscoveryScaleResult {
    switch phase {
    case .start:
      for host in 0..<options.endpoints {
        schedule(host, within: .seconds(1), isFirst: host == 0)
      }
    case .steady:
      // Whatever the last phase left has gone by then.
      simulation.run(for: options.settling)
    case .newcomer:
      for host in options.endpoints..<hosts {
        schedule(host, within: options.newcomers > 1 ? .milliseconds(100) : .zero, isFirst: false)
      }
    case .restart:
      for host in stride(from: 1, to: options.endpoints, by: 2) {
        if let endpoint = simulation.endpoints[host] { simulation.end(endpoint) }
        schedule(host, within: .milliseconds(100), isFirst: false)
      }
    }
    meter = TrafficMeter(hosts: hosts)
    let limits = reachedLimits
    let begin = simulation.now
    var met: Double?
    if phase == .steady {
      simulation.run(for: options.steady)
      met = seconds(since: begin)
    } else {
      met = meet(phase == .start ? options.endpoints : hosts)
    }
    var outcome = result(phase, met, since: begin)
    outcome.limits = reachedLimits.compactMap { name, count in
      // Those of endpoints that ended since are not counted.
      let before = limits.first { $0.name == name }?.count ?? 0
      return count > before ? (name, count - before) : nil
    }
    return outcome
  }

  /// Endpoints that run now.
  public var running: Int { simulation.alive.count }
  /// Virtual time so far.
  public var virtualSeconds: Double { seconds(since: Timestamp(nanoseconds: 0)) }

  private func schedule(_ host: Int, within span: Nanoseconds, isFirst: Bool) {
    // A rendezvous has to be there before those who announce to it.
    let delay = isFirst && options.meeting == .rendezvous ? .zero : dice.span(.zero...span)
    simulation.schedule(after: delay) { [unowned self] _ in start(host) }
  }

  private func start(_ host: Int) {
    var configuration = EndpointConfiguration(id: EndpointID(UInt64(host + 1)), name: "endpoint-\(host)")
    configuration.receiveBufferBytes = options.receiveBufferBytes
    // Those of Ethernet; a host's own interface would refuse to probe for more.
    configuration.transport.maximumDatagramBytes = 1_472
    switch options.meeting {
    case .multicast: configuration.discovery.targets = [SimulatedNetwork.group]
    case .rendezvous:
      configuration.discovery.targets = host == 0 ? [] : [SimulatedNetwork.address(host: 0)]
      configuration.discovery.isRendezvous = host == 0
    }
    simulation.start(on: host, configuration)
  }

  /// Lets time pass until everybody knows everybody; returns how long that took.
  private func meet(_ expected: Int) -> Double? {
    let begin = simulation.now
    let step = Nanoseconds.milliseconds(10)
    while simulation.now < begin + options.limit {
      simulation.run(for: step)
      if everybodyKnows(expected) { return seconds(since: begin) }
    }
    return nil
  }

  private func everybodyKnows(_ count: Int) -> Bool {
    let alive = simulation.alive
    guard alive.count == count, alive.allSatisfy({ $0.peers.count == count - 1 }) else { return false }
    return alive.allSatisfy { $0.peers.values.allSatisfy { !simulation.endpoint(of: $0).isOver } }
  }

  private var reachedLimits: [(name: String, count: UInt64)] {
    var sums: [(name: String, count: UInt64)] = []
    for endpoint in simulation.alive {
      for (name, count) in endpoint.machine.counters where name.hasPrefix("limit.") && count > 0 {
        if let index = sums.firstIndex(where: { $0.name == name }) {
          sums[index].count += count
        } else {
          sums.append((name, count))
        }
      }
    }
    return sums
  }

  private func seconds(since begin: Timestamp) -> Double { Double(simulation.now.since(begin).count) / 1e9 }

  private func result(
    _ phase: DiscoveryScaleResult.Phase, _ met: Double?, since begin: Timestamp
  ) -> DiscoveryScaleResult {
    let count = Double(max(1, simulation.alive.count))
    let dropped = simulation.network.dropped(.receiveBuffer)
    defer { overflows = dropped }
    let violations = simulation.recorder.report.violations
    simulation.recorder.report.violations = []
    return DiscoveryScaleResult(
      phase: phase, seconds: met, span: seconds(since: begin), sent: Double(meter.sent.datagrams) / count,
      received: Double(meter.received.datagrams) / count, sentBytes: Double(meter.sent.bytes) / count,
      receivedBytes: Double(meter.received.bytes) / count, peakDatagrams: meter.peakReceived.datagrams,
      peakBytes: meter.peakReceived.bytes, overflows: dropped - overflows, limits: [], violations: violations)
  }
}
