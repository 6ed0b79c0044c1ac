import ArgumentParser
import Foundation
import Glue

/// `glue bench stuck`: how long a callback that does not return delays the others of its endpoint.
struct BenchStuck: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stuck",
    abstract: "Measure how long a stuck callback delays the others of its endpoint.",
    discussion: """
      An endpoint gets a message each millisecond in one callback, and in each round a message in another one, which then \
      blocks until the round is over. Shown is the longest that any of the others took from its publication to its callback, \
      in each round, and in as many rounds in which nothing blocks.
      """)

  @Option(help: "Rounds of each kind. (default: 20)", transform: parsePositive)
  var rounds: Int = 20

  @Option(help: "How long a round is, and the callback stuck. (default: 300ms)", transform: parseDuration)
  var hold: Duration = .milliseconds(300)

  @Flag(help: "One JSON object per kind.")
  var json = false

  func run() async throws {
    let network = PrivateNetwork()
    let publisher = try await Endpoint(.fromEnvironment(network.environment(name: "bench-publisher")))
    let subscriber = try await Endpoint(.fromEnvironment(network.environment(name: "bench-subscriber")))
    for endpoint in [publisher, subscriber] { try await endpoint.start() }
    let longest = Shared(UInt64(0))
    try subscriber.subscribe(to: "bench/tick") { message in
      let sentAt = message.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
      let delay = Clocks.now() - sentAt
      longest.withLock { $0 = max($0, delay) }
    }
    let hold = hold
    try subscriber.subscribe(to: "bench/stuck") { _ in Thread.sleep(forTimeInterval: hold.inSeconds) }
    let tick = try publisher.publication("bench/tick")
    let stuck = try publisher.publication("bench/stuck")
    for publication in [tick, stuck] { try await publication.awaitSubscribers(1, timeout: .seconds(20)) }

    /// Milliseconds of the slowest message.
    func round(isStuck: Bool) async throws -> Double {
      longest.withLock { $0 = 0 }
      let end = ContinuousClock.now + hold
      if isStuck { try await stuck.publish("x") }
      var last: Receipt?
      while ContinuousClock.now < end {
        last = try await tick.publish(withUnsafeBytes(of: Clocks.now()) { Array($0) })
        try await Task.sleep(for: .milliseconds(1))
      }
      // Acknowledged is received; the next round begins when all callbacks have returned.
      _ = await last?.acknowledged(timeout: .seconds(10))
      try await Task.sleep(for: .milliseconds(100))
      return Double(longest.value) / 1e6
    }
    _ = try await round(isStuck: false)
    var free: [Double] = []
    var held: [Double] = []
    for _ in 0..<rounds {
      free.append(try await round(isStuck: false))
      held.append(try await round(isStuck: true))
    }
    for endpoint in [publisher, subscriber] { await endpoint.shutdown() }
    if !json { Console.line("longest delay of other messages in \(rounds) rounds, ms    median       p90       max") }
    for (name, values) in [("nothing stuck", Percentiles(free)), ("a callback stuck", Percentiles(held))] {
      if json {
        var line = JSONLine()
        line.add("kind", name)
        line.add("rounds", rounds)
        line.add("medianMilliseconds", values.at(0.5))
        line.add("p90Milliseconds", values.at(0.9))
        line.add("maxMilliseconds", values.maximum)
        Console.line(line.line)
      } else {
        let figures = [values.at(0.5), values.at(0.9), values.maximum]
        Console.line(Format.left(name, 51) + figures.map { Format.right(Format.fixed($0, 1), 10) }.joined())
      }
    }
  }
}
