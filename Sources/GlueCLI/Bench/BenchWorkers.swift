import ArgumentParser
import Foundation
import Glue

/// The names that the throughput benchmark's two sides agree on.
private enum BenchTopics {
  /// The topics that are published to.
  static func topics(_ count: Int) -> [String] {
    count == 1 ? ["bench/data"] : (0..<count).map { "bench/data/\($0)" }
  }

  /// The filters that are subscribed to: one that matches all topics, or many of which one matches the only topic.
  static func filters(_ count: Int, topics: Int) -> [String] {
    if topics > 1 { return ["bench/data/#"] }
    return count == 1 ? ["bench/data"] : ["bench/+"] + (1..<count).map { "bench/+/\($0)" }
  }
}

/// What messages begin with if they are paced or of many topics: the time of the one, the topic's index of the others.
enum BenchHeader {
  static let byteCount = 8

  static func write(_ value: UInt64, to payload: inout [UInt8]) {
    payload.withUnsafeMutableBytes { $0.storeBytes(of: value, as: UInt64.self) }
  }

  static func read(_ message: borrowing MessageView) -> UInt64 {
    message.withUnsafeBytes { $0.count >= byteCount ? $0.loadUnaligned(as: UInt64.self) : 0 }
  }
}

/// The publisher process of `glue bench throughput`.
struct BenchPublisher: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "publisher", shouldDisplay: false)

  @Option(transform: parseByteCount)
  var size: Int
  @Option(transform: parsePositive)
  var subscribers: Int
  @Option(transform: parseDuration)
  var duration: Duration
  @Option(transform: parsePositive)
  var rate: Int?
  @Option(transform: parsePositive)
  var topics: Int = 1
  @Option(transform: parsePositive)
  var usedTopics: Int?
  @Option(transform: parsePositive)
  var filters: Int = 1
  @Option var peers = 0
  @Flag var bestEffort = false

  func run() async throws {
    var configuration = try Endpoint.Configuration.fromEnvironment()
    configuration.topics.subscriptionsPerPeer = max(filters, configuration.topics.subscriptionsPerPeer)
    let endpoint = try await Endpoint(configuration)
    try await endpoint.start()
    var settings = TopicSettings()
    settings.reliability = bestEffort ? .bestEffort : .reliable
    settings.whenFull = .block(timeout: .seconds(10))
    let publications = try BenchTopics.topics(topics).map { try endpoint.publication($0, settings) }
    try await waitForPeers(peers, of: endpoint)
    for publication in publications { try await publication.awaitSubscribers(subscribers, timeout: .seconds(20)) }

    var payload = [UInt8](repeating: 0x61, count: size)
    if topics > 1 { BenchHeader.write(0, to: &payload) }
    let used = publications.prefix(usedTopics ?? topics)
    let processor = Clocks.processorSeconds()
    let wire = wireBytes(of: endpoint)
    let start = Clocks.now()
    let end = start + UInt64(duration.inSeconds * 1e9)
    let (published, last) =
      if let rate {
        try await Self.publish(
          payload, in: publications[0], each: 1_000_000_000 / UInt64(rate), from: start, until: end)
      } else if used.count > 1 {
        try await Self.publish(payload, inTurns: used, until: end)
      } else {
        try await Self.publish(payload, in: publications[0], until: end)
      }
    var acknowledged = false
    if case .acknowledged? = await last?.acknowledged(timeout: .seconds(10)) { acknowledged = true }
    let report = PublisherReport(
      published: published, acknowledged: acknowledged, seconds: Double(Clocks.now() - start) / 1e9,
      processorSeconds: Clocks.processorSeconds() - processor, wireBytes: wireBytes(of: endpoint) - wire,
      peakMemoryBytes: Clocks.peakMemoryBytes())
    Console.line(String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
    await endpoint.shutdown()
  }
}

extension BenchPublisher {
  /// Publishes as fast as there is room. Returns how many messages, and the receipt of the last.
  private static func publish(_ payload: [UInt8], in publication: Publication, until end: UInt64) async throws
    -> (Int, Receipt?)
  {
    var last: Receipt?
    var published = 0
    while Clocks.now() < end {
      // The clock is read once for many messages, so that it is not what is measured.
      for _ in 0..<16 {
        if let receipt = try publication.tryPublish(payload) {
          last = receipt
        } else {
          last = try await publication.publish(payload)
        }
        published += 1
      }
    }
    return (published, last)
  }

  /// Publishes to many topics in turns, as fast as there is room. Returns how many messages, and the receipt of the last.
  private static func publish(_ payload: [UInt8], inTurns publications: ArraySlice<Publication>, until end: UInt64)
    async throws
    -> (Int, Receipt?)
  {
    var payload = payload
    var last: Receipt?
    var published = 0
    while true {
      for (index, publication) in publications.enumerated() {
        // See above.
        if published & 15 == 0, Clocks.now() >= end { return (published, last) }
        BenchHeader.write(UInt64(index), to: &payload)
        if let receipt = try publication.tryPublish(payload) {
          last = receipt
        } else {
          last = try await publication.publish(payload)
        }
        published += 1
      }
    }
  }

  /// Publishes a message each so many nanoseconds, from a thread that sleeps in between as those of other programs do.
  private static func publish(
    _ payload: [UInt8], in publication: Publication, each interval: UInt64, from start: UInt64, until end: UInt64
  ) async throws -> (Int, Receipt?) {
    try await withCheckedThrowingContinuation { continuation in
      detachThread {
        var payload = payload
        var last: Receipt?
        var published = 0
        var next = start
        do {
          while next < end {
            Clocks.sleep(until: next)
            if payload.count >= BenchHeader.byteCount { BenchHeader.write(Clocks.now(), to: &payload) }
            guard let receipt = try publication.tryPublish(payload) else {
              throw CommandFailure("the publication's buffer is full: the subscribers do not keep up with the rate")
            }
            last = receipt
            published += 1
            next += interval
          }
          continuation.resume(returning: (published, last))
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
  }
}

/// A subscriber process of `glue bench throughput`.
struct BenchSubscriber: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "subscriber", shouldDisplay: false)

  @Option(transform: parsePositive)
  var topics: Int = 1
  @Option(transform: parsePositive)
  var filters: Int = 1
  @Option var peers = 0
  @Flag var paced = false

  /// What the callback notes. Its calls never overlap, and it is read when the endpoint is closed: so it needs no lock, which would be
  /// measured too.
  private final class State: @unchecked Sendable {
    /// Of each topic.
    @exclusivity(unchecked) var tallies: [StreamTally?]
    @exclusivity(unchecked) var count = 0
    @exclusivity(unchecked) var bytes = 0
    @exclusivity(unchecked) var first: UInt64 = 0
    @exclusivity(unchecked) var last: UInt64 = 0
    @exclusivity(unchecked) var delays: [Double] = []
    var processor = 0.0
    var wire: UInt64 = 0
    /// What had been sent before the first message: what it took to meet and to measure the path is no cost of messages.
    private let sent: () -> UInt64

    /// More delays than this are not kept, or memory would be measured.
    private static let delaysKept = 1_000_000

    init(topics: Int, sent: @escaping () -> UInt64) {
      tallies = Array(repeating: nil, count: topics)
      self.sent = sent
    }

    func note(_ sequence: UInt64, ofTopic topic: Int, byteCount: Int) {
      if tallies[topic] == nil {
        tallies[topic] = StreamTally(first: sequence)
        if first == 0 {
          first = Clocks.now()
          processor = Clocks.processorSeconds()
          wire = sent()
        }
      } else {
        tallies[topic]?.add(sequence)
      }
      bytes += byteCount
      count += 1
      // The clock is read now and then, as the programs do that Glue is compared with.
      if count & 15 == 0 || byteCount > 4_096 { last = Clocks.now() }
    }

    func noteDelay(since published: UInt64) {
      let now = Clocks.now()
      guard published <= now, delays.count < Self.delaysKept else { return }
      delays.append(Double(now - published) / 1_000)
    }
  }

  func run() async throws {
    var configuration = try Endpoint.Configuration.fromEnvironment()
    configuration.topics.streamsPerPeer = max(topics, configuration.topics.streamsPerPeer)
    let endpoint = try await Endpoint(configuration)
    try await endpoint.start()
    // The publisher waits for the subscription, and so is no matter of this.
    try await waitForPeers(peers - 1, of: endpoint)
    let state = State(topics: topics) { wireBytes(of: endpoint) }
    let (paced, topics) = (paced, topics)
    let subscriptions = try BenchTopics.filters(filters, topics: topics).map { filter in
      try endpoint.subscribe(to: filter) { message in
        if topics > 1 {
          let topic = Int(truncatingIfNeeded: BenchHeader.read(message))
          // What is of no topic is lost.
          guard (0..<topics).contains(topic) else { return }
          state.note(message.sequence, ofTopic: topic, byteCount: message.byteCount)
        } else {
          if paced { state.noteDelay(since: BenchHeader.read(message)) }
          state.note(message.sequence, ofTopic: 0, byteCount: message.byteCount)
        }
      }
    }
    await standardInputClosed()
    // What was acknowledged may still be on its way to the callback; the end of the endpoint hands it over.
    let sent = wireBytes(of: endpoint)
    await endpoint.shutdown()
    for subscription in subscriptions { subscription.cancel() }
    let tallies = state.tallies.compactMap(\.self)
    let memory = Clocks.peakMemoryBytes()
    let delays = Percentiles(state.delays)
    let report = SubscriberReport(
      received: tallies.reduce(0) { $0 + $1.received }, lost: tallies.reduce(0) { $0 + $1.lost },
      duplicates: tallies.reduce(0) { $0 + $1.duplicates }, outOfOrder: tallies.reduce(0) { $0 + $1.outOfOrder },
      bytes: state.bytes, seconds: Double(state.last - state.first) / 1e9,
      processorSeconds: tallies.isEmpty ? 0 : Clocks.processorSeconds() - state.processor,
      wireBytes: tallies.isEmpty ? 0 : sent - state.wire, peakMemoryBytes: memory,
      delays: state.delays.isEmpty
        ? nil
        : DelayReport(
          p50: delays.at(0.5), p90: delays.at(0.9), p99: delays.at(0.99), p999: delays.at(0.999),
          maximum: delays.maximum))
    Console.line(String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
  }
}
