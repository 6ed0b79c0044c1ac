import Foundation
import Testing

@testable import GlueCLI

@Suite struct OutputTests {
  @Test func filesAreNamedReadably() {
    let name = MessageFile.name(topic: "home/kitchen-2/t.raw", publisher: 41, incarnation: 7, sequence: 3)
    #expect(name == "home_kitchen-2_t.raw-41-7-3")
    #expect(MessageFile.name(topic: "../ü_", publisher: 1, incarnation: 1, sequence: 0) == "%2E._%C3%BC%5F-1-1-0")
  }

  @Test func noTwoMessagesShareAFile() {
    let long = String(repeating: "l", count: 255)
    let topics = [
      "a/b", "a_b", "a%5Fb", "a b", "a.b", "a", "a-1", "A", ".", "..", "%2E", "é", "e\u{301}", long + "1", long + "2",
      String(repeating: "ü", count: 127), String(repeating: "ü", count: 128),
    ]
    var names: Set<String> = []
    for topic in topics {
      for publisher: UInt64 in [1, 11] {
        for incarnation: UInt64 in [1, 11, .max] {
          for sequence: UInt64 in [0, 1, 11] {
            names.insert(
              MessageFile.name(topic: topic, publisher: publisher, incarnation: incarnation, sequence: sequence))
          }
        }
      }
    }
    #expect(names.count == topics.count * 2 * 3 * 3)
    let longest = MessageFile.name(topic: long, publisher: .max, incarnation: .max, sequence: .max)
    for name in names.union([longest]) {
      #expect(name.utf8.count <= 255 && !name.contains("/") && !name.hasPrefix("."), "\(name)")
    }
  }

  @Test func filesAreWrittenWhole() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("glue-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/in/here"
    try Files.makeDirectory(path)
    try Files.makeDirectory(path + "/")
    for bytes in [[UInt8](repeating: 1, count: 300_000), [2]] {
      try Files.write(bytes, to: "name", in: path)
      #expect(try Files.contents(of: path + "/name", limit: 1_000_000) == bytes)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["name"])
    let error = #expect(throws: OutputFailure.self) { try Files.makeDirectory(path + "/name") }
    #expect(error?.text == "cannot write \(path)/name: \(Files.reason(ENOTDIR))")
    let other = #expect(throws: OutputFailure.self) { try Files.write([], to: "name", in: path + "/nosuch") }
    #expect(other?.text == "cannot write \(path)/nosuch/name: \(Files.reason(ENOENT))")
  }

  @Test func aFullDeviceIsNamedAndAGoneReaderIsNone() throws {
    let full = open("/dev/full", O_WRONLY)
    if full >= 0 {  // Linux
      defer { close(full) }
      let error = #expect(throws: OutputFailure.self) { try Console.write("x", to: full) }
      #expect(error?.text == "cannot write standard output: \(Files.reason(ENOSPC))")
      #expect(error?.isReaderGone == false)
    }
    #expect(OutputFailure("standard output", EPIPE).isReaderGone)
  }

  @Test func aFullPipeIsWaitedFor() throws {
    let pipe = Pipe()
    let writing = pipe.fileHandleForWriting
    #expect(fcntl(writing.fileDescriptor, F_SETFL, O_NONBLOCK) == 0)
    let text = String(repeating: "x", count: 1_000_000)  // more than a pipe holds
    let (received, end) = (Shared<Data?>(nil), DispatchSemaphore(value: 0))
    Thread.detachNewThread {
      let data = try? pipe.fileHandleForReading.readToEnd()
      received.withLock { $0 = data }
      end.signal()
    }
    try Console.write(text, to: writing.fileDescriptor)
    try writing.close()
    end.wait()
    #expect(received.value == Data((text + "\n").utf8))
  }
}
