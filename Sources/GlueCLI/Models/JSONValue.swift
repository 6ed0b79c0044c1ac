import ArgumentParser
import Foundation
import Glue

/// A value, or an object that becomes a map.
indirect enum JSONValue: Sendable {
  case value(ModelValue)
  case object([(key: String, value: JSONValue)])

  /// JSON, or else the text itself.
  ///
  /// - Throws: `ValidationError` if it is JSON of which something could not be kept as it is.
  init(_ text: String, asText: Bool = false) throws {
    guard !asText else {
      self = .value(.string(text))
      return
    }
    guard let parsed = try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
    else {
      if let first = text.first, "{[\"".contains(first) {
        throw ValidationError("the value begins like JSON and is none; with --text it is taken as it stands")
      }
      if text.wholeMatch(of: /-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/) != nil, Double(text)?.isInfinite != false {
        throw ValidationError("\(text) is too large for a number; with --text it is taken as it stands")
      }
      self = .value(.string(text))
      return
    }
    if let number = Self.tooLargeInteger(in: text) {
      throw ValidationError(
        "\(number) does not fit into 64 bits; as a number that is not exact write \(number).0, as a text \"\(number)\"")
    }
    self = try Self.make(parsed)
  }

  /// A whole number in a JSON text that would only be kept as the nearest one of floating point.
  private static func tooLargeInteger(in json: String) -> String? {
    let outsideOfTexts = json.replacing(/"(\\.|[^"\\])*"/, with: "\"\"")
    let numbers = outsideOfTexts.matches(of: /-?[0-9][0-9.eE+-]*/).map(\.output)
    return numbers.first { $0.allSatisfy { $0.isNumber || $0 == "-" } && Int64($0) == nil }.map { String($0) }
  }

  private static func make(_ parsed: Any) throws -> JSONValue {
    if let object = parsed as? [String: Any] {
      return .object(try object.sorted { $0.key < $1.key }.map { ($0.key, try make($0.value)) })
    }
    return .value(try makeValue(parsed))
  }

  private static func makeValue(_ parsed: Any) throws -> ModelValue {
    switch parsed {
    case is NSNull: return .null
    case let text as String: return .string(text)
    case let list as [Any]: return .list(try list.map(makeValue))
    case let number as NSNumber:
      if isBoolean(number) { return .bool(number.boolValue) }
      let text = number.stringValue
      return Int64(text).map { .int($0) } ?? .double(number.doubleValue)
    default: throw ValidationError("a list holds texts, numbers, true, false, null and lists only")
    }
  }

  private static func isBoolean(_ number: NSNumber) -> Bool {
    // 'c' is a C char, which is what JSONSerialization makes of true and false on every platform.
    String(cString: number.objCType) == "c"
  }

  /// Sets a path to it. A map is replaced as a whole.
  func set(_ path: String, in edits: inout ModelEdits) throws(ModelError) {
    switch self {
    case .value(let value): try edits.set(path, to: value)
    case .object(let fields):
      try edits.delete(path)
      try edits.makeMap(path)
      for (key, value) in fields { try value.set("\(path)/\(ModelPath.level(forKey: key))", in: &edits) }
    }
  }
}
