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
    var acknowledged = false
    if case .acknowledged? = await last?.acknowledged(timeout: .seconds(10)) { acknowledged = true }
    let report = PublisherReport(
      published: published, acknowledged: acknowledged, seconds: Double(Clocks.now() - start) / 1e9,
      processorSeconds: Clocks.processorSeconds() - processor, wireBytes: wireBytes(of: endpoint) - wire)
    Console.line(String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
    await endpoint.shutdown()
  }
}

/// A subscriber process of `glue bench throughput`.
struct BenchSubscriber: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "subscriber", shouldDisplay: false)

  private struct State {
    var tally: StreamTally?
    var bytes = 0
    var first: UInt64 = 0
    var last: UInt64 = 0
    var processor = 0.0
  }

  func run() async throws {
    let endpoint = try await Endpoint(.fromEnvironment())
    try await endpoint.start()
    let shared = Shared(State())
    let subscription = try endpoint.subscribe(to: topic) { message in
      let sequence = message.sequence
      let size = message.byteCount
      shared.withLock { state in
        if state.tally == nil {
          state.tally = StreamTally(first: sequence)
          state.first = Clocks.now()
          state.processor = Clocks.processorSeconds()
        } else {
          state.tally?.add(sequence)
        }
        state.bytes += size
        state.last = Clocks.now()
      }
    }
    let wire = wireBytes(of: endpoint)
    await standardInputClosed()
    // What was acknowledged may still be on its way to the callback; the end of the endpoint hands it over.
    let sent = wireBytes(of: endpoint) - wire
    await endpoint.shutdown()
    subscription.cancel()
    let state = shared.value
    let report = SubscriberReport(
      received: state.tally?.received ?? 0, lost: state.tally?.lost ?? 0, duplicates: state.tally?.duplicates ?? 0,
      outOfOrder: state.tally?.outOfOrder ?? 0, bytes: state.bytes, seconds: Double(state.last - state.first) / 1e9,
      processorSeconds: state.tally == nil ? 0 : Clocks.processorSeconds() - state.processor,
      wireBytes: sent)
    Console.line(String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
  }
}
