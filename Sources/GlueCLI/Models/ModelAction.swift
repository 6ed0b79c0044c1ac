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
  case resolve(String, ModelResolution)
  case watch(String?)
  case status

  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case get, set, delete, increment, add, remove, conflicts, resolve, keep, watch, status, apply
  }

  /// Whether it changes something.
  var isChange: Bool {
    switch self {
    case .get, .conflicts, .watch, .status: false
    case .set, .delete, .increment, .add, .remove, .resolve: true
    }
  }

  /// Whether it shows something that may be incomplete.
  var needsEverything: Bool {
    switch self {
    case .get, .conflicts: true
    case .set, .delete, .increment, .add, .remove, .resolve, .watch, .status: false
    }
  }

  /// - Parameter asText: A value is a text as it stands, whatever it looks like.
  /// - Throws: `ValidationError` that tells what is missing, or too much.
  init(_ kind: Kind, _ words: [String], asText: Bool = false) throws {
    func path() throws -> String {
      guard let path = words.first else { throw ValidationError("\(kind.rawValue) needs a path") }
      if let problem = ModelPath.problem(with: path) { throw ValidationError("“\(path)” is no path: \(problem)") }
      return path
    }
    func value() throws -> ModelValue {
      guard words.count > 1 else { throw ValidationError("\(kind.rawValue) needs a path and a value") }
      guard case .value(let value) = try JSONValue(words[1], asText: asText) else {
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
      self = .set(try path(), try JSONValue(words[1], asText: asText))
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
      self = .resolve(try path(), .value(try value()))
      most = 2
    case .keep:
      guard let kept = words.count > 1 ? ModelKind(rawValue: words[1]) : nil else {
        let kinds = ModelKind.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("keep needs a path and a kind; expected one of \(kinds)")
      }
      self = .resolve(try path(), .kind(kept))
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

  /// From a line: an action, a path, and the rest as the value. A path with spaces stands in quotes, as a JSON text.
  init(line: String, asText: Bool = false) throws {
    var words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true).map(String.init)
    if words.count > 1, words[1].hasPrefix("\"") {
      let rest = line.drop { $0 == " " }.dropFirst(words[0].count).drop { $0 == " " }
      guard let quoted = rest.prefixMatch(of: /"(\\.|[^"\\])*"/)?.output.0,
        let path = try? JSONDecoder().decode(String.self, from: Data(quoted.utf8))
      else { throw ValidationError("the path begins with a quote and does not end with one") }
      words = [words[0], path] + [String(rest.dropFirst(quoted.count).drop { $0 == " " })].filter { !$0.isEmpty }
    }
    guard let first = words.first, let kind = Kind(rawValue: first), kind != .apply, kind != .watch else {
      let known = Kind.allCases.filter { $0 != .apply && $0 != .watch }.map(\.rawValue)
      throw ValidationError(
        "“\(words.first ?? "")” is no action; expected one of \(known.joined(separator: ", "))")
    }
    try self.init(kind, Array(words.dropFirst()), asText: asText)
  }

  /// Makes its change as part of a transaction. What only shows something does nothing.
  func edit(_ edits: inout ModelEdits) throws {
    switch self {
    case .set(let path, let value): try value.set(path, in: &edits)
    case .delete(let path): try edits.delete(path)
    case .increment(let path, let amount): try edits.increment(path, by: amount)
    case .add(let path, let value): try edits.add(value, to: path)
    case .remove(let path, let value): try edits.remove(value, from: path)
    case .resolve(let path, let resolution):
      guard try !edits.candidates(at: path).isEmpty else { throw CommandFailure("there is no conflict at \(path)") }
      try edits.resolve(path, resolution)
    case .get, .conflicts, .watch, .status: break
    }
  }
}
