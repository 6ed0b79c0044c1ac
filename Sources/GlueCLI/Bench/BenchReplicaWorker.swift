import ArgumentParser
import Foundation
import Glue
import GlueModel

/// A process of `glue bench model replicas`: does what each line of standard input says, and answers with one line.
struct BenchReplicaWorker: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "replica-worker", shouldDisplay: false)

  @Option(transform: parsePositive)
  var removalLog: Int?

  func run() async throws {
    let endpoint = try await Endpoint(.fromEnvironment())
    try await endpoint.start()
    let worker = try await ReplicaWorker(endpoint, removalLog: removalLog)
    let reader = LineReader(limit: 1_024)
    while let bytes = try await reader.next() {
      let words = String(decoding: bytes, as: UTF8.self).split(separator: " ").map(String.init)
      Console.line(try await worker.perform(words[0], Array(words.dropFirst())))
    }
    await endpoint.shutdown()
  }
}

/// The replica of such a process.
private final class ReplicaWorker {
  /// So many changes are made before the writer waits until everybody has them.
  private static let batch = 250
  private static let patience = Duration.seconds(60)
  private static let topic = "bench/bare"

  private let endpoint: Endpoint
  private var model: Model?
  private let bare: Publication
  private let bareMessages: Subscription
  private var watching: Task<[Double], any Error>?
  private var settings = Model.Settings()

  init(_ endpoint: Endpoint, removalLog: Int?) async throws {
    self.endpoint = endpoint
    if let removalLog { settings.document.removalLogDots = removalLog }
    bare = try endpoint.publication(Self.topic)
    bareMessages = try endpoint.subscribe(to: Self.topic)
    model = try await endpoint.model("bench", settings)
  }

  private func opened() throws -> Model {
    guard let model else { throw CommandFailure("the model is closed") }
    return model
  }

  func perform(_ action: String, _ operands: [String]) async throws -> String {
    let numbers = operands.compactMap { Double($0) }
    switch action {
    case "meet-all":
      try await opened().awaitSync(replicas: Int(numbers[0]), timeout: Self.patience)
      try await bare.awaitSubscribers(Int(numbers[0]), timeout: Self.patience)
    case "watch": try watch(operands[0], count: Int(numbers[0]))
    case "seen":
      let times = Percentiles(try await watching?.value ?? [])
      return "\(times.at(0.5)) \(times.at(0.99))"
    case "model", "bare": try await tick(action, count: Int(numbers[0]), every: .microseconds(Int(numbers[1] * 1_000)))
    case "write": return "\(try await write(for: .milliseconds(Int(numbers[0] * 1_000))))"
    case "fill": try await fill(Int(numbers[0]))
    case "change": return "\(try change(Int(numbers[0]), of: Int(numbers[1])))"
    case "hash": return String(try opened().status.hash, radix: 16)
    case "wire": return "\(wireBytes(of: endpoint))"
    case "close":
      model?.close()
      model = nil
    case "open":
      let start = Clocks.now()
      model = try await endpoint.model("bench", settings)
      try await opened().awaitSync(replicas: 1, timeout: Self.patience)
      return "\(Double(Clocks.now() - start) / 1e6)"
    case "part": try opened().part(from: Set(opened().replicas))
    case "meet":
      let start = Clocks.now()
      try opened().part(from: [])
      try await opened().awaitSync(replicas: 1, timeout: Self.patience)
      return "\(Double(Clocks.now() - start) / 1e6)"
    default: throw CommandFailure("unknown: \(action)")
    }
    return "done"
  }

  // MARK: Visibility

  /// The microseconds from each write to its arrival, of so many.
  private func watch(_ kind: String, count: Int) throws {
    let model = try opened()
    if kind == "model" {
      let changes = try model.changes(under: "tick")
      watching = Task {
        var times: [Double] = []
        for await change in changes {
          guard case .value(.int(let sentAt))? = change.new else { continue }
          times.append(Double(Int64(bitPattern: Clocks.now()) - sentAt) / 1_000)
          if times.count == count { break }
        }
        return times
      }
    } else {
      let messages = bareMessages
      watching = Task {
        var times: [Double] = []
        for await message in messages {
          let sentAt = message.bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
          times.append(Double(Clocks.now() - sentAt) / 1_000)
          if times.count == count { break }
        }
        return times
      }
    }
  }

  private func tick(_ kind: String, count: Int, every interval: Duration) async throws {
    let model = try opened()
    var next = ContinuousClock.now
    for _ in 0..<count {
      next += interval
      try await Task.sleep(until: next, clock: .continuous)
      let now = Clocks.now()
      if kind == "model" {
        try model.set("tick/time", to: .int(Int64(now)))
      } else {
        // As many bytes as the delta of the other kind.
        var payload = [UInt8](repeating: 0, count: 80)
        withUnsafeBytes(of: now) { payload.replaceSubrange(0..<8, with: $0) }
        _ = try bare.tryPublish(payload)
      }
    }
  }

  // MARK: Changes

  /// Writes as fast as the others take it, and says how much.
  private func write(for duration: Duration) async throws -> Int {
    let model = try opened()
    let end = ContinuousClock.now + duration
    var written = 0
    while ContinuousClock.now < end {
      for _ in 0..<Self.batch {
        try model.set("own/\(endpoint.id)/\(written % 1_000)", to: .int(Int64(written)))
        written += 1
      }
      _ = await model.flush(timeout: Self.patience)
    }
    return written
  }

  /// A path of 20 bytes.
  private static func path(_ index: Int) -> String { "rooms/\(1_000_000 + index / 10)/lamp\(index % 10)" }

  private func fill(_ count: Int) async throws {
    let model = try opened()
    for edits in Self.filling(count) {
      try model.update { list in for (path, value) in edits { try list.set(path, to: value) } }
    }
    _ = await model.flush(timeout: Self.patience)
  }

  private static func filling(_ count: Int) -> [[(path: String, value: ModelValue)]] {
    stride(from: 0, to: count, by: 1_000).map { start in
      (start..<min(count, start + 1_000)).map { (path($0), .int(Int64($0))) }
    }
  }

  /// Changes keys that lie apart, each by itself, and returns the bytes of what then is missing elsewhere, as one delta.
  private func change(_ count: Int, of keys: Int) throws -> Int {
    let model = try opened()
    let changes = (0..<count).map { (Self.path($0 * (keys / count)), ModelValue.int(-Int64($0) - 1)) }
    for (path, value) in changes { try model.set(path, to: value) }
    // What it is of a document like this one.
    var document = Document(replica: ReplicaID(endpoint: endpoint.id, number: .max))
    let time: UInt64 = 1_790_000_000_000_000
    for edits in Self.filling(keys) {
      _ = try document.apply(edits.map { .set(try ModelPath($0.path), $0.value) }, at: time)
    }
    let before = document.context
    for (index, change) in changes.enumerated() {
      _ = try document.apply([.set(try ModelPath(change.0), change.1)], at: time + UInt64(index) * 10)
    }
    guard case .delta(let delta) = document.missing(for: before) else { return 0 }
    return delta.encoded().count
  }
}
