/// Writes one JSON object on one line, with its fields in the order in which they are added.
struct JSONLine {
  private var text = "{"

  /// The object written so far, closed.
  var line: String { text + "}" }

  /// Adds a text, or null.
  mutating func add(_ key: String, _ value: String?) {
    begin(key)
    if let value { quote(value) } else { text += "null" }
  }

  /// Adds a list of objects.
  mutating func add(_ key: String, _ objects: [JSONLine]) {
    begin(key)
    text += "[" + objects.map(\.line).joined(separator: ",") + "]"
  }

  /// Adds a whole number, or null.
  mutating func add<Value: BinaryInteger>(_ key: String, _ value: Value?) {
    begin(key)
    text += value.map { String($0) } ?? "null"
  }

  /// Adds a number with at most three decimals, or null.
  mutating func add(_ key: String, _ value: Double?) {
    begin(key)
    let thousandths = ((value ?? .nan) * 1_000).rounded()
    text += thousandths.isFinite ? String(thousandths / 1_000) : "null"
  }

  /// Adds true or false.
  mutating func add(_ key: String, _ value: Bool) {
    begin(key)
    text += value ? "true" : "false"
  }

  /// Adds a list of texts.
  mutating func add(_ key: String, _ values: [String]) {
    begin(key)
    text += "["
    for (index, value) in values.enumerated() {
      if index > 0 { text += "," }
      quote(value)
    }
    text += "]"
  }

  /// Adds an object, or null.
  mutating func add(_ key: String, _ object: JSONLine?) {
    begin(key)
    text += object?.line ?? "null"
  }

  /// Adds what is JSON already.
  mutating func add(_ key: String, raw: String) {
    begin(key)
    text += raw
  }

  /// A text in quotes.
  static func quoted(_ value: String) -> String {
    var line = JSONLine()
    line.text = ""
    line.quote(value)
    return line.text
  }

  private mutating func begin(_ key: String) {
    if text.utf8.count > 1 { text += "," }
    quote(key)
    text += ":"
  }

  private mutating func quote(_ value: String) {
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\u{0}"..."\u{1F}", "\u{7F}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
