import ArgumentParser
import Glue
import GlueModel
import GlueQuorum
import GlueSimulation

/// What `glue quorum NAME bench` does.
struct QuorumLoadOptions: ParsableArguments {
  // Without values of their own, so that what was given for another action can be told.
  @Option(
    name: .customLong("clients"), help: "Clients, each of which waits for its answer. (default: 64)",
    transform: parsePositive)
  var givenClients: Int?

  @Option(name: .customLong("duration"), help: "How long. (default: 10s)", transform: parseDuration)
  var givenDuration: Duration?

  @Option(name: .customLong("keys"), help: "How many keys they share. (default: 1000)", transform: parsePositive)
  var givenKeys: Int?

  @Option(
    name: .customLong("payload"), help: "Bytes of a value: 32 to 64KiB, less some. (default: 64)",
    transform: parseByteCount)
  var givenPayload: Int?

  @Option(name: .customLong("reads"), help: "How many of 100 operations are reads. (default: 0)")
  var givenReads: Int?

  @Flag(help: "Leave what was written; else it is deleted at the end.")
  var keep = false

  @Option(help: "Write what was asked and answered to a file, for glue check-history.")
  var history: String?

  var clients: Int { givenClients ?? 64 }
  var duration: Duration { givenDuration ?? .seconds(10) }
  var keys: Int { givenKeys ?? 1_000 }
  var payload: Int { givenPayload ?? 64 }
  var reads: Int { givenReads ?? 0 }

  /// Each value is like no other one, which takes some room; and each has a few bytes beside its text when it is encoded.
  private static let payloads = 32...(DocumentLimits().valueBytes - 64)
  /// An opening has at most so many requests under way, its session among them.
  private static let clientLimit = 1_000

  func validate() throws {
    guard (0...100).contains(reads) else { throw ValidationError("--reads is a percentage: 0 to 100") }
    guard clients <= Self.clientLimit else {
      throw ValidationError("there may be at most \(Self.clientLimit) clients in one process")
    }
    guard Self.payloads.contains(payload) else {
      throw ValidationError("--payload is \(Self.payloads.lowerBound) to \(Self.payloads.upperBound) bytes")
    }
    guard duration > .zero else { throw ValidationError("--duration must be longer than nothing") }
  }

  /// An option of bench that was given.
  var given: String? {
    let all: [(String, Bool)] = [
      ("clients", givenClients != nil), ("duration", givenDuration != nil), ("keys", givenKeys != nil),
      ("payload", givenPayload != nil), ("reads", givenReads != nil), ("keep", keep), ("history", history != nil),
    ]
    return all.first(where: \.1).map { "--\($0.0)" }
  }
}

/// Clients in closed loops: each asks, waits for the answer, and asks again.
struct QuorumLoad: Sendable {
  /// Of so many writes one compares first.
  private static let compareEvery = 4
  /// After something failed, so that a quorum that refuses at once is not asked a million times.
  private static let pause = Duration.milliseconds(20)
  /// Meeting everybody, and an election.
  private static let patience = Duration.seconds(15)

  private let quorum: Quorum
  private let options: QuorumLoadOptions
  private let timeout: Duration?
  /// Under which the keys are: other ones each time, so that they are absent at first.
  private let root: String
  private let run: String

  init(_ quorum: Quorum, _ options: QuorumLoadOptions, timeout: Duration?) {
    self.quorum = quorum
    self.options = options
    self.timeout = timeout
    run = String(UInt32.random(in: 0 ... .max), radix: 36)
    root = "bench/\(run)"
  }

  /// Runs until the time is over or the task is cancelled, and tells what came of it.
  ///
  /// - Returns: Whether something was decided.
  func run(json: Bool) async throws -> Bool {
    let file = try options.history.map { try HistoryFile($0) }
    try await quorum.catchUp(timeout: max(timeout ?? .zero, Self.patience))
    let began = Clocks.now()
    let end = began + UInt64(options.duration / .nanoseconds(1))
    let figures = await withTaskGroup(of: QuorumLoadFigures.self) { group in
      for client in 0..<options.clients { group.addTask { await self.loop(client, until: end, file) } }
      var sum = QuorumLoadFigures()
      for await figures in group { sum.add(figures) }
      return sum
    }
    let seconds = Double(Clocks.now() - began) / 1e9
    try file?.close()
    // Best effort: what was measured counts also if nobody decides any more.
    if !options.keep { _ = try? await quorum.delete(root) }
    for line in json ? [figures.json(options, seconds)] : figures.lines(options, seconds) { try Console.tryLine(line) }
    return figures.hasDecided
  }

  private func loop(_ client: Int, until end: UInt64, _ file: HistoryFile?) async -> QuorumLoadFigures {
    var figures = QuorumLoadFigures()
    var generator = SystemRandomNumberGenerator()
    var known: [Int: String] = [:]
    var lines: [UInt8] = []
    var (count, writes) = (0, 0)
    while !Task.isCancelled {
      let call = Clocks.now()
      guard call < end else { break }
      let key = Int.random(in: 0..<options.keys, using: &generator)
      let path = "\(root)/\(key)"
      let action: HistoryOperation.Action
      if options.reads > 0, Int.random(in: 0..<100, using: &generator) < options.reads {
        action = .read(key: path, value: nil)
      } else {
        count += 1
        let value = value(client, count)
        writes += 1
        action =
          writes % Self.compareEvery == 0
          ? .compareAndSet(key: path, expected: known[key], value: value) : .write(key: path, value: value)
      }
      var operation = HistoryOperation(
        process: Int64(client), action, call: Int64(call), return: nil, .unknown)
      await perform(&operation)
      let after = Clocks.now()
      operation.return = Int64(after)
      figures.count(operation, from: call, to: after)
      if operation.outcome == .committed { known[key] = operation.action.result }
      if let file {
        lines += HistoryWriter.line(operation).utf8
        if lines.count >= HistoryFile.chunkBytes { file.write(&lines) }
      }
      switch operation.outcome {
      case .committed, .rejected(nil): break
      case .rejected, .failed, .unknown: try? await Task.sleep(for: Self.pause)
      }
    }
    file?.write(&lines)
    return figures
  }

  /// Asks, and notes what was answered.
  private func perform(_ operation: inout HistoryOperation) async {
    do {
      switch operation.action {
      case .read(let key, _):
        operation.action = .read(key: key, value: try await quorum.read(key, timeout: timeout)?.string)
        operation.outcome = .committed
      case .write(let key, let value):
        operation.index = Int64(clamping: try await quorum.set(key, to: .string(value), timeout: timeout))
        operation.outcome = .committed
      case .compareAndSet(let key, let expected, let value):
        let matched = try await quorum.compareAndSet(
          key, expecting: expected.map { .string($0) }, to: value.map { .string($0) }, timeout: timeout)
        operation.outcome = matched ? .committed : .rejected(reason: nil)
      case .delete, .transaction: break
      }
    } catch QuorumFailure.rejected(let reason) {
      operation.outcome = .rejected(reason: "\(reason)")
    } catch QuorumFailure.notDone {
      operation.outcome = .failed
    } catch {
      // Also one that was cancelled may be decided. A read that was not answered had no effect.
      if case .read = operation.action { operation.outcome = .failed }
    }
  }

  /// Like no other one, of as many bytes as are wanted, if that is enough.
  private func value(_ client: Int, _ count: Int) -> String {
    let text = "\(run)-\(client)-\(count)"
    return text + String(repeating: ".", count: max(0, options.payload - text.utf8.count))
  }
}

extension HistoryOperation.Action {
  /// What is at its key after it, if it is committed.
  fileprivate var result: String? {
    switch self {
    case .read(_, let value), .compareAndSet(_, _, let value): value
    case .write(_, let value): value
    case .delete, .transaction: nil
    }
  }
}
