import Foundation
import Glue

/// What a model holds, as text and as JSON.
enum ModelText {
  // MARK: Text

  /// A line for each leaf: `lights/kitchen = "on"`.
  static func lines(_ node: ModelNode, at path: String?) -> [String] {
    let name = path ?? ""
    switch node {
    case .value(let value): return ["\(name) = \(json(value))".printable]
    case .concurrent(let values):
      return ["\(name) = \(values.map(json).joined(separator: " | ")) (conflict)".printable]
    case .counter(let sum): return ["\(name) = \(sum) (counter)".printable]
    case .set(let elements): return ["\(name) = {\(elements.map(json).joined(separator: ", "))}".printable]
    case .map(let children):
      if children.isEmpty { return ["\(name) is an empty map".printable] }
      return children.flatMap { child in
        lines(child.node, at: path.map { "\($0)/\(child.level)" } ?? child.level)
      }
    }
  }

  /// For example `lights/kitchen: "off" → "on" by 17, remote`.
  static func line(_ change: ModelChange) -> String {
    let writer = change.writer.map { " by \($0)" } ?? ""
    return "\(difference(change))\(writer), \(change.cause.rawValue)"
  }

  /// For example `lights/kitchen: "off" → "on"`.
  static func difference(_ change: ModelChange) -> String {
    "\(change.path): \(change.old.map(text) ?? "nothing") → \(change.new.map(text) ?? "nothing")"
  }

  private static func text(_ content: ModelContent) -> String {
    switch content {
    case .value(let value): json(value)
    case .concurrent(let values): values.map(json).joined(separator: " | ")
    case .counter(let sum): "\(sum)"
    case .element(let value): "{\(json(value))}"
    case .map: "a map"
    }
  }

  static func lines(_ conflict: ModelConflict) -> [String] {
    conflict.candidates.map { candidate in
      let content = candidate.value.map(json) ?? "a \(candidate.kind.rawValue)"
      return "\(conflict.path) = \(content) by \(candidate.writer) at \(time(candidate.time))".printable
    }
  }

  static func line(_ status: ModelStatus) -> String {
    let others = status.replicas.map(\.description).joined(separator: ", ")
    return "hash \(hex(status.hash)), \(status.keys) keys, \(status.isInSync ? "in sync" : "not in sync") with "
      + (others.isEmpty ? "nobody" : others)
      + "; changes of \(status.pastReplicas) replicas remembered, generation \(status.generation)"
  }

  /// For example `home: hall (17), kitchen (41)`.
  static func line(_ model: ModelOverview) -> String {
    "\(model.name): \(model.replicas.map(\.description).joined(separator: ", "))".printable
  }

  private static func hex(_ hash: UInt64) -> String {
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private static func time(_ microseconds: UInt64) -> String {
    Date(timeIntervalSince1970: Double(microseconds) / 1e6).formatted(.iso8601)
  }

  // MARK: JSON

  /// Maps as objects, sets and lists as arrays, bytes as base64, counters as numbers, concurrent values as `{"conflict": […]}`.
  static func json(_ node: ModelNode) -> String {
    switch node {
    case .value(let value): json(value)
    case .concurrent(let values): "{\"conflict\":\(list(values))}"
    case .counter(let sum): "\(sum)"
    case .set(let elements): list(elements)
    case .map(let children):
      "{" + children.map { "\(quoted(ModelPath.key(ofLevel: $0.level))):\(json($0.node))" }.joined(separator: ",") + "}"
    }
  }

  static func json(_ value: ModelValue) -> String {
    switch value {
    case .null: return "null"
    case .bool(let value): return "\(value)"
    case .int(let value): return "\(value)"
    case .double(let value): return value.isFinite ? "\(value)" : quoted("\(value)")
    case .string(let value): return quoted(value)
    case .bytes(let value): return quoted(Data(value).base64EncodedString())
    case .list(let values): return list(values)
    }
  }

  private static func list(_ values: [ModelValue]) -> String { "[" + values.map(json).joined(separator: ",") + "]" }

  private static func quoted(_ text: String) -> String { JSONLine.quoted(text) }

  /// - Parameter withOrigin: Whether it is told who wrote it, when, and how it came to be known.
  static func json(_ change: ModelChange, withOrigin: Bool = true) -> String {
    func content(_ content: ModelContent) -> String {
      switch content {
      case .value(let value), .element(let value): json(value)
      case .concurrent(let values): "{\"conflict\":\(list(values))}"
      case .counter(let sum): "\(sum)"
      case .map: "{}"
      }
    }
    let isElement = if case .element? = change.new ?? change.old { true } else { false }
    var line = JSONLine()
    line.add("path", change.path.text)
    // What is not there has no field: null is a value.
    if let old = change.old { line.add(isElement ? "removed" : "old", raw: content(old)) }
    if let new = change.new { line.add(isElement ? "added" : "new", raw: content(new)) }
    guard withOrigin else { return line.line }
    // As text: others take numbers for doubles.
    line.add("writer", change.writer.map { "\($0)" })
    line.add("time", change.time)
    line.add("cause", change.cause.rawValue)
    return line.line
  }

  static func json(_ conflict: ModelConflict) -> String {
    var line = JSONLine()
    line.add("path", conflict.path.text)
    line.add(
      "candidates",
      conflict.candidates.map { candidate in
        var object = JSONLine()
        object.add("kind", candidate.kind.rawValue)
        object.add("value", raw: candidate.value.map(json) ?? "null")
        object.add("writer", "\(candidate.writer)")
        object.add("time", candidate.time)
        return object
      })
    return line.line
  }

  static func json(_ model: ModelOverview) -> String {
    var line = JSONLine()
    line.add("model", model.name)
    line.add(
      "replicas",
      model.replicas.map { party in
        var object = JSONLine()
        object.add("endpoint", "\(party.id)")
        object.add("name", party.name)
        return object
      })
    return line.line
  }

  static func json(_ status: ModelStatus) -> String {
    var line = JSONLine()
    line.add("hash", hex(status.hash))
    line.add("keys", status.keys)
    line.add("inSync", status.isInSync)
    line.add("replicas", raw: list(status.replicas.map { .string("\($0)") }))
    line.add("remembered", status.pastReplicas)
    line.add("generation", status.generation)
    return line.line
  }
}
