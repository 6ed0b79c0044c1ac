import ArgumentParser
import Glue
import Testing

@testable import GlueCLI

/// What the words of `glue quorum` mean, and what is said of those that mean nothing.
@Suite struct QuorumActionTests {
  private struct Unexpected: Error {}

  private func action(_ words: [String], asText: Bool = false) throws -> QuorumAction {
    let kind = try #require(QuorumAction.Kind(rawValue: words[0]))
    return try QuorumAction(kind, Array(words.dropFirst()), asText: asText)
  }

  /// As the command itself does: with options, and what is checked when all are there.
  private func complaint(about words: [String]) -> String? {
    do {
      _ = try GlueCommand.parseAsRoot(["quorum"] + words)
      return nil
    } catch {
      return GlueCommand.message(for: error)
    }
  }

  @Test func wordsAreActions() throws {
    guard case .found(let voters) = try action(["init", "1", "2", "18446744073709551615"]) else { throw Unexpected() }
    #expect(voters == [EndpointID(1), EndpointID(2), EndpointID(.max)])
    guard case .get(nil) = try action(["get"]), case .get("a/b") = try action(["get", "a/b"]) else {
      throw Unexpected()
    }
    guard case .watch(nil) = try action(["watch"]), case .watch("a") = try action(["watch", "a"]) else {
      throw Unexpected()
    }
    guard case .set("a", .value(.int(-3))) = try action(["set", "a", "-3"]) else { throw Unexpected() }
    guard case .set("a", .value(.string("-3"))) = try action(["set", "a", "-3"], asText: true) else {
      throw Unexpected()
    }
    guard case .increment("a", 1) = try action(["increment", "a"]) else { throw Unexpected() }
    guard case .increment("a", -3) = try action(["increment", "a", "-3"]) else { throw Unexpected() }
    guard case .members(nil) = try action(["members"]) else { throw Unexpected() }
    guard case .members(.add(EndpointID(4), asVoter: true)) = try action(["members", "add", "4"]) else {
      throw Unexpected()
    }
    guard case .members(.add(EndpointID(4), asVoter: false)) = try action(["members", "learner", "4"]) else {
      throw Unexpected()
    }
    guard case .members(.remove(EndpointID(4))) = try action(["members", "remove", "4"]) else { throw Unexpected() }
    guard case .lock("door", command: []) = try action(["lock", "door"]) else { throw Unexpected() }
    guard case .lock("door", command: ["sh", "-c", "true"]) = try action(["lock", "door", "--", "sh", "-c", "true"])
    else { throw Unexpected() }
    guard case .lock("door", command: ["echo", "--"]) = try action(["lock", "door", "--", "echo", "--"]) else {
      throw Unexpected()
    }
  }

  /// Nothing is something else than the value null.
  @Test func nullIsNothingToCompareAndSet() throws {
    guard case .compareAndSet("a", let expected, let value) = try action(["cas", "a", "null", "1"]) else {
      throw Unexpected()
    }
    #expect(expected == Optional.none && value == .some(.int(1)))
    guard case .compareAndSet("a", .some(.string("x")), .none) = try action(["cas", "a", "x", "null"]) else {
      throw Unexpected()
    }
  }

  @Test func tokensAreReadAsTheyAreShown() throws {
    let text = "0000000000000001ffffffffffffffff-7-12"
    guard case .resolve(let token) = try action(["resolve", text]) else { throw Unexpected() }
    #expect("\(token)" == text)
  }

  @Test(arguments: [
    (["init"], "IDs of the voters"), (["init", "0"], "“0” is no endpoint's ID"), (["init", "1", "x"], "“x” is no"),
    (["init", "-1"], "“-1” is no endpoint's ID"), (["init", "18446744073709551616"], "from 1 to 2⁶⁴−1"),
    (["join", "a"], "“a” is too much for join"), (["status", "a"], "“a” is too much for status"),
    (["bench", "a"], "“a” is too much for bench"),
    (["get", "a//b"], "“a//b” is no path"), (["get", "a", "b"], "“b” is too much for get"),
    (["watch", "a/+"], "“a/+” is no path"), (["watch", "a", "b"], "“b” is too much for watch"),
    (["set"], "set needs a path and a value"), (["set", "a"], "set needs a path and a value"),
    (["set", "a", "b", "c"], "“c” is too much for set; put a value with spaces in quotes"),
    (["set", "#", "1"], "“#” is no path"), (["set", "a", "99999999999999999999"], "99999999999999999999"),
    (["delete"], "delete needs a path"), (["delete", "/a"], "“/a” is no path"),
    (["delete", "a", "b"], "“b” is too much"),
    (["increment"], "increment needs a path"), (["increment", "a", "1.5"], "“1.5” is no whole number of 64 bits"),
    (["increment", "a", "9223372036854775808"], "“9223372036854775808” is no whole number"),
    (["increment", "a", "1", "2"], "“2” is too much"),
    (["cas"], "cas needs a path"), (["cas", "a"], "cas needs a path, what is expected, and a value"),
    (["cas", "a", "1"], "cas needs a path, what is expected, and a value"), (["cas", "a", "{}", "1"], "no object"),
    (["cas", "a", "1", "{}"], "no object"), (["cas", "a", "1", "2", "3"], "“3” is too much for cas"),
    (["lock"], "lock needs the name of a lock"),
    (["members", "add"], "members takes nothing, or one of add, learner and remove"),
    (["members", "promote", "4"], "members takes nothing, or one of add, learner and remove"),
    (["members", "add", "four"], "“four” is no endpoint's ID"), (["members", "add", "4", "5"], "“5” is too much"),
    (["resolve"], "resolve needs a token"), (["resolve", "x"], "resolve needs a token as it was shown"),
    (["resolve", "0123-1-2"], "a quorum, a session and a number"),
  ])
  func mistakesAreNamed(_ words: [String], _ text: String) throws {
    let error = try #require(throws: ValidationError.self) { _ = try action(words) }
    #expect(error.message.contains(text), "\(words): \(error.message)")
  }

  @Test(arguments: [
    (["q", "nosuch"], "nosuch"), (["q"], "Missing expected argument"), ([], "Missing expected argument"),
    (["q", "init", "1"], "init needs --store"), (["q", "join"], "join needs --store"),
    (["q", "join", "--store", ""], "--store takes the name of a directory"),
    (["q", "set", "a", "1", "--stale"], "--stale is for get"),
    (["q", "join", "--store", "s", "--once"], "--once is for init"),
    (["q", "get", "--timeout", "5"], "a duration is a number and a unit"),
    (["q", "get", "--timeout", "-5s"], "--timeout"),
    (["q", "bench", "--clients", "0"], "whole number of at least 1"),
    (["q", "bench", "--clients", "1001"], "at most 1000"),
    (["q", "bench", "--keys", "x"], "whole number of at least 1"), (["q", "bench", "--reads", "101"], "0 to 100"),
    (["q", "bench", "--payload", "x"], "a size is a number of bytes"),
    (["q", "bench", "--payload", "1MB"], "32 to 65472 bytes"), (["q", "bench", "--payload", "8"], "32 to 65472 bytes"),
    (["q", "bench", "--duration", "0s"], "longer than nothing"),
    (["q", "get", "--clients", "3"], "--clients is for bench"),
    (["q", "get", "--keep"], "--keep is for bench"), (["q", "get", "a", "--text"], "--text is for set and cas"),
    (["q", "set", "a", "1", "--timeout", "0s"], "longer than nothing"), (["#", "get"], "names no model"),
    (["$q", "get"], "begins with $"), (["q", "init", "1", "2", "--store", "x"], "1, 3, 5, 7 or 9"),
    (["q", "init", "1", "1", "2", "--store", "x"], "named twice"),
    (["q", "get", "--snapshot-after", "1MB"], "--snapshot-after is for init and join"),
    (["q", "bench", "--duration", "x"], "a duration"),
  ])
  func mistakesOfTheCommandAreNamed(_ words: [String], _ text: String) {
    let complaint = complaint(about: words)
    #expect(complaint?.contains(text) == true, "\(words): \(complaint ?? "no complaint")")
  }

  @Test(arguments: [
    ["q", "get"], ["q", "get", "a", "--stale", "--json"], ["q", "init", "1", "--store", "s", "--once", "--lan"],
    ["q", "set", "a", "--text", "x"], ["rooms/vault", "status"], ["q", "lock", "door", "--", "sh", "-c", "exit 3"],
    ["q", "bench", "--clients", "2", "--reads", "100", "--timeout", "1s"],
  ])
  func commandsThatAreRight(_ words: [String]) {
    #expect(complaint(about: words) == nil)
  }

  @Test(arguments: [
    (["check-history"], "Missing expected argument"), (["check-history", "f", "--states", "0"], "at least 1"),
  ])
  func mistakesOfTheCheckerAreNamed(_ words: [String], _ text: String) throws {
    let error = try #require(throws: (any Error).self) { _ = try GlueCommand.parseAsRoot(words) }
    #expect(GlueCommand.message(for: error).contains(text))
  }
}
