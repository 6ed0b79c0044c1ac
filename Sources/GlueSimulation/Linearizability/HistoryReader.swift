/// Why bytes are no history.
package struct HistoryError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The line, counted from 1.
  package var line: Int

  /// The field, if it is one field's fault.
  package var field: String?

  /// What is wrong.
  package var text: String

  package var description: String {
    "line \(line): " + (field.map { "field \($0): " } ?? "") + text
  }

  /// What is wrong in a line.
  struct Reason: Error {
    var text: String
    var field: String?

    init(_ text: String, field: String? = nil) {
      self.text = text
      self.field = field
    }
  }
}

extension History {
  /// Reads a history as `docs/quorum-history.md` describes it.
  ///
  /// - Throws: ``HistoryError``, which names the line and the field.
  package init(reading bytes: [UInt8]) throws(HistoryError) {
    self.init()
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    guard let first = lines.first else {
      throw HistoryError(line: 1, field: nil, text: "it is empty; a history begins with {\"glue-history\":1}")
    }
    operations.reserveCapacity(lines.count - 1)
    var number = 1
    do {
      initial = try Self.header(first)
      for line in lines.dropFirst() {
        number += 1
        operations.append(try HistoryOperation(line: line))
      }
    } catch {
      throw HistoryError(line: number, field: error.field, text: error.text)
    }
  }

  private static func header(_ line: ArraySlice<UInt8>) throws(HistoryError.Reason) -> [HistoryCell] {
    var fields = try HistoryFields(line)
    guard let version = try fields.optionalNumber("glue-history") else {
      throw .init("a history begins with {\"glue-history\":1}", field: "glue-history")
    }
    guard version == HistoryWriter.version else {
      throw .init("version \(version) is unknown; known is \(HistoryWriter.version)", field: "glue-history")
    }
    let initial = try fields.cells("initial") ?? []
    try fields.end()
    return initial
  }
}

extension HistoryOperation {
  /// Reads one line.
  init(line: ArraySlice<UInt8>) throws(HistoryError.Reason) {
    var fields = try HistoryFields(line)
    let process = try fields.number("process")
    let outcomeName = try fields.text("outcome")
    let reason = try fields.optionalText("reason")
    switch outcomeName {
    case "committed": outcome = .committed
    case "rejected": outcome = .rejected(reason: reason)
    case "failed": outcome = .failed
    case "unknown": outcome = .unknown
    default: throw .init("it is committed, rejected, failed or unknown, not \(outcomeName)", field: "outcome")
    }
    if reason != nil, outcomeName != "rejected" { throw .init("only what is rejected has one", field: "reason") }
    let name = try fields.text("operation")
    switch name {
    case "read":
      let key = try fields.text("key")
      let value = outcome == .committed ? try fields.textOrNull("value") : try fields.optionalText("value")
      action = .read(key: key, value: value)
    case "write": action = .write(key: try fields.text("key"), value: try fields.text("value"))
    case "delete": action = .delete(key: try fields.text("key"))
    case "compare-and-set":
      action = .compareAndSet(
        key: try fields.text("key"), expected: try fields.textOrNull("expected"), value: try fields.textOrNull("value"))
    case "transaction":
      guard let conditions = try fields.cells("conditions") else { throw .init("it is missing", field: "conditions") }
      guard let writes = try fields.cells("writes") else { throw .init("it is missing", field: "writes") }
      action = .transaction(conditions: conditions, writes: writes)
    default:
      throw .init("it is read, write, delete, compare-and-set or transaction, not \(name)", field: "operation")
    }
    if outcome == .rejected(reason: nil), !action.canFailACondition {
      throw .init("a \(name) without conditions is rejected for a reason", field: "reason")
    }
    self.process = process
    call = try fields.number("call")
    self.return = try fields.optionalNumber("return")
    if let end = self.return {
      guard end >= call else { throw .init("\(end) is before the call at \(call)", field: "return") }
    } else if outcome != .unknown {
      throw .init("it is missing, and the outcome is not unknown", field: "return")
    }
    index = try fields.optionalNumber("index")
    try fields.end()
  }
}

/// The fields of a line, each of which is taken once.
private struct HistoryFields {
  private var fields: [(name: String, value: JSONText)]

  init(_ line: ArraySlice<UInt8>) throws(HistoryError.Reason) {
    guard case .object(let fields) = try JSONText.parse(line) else { throw .init("it is not an object") }
    self.fields = fields
  }

  mutating func number(_ name: String) throws(HistoryError.Reason) -> Int64 {
    guard let number = try optionalNumber(name) else { throw .init("it is missing", field: name) }
    return number
  }

  mutating func optionalNumber(_ name: String) throws(HistoryError.Reason) -> Int64? {
    switch take(name) {
    case nil, .null: return nil
    case .number(let number): return number
    case .text, .object: throw .init("it is not a whole number", field: name)
    }
  }

  mutating func text(_ name: String) throws(HistoryError.Reason) -> String {
    guard let text = try textOrNull(name) else { throw .init("it is null", field: name) }
    return text
  }

  mutating func textOrNull(_ name: String) throws(HistoryError.Reason) -> String? {
    guard fields.contains(where: { $0.name == name }) else { throw .init("it is missing", field: name) }
    return try optionalText(name)
  }

  mutating func optionalText(_ name: String) throws(HistoryError.Reason) -> String? {
    switch take(name) {
    case nil, .null: return nil
    case .text(let text): return text
    case .number, .object: throw .init("it is not a text", field: name)
    }
  }

  mutating func cells(_ name: String) throws(HistoryError.Reason) -> [HistoryCell]? {
    switch take(name) {
    case nil, .null: return nil
    case .object(let fields):
      var cells: [HistoryCell] = []
      for field in fields {
        switch field.value {
        case .null: cells.append(HistoryCell(field.name, nil))
        case .text(let text): cells.append(HistoryCell(field.name, text))
        case .number, .object: throw .init("the value of \(field.name) is neither a text nor null", field: name)
        }
      }
      return cells
    case .text, .number: throw .init("it is not an object", field: name)
    }
  }

  /// Nothing is left over: a field that nobody knows may be a known one with a slip of the pen.
  func end() throws(HistoryError.Reason) {
    if let left = fields.first { throw .init("it has no meaning here", field: left.name) }
  }

  private mutating func take(_ name: String) -> JSONText? {
    guard let place = fields.firstIndex(where: { $0.name == name }) else { return nil }
    return fields.remove(at: place).value
  }
}
