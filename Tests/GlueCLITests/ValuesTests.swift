import Testing

@testable import GlueCLI

@Suite struct ValuesTests {
  @Test(arguments: [
    ("500ms", Duration.milliseconds(500)), ("10s", .seconds(10)), ("2m", .seconds(120)), ("1h", .seconds(3_600)),
    ("1.5s", .milliseconds(1_500)), ("250us", .microseconds(250)), ("0s", .zero),
  ])
  func durations(_ text: String, _ expected: Duration) throws {
    #expect(try parseDuration(text) == expected)
  }

  @Test(arguments: ["", "10", "s", "-1s", "1e3s", "1 s", "1s ", "١s", "1.2.3s", "99999999999999999h", "1d"])
  func refusedDurations(_ text: String) {
    #expect(throws: (any Error).self) { try parseDuration(text) }
  }

  @Test(arguments: [
    ("64", 64), ("64B", 64), ("64KiB", 65_536), ("16MB", 16_000_000), ("16MiB", 16_777_216), ("0", 0), ("0.5KiB", 512),
  ])
  func sizes(_ text: String, _ expected: Int) throws {
    #expect(try parseByteCount(text) == expected)
  }

  @Test(arguments: ["", "KiB", "-1", "1kb", "1.5", "1 KiB", "9999999999999GB", "0x10"])
  func refusedSizes(_ text: String) {
    #expect(throws: (any Error).self) { try parseByteCount(text) }
  }

  @Test func historyRequests() throws {
    #expect(try parseHistoryRequest("0") == .none)
    #expect(try parseHistoryRequest("none") == .none)
    #expect(try parseHistoryRequest("3") == .last(3))
    #expect(try parseHistoryRequest("retained") == .retained)
    #expect(try parseHistoryRequest("all") == .all)
    for text in ["", "-1", "None", "Retained"] {
      #expect(throws: (any Error).self) { try parseHistoryRequest(text) }
    }
  }

  @Test func numbersForPeople() {
    #expect(Format.fixed(1.005, 1) == "1.0")
    #expect(Format.fixed(-0.04, 1) == "0.0")
    #expect(Format.fixed(-1.25, 1) == "-1.3")
    #expect(Format.fixed(12, 0) == "12")
    #expect(Format.bytes(65_536) == "64 KiB")
    #expect(Format.bytes(100) == "100 B")
  }

  @Test func jsonIsEscapedAndKeepsItsOrder() {
    var inner = JSONLine()
    inner.add("id", UInt64.max)
    var line = JSONLine()
    line.add("text", "a\"b\\c\n\u{1}ü")
    line.add("nothing", nil as String?)
    line.add("publisher", inner)
    line.add("age", 0.12345)
    #expect(
      line.line
        == #"{"text":"a\"b\\c\n\u0001ü","nothing":null,"publisher":{"id":18446744073709551615},"age":0.123}"#)
  }
}
