import Glue
import GlueSimulation
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What came of the operations of clients.
struct QuorumLoadFigures: Sendable {
  private var commits: [Double] = []
  /// When they returned, in nanoseconds.
  private var commitTimes: [UInt64] = []
  private var reads: [Double] = []
  private var unmatched = 0
  private var failed = 0
  private var unknown = 0
  /// The first thing that went wrong.
  private var reason: String?

  /// Whether something was answered.
  var hasDecided: Bool { !commits.isEmpty || !reads.isEmpty }

  /// Counts an operation that is over.
  mutating func count(_ operation: HistoryOperation, from call: UInt64, to end: UInt64) {
    let milliseconds = Double(end - call) / 1e6
    if operation.isDecidedChange { commitTimes.append(end) }
    switch operation.outcome {
    case .committed:
      if case .read = operation.action { reads.append(milliseconds) } else { commits.append(milliseconds) }
    // It was decided as well, and stands in the log.
    case .rejected(nil):
      commits.append(milliseconds)
      unmatched += 1
    case .rejected(let reason?):
      failed += 1
      self.reason = self.reason ?? reason
    case .failed: failed += 1
    case .unknown: unknown += 1
    }
  }

  /// Counts what another client counted.
  mutating func add(_ other: QuorumLoadFigures) {
    commits += other.commits
    commitTimes += other.commitTimes
    reads += other.reads
    unmatched += other.unmatched
    failed += other.failed
    unknown += other.unknown
    reason = reason ?? other.reason
  }

  /// The longest time from one commit to the next one, of whichever clients: without a leader there is none.
  private var longestGapMilliseconds: Double {
    let times = commitTimes.sorted()
    return Double(zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? 0) / 1e6
  }

  /// A small table.
  func lines(_ options: QuorumLoadOptions, _ seconds: Double) -> [String] {
    var lines = [
      "\(options.clients) clients, \(Format.fixed(seconds, 1)) s, \(options.keys) keys, \(options.payload) bytes, "
        + "\(options.reads)% reads",
      Format.left("", 10) + ["per second", "p50 ms", "p99 ms", "max ms"].map { Format.right($0, 12) }.joined(),
    ]
    for (name, times) in [("commits", commits), ("reads", reads)] where !times.isEmpty || name == "commits" {
      let sorted = Percentiles(times)
      lines.append(
        Format.left(name, 10) + Format.right(Format.fixed(Double(times.count) / seconds, 0), 12)
          + [sorted.at(0.5), sorted.at(0.99), sorted.maximum].map { Format.right(Format.fixed($0, 2), 12) }.joined())
    }
    lines.append(
      "\(commits.count) commits, of which \(unmatched) compared and found something else; \(reads.count) reads; "
        + "\(failed) failed, \(unknown) unknown\(reason.map { ": \($0)" } ?? "")")
    lines.append("at most \(Format.fixed(longestGapMilliseconds, 1)) ms without a commit")
    return lines
  }

  /// All of it in one object.
  func json(_ options: QuorumLoadOptions, _ seconds: Double) -> String {
    let (writes, answers) = (Percentiles(commits), Percentiles(reads))
    var line = JSONLine()
    line.add("clients", options.clients)
    line.add("seconds", seconds)
    line.add("keys", options.keys)
    line.add("payload", options.payload)
    line.add("commits", commits.count)
    line.add("commitsPerSecond", Double(commits.count) / seconds)
    line.add("p50Milliseconds", writes.at(0.5))
    line.add("p99Milliseconds", writes.at(0.99))
    line.add("maxMilliseconds", writes.maximum)
    line.add("longestGapMilliseconds", longestGapMilliseconds)
    line.add("unmatched", unmatched)
    line.add("reads", reads.count)
    line.add("readsPerSecond", Double(reads.count) / seconds)
    line.add("readP50Milliseconds", answers.at(0.5))
    line.add("readP99Milliseconds", answers.at(0.99))
    line.add("readMaxMilliseconds", answers.maximum)
    line.add("failed", failed)
    line.add("unknown", unknown)
    return line.line
  }
}

extension HistoryOperation {
  /// Whether it stands in the log: also a comparison that found something else does.
  fileprivate var isDecidedChange: Bool {
    if case .read = action { return false }
    return outcome == .committed || outcome == .rejected(reason: nil)
  }
}

/// A history, written while it goes on.
final class HistoryFile: Sendable {
  /// A client hands over its lines when they are so many bytes: seldom enough that clients do not wait for each other.
  static let chunkBytes = 64 << 10

  private let path: String
  private let descriptor: Int32
  /// What the system said when it could not be written.
  private let failure = Mutex<Int32>(0)

  /// Makes it, in place of one that is there.
  init(_ path: String) throws(OutputFailure) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw OutputFailure(path, errno) }
    var header = Array(HistoryWriter.header().utf8)
    write(&header)
  }

  /// Writes whole lines, and takes them.
  func write(_ lines: inout [UInt8]) {
    let bytes = lines
    lines.removeAll(keepingCapacity: true)
    failure.withLock { failure in
      if failure == 0 { failure = Files.write(bytes, to: descriptor) }
    }
  }

  /// Ends it, and tells whether all of it is there.
  func close() throws(OutputFailure) {
    #if canImport(Glibc)
      _ = Glibc.close(descriptor)
    #elseif canImport(Musl)
      _ = Musl.close(descriptor)
    #else
      _ = Darwin.close(descriptor)
    #endif
    let number = failure.withLock { $0 }
    if number != 0 { throw OutputFailure(path, number) }
  }
}
