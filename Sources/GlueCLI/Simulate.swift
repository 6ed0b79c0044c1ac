import ArgumentParser
import Foundation
import GlueSimulation
import Synchronization

/// `glue simulate`: endpoints of the real core in virtual time.
struct Simulate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run endpoints in virtual time, and check that every promise is kept.",
    // Options stand with the subcommands: one of the command itself would take its name from all of them.
    subcommands: [SimulateSeeds.self, SimulateScale.self], defaultSubcommand: SimulateSeeds.self)
}

/// `glue simulate seeds`: runs many endpoints on a faulty network, and checks the invariants.
struct SimulateSeeds: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "seeds",
    abstract: "Run endpoints on a faulty network, a run for each seed; this is what happens without a subcommand.",
    discussion: """
      A run follows from its seed to the last bit: a seed that fails here fails everywhere. Nothing is sent on a real \
      network. With --mutant every endpoint is broken on purpose; then it is an error if nobody notices.
      """)

  @Option(help: "The first seed.")
  var seed: UInt64 = 1

  @Option(help: "How many seeds, one after the other.")
  var seeds: UInt64 = 1

  @Option(help: "How many threads share the seeds.")
  var threads: Int = ProcessInfo.processInfo.activeProcessorCount

  @Option(help: "How runs end; without it each seed knows.")
  var mode: SimulationMode?

  @Option(help: "Break every endpoint in one way.")
  var mutant: Mutant?

  @Option(help: "Lines of trace before a violation.")
  var trace: Int = 40

  @Option(help: "Stop after so many seeds with violations.")
  var stopAfter: Int = 5

  /// Fewer seeds than this need not show every fault, frame and invariant.
  private static let seedsThatShowAll: UInt64 = 500

  func validate() throws {
    guard seeds > 0, seed <= UInt64.max - seeds else { throw ValidationError("--seeds counts from --seed, at least 1") }
    guard threads > 0, trace >= 0, stopAfter > 0 else {
      throw ValidationError("--threads, --trace and --stop-after count")
    }
  }

  func run() async throws {
    var options = SimulationOptions()
    options.mode = mode
    options.mutant = mutant
    options.traceLines = trace
    let progress = Progress(first: seed, count: seeds)
    let worker = Worker(options: options, progress: progress, seeds: seeds, stopAfter: stopAfter)
    let started = ContinuousClock.now
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<min(UInt64(threads), seeds) { group.addTask { worker.run() } }
    }
    let seconds = Double((ContinuousClock.now - started) / .milliseconds(1)) / 1_000
    let report = progress.report
    for line in report.summary { Console.line(line) }
    Console.line(
      "\(report.runs) seeds in \(seconds) s, \(Int(Double(report.runs) / max(seconds, 0.001) * 10)) in ten seconds")
    try judge(report)
  }

  private func judge(_ report: SimulationReport) throws {
    if let mutant {
      guard report.violations.contains(where: { $0.invariant == mutant.invariant }) else {
        throw CommandFailure("nobody noticed the mutant \(mutant.rawValue) in \(report.runs) seeds")
      }
      return
    }
    if !report.violations.isEmpty {
      let seeds = Set(report.violations.map(\.seed)).sorted()
      throw CommandFailure("violations in seeds " + seeds.map(String.init).joined(separator: ", "))
    }
    if seeds >= Self.seedsThatShowAll, mode == nil, !report.missing.isEmpty {
      throw CommandFailure("never seen: " + report.missing.joined(separator: ", "))
    }
  }

  /// One thread's work.
  private struct Worker: Sendable {
    let options: SimulationOptions
    let progress: Progress
    let seeds: UInt64
    let stopAfter: Int

    /// Takes one seed after the other until none is left. Runs share nothing.
    func run() {
      while let seed = progress.next() {
        let report = Simulator.run(seed: seed, options: options)
        let finished = progress.finish(report)
        if let mutant = options.mutant {
          guard report.violations.contains(where: { $0.invariant == mutant.invariant }) else { continue }
          Console.line("seed \(seed): \(mutant.rawValue) noticed by \(mutant.invariant.rawValue)")
          progress.stop()
        } else {
          for violation in report.violations { tell(violation) }
          if progress.failures >= stopAfter { progress.stop() }
        }
        if finished % 100 == 0, finished < seeds { Console.error("glue: \(finished) of \(seeds) seeds") }
      }
    }

    private func tell(_ violation: Violation) {
      var lines = ["\(violation)"]
      lines += violation.trace.map { "    \($0)" }
      let mode = options.mode.map { " --mode \($0.rawValue)" } ?? ""
      lines.append("  replay: glue simulate --seed \(violation.seed)\(mode)")
      Console.line(lines.joined(separator: "\n"))
    }
  }

  /// What the threads share: which seed is next, and the sum of the reports.
  private final class Progress: Sendable {
    private struct State {
      var next: UInt64
      var report = SimulationReport()
      var failures = 0
    }

    private let end: UInt64
    private let state: Mutex<State>

    init(first: UInt64, count: UInt64) {
      end = first + count
      state = Mutex(State(next: first))
    }

    func next() -> UInt64? {
      state.withLock { state in
        guard state.next < end else { return nil }
        defer { state.next += 1 }
        return state.next
      }
    }

    func stop() { state.withLock { $0.next = end } }

    /// Adds a report; returns how many there are.
    func finish(_ report: SimulationReport) -> UInt64 {
      state.withLock { state in
        state.report.merge(report)
        if !report.violations.isEmpty { state.failures += 1 }
        return state.report.runs
      }
    }

    var failures: Int { state.withLock { $0.failures } }
    var report: SimulationReport { state.withLock { $0.report } }
  }
}

extension SimulationMode: ExpressibleByArgument {}
extension Mutant: ExpressibleByArgument {}
