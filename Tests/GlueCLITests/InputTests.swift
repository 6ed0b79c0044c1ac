import Foundation
import Testing

@testable import GlueCLI

@Suite struct InputTests {
  /// A pipe that a thread of its own fills and closes.
  private func pipe(_ bytes: [UInt8]) -> Pipe {
    let pipe = Pipe()
    Thread.detachNewThread {
      try? pipe.fileHandleForWriting.write(contentsOf: Data(bytes))
      try? pipe.fileHandleForWriting.close()
    }
    return pipe
  }

  @Test func aPipeIsReadToItsEnd() throws {
    let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    let pipe = pipe(bytes)
    let path = "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)"
    #expect(try Files.contents(of: path, limit: bytes.count) == bytes)
  }

  @Test func noMoreIsReadThanMayBePublished() throws {
    let error = try #require(throws: CommandFailure.self) { _ = try Files.contents(of: "/dev/zero", limit: 1_000) }
    #expect(error.text == "/dev/zero has more than 1000 bytes, the largest message")
  }

  @Test(arguments: [("/nosuch/file", ENOENT), ("/", EISDIR)])
  func theReasonIsNamed(_ path: String, _ number: Int32) throws {
    let error = try #require(throws: CommandFailure.self) { _ = try Files.contents(of: path, limit: 1_000) }
    #expect(error.text == "cannot read \(path): \(Files.reason(number))")
  }

  @Test func linesAsTheyAre() async throws {
    let pipe = pipe(Array("one\n\ntwo\r\n\u{FF}".utf8))
    let reader = LineReader(pipe.fileHandleForReading.fileDescriptor, limit: 4)
    var lines: [[UInt8]] = []
    while let line = try await reader.next() { lines.append(line) }
    #expect(lines == ["one", "", "two\r", "\u{FF}"].map { Array($0.utf8) })
  }

  @Test(arguments: ["12345", "12345\n"])
  func aLineThatIsTooLong(_ text: String) async throws {
    let pipe = pipe(Array("1234\n\(text)".utf8))
    let reader = LineReader(pipe.fileHandleForReading.fileDescriptor, limit: 4)
    #expect(try await reader.next() == Array("1234".utf8))
    let error = await #expect(throws: CommandFailure.self) { _ = try await reader.next() }
    #expect(error?.text == "a line of standard input has more than 4 bytes, the largest message")
  }

  @Test func whatCannotBeReadIsNoEnd() async throws {
    let directory = open("/", O_RDONLY)
    defer { close(directory) }
    let error = await #expect(throws: CommandFailure.self) { _ = try await LineReader(directory, limit: 4).next() }
    #expect(error?.text == "cannot read standard input: \(Files.reason(EISDIR))")
  }
}
