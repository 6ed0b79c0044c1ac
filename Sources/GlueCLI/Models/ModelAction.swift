import ArgumentParser
import Foundation
import Glue

/// Something to do with a model, as it was written on the command line.
enum ModelAction: Sendable {
  case get(String?)
  case set(String, JSONValue)
  case delete(String)
  case increment(String, Int64)
  case add(String, ModelValue)
  case remove(String, ModelValue)
  case conflicts(String?)
  case resolve(String, ModelValue)
  case watch(String?)
  case status

  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case get, set, delete, increment, add, remove, conflicts, resolve, watch, status, apply
  }

  /// Whether it changes something.
  var isChange: Bool {
    switch self {
    case .get, .conflicts, .watch, .status: false
    case .set, .delete, .increment, .add, .remove, .resolve: true
    }
  }

  /// - Throws: `ValidationError` that tells what is missing, or too much.
  init(_ kind: Kind, _ words: [String]) throws {
    func path() throws -> String {
      guard let path = words.first else { throw ValidationError("\(kind.rawValue) needs a path") }
      if let problem = ModelPath.problem(with: path) { throw ValidationError("“\(path)” is no path: \(problem)") }
      return path
    }
    func value() throws -> ModelValue {
      guard words.count > 1 else { throw ValidationError("\(kind.rawValue) needs a path and a value") }
      guard case .value(let value) = try JSONValue(text: words[1]) else {
        throw ValidationError(
          "\(kind.rawValue) takes no object: expected a text, a number, true, false, null or a list")
      }
      return value
    }
    let most: Int
    switch kind {
    case .get, .conflicts, .watch:
      let path = words.isEmpty ? nil : try path()
      self = kind == .get ? .get(path) : kind == .conflicts ? .conflicts(path) : .watch(path)
      most = 1
    case .set:
      guard words.count > 1 else { throw ValidationError("set needs a path and a value") }
      self = .set(try path(), try JSONValue(text: words[1]))
      most = 2
    case .delete:
      self = .delete(try path())
      most = 1
    case .increment:
      guard let amount = Int64(words.count > 1 ? words[1] : "1") else {
        throw ValidationError("“\(words[1])” is no whole number of 64 bits")
      }
      self = .increment(try path(), amount)
      most = 2
    case .add:
      self = .add(try path(), try value())
      most = 2
    case .remove:
      self = .remove(try path(), try value())
      most = 2
    case .resolve:
      self = .resolve(try path(), try value())
      most = 2
    case .status:
      self = .status
      most = 0
    case .apply: throw ValidationError("apply reads what to do from standard input")
    }
    guard words.count <= most else {
      throw ValidationError("“\(words[most])” is too much for \(kind.rawValue); put a value with spaces in quotes")
    }
  }

  /// From a line: words separated by spaces, of which the last one may contain some.
  init(line: String) throws {
    let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true).map(String.init)
    guard let first = words.first, let kind = Kind(rawValue: first), kind != .apply, kind != .watch else {
      let known = Kind.allCases.filter { $0 != .apply && $0 != .watch }.map(\.rawValue)
      throw ValidationError(
        "“\(words.first ?? "")” is no action; expected one of \(known.joined(separator: ", "))")
    }
    try self.init(kind, Array(words.dropFirst()))
  }
}

/// A value, or an object that becomes a map.
indirect enum JSONValue: Sendable {
  case value(ModelValue)
  case object([(key: String, value: JSONValue)])

  /// JSON, or else the text itself.
  init(text: String) throws {
    guard let parsed = try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed) else {
      self = .value(.string(text))
      return
    }
    self = try Self.make(parsed)
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
