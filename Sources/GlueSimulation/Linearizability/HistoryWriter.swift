/// Writes a history as `docs/quorum-history.md` describes it: a header, then one operation on each line.
///
/// It makes lines; whoever has a file puts them there, in any order and while the operations go on.
package enum HistoryWriter {
  /// The version of the format.
  package static let version: Int64 = 1

  /// The first line, with its end.
  package static func header(initial: [HistoryCell] = []) -> String {
    "{\"glue-history\":\(version),\"initial\":\(object(initial))}\n"
  }

  /// The line of an operation, with its end.
  package static func line(_ operation: HistoryOperation) -> String {
    var text = "{\"process\":\(operation.process)"
    switch operation.action {
    case .read(let key, let value):
      text += ",\"operation\":\"read\",\"key\":\(quoted(key))"
      if operation.outcome == .committed { text += ",\"value\":\(quoted(value))" }
    case .write(let key, let value):
      text += ",\"operation\":\"write\",\"key\":\(quoted(key)),\"value\":\(quoted(value))"
    case .delete(let key):
      text += ",\"operation\":\"delete\",\"key\":\(quoted(key))"
    case .compareAndSet(let key, let expected, let value):
      text += ",\"operation\":\"compare-and-set\",\"key\":\(quoted(key))"
      text += ",\"expected\":\(quoted(expected)),\"value\":\(quoted(value))"
    case .transaction(let conditions, let writes):
      text += ",\"operation\":\"transaction\",\"conditions\":\(object(conditions)),\"writes\":\(object(writes))"
    }
    text += ",\"call\":\(operation.call),\"return\":\(operation.return.map { String($0) } ?? "null")"
    switch operation.outcome {
    case .committed: text += ",\"outcome\":\"committed\""
    case .rejected(nil): text += ",\"outcome\":\"rejected\""
    case .rejected(let reason?): text += ",\"outcome\":\"rejected\",\"reason\":\(quoted(reason))"
    case .failed: text += ",\"outcome\":\"failed\""
    case .unknown: text += ",\"outcome\":\"unknown\""
    }
    if let index = operation.index { text += ",\"index\":\(index)" }
    return text + "}\n"
  }

  /// A whole history.
  package static func text(_ history: History) -> String {
    history.operations.reduce(into: header(initial: history.initial)) { $0 += line($1) }
  }

  private static func object(_ cells: [HistoryCell]) -> String {
    "{" + cells.map { "\(quoted($0.key)):\(quoted($0.value))" }.joined(separator: ",") + "}"
  }

  private static func quoted(_ value: String?) -> String {
    guard let value else { return "null" }
    var text = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\u{0}"..."\u{1F}", "\u{7F}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
