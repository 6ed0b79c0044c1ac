import ArgumentParser
import Foundation
import Glue

/// The topic of the throughput benchmark.
private let topic = "bench/data"

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
  @Flag var bestEffort = false

  func run() async throws {
    let endpoint = try await Endpoint(.fromEnvironment())
    try await endpoint.start()
    var settings = TopicSettings()
    settings.reliability = bestEffort ? .bestEffort : .reliable
    settings.whenFull = .block(timeout: .seconds(10))
    let publication = try endpoint.publication(topic, settings)
    try await publication.awaitSubscribers(subscribers, timeout: .seconds(20))

    let payload = [UInt8](repeating: 0x61, count: size)
    let processor = Clocks.processorSeconds()
    let wire = wireBytes(of: endpoint)
    let start = Clocks.now()
    let end = start + UInt64(duration.inSeconds * 1e9)
    let (published, last) =
      if let rate {
        try await Self.publish(payload, in: publication, each: 1_000_000_000 / UInt64(rate), from: start, until: end)
      } else {
        try await Self.publish(payload, in: publication, until: end)
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

  /// Publishes a message each so many nanoseconds, from a thread that sleeps in between as those of other programs do.
  private static func publish(
    _ payload: [UInt8], in publication: Publication, each interval: UInt64, from start: UInt64, until end: UInt64
  ) async throws -> (Int, Receipt?) {
    try await withCheckedThrowingContinuation { continuation in
      detachThread {
        var last: Receipt?
        var published = 0
        var next = start
        do {
          while next < end {
            Clocks.sleep(until: next)
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

  /// What the callback notes. Its calls never overlap, and it is read when the endpoint is closed: so it needs no lock, which would be
  /// measured too.
  private final class State: @unchecked Sendable {
    @exclusivity(unchecked) var tally: StreamTally?
    @exclusivity(unchecked) var bytes = 0
    var first: UInt64 = 0
    @exclusivity(unchecked) var last: UInt64 = 0
    var processor = 0.0

    func note(_ sequence: UInt64, byteCount: Int) {
      if tally == nil {
        tally = StreamTally(first: sequence)
        first = Clocks.now()
        processor = Clocks.processorSeconds()
      } else {
        tally?.add(sequence)
      }
      bytes += byteCount
      // The clock is read now and then, as the programs do that Glue is compared with.
      if sequence & 15 == 0 || byteCount > 4_096 { last = Clocks.now() }
    }
  }

  func run() async throws {
    let endpoint = try await Endpoint(.fromEnvironment())
    try await endpoint.start()
    let state = State()
    let subscription = try endpoint.subscribe(to: topic) { message in
      state.note(message.sequence, byteCount: message.byteCount)
    }
    let wire = wireBytes(of: endpoint)
    await standardInputClosed()
    // What was acknowledged may still be on its way to the callback; the end of the endpoint hands it over.
    let sent = wireBytes(of: endpoint) - wire
    await endpoint.shutdown()
    subscription.cancel()
    let report = SubscriberReport(
      received: state.tally?.received ?? 0, lost: state.tally?.lost ?? 0, duplicates: state.tally?.duplicates ?? 0,
      outOfOrder: state.tally?.outOfOrder ?? 0, bytes: state.bytes, seconds: Double(state.last - state.first) / 1e9,
      processorSeconds: state.tally == nil ? 0 : Clocks.processorSeconds() - state.processor,
      wireBytes: sent, peakMemoryBytes: Clocks.peakMemoryBytes())
    Console.line(String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
  }
}
