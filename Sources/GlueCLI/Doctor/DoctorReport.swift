/// Findings as people and programs read them.
enum DoctorReport {
  /// Columns of text, so that a terminal need not break lines.
  private static let width = 96

  /// For people: the worst first, commands that can be copied, and a last line that says how it stands.
  static func lines(_ findings: [Finding]) -> [String] {
    findings.flatMap(lines) + [conclusion(findings)]
  }

  /// For programs: an object for each finding on a line of its own, and one that sums up.
  static func jsonLines(_ findings: [Finding], _ facts: DoctorFacts) -> [String] {
    let all = findings.map { finding in
      var line = JSONLine()
      line.add("severity", finding.severity.rawValue)
      line.add("code", finding.code.rawValue)
      line.add("text", finding.text)
      line.add("evidence", finding.evidence)
      line.add("commands", finding.commands.map(withoutComment))
      return line.line
    }
    var summary = JSONLine()
    for severity in Finding.Severity.allCases.reversed() {
      summary.add(severity.rawValue + "s", findings.count { $0.severity == severity })
    }
    summary.add("well", isWell(findings))
    summary.add("network", facts.settings.networkID)
    summary.add("interface", facts.host.chosen)
    summary.add("interfaces", facts.host.used.map(\.name))
    summary.add("peers", facts.path.peers.count)
    summary.add("seconds", facts.path.seconds)
    return all + [summary.line]
  }

  /// Whether nothing has to be mended.
  static func isWell(_ findings: [Finding]) -> Bool { !findings.contains { $0.severity == .problem } }

  private static func lines(_ finding: Finding) -> [String] {
    let mark =
      switch finding.severity {
      case .ok: "ok       "
      case .note: "note     "
      case .warning: "WARNING  "
      case .problem: "PROBLEM  "
      }
    let indent = String(repeating: " ", count: mark.count)
    var lines = wrap(finding.text + " [\(finding.code.rawValue)]", to: width - mark.count)
    lines = lines.enumerated().map { ($0 == 0 ? mark : indent) + $1 }
    for text in finding.evidence {
      let wrapped = wrap(text, to: width - mark.count - 2)
      lines += wrapped.enumerated().map { indent + ($0 == 0 ? "- " : "  ") + $1 }
    }
    if !finding.commands.isEmpty {
      lines.append(indent + (finding.severity >= .warning ? "Try:" : "If it matters:"))
      lines += finding.commands.map { indent + "  " + $0 }
    }
    return lines.map(\.printable) + (finding.severity >= .warning ? [""] : [])
  }

  private static func conclusion(_ findings: [Finding]) -> String {
    func count(_ severity: Finding.Severity, _ noun: String) -> String? {
      let number = findings.count { $0.severity == severity }
      return number == 0 ? nil : "\(number) \(noun)\(number == 1 ? "" : "s")"
    }
    let counts = [count(.problem, "problem"), count(.warning, "warning")].compactMap { $0 }.joined(separator: ", ")
    if counts.isEmpty { return "All is well." }
    return isWell(findings) ? "It works; \(counts)." : "\(counts)."
  }

  /// Commands as they can be run; what is said beside them is for people.
  private static func withoutComment(_ command: String) -> String {
    command.components(separatedBy: "   #").first ?? command
  }

  private static func wrap(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if !line.isEmpty, line.count + 1 + word.count > width {
        lines.append(line)
        line = ""
      }
      line += (line.isEmpty ? "" : " ") + word
    }
    return lines + [line]
  }
}
