import ArgumentParser
import Glue
import GlueModel
import GlueQuorum

/// Something to do with a quorum model, as it was written on the command line.
enum QuorumAction: Sendable {
  case found([EndpointID])
  case join
  case status
  case get(String?)
  case set(String, JSONValue)
  case delete(String)
  case increment(String, Int64)
  case compareAndSet(String, ModelValue?, ModelValue?)
  case watch(String?)
  case lock(String, command: [String])
  case members(MemberChange?)
  case resolve(QuorumToken)
  case bench

  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case `init`, join, status, get, set, delete, increment, cas, watch, lock, members, resolve, bench

    /// Whether it goes on until somebody ends it.
    var isLasting: Bool {
      switch self {
      case .`init`, .join, .watch, .lock, .bench: true
      case .status, .get, .set, .delete, .increment, .cas, .members, .resolve: false
      }
    }
  }

  enum MemberChange: Sendable {
    case add(EndpointID, asVoter: Bool)
    case remove(EndpointID)
  }

  /// - Parameters:
  ///   - asText: A value is a text as it stands, whatever it looks like.
  /// - Throws: `ValidationError` that tells what is missing, or too much.
  init(_ kind: Kind, _ given: [String], asText: Bool = false) throws {
    // The sign that no more options come, if the parser has left it there.
    let end = given.firstIndex(of: "--")
    let words = given.enumerated().filter { $0.offset != end }.map(\.element)
    func path() throws -> String {
      guard let path = words.first else { throw ValidationError("\(kind.rawValue) needs a path") }
      if let problem = ModelPath.problem(with: path) { throw ValidationError("“\(path)” is no path: \(problem)") }
      return path
    }
    /// JSON null stands for nothing.
    func value(_ index: Int) throws -> ModelValue? {
      guard words.count > index else { throw ValidationError("cas needs a path, what is expected, and a value") }
      guard case .value(let value) = try JSONValue(words[index], asText: asText) else {
        throw ValidationError("cas takes no object: expected a text, a number, true, false, null or a list")
      }
      // Not `? nil : …`, which would be the value null.
      return value == .null ? .none : .some(value)
    }
    let most: Int
    switch kind {
    case .`init`:
      guard !words.isEmpty else {
        throw ValidationError("init needs the IDs of the voters, of whom this endpoint is one")
      }
      let voters = try words.map(parseEndpointID)
      if let problem = Quorum.problem(withVoters: voters) { throw ValidationError("init: \(problem)") }
      self = .found(voters)
      most = words.count
    case .join:
      self = .join
      most = 0
    case .status:
      self = .status
      most = 0
    case .get, .watch:
      let path = words.isEmpty ? nil : try path()
      self = kind == .get ? .get(path) : .watch(path)
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
    case .cas:
      self = .compareAndSet(try path(), try value(1), try value(2))
      most = 3
    case .lock:
      guard let name = words.first else { throw ValidationError("lock needs the name of a lock") }
      self = .lock(name, command: Array(words.dropFirst()))
      most = words.count
    case .members:
      self = .members(words.isEmpty ? nil : try Self.memberChange(words))
      most = 2
    case .resolve:
      guard let token = words.first.flatMap({ QuorumToken($0) }) else {
        throw ValidationError("resolve needs a token as it was shown: a quorum, a session and a number, joined by -")
      }
      self = .resolve(token)
      most = 1
    case .bench:
      self = .bench
      most = 0
    }
    guard words.count <= most else {
      throw ValidationError("“\(words[most])” is too much for \(kind.rawValue); put a value with spaces in quotes")
    }
  }

  private static func memberChange(_ words: [String]) throws -> MemberChange {
    guard words.count > 1, ["add", "learner", "remove"].contains(words[0]) else {
      throw ValidationError("members takes nothing, or one of add, learner and remove, and an endpoint's ID")
    }
    let endpoint = try parseEndpointID(words[1])
    return words[0] == "remove" ? .remove(endpoint) : .add(endpoint, asVoter: words[0] == "add")
  }
}

/// Reads the ID of an endpoint.
func parseEndpointID(_ text: String) throws -> EndpointID {
  guard let number = UInt64(text), number > 0 else {
    throw ValidationError("“\(text)” is no endpoint's ID; expected a whole number from 1 to 2⁶⁴−1")
  }
  return EndpointID(number)
}

extension JSONValue {
  /// The changes that set a path to it. A map is replaced as a whole.
  func edits(_ path: String) throws(ModelError) -> [ModelEdit] {
    switch self {
    case .value(let value): return [.set(try ModelPath(path), value)]
    case .object(let fields):
      let place = try ModelPath(path)
      var edits: [ModelEdit] = [.delete(place), .makeMap(place)]
      for (key, value) in fields { edits += try value.edits("\(path)/\(ModelPath.level(forKey: key))") }
      return edits
    }
  }
}
