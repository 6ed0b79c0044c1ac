import GlueCore
import GlueSimulation
import Testing

@Suite struct HistoryFormatTests {
  private static let history = History(
    initial: [HistoryCell("x", "0"), HistoryCell("ключ \"\\\n\u{1F600}", "")],
    operations: [
      .init(process: 1, .read(key: "x", value: nil), call: 5, return: 9, .committed, index: 7),
      .init(process: 1, .read(key: "x", value: nil), call: 10, return: nil, .unknown),
      .init(process: 2, .write(key: "x", value: "\u{7}"), call: -5, return: 9, .failed),
      .init(process: 3, .delete(key: "x"), call: 1, return: 2, .rejected(reason: "no quorum")),
      .init(
        process: 3, .compareAndSet(key: "x", expected: nil, value: "1"), call: 3, return: 4, .rejected(reason: nil)),
      .init(
        process: 4, .transaction(conditions: [HistoryCell("a", nil)], writes: [HistoryCell("b", "2")]), call: 3,
        return: 4,
        .committed),
    ])

  @Test func whatIsWrittenIsRead() throws {
    let text = HistoryWriter.text(Self.history)
    #expect(try History(reading: [UInt8](text.utf8)) == Self.history)
    #expect(
      text.split(separator: "\n")[1] == """
        {"process":1,"operation":"read","key":"x","value":null,"call":5,"return":9,"outcome":"committed","index":7}
        """)
  }

  @Test(arguments: [
    ("", "line 1: it is empty; a history begins with {\"glue-history\":1}"),
    ("{}", "line 1: field glue-history: a history begins with {\"glue-history\":1}"),
    ("{\"glue-history\":2}", "line 1: field glue-history: version 2 is unknown; known is 1"),
    ("[]", "line 1: a value is a text, a whole number, null or an object"),
  ])
  func whatBeginsOtherwiseIsNoHistory(text: String, error: String) {
    #expect(Self.complaint(text) == error)
  }

  @Test(arguments: [
    ("", "it ends where a value should be"),
    (#"{"process":1"#, "an object does not end"),
    (#"{"process":1.5}"#, "field process: 1.5 is not a whole number of 64 bits"),
    (#"{"process":99999999999999999999}"#, "field process: 99999999999999999999 is not a whole number of 64 bits"),
    (#"{"process":1,"process":1}"#, "field process: it is there twice"),
    (#"{"process":1,"outcome":"done"}"#, "field outcome: it is committed, rejected, failed or unknown, not done"),
    (#"{"process":1,"outcome":"failed"}"#, "field operation: it is missing"),
    (
      #"{"process":1,"operation":"read","key":"x","call":1,"return":2,"outcome":"committed"}"#,
      "field value: it is missing"
    ),
    (
      #"{"process":1,"operation":"delete","key":"x","call":3,"return":2,"outcome":"failed"}"#,
      "field return: 2 is before the call at 3"
    ),
    (
      #"{"process":1,"operation":"delete","key":"x","call":3,"outcome":"failed"}"#,
      "field return: it is missing, and the outcome is not unknown"
    ),
    (
      #"{"process":1,"operation":"delete","key":"x","call":1,"return":2,"outcome":"failed","vlaue":"a"}"#,
      "field vlaue: it has no meaning here"
    ),
    (
      #"{"process":1,"operation":"delete","key":"x","call":1,"return":2,"outcome":"rejected"}"#,
      "field reason: a delete without conditions is rejected for a reason"
    ),
    (#"{"process":1,"operation":"delete","key":"\ud800","call":1}"#, "field key: a surrogate stands alone"),
  ])
  func anErrorNamesLineAndField(line: String, error: String) {
    #expect(Self.complaint("{\"glue-history\":1}\n\(line)\n") == "line 2: \(error)")
  }

  @Test func anyBytesAreAHistoryOrAnError() {
    var random = SeededGenerator(seed: 2)
    let text = [UInt8](HistoryWriter.text(Self.history).utf8)
    var read = 0
    for _ in 0..<3_000 {
      var bytes = text
      for _ in 0..<1 + random.next() % 3 {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      if (try? History(reading: bytes)) != nil { read += 1 }
    }
    #expect(read < 3_000)
  }

  private static func complaint(_ text: String) -> String? {
    do {
      _ = try History(reading: [UInt8](text.utf8))
      return nil
    } catch {
      return error.description
    }
  }
}
