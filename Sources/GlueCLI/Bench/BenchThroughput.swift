import ArgumentParser
import Foundation

/// `glue bench throughput`: one publisher process to N subscriber processes.
struct BenchThroughput: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "throughput",
    abstract: "Publish as fast as possible, or at a rate, from one process to others.",
    discussion: """
      Rates are per subscriber, from its first to its last message. Wire bytes are what both sides sent for each message \
      received, from the first on, IPv4 and UDP headers included. CPU is processor time of the whole process per message, MB the most memory it had; of several subscribers the largest. \
      With --rate also how long messages took from publisher to callback; of several subscribers those of the slowest.
      """)

  @Option(help: "How many subscriber processes. (default: 1)", transform: parsePositive)
  var subscribers: Int = 1

  @Option(help: "Sizes of messages, separated by commas.")
  var sizes = "64,1KiB,64KiB"

  @Option(help: "How long to publish in each round. (default: 3s)", transform: parseDuration)
  var duration: Duration = .seconds(3)

  @Option(help: "Messages a second, evenly; as many as there is room for otherwise.", transform: parsePositive)
  var rate: Int?

  @Option(help: "Publish to so many topics in turns. (default: 1)", transform: parsePositive)
  var topics: Int = 1
  @Option(help: "Publish to so many of the topics only. (default: all)", transform: parsePositive)
  var usedTopics: Int?

  @Option(
    help: "Subscribe to so many filters with wildcards, one of which matches. (default: 1)", transform: parsePositive)
  var filters: Int = 1

  @Option(
    help: "So many peers of the publisher in all; those that are no subscribers do nothing.", transform: parsePositive)
  var peers: Int?

  @Option(help: "Rounds; the median round is shown. (default: 3)", transform: parsePositive)
  var rounds: Int = 3

  @Flag(help: "Send each message once, and do not repeat what the network loses.")
  var bestEffort = false

  @Flag(help: "In a network with a key: everything is sealed.")
  var sealed = false

  @Flag(help: "One JSON object per round.")
  var json = false

  func validate() throws {
    let sizes = try parsedSizes()
    guard duration >= Self.shortestDuration else { throw ValidationError("--duration is at least 100ms") }
    guard subscribers <= Self.mostSubscribers else {
      throw ValidationError("--subscribers is at most \(Self.mostSubscribers)")
    }
    if let rate, rate > 1_000_000 { throw ValidationError("--rate is at most 1000000") }
    guard topics <= 60_000, filters <= 60_000 else { throw ValidationError("--topics and --filters go to 60000") }
    guard topics == 1 || filters == 1 else {
      throw ValidationError("several --topics do not go with several --filters")
    }
    if let usedTopics, usedTopics > topics { throw ValidationError("--used-topics goes to the number of --topics") }
    guard topics == 1 || rate == nil else { throw ValidationError("several --topics do not go with --rate") }
    guard topics == 1 || sizes.allSatisfy({ $0 >= BenchHeader.byteCount }) else {
      throw ValidationError("with several --topics, --sizes is at least \(BenchHeader.byteCount)")
    }
    if let peers, peers < subscribers || peers > 1_000 {
      throw ValidationError("--peers goes from the number of subscribers to 1000")
    }
  }

  /// In less nothing is published that says anything.
  private static let shortestDuration = Duration.milliseconds(100)
  /// Each is a process.
  private static let mostSubscribers = 256

  private func parsedSizes() throws -> [Int] {
    try sizes.split(separator: ",", omittingEmptySubsequences: false).map { text in
      do {
        return try parseByteCount(String(text))
      } catch let error as ValidationError {
        throw ValidationError("--sizes has \"\(text)\": \(error.message)")
      }
    }
  }

  func run() async throws {
    if !json {
      Console.line("\(subscribers) subscriber(s), \(bestEffort ? "best effort" : "reliable"), \(rounds) round(s) each")
      Console.line(
        "    size      msg/s      MB/s  delivered %  wire B/msg  CPU µs/msg pub  CPU µs/msg sub  MB pub  MB sub"
          + (rate == nil ? "" : "  delay µs p50       p90       p99     p99.9       max"))
    }
    for size in try parsedSizes() {
      var results: [Round] = []
      for _ in 0..<rounds {
        let round = try await measure(size: size)
        if json { Console.line(round.json) }
        results.append(round)
      }
      results.sort { $0.rate < $1.rate }
      if !json { Console.line(results[results.count / 2].row) }
      if !bestEffort, results.contains(where: { !$0.isComplete }) {
        throw CommandFailure("not every message of \(size) bytes was acknowledged and arrived")
      }
    }
  }

  /// One round: starts the processes, lets them run, collects their reports.
  private func measure(size: Int) async throws -> Round {
    let network = PrivateNetwork(isSealed: sealed)
    let crowd = try await makeCrowd((peers ?? subscribers) - subscribers, in: network)
    defer { crowd?.terminate() }
    var shared = ["--topics", "\(topics)", "--filters", "\(filters)"]
    if let peers { shared += ["--peers", "\(peers)"] }
    let receivers = try (1...subscribers).map {
      try ChildProcess(
        ["bench", "subscriber"] + shared + (rate == nil ? [] : ["--paced"]),
        environment: network.environment(name: "bench-subscriber-\($0)"))
    }
    var arguments = ["bench", "publisher", "--size", "\(size)", "--subscribers", "\(subscribers)"] + shared
    arguments += ["--duration", "\(Int(duration.inMilliseconds))ms"]
    if bestEffort { arguments.append("--best-effort") }
    if let rate { arguments += ["--rate", "\(rate)"] }
    if let usedTopics { arguments += ["--used-topics", "\(usedTopics)"] }
    let sender = try ChildProcess(arguments, environment: network.environment(name: "bench-publisher"))
    defer { for child in receivers + [sender] { child.terminate() } }

    let sent: PublisherReport = try await report(of: sender, within: duration + .seconds(peers == nil ? 30 : 90))
    for child in receivers { child.closeInput() }
    var received: [SubscriberReport] = []
    for child in receivers { received.append(try await report(of: child, within: .seconds(10))) }
    return Round(size: size, sent: sent, received: received)
  }

  /// Starts endpoints that do nothing, and waits until they know each other and have settled.
  private func makeCrowd(_ count: Int, in network: PrivateNetwork) async throws -> ChildProcess? {
    guard count > 0 else { return nil }
    let crowd = try ChildProcess(
      ["bench", "crowd", "--endpoints", "\(count)"], environment: network.environment(name: "bench-crowd"))
    var lines = crowd.lines.makeAsyncIterator()
    guard await lines.next() != nil else { throw CommandFailure("\(count) endpoints did not meet") }
    // Searches for the path MTU, mostly.
    try await Task.sleep(for: .seconds(5))
    return crowd
  }

  /// The first line of a process as a report.
  private func report<Report: Decodable & Sendable>(of child: ChildProcess, within limit: Duration) async throws
    -> Report
  {
    let line = try await withThrowingTaskGroup(of: String?.self) { group in
      group.addTask {
        for await line in child.lines { return line }
        return nil
      }
      group.addTask {
        try await Task.sleep(for: limit)
        throw CommandFailure("a process of the benchmark did not report within \(limit)")
      }
      defer { group.cancelAll() }
      return try await group.next() ?? nil
    }
    guard let line else { throw CommandFailure("a process of the benchmark ended without a report") }
    return try JSONDecoder().decode(Report.self, from: Data(line.utf8))
  }
}

/// What the publisher process measured.
struct PublisherReport: Codable, Sendable {
  var published: Int
  var acknowledged: Bool
  var seconds: Double
  var processorSeconds: Double
  var wireBytes: UInt64
  var peakMemoryBytes: Int
}

/// What a subscriber process measured.
struct SubscriberReport: Codable, Sendable {
  var received: Int
  var lost: Int
  var duplicates: Int
  var outOfOrder: Int
  var bytes: Int
  var seconds: Double
  var processorSeconds: Double
  var wireBytes: UInt64
  var peakMemoryBytes: Int
  /// Of paced messages.
  var delays: DelayReport?
}

/// Microseconds from publisher to callback.
struct DelayReport: Codable, Sendable {
  var p50: Double
  var p90: Double
  var p99: Double
  var p999: Double
  var maximum: Double

  var all: [(name: String, microseconds: Double)] {
    [("P50", p50), ("P90", p90), ("P99", p99), ("P999", p999), ("Max", maximum)]
  }
}

/// The figures of one round.
private struct Round {
  let size: Int
  let sent: PublisherReport
  let received: [SubscriberReport]

  private var messages: Double { Double(received.reduce(0) { $0 + $1.received }) }

  /// Messages per second and subscriber.
  var rate: Double {
    let rates = received.map { $0.seconds > 0 ? Double($0.received) / $0.seconds : 0 }
    return rates.reduce(0, +) / Double(max(1, rates.count))
  }

  private var megabytesPerSecond: Double { rate * Double(size) / 1e6 }
  private var deliveredPercent: Double {
    100 * messages / Double(max(1, sent.published * received.count))
  }
  private var wireBytesPerMessage: Double {
    Double(sent.wireBytes + received.reduce(0) { $0 + $1.wireBytes }) / max(1, messages)
  }
  private var publisherMicroseconds: Double { sent.processorSeconds * 1e6 / Double(max(1, sent.published)) }
  private var subscriberMicroseconds: Double {
    received.reduce(0) { $0 + $1.processorSeconds } * 1e6 / max(1, messages)
  }

  private var delays: DelayReport? { received.compactMap(\.delays).max { $0.p99 < $1.p99 } }

  private var subscriberMemoryBytes: Int { received.map(\.peakMemoryBytes).max() ?? 0 }

  var row: String {
    Format.right(Format.bytes(size), 8) + Format.right(Format.fixed(rate, 0), 11)
      + Format.right(Format.fixed(megabytesPerSecond, 1), 10) + Format.right(Format.fixed(deliveredPercent, 3), 13)
      + Format.right(Format.fixed(wireBytesPerMessage, 1), 12)
      + Format.right(Format.fixed(publisherMicroseconds, 3), 16)
      + Format.right(Format.fixed(subscriberMicroseconds, 3), 16)
      + Format.right(Format.fixed(Double(sent.peakMemoryBytes) / 1e6, 1), 8)
      + Format.right(Format.fixed(Double(subscriberMemoryBytes) / 1e6, 1), 8)
      + (delays?.all ?? []).enumerated()
      .map { Format.right(Format.fixed($1.microseconds, 1), $0 == 0 ? 14 : 10) }.joined()
      + (sent.acknowledged ? "" : "  (not all acknowledged)")
  }

  /// Whether everything was acknowledged, and has arrived.
  var isComplete: Bool { sent.acknowledged && received.allSatisfy { $0.received == sent.published } }

  var json: String {
    var line = JSONLine()
    line.add("size", size)
    line.add("subscribers", received.count)
    line.add("published", sent.published)
    line.add("acknowledged", sent.acknowledged)
    line.add("received", received.reduce(0) { $0 + $1.received })
    line.add("lost", received.reduce(0) { $0 + $1.lost })
    line.add("duplicates", received.reduce(0) { $0 + $1.duplicates })
    line.add("outOfOrder", received.reduce(0) { $0 + $1.outOfOrder })
    line.add("messagesPerSecond", rate)
    line.add("megabytesPerSecond", megabytesPerSecond)
    line.add("deliveredPercent", deliveredPercent)
    line.add("wireBytesPerMessage", wireBytesPerMessage)
    line.add("publisherWireBytesPerMessage", Double(sent.wireBytes) / Double(max(1, sent.published)))
    line.add("publisherMicrosecondsPerMessage", publisherMicroseconds)
    line.add("subscriberMicrosecondsPerMessage", subscriberMicroseconds)
    line.add("publisherPeakMemoryBytes", sent.peakMemoryBytes)
    line.add("subscriberPeakMemoryBytes", subscriberMemoryBytes)
    for delay in delays?.all ?? [] { line.add("delay\(delay.name)Microseconds", delay.microseconds) }
    return line.line
  }
}
