import ArgumentParser
import Foundation
import Glue

/// `glue bench latency`: ping-pong between two processes.
struct BenchLatency: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "latency",
    abstract: "Measure round trips between two processes.",
    discussion: """
      With --raw each round of messages is followed by one of bare datagrams over blocking UDP sockets, between the same \
      two processes; the ratio of the two is what can be compared between machines.
      """)

  @Option(help: "Size of a message. (default: 64)", transform: parseByteCount)
  var size: Int = 64

  @Option(help: "Round trips in each round. (default: 10000)", transform: parsePositive)
  var count: Int = 10_000

  @Option(help: "Rounds; the median of each figure is shown. (default: 3)", transform: parsePositive)
  var rounds: Int = 3

  @Flag(help: "Also measure bare UDP sockets, in turns.")
  var raw = false

  @Flag(help: "Sleep at once, instead of polling for the answer first.")
  var noPolling = false

  @Option(help: "Poll for so long before each sleep, on both sides; the bare sockets block.", transform: parseDuration)
  var busyPoll: Duration = .zero

  @Option(help: "callback; async: for await; async-own: the same on the endpoint's executor.")
  var api = LatencyAPI.callback

  @Flag(help: "One JSON object per round.")
  var json = false

  /// All are kept until the end, for the percentiles.
  private static let mostTrips = 10_000_000

  func validate() throws {
    guard size <= RawSocket.maximumBytes else {
      throw ValidationError("--size is at most \(RawSocket.maximumBytes): one datagram")
    }
    guard count <= Self.mostTrips else { throw ValidationError("--count is at most \(Self.mostTrips)") }
    guard busyPoll <= .seconds(10) else { throw ValidationError("--busy-poll is at most 10s") }
    if noPolling, busyPoll > .zero { throw ValidationError("--busy-poll does not go with --no-polling") }
  }

  func run() async throws {
    let network = PrivateNetwork()
    func environment(_ name: String) -> [String: String] {
      var environment = network.environment(name: name)
      environment["GLUE_BUSY_POLLING_MICROSECONDS"] = "\(Int(busyPoll.inSeconds * 1e6))"
      return environment
    }
    let echo = try ChildProcess(
      ["bench", "echo", "--api", api.rawValue] + (noPolling ? ["--no-polling"] : []),
      environment: environment("bench-echo"))
    defer { echo.terminate() }
    var lines = echo.lines.makeAsyncIterator()
    guard let port = await lines.next().flatMap({ UInt16($0) }) else {
      throw CommandFailure("the echo process did not start")
    }
    let pinger = try await Pinger(environment: environment("bench-ping"), polls: !noPolling, api: api)
    var ours: [Round] = []
    var bare: [Round] = []
    // The first round of each warms up caches and round-trip estimates, and is not counted.
    for round in 0...rounds {
      let messages = try await Round { try await pinger.run(count: count, size: size) }
      if round > 0 {
        ours.append(messages)
        if json { Console.line(jsonLine("glue", messages)) }
      }
      guard raw else { continue }
      let datagrams = try await Round { try await RawSocket.pingPong(port: port, count: count, size: size) }
      if round > 0 {
        bare.append(datagrams)
        if json { Console.line(jsonLine("raw", datagrams)) }
      }
    }
    await pinger.endpoint.shutdown()
    echo.closeInput()
    if !json { showTable(ours, bare) }
  }

  /// The times of some round trips, and what each took of this process's processor time; in microseconds.
  private struct Round {
    let times: Percentiles
    let processorTime: Double

    init(_ roundTrips: () async throws -> [Double]) async throws {
      let before = Clocks.processorSeconds()
      let times = try await roundTrips()
      processorTime = (Clocks.processorSeconds() - before) * 1e6 / Double(times.count)
      self.times = Percentiles(times)
    }
  }

  private static let figures: [(name: String, value: @Sendable (Round) -> Double)] = [
    ("p50", { $0.times.at(0.5) }), ("p90", { $0.times.at(0.9) }), ("p99", { $0.times.at(0.99) }),
    ("p99.9", { $0.times.at(0.999) }), ("max", { $0.times.maximum }), ("cpu", { $0.processorTime }),
  ]

  private func jsonLine(_ kind: String, _ values: Round) -> String {
    var line = JSONLine()
    line.add("kind", kind)
    line.add("size", size)
    line.add("count", count)
    for figure in Self.figures { line.add("\(figure.name)Microseconds", figure.value(values)) }
    return line.line
  }

  private func showTable(_ ours: [Round], _ bare: [Round]) {
    Console.line(
      "round trip of \(Format.bytes(size)), \(count) × \(rounds) rounds, µs; cpu: of one of the two processes")
    Console.line("        " + Self.figures.map { Format.right($0.name, 10) }.joined())
    let middle = { (rounds: [Round], value: (Round) -> Double) in Percentiles(rounds.map(value)).at(0.5) }
    let row = { (name: String, decimals: Int, value: (@Sendable (Round) -> Double) -> Double) in
      Console.line(
        Format.left(name, 8) + Self.figures.map { Format.right(Format.fixed(value($0.value), decimals), 10) }.joined())
    }
    row("glue", 1) { middle(ours, $0) }
    guard !bare.isEmpty else { return }
    row("raw UDP", 1) { middle(bare, $0) }
    row("ratio", 2) { middle(ours, $0) / middle(bare, $0) }
  }
}

/// How messages are received.
enum LatencyAPI: String, ExpressibleByArgument, CaseIterable {
  /// In a closure that the endpoint calls.
  case callback
  /// By iterating over a subscription in a task.
  case async
  /// The same in a task on the endpoint's executor.
  case asyncOwn = "async-own"

  /// Calls a closure for each message until the endpoint is shut down.
  func receive(_ filter: String, at endpoint: Endpoint, _ body: @escaping @Sendable (UnsafeRawBufferPointer) -> Void)
    throws
  {
    switch self {
    case .callback: try endpoint.subscribe(to: filter) { $0.withUnsafeBytes(body) }
    case .async:
      let subscription = try endpoint.subscribe(to: filter)
      Task {
        for await message in subscription { message.bytes.withUnsafeBytes(body) }
      }
    case .asyncOwn:
      let subscription = try endpoint.subscribe(to: filter)
      Task(executorPreference: endpoint.executor) {
        for await message in subscription { message.bytes.withUnsafeBytes(body) }
      }
    }
  }
}

/// Sends a message, and the next when the answer arrives, all where that is received.
private final class Pinger: Sendable {
  private struct State {
    var sentAt: UInt64 = 0
    var left = 0
    var times: [Double] = []
    var payload: [UInt8] = []
    var done: CheckedContinuation<[Double], any Error>?
  }

  let endpoint: Endpoint
  private let publication: Publication
  private let shared: Shared<State>

  init(environment: [String: String], polls: Bool, api: LatencyAPI) async throws {
    var configuration = try Endpoint.Configuration.fromEnvironment(environment)
    if !polls { configuration.answerPollingLimit = .zero }
    endpoint = try await Endpoint(configuration)
    try await endpoint.start()
    let publication = try endpoint.publication("bench/ping")
    let shared = Shared(State())
    try api.receive("bench/pong", at: endpoint) { _ in Self.answered(shared, publication) }
    try await publication.awaitSubscribers(1, timeout: .seconds(20))
    self.publication = publication
    self.shared = shared
  }

  /// Does `count` round trips and returns their microseconds.
  func run(count: Int, size: Int) async throws -> [Double] {
    try await withCheckedThrowingContinuation { continuation in
      shared.withLock { state in
        state.left = count
        state.times = []
        state.times.reserveCapacity(count)
        state.payload = [UInt8](repeating: 0x61, count: size)
        state.done = continuation
        state.sentAt = Clocks.now()
      }
      Self.send(shared, publication)
    }
  }

  private static func answered(_ shared: Shared<State>, _ publication: Publication) {
    let arrived = Clocks.now()
    let finished = shared.withLock { state -> (CheckedContinuation<[Double], any Error>?, [Double])? in
      guard state.left > 0 else { return (nil, []) }
      state.times.append(Double(arrived - state.sentAt) / 1_000)
      state.left -= 1
      guard state.left == 0 else {
        state.sentAt = Clocks.now()
        return nil
      }
      defer { state.done = nil }
      return (state.done, state.times)
    }
    if let (continuation, times) = finished {
      continuation?.resume(returning: times)
    } else {
      send(shared, publication)
    }
  }

  private static func send(_ shared: Shared<State>, _ publication: Publication) {
    let payload = shared.value.payload
    do {
      if try publication.tryPublish(payload) == nil { throw CommandFailure("the publication's buffer is full") }
    } catch {
      let continuation = shared.withLock { state in
        defer { state.done = nil }
        return state.done
      }
      continuation?.resume(throwing: error)
    }
  }
}

/// The other process of `glue bench latency`: answers messages and bare datagrams.
struct BenchEcho: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "echo", shouldDisplay: false)

  @Flag var noPolling = false
  @Option var api = LatencyAPI.callback

  func run() async throws {
    let socket = try RawSocket()
    detachThread { socket.echoForever() }
    var configuration = try Endpoint.Configuration.fromEnvironment()
    if noPolling { configuration.answerPollingLimit = .zero }
    let endpoint = try await Endpoint(configuration)
    try await endpoint.start()
    let pong = try endpoint.publication("bench/pong")
    // A full buffer cannot happen with one message under way; if it did, the pinger would tell.
    try api.receive("bench/ping", at: endpoint) { bytes in _ = try? pong.tryPublish(bytes) }
    Console.line("\(socket.port)")
    await standardInputClosed()
    await endpoint.shutdown()
  }
}
