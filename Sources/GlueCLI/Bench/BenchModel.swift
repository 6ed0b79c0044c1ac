import ArgumentParser
import Foundation
import GlueModel

/// `glue bench model`: what shared documents cost.
struct BenchModel: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Measure models: the document alone, and replicas in several processes.",
    subcommands: [BenchDocument.self, BenchReplicas.self, BenchDocumentWorker.self, BenchReplicaWorker.self],
    defaultSubcommand: BenchDocument.self)
}

/// `glue bench model document`: the document alone, without any network.
struct BenchDocument: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "document",
    abstract: "Measure a document's operations as the number of keys and of replicas grows.",
    discussion: """
      Each column is a process of its own. Paths have 20 bytes, values are whole numbers. Times are processor time, the \
      median of five rounds, for one operation where nothing else is said.
      """)

  @Option(help: "Numbers of keys, separated by commas. (default: 1000,10000,100000)")
  var keys = "1000,10000,100000"

  @Option(help: "Numbers of replicas in the context, separated by commas. (default: 1,10,100,1000)")
  var replicas = "1,10,100,1000"

  @Option(help: "Operations of each kind. (default: 20000)", transform: parsePositive)
  var count: Int = 20_000

  @Flag(help: "One JSON object per column.")
  var json = false

  /// How many keys the document has whose context has many replicas.
  private static let keysWithReplicas = 10_000

  func validate() throws { _ = try (numbers(keys), numbers(replicas)) }

  private func numbers(_ list: String) throws -> [Int] {
    try list.split(separator: ",").map { try parsePositive(String($0)) }
  }

  func run() async throws {
    try await show("keys", numbers(keys).map { ($0, 1) }, DocumentFigures.ofKeys)
    try await show("replicas", numbers(replicas).map { (Self.keysWithReplicas, $0) }, DocumentFigures.ofReplicas)
  }

  private func show(_ what: String, _ columns: [(keys: Int, replicas: Int)], _ rows: [DocumentFigures.Row]) async throws
  {
    var measured: [[String: Double]] = []
    for (keys, replicas) in columns {
      let child = try ChildProcess(
        [
          "bench", "model", "document-worker", "--keys", "\(keys)", "--replicas", "\(replicas)", "--count", "\(count)",
        ], environment: [:])
      defer { child.terminate() }
      var line: String?
      for await text in child.lines { line = text }
      guard let line else { throw CommandFailure("a process of the benchmark ended without a report") }
      measured.append(try JSONDecoder().decode([String: Double].self, from: Data(line.utf8)))
      guard json else { continue }
      var object = JSONLine()
      object.add("keys", keys)
      object.add("replicas", replicas)
      for row in rows { object.add(row.name, measured[measured.count - 1][row.name]) }
      Console.line(object.line)
    }
    guard !json else { return }
    let counts = columns.map { what == "keys" ? $0.keys : $0.replicas }
    Console.line(Format.left(what, 48) + counts.map { Format.right("\($0)", 12) }.joined())
    for row in rows {
      let values = measured.map { Format.right($0[row.name].map { Format.fixed($0, row.decimals) } ?? "-", 12) }
      Console.line(Format.left("\(row.name), \(row.unit)", 48) + values.joined())
    }
    Console.line("")
  }
}

/// A column of `glue bench model document`.
struct BenchDocumentWorker: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "document-worker", shouldDisplay: false)

  @Option(transform: parsePositive)
  var keys: Int
  @Option(transform: parsePositive)
  var replicas: Int
  @Option(transform: parsePositive)
  var count: Int

  func run() throws {
    var figures = try DocumentFigures(keys: keys, replicas: replicas, count: count)
    try figures.measure()
    Console.line(String(decoding: try JSONEncoder().encode(figures.values), as: UTF8.self))
  }
}
