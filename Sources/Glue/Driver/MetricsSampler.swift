import GlueCore
import Metrics

/// Passes the counters on to swift-metrics, each second, where the program has set up a metrics system.
struct MetricsSampler {
  private static let interval = Nanoseconds.seconds(1)

  private let endpoint: String
  private let isWanted: Bool
  private var counters: [String: (counter: Counter, value: UInt64)] = [:]
  private var peers: Gauge?
  /// When to sample next; `nil`: never.
  private(set) var nextSample: Timestamp?

  init(endpoint: String) {
    self.endpoint = endpoint
    isWanted = !(MetricsSystem.factory is NOOPMetricsHandler)
    if isWanted { nextSample = .now }
  }

  mutating func sampleIfDue(_ driver: Driver) {
    guard let due = nextSample else { return }
    let now = Timestamp.now
    guard due <= now else { return }
    nextSample = now + Self.interval
    let dimensions = [("endpoint", endpoint)]
    for (name, value) in driver.counters() {
      let known = counters[name] ?? (Counter(label: "glue.\(name)", dimensions: dimensions), 0)
      if value > known.value { known.counter.increment(by: Int64(clamping: value - known.value)) }
      counters[name] = (known.counter, value)
    }
    let gauge = peers ?? Gauge(label: "glue.peers", dimensions: dimensions)
    gauge.record(driver.peers().count)
    peers = gauge
  }
}
