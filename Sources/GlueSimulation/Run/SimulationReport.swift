import GlueCore

/// What happened in one run, or in several.
public struct SimulationReport: Sendable {
  /// Runs counted in.
  public internal(set) var runs: UInt64 = 0
  /// Runs with 3–20 endpoints, at least 60 virtual seconds, 5 faults and 1,000 messages.
  public internal(set) var runsThatCount: UInt64 = 0
  /// Runs in which faults went on to the end, and in which they stopped and everything had to converge.
  public internal(set) var safetyRuns: UInt64 = 0
  /// See ``safetyRuns``.
  public internal(set) var livenessRuns: UInt64 = 0
  /// Virtual time.
  public internal(set) var virtualSeconds: Double = 0
  /// Messages admitted for publication, direct ones included.
  public internal(set) var published: UInt64 = 0
  /// Messages handed to subscriptions.
  public internal(set) var delivered: UInt64 = 0
  /// Messages reported lost to subscriptions.
  public internal(set) var lost: UInt64 = 0
  /// Datagrams sent.
  public internal(set) var datagrams: UInt64 = 0
  /// Datagrams lost.
  public internal(set) var datagramsLost: UInt64 = 0
  /// Faults that happened, in the order of ``Fault``.
  public internal(set) var faults = [UInt64](repeating: 0, count: Fault.allCases.count)
  /// Frames sent, in the order of `FrameType`.
  public internal(set) var frames = [UInt64](repeating: 0, count: FrameType.allCases.count)
  /// Resets sent.
  public internal(set) var resets: UInt64 = 0
  /// Datagrams with data for several endpoints.
  public internal(set) var groupDatagrams: UInt64 = 0
  /// Checks made, in the order of ``Invariant``.
  public internal(set) var checks = [UInt64](repeating: 0, count: Invariant.allCases.count)
  /// What happened in models.
  public internal(set) var models = ModelCounts()
  /// What happened in quorum models.
  public internal(set) var quorums = QuorumCounts()
  /// What was violated.
  public internal(set) var violations: [Violation] = []
  /// A hash of all that happened: equal for equal seeds.
  public internal(set) var traceDigest: UInt64 = 0

  /// Nothing yet.
  public init() {}

  /// Adds the report of other runs.
  public mutating func merge(_ other: SimulationReport) {
    runs += other.runs
    runsThatCount += other.runsThatCount
    safetyRuns += other.safetyRuns
    livenessRuns += other.livenessRuns
    virtualSeconds += other.virtualSeconds
    published += other.published
    delivered += other.delivered
    lost += other.lost
    datagrams += other.datagrams
    datagramsLost += other.datagramsLost
    resets += other.resets
    groupDatagrams += other.groupDatagrams
    for index in faults.indices { faults[index] += other.faults[index] }
    for index in frames.indices { frames[index] += other.frames[index] }
    for index in checks.indices { checks[index] += other.checks[index] }
    models.merge(other.models)
    quorums.merge(other.quorums)
    violations += other.violations
    // Order must not matter: threads finish as they like.
    traceDigest ^= other.traceDigest
  }

  /// How often a fault happened.
  public func count(of fault: Fault) -> UInt64 { faults[Fault.allCases.firstIndex(of: fault)!] }
  /// How often a type of frame was sent.
  public func count(of frame: FrameType) -> UInt64 { frames[FrameType.allCases.firstIndex(of: frame)!] }
  /// How often an invariant was checked.
  public func count(of invariant: Invariant) -> UInt64 { checks[Invariant.allCases.firstIndex(of: invariant)!] }

  /// Faults, frame types and invariants that did not occur: the runs say nothing about them.
  public var missing: [String] {
    zip(Fault.allCases, faults).filter { $1 == 0 }.map { "fault \($0.0.rawValue)" }
      + zip(FrameType.allCases, frames).filter { $1 == 0 }.map { "frame \($0.0)" }
      + zip(Invariant.allCases, checks).filter { $1 == 0 }.map { "invariant \($0.0.rawValue)" }
      + models.list.filter { $0.count == 0 }.map { "models: \($0.name)" }
      + quorums.list.filter { $0.count == 0 }.map { "quorum models: \($0.name)" }
  }

  /// The counts as lines of text.
  public var summary: [String] {
    func list(_ pairs: [(String, UInt64)]) -> String { pairs.map { "\($0.0) \($0.1)" }.joined(separator: ", ") }
    return [
      "runs: \(runs) (\(runsThatCount) that count; \(safetyRuns) safety, \(livenessRuns) liveness), "
        + "\(UInt64(virtualSeconds)) virtual seconds",
      "messages: \(published) published, \(delivered) delivered, \(lost) reported lost; "
        + "datagrams: \(datagrams) sent, \(datagramsLost) lost",
      "faults: " + list(zip(Fault.allCases, faults).map { ($0.rawValue, $1) }),
      "frames: "
        + list(
          zip(FrameType.allCases, frames).map { ("\($0)", $1) } + [("reset", resets), ("to groups", groupDatagrams)]),
      "models: " + list(models.list.map { ($0.name, $0.count) }),
      "quorum models: " + list(quorums.list.map { ($0.name, $0.count) }),
      "checks: " + list(zip(Invariant.allCases, checks).map { ($0.rawValue, $1) }),
    ]
  }
}
