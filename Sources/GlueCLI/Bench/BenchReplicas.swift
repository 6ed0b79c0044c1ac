import ArgumentParser
import Foundation
import Glue

/// `glue bench model replicas`: replicas in several processes.
struct BenchReplicas: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replicas",
    abstract: "Measure replicas of a model in several processes.",
    discussion: """
      Visibility is the time from a write until a watcher in another process sees it, beside that of a message of the same \
      size on a bare topic, in turns. Rates are changes of all writers together, from the first until all replicas are \
      equal. Wire bytes are what all endpoints sent, IPv4 and UDP headers included.
      """)

  @Option(help: "Writes whose visibility is measured. (default: 2000)", transform: parsePositive)
  var count: Int = 2_000

  @Option(help: "The pause between two of these. (default: 1ms)", transform: parseDuration)
  var interval: Duration = .milliseconds(1)

  @Option(help: "Keys of the model that is joined. (default: 100000)", transform: parsePositive)
  var keys: Int = 100_000

  @Option(help: "Keys that are missing in one replica. (default: 100)", transform: parsePositive)
  var missing: Int = 100

  @Option(help: "Numbers of replicas that all write, separated by commas. (default: 3,10)")
  var writers = "3,10"

  @Option(help: "How long they write. (default: 3s)", transform: parseDuration)
  var duration: Duration = .seconds(3)

  @Flag(help: "One JSON object per figure.")
  var json = false

  private static let patience = Duration.seconds(60)

  func validate() throws { _ = try numbers() }

  private func numbers() throws -> [Int] { try writers.split(separator: ",").map { try parsePositive(String($0)) } }

  func run() async throws {
    try await measureVisibility()
    for count in try numbers() { try await measureRate(of: count) }
    try await measureJoining()
    try await measureComparing()
  }

  // MARK: Figures

  private func measureVisibility() async throws {
    let replicas = try await start(2)
    defer { for replica in replicas { replica.end() } }
    let milliseconds = interval.inMilliseconds
    var rounds: [String: [[Double]]] = [:]
    // The first round warms up, and is not counted.
    for round in 0...3 {
      for kind in ["bare", "model"] {
        try await replicas[1].ask("watch \(kind) \(count)")
        try await replicas[0].ask("\(kind) \(count) \(milliseconds)", within: interval * count + Self.patience)
        let figures = try await replicas[1].numbers("seen")
        if round > 0 { rounds[kind, default: []].append(figures) }
      }
    }
    let middle = { (kind: String, index: Int) in Percentiles((rounds[kind] ?? []).map { $0[index] }).at(0.5) }
    for (index, name) in ["p50", "p99"].enumerated() {
      let (model, bare) = (middle("model", index), middle("bare", index))
      show("visible after, \(name)", model, "µs", 1, beside: ("a bare topic", bare))
    }
  }

  private func measureRate(of count: Int) async throws {
    let replicas = try await start(count)
    defer { for replica in replicas { replica.end() } }
    let start = Clocks.now()
    let written = try await withThrowingTaskGroup(of: Double.self) { group in
      for replica in replicas {
        group.addTask { try await replica.numbers("write \(duration.inSeconds)", within: duration + Self.patience)[0] }
      }
      return try await group.reduce(0, +)
    }
    try await awaitEqual(replicas)
    let seconds = Double(Clocks.now() - start) / 1e9
    show("\(count) replicas, all writing", written / seconds, "changes/s", 0)
    show("seen by all of them together", written / seconds * Double(count), "changes/s", 0)
  }

  private func measureJoining() async throws {
    let replicas = try await start(2)
    defer { for replica in replicas { replica.end() } }
    try await replicas[1].ask("close")
    try await replicas[0].ask("fill \(keys)", within: Self.patience)
    let before = try await wireBytes(replicas)
    let joined = try await replicas[1].numbers("open", within: Self.patience)[0]
    try await awaitEqual(replicas)
    let bytes = try await wireBytes(replicas) - before
    show("joining, \(keys) keys", joined, "ms", 0)
    show("on the wire", bytes, "bytes", 0)
    try await measureMissing("told by what was seen", replicas)
  }

  /// Where removals are not remembered replicas compare what they have.
  private func measureComparing() async throws {
    let replicas = try await start(2, removalLog: 1)
    defer { for replica in replicas { replica.end() } }
    try await replicas[0].ask("fill \(keys)", within: Self.patience)
    try await awaitEqual(replicas)
    try await measureMissing("found by comparing", replicas)
  }

  private func measureMissing(_ kind: String, _ replicas: [Replica]) async throws {
    try await replicas[1].ask("part")
    let bytes = try await replicas[0].numbers("change \(missing) \(keys)")[0]
    let before = try await wireBytes(replicas)
    let healed = try await replicas[1].numbers("meet", within: Self.patience)[0]
    try await awaitEqual(replicas)
    let sent = try await wireBytes(replicas) - before
    show("\(missing) of \(keys) missing, \(kind)", healed, "ms", 1)
    show("on the wire", sent, "bytes", 0, beside: ("what is missing", bytes))
  }

  // MARK: Processes

  private func start(_ count: Int, removalLog: Int? = nil) async throws -> [Replica] {
    let network = PrivateNetwork()
    let replicas = try (0..<count).map { try Replica($0, in: network, removalLog: removalLog) }
    for replica in replicas { try await replica.ask("meet-all \(count - 1)", within: Self.patience) }
    return replicas
  }

  private func awaitEqual(_ replicas: [Replica]) async throws {
    let deadline = ContinuousClock.now + Self.patience
    while ContinuousClock.now < deadline {
      var hashes: Set<String> = []
      for replica in replicas { hashes.insert(try await replica.ask("hash")) }
      if hashes.count == 1 { return }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw CommandFailure("the replicas are not equal after \(Self.patience)")
  }

  private func wireBytes(_ replicas: [Replica]) async throws -> Double {
    var sum = 0.0
    for replica in replicas { sum += try await replica.numbers("wire")[0] }
    return sum
  }

  private func show(
    _ name: String, _ value: Double, _ unit: String, _ decimals: Int, beside: (name: String, value: Double)? = nil
  ) {
    if json {
      var line = JSONLine()
      line.add("name", name)
      line.add("value", value)
      line.add("unit", unit)
      if let beside {
        line.add("beside", beside.name)
        line.add("besideValue", beside.value)
      }
      return Console.line(line.line)
    }
    let other = beside.map {
      "   \($0.name) \(Format.fixed($0.value, decimals)), ratio \(Format.fixed(value / max($0.value, 1e-9), 2))"
    }
    Console.line(
      Format.left(name, 44) + Format.right(Format.fixed(value, decimals), 12) + " " + Format.left(unit, 10)
        + (other ?? ""))
  }
}

/// A process with a replica, which does as it is told line by line and answers each line.
private final class Replica: Sendable {
  private let process: ChildProcess

  init(_ index: Int, in network: PrivateNetwork, removalLog: Int?) throws {
    process = try ChildProcess(
      ["bench", "model", "replica-worker"] + (removalLog.map { ["--removal-log", "\($0)"] } ?? []),
      environment: network.environment(name: "bench-replica-\(index)"))
  }

  func end() { process.terminate() }

  /// Says something, and waits for the answer.
  @discardableResult
  func ask(_ line: String, within limit: Duration = .seconds(20)) async throws -> String {
    process.write(line + "\n")
    let answer = try await withThrowingTaskGroup(of: String?.self) { group in
      group.addTask { [process] in
        for await line in process.lines { return line }
        return nil
      }
      group.addTask {
        try await Task.sleep(for: limit)
        throw CommandFailure("a replica did not answer “\(line)” within \(limit)")
      }
      defer { group.cancelAll() }
      return try await group.next() ?? nil
    }
    guard let answer else { throw CommandFailure("a replica ended at “\(line)”") }
    return answer
  }

  func numbers(_ line: String, within limit: Duration = .seconds(20)) async throws -> [Double] {
    try await ask(line, within: limit).split(separator: " ").compactMap { Double($0) }
  }
}
