import GlueCore

/// What to run.
public struct SimulationOptions: Sendable {
  /// Endpoints of a run, from the fewest to the most.
  public var endpoints: ClosedRange<Int> = 3...20
  /// How runs end; nil: as the seed says.
  public var mode: SimulationMode?
  /// A way to break every endpoint.
  public var mutant: Mutant?
  /// Lines of trace that a violation comes with.
  public var traceLines = 40

  /// The defaults.
  public init() {}
}

/// Runs many endpoints of the real core in virtual time on a faulty network, and checks the invariants.
public enum Simulator {
  /// Runs one seed. The same seed and options give the same report, on every machine.
  public static func run(seed: UInt64, options: SimulationOptions = SimulationOptions()) -> SimulationReport {
    let run = SeededRun(plan: Plan(seed: seed, options: options), options: options)
    return run.finish()
  }

  /// Runs several seeds, one after the other. Stops early if `onReport` returns false.
  public static func runMany(
    seeds: some Sequence<UInt64>, options: SimulationOptions = SimulationOptions(),
    onReport: (UInt64, SimulationReport) -> Bool = { _, _ in true }
  ) -> SimulationReport {
    var total = SimulationReport()
    for seed in seeds {
      let report = run(seed: seed, options: options)
      total.merge(report)
      guard onReport(seed, report) else { break }
    }
    return total
  }

  /// The first seed of several in which a mutant is noticed by the checker of its invariant, if any.
  public static func firstSeed(
    catching mutant: Mutant, in seeds: some Sequence<UInt64>, options: SimulationOptions = SimulationOptions()
  ) -> UInt64? {
    var options = options
    options.mutant = mutant
    for seed in seeds {
      let report = run(seed: seed, options: options)
      if report.violations.contains(where: { $0.invariant == mutant.invariant }) { return seed }
    }
    return nil
  }
}
