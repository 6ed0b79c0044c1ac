import ArgumentParser
import GlueSimulation

/// `glue check-history`: judges whether what the clients of a store were told can be true.
struct CheckHistory: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-history",
    abstract: "Check that a history of operations is linearizable.",
    discussion: """
      Every operation must have a moment between its call and its return at which it took effect. The format of the file is \
      that of docs/quorum-history.md. Ends with status 0 if there is such an order, 1 if there is none, 2 if the file \
      is no history, and 3 if that could not be found out with so many states.
      """)

  @Argument(help: "The file.")
  var file: String

  @Option(help: "Configurations to remember before giving up: some 150 bytes each.")
  var states: Int = LinearizabilityChecker.defaultStates

  @Flag(help: "One JSON object instead of text.")
  var json = false

  /// Exit statuses beside 0.
  enum Status {
    static let violated = ExitCode(1)
    static let noHistory = ExitCode(2)
    static let undecided = ExitCode(3)
  }

  /// A history of ten million operations; what is larger is something else.
  private static let largestFileBytes = 2 << 30

  /// So many of the last operations of an order are shown: the reason is in them.
  private static let shownOperations = 10

  func validate() throws {
    guard states > 0 else { throw ValidationError("--states counts, at least 1") }
  }

  func run() throws {
    let history: History
    do {
      let bytes = try Files.contents(of: file, limit: Self.largestFileBytes, which: "the largest history")
      history = try History(reading: bytes)
    } catch let failure as CommandFailure {
      Console.error("glue: \(failure.text)")
      throw Status.noHistory
    } catch let error as HistoryError {
      Console.error("glue: \(file) is no history: \(error)")
      throw Status.noHistory
    }
    let report = LinearizabilityChecker(states: states).check(history)
    for line in json ? [Self.object(report).line] : Self.text(report, of: history) { Console.line(line) }
    switch report.verdict {
    case .linearizable: break
    case .violated: throw Status.violated
    case .undecided: throw Status.undecided
    }
  }

  /// The report in words.
  static func text(_ report: LinearizabilityReport, of history: History) -> [String] {
    var lines = [
      "\(report.verdict.rawValue): \(report.operations) operations, of which \(report.considered) can matter, in "
        + "\(report.partitions) partitions; \(report.states) states"
    ]
    for violation in report.violations {
      lines.append("no order explains \(names(violation.keys))")
      lines.append("  the longest one has \(violation.prefix.count) operations; its last ones:")
      lines += violation.prefix.suffix(shownOperations).map { "    " + described($0, of: history) }
      lines.append(
        "  after it: " + violation.state.map { "\(quoted($0.key)) = \(quoted($0.value))" }.joined(separator: ", "))
      lines.append("  no place in it, and must have one:")
      lines += violation.unplaced.map { "    " + described($0, of: history) }
    }
    lines += report.undecided.map { "undecided within the bound on states: \(names($0))" }
    return lines
  }

  /// The report as an object.
  static func object(_ report: LinearizabilityReport) -> JSONLine {
    var object = JSONLine()
    object.add("verdict", report.verdict.rawValue)
    object.add("operations", report.operations)
    object.add("considered", report.considered)
    object.add("partitions", report.partitions)
    object.add("states", report.states)
    object.add(
      "violations",
      report.violations.map { violation in
        var object = JSONLine()
        object.add("keys", violation.keys)
        object.add("prefixLines", raw: "[" + violation.prefix.map { "\(line($0))" }.joined(separator: ",") + "]")
        var state = JSONLine()
        for cell in violation.state { state.add(cell.key, cell.value) }
        object.add("state", state)
        object.add("unplacedLines", raw: "[" + violation.unplaced.map { "\(line($0))" }.joined(separator: ",") + "]")
        return object
      })
    object.add("undecided", raw: "[" + report.undecided.map(list).joined(separator: ",") + "]")
    return object
  }

  /// The line of the file on which an operation stands: the first one is the header.
  private static func line(_ operation: Int) -> Int { operation + 2 }

  private static func described(_ operation: Int, of history: History) -> String {
    "line \(line(operation)): \(HistoryWriter.line(history.operations[operation]).dropLast())"
  }

  private static func names(_ keys: [String]) -> String {
    (keys.count == 1 ? "key " : "keys ") + keys.map(quoted).joined(separator: ", ")
  }

  private static func list(_ texts: [String]) -> String {
    "[" + texts.map(quoted).joined(separator: ",") + "]"
  }

  private static func quoted(_ text: String?) -> String {
    text.map { JSONLine.quoted($0) } ?? "absent"
  }
}
