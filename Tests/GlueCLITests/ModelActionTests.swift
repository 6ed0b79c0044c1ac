import ArgumentParser
import Glue
import Testing

@testable import GlueCLI

/// What words on the command line and lines of `apply` mean.
@Suite struct ModelActionTests {
  private func value(_ text: String, asText: Bool = false) throws -> ModelValue? {
    guard case .set(_, .value(let value)) = try ModelAction(.set, ["p", text], asText: asText) else { return nil }
    return value
  }

  @Test func valuesAreJSONOrTexts() throws {
    #expect(try value("21.5") == .double(21.5))
    #expect(try value("21") == .int(21))
    #expect(try value("-9223372036854775808") == .int(.min))
    #expect(try value("on") == .string("on"))
    #expect(try value("\"7\"") == .string("7"))
    #expect(try value("[1, \"two\", null, true]") == .list([1, "two", nil, true]))
    #expect(try value("{\"a\": 1}") == nil, "an object is a map")
    #expect(try value("1e20") == .double(1e20))
    for text in ["7", "true", "[1]", "{\"a\": 1}", "99999999999999999999"] {
      #expect(try value(text, asText: true) == .string(text))
    }
  }

  @Test(arguments: ["9223372036854775808", "[1, -99999999999999999999]", "{\"a\": {\"b\": 18446744073709551616}}"])
  func wholeNumbersThatDoNotFitAreRefused(_ text: String) throws {
    #expect(throws: ValidationError.self) { try ModelAction(.set, ["p", text]) }
  }

  @Test func digitsInTextsAreNoNumbers() throws {
    #expect(try value("[\"99999999999999999999\", \"a\\\"99999999999999999999\"]") != nil)
  }

  @Test func linesAreActions() throws {
    guard case .set("a", .value("b c")) = try ModelAction(line: "set a b c") else { throw Unexpected() }
    guard case .resolve("a", .kind(.map)) = try ModelAction(line: "keep a map") else { throw Unexpected() }
    guard case .increment("a", -3) = try ModelAction(line: "increment a -3") else { throw Unexpected() }
  }

  private struct Unexpected: Error {}

  @Test(arguments: [
    ["set", "a"], ["keep", "a"], ["keep", "a", "nosuch"], ["increment", "a", "x"], ["add", "a", "{}"], ["delete"],
    ["delete", "a", "b"], ["get", "a//b"], ["status", "a"],
  ])
  func mistakesAreNamed(_ words: [String]) throws {
    let kind = try #require(ModelAction.Kind(rawValue: words[0]))
    #expect(throws: ValidationError.self) { try ModelAction(kind, Array(words.dropFirst())) }
  }
}
