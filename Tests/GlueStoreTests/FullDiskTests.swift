import Foundation
import GlueCore
import GlueStore
import Testing

@testable import StoreVictim

/// When the disk takes no more, nothing of the batch is there, everything before it is, and writing goes on when there is room.
@Suite struct FullDiskTests {
  @Test func aFullDatabaseLosesNothing() throws {
    let directory = try TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.store)
    let stream = StoredStream.sample()
    try store.write([.stream(stream)] + (0..<50).map { .message(.sample($0), of: stream.hash) })
    try store.limitPages(to: 100)
    let large = StoredMessage.sample(51, body: [UInt8](repeating: 1, count: 1 << 20))
    for _ in 0..<3 {
      let error = #expect(throws: StoreError.self) {
        try store.write([
          .message(.sample(50), of: stream.hash), .forget(stream.hash, below: 10), .message(large, of: stream.hash),
        ])
      }
      #expect(error?.kind == .full)
      #expect(error?.path == directory.database)
      #expect(try store.sequences(of: stream) == Array(0..<50))
      #expect(store.byteCount == 150)
    }
    // What fits is still taken, and forgetting works.
    try store.write([.message(.sample(50), of: stream.hash), .forget(stream.hash, below: 10)])
    #expect(try store.sequences(of: stream) == Array(10..<51))
    try store.limitPages(to: 1 << 20)
    try store.write([.message(large, of: stream.hash)])
    #expect(try store.sequences(of: stream) == Array(10..<52))
    try store.close()
    #expect(try SQLiteStore(directory: directory.store).sequences(of: stream) == Array(10..<52))
  }

  /// The system refuses to make a file longer, which to SQLite is an error of the disk.
  @Test(arguments: [(10, 1_000), (1, 200_000)]) func anErrorOfTheDiskLosesNothing(_ messages: Int, _ bytes: Int) throws
  {
    let directory = try TemporaryDirectory()
    let victim = try VictimProcess(["fill", directory.store, "\(messages)", "\(bytes)", "1000000", "none"])
    #expect(victim.line() == "failed inputOutput")
    let before = try #require(victim.count())
    let after = try #require(victim.count())
    #expect(before > 0 && after == before + 10)
    #expect(victim.status() == 0)
    try VictimStream(messages: messages, bytes: bytes).expect(0..<after, in: SQLiteStore(directory: directory.store))
  }

  @Test func nothingOfAFailedBatchIsThereAfterTheEndOfTheProcess() throws {
    let directory = try TemporaryDirectory()
    let victim = try VictimProcess(["fill", directory.store, "10", "1000", "1000000", "none"])
    #expect(victim.line() == "failed inputOutput")
    let count = try #require(victim.count())
    let rest = victim.kill()
    // It may have got further.
    let written = rest.isEmpty ? count...count + 10 : count + 10...count + 10
    let store = try SQLiteStore(directory: directory.store)
    let found = try VictimStream(messages: 10, bytes: 1_000).batches(in: store.load(now: .current()))
    #expect(written.contains(found.upperBound))
  }

  @Test(
    .enabled(if: canMount, "mounting a small file system needs Linux and root"), arguments: [(10, 1_000), (1, 200_000)])
  func aFullDiskLosesNothing(_ messages: Int, _ bytes: Int) throws {
    let directory = try TemporaryDirectory()
    let mount = """
      mount -t tmpfs -o size=8m glue \(directory.path) && head -c 4m /dev/zero >\(directory.path)/ballast && exec "$0" "$@"
      """
    let victim = try VictimProcess(
      launcher: ["/usr/bin/unshare", "--mount", "sh", "-c", mount],
      ["fill", directory.store, "\(messages)", "\(bytes)", "0", directory.path + "/ballast"])
    #expect(victim.line() == "failed full")
    let before = try #require(victim.count())
    #expect(before > 0 && victim.count() == before + 10)
    #expect(victim.status() == 0)
  }

  /// Whether this process may mount in a namespace of its own.
  static let canMount: Bool = {
    #if os(Linux)
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
      process.arguments = ["--mount", "mount", "-t", "tmpfs", "glue", "/tmp"]
      process.standardError = FileHandle.nullDevice
      let ended = DispatchSemaphore(value: 0)
      process.terminationHandler = { _ in ended.signal() }
      guard (try? process.run()) != nil else { return false }
      ended.wait()
      return process.terminationStatus == 0
    #else
      return false
    #endif
  }()

  @Test func theFileStaysNearWhatIsLive() throws {
    let directory = try TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.store)
    let stream = StoredStream.sample()
    try store.write([.stream(stream)])
    let (live, round) = (2_000, 500)  // messages of 1,000 bytes: 2 MB, and a quarter of that each time
    for first in stride(from: 0, to: 20_000, by: round) {
      let messages = (first..<first + round).map {
        StoreWrite.message(.sample(UInt64($0), body: [UInt8](repeating: 9, count: 1_000)), of: stream.hash)
      }
      try store.write(messages + [.forget(stream.hash, below: UInt64(max(first + round - live, 0)))])
      #expect(try directory.bytesOnDisk() < 3 * live * 1_000 + 8 << 20)
    }
    #expect(store.byteCount == live * 1_000)
  }

  @Test func theFileShrinksWhenMessagesGo() throws {
    let directory = try TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.store)
    let stream = StoredStream.sample()
    let body = [UInt8](repeating: 9, count: 100_000)
    try store.write([.stream(stream)] + (0..<300).map { .message(.sample($0, body: body), of: stream.hash) })
    #expect(try directory.bytesOnDisk() > 30_000_000)
    // Some batches later it is small again, whatever they are.
    for sequence in 300..<330 as Range<UInt64> {
      try store.write([.message(.sample(sequence), of: stream.hash), .forget(stream.hash, below: sequence)])
    }
    try store.close()
    #expect(try directory.bytesOnDisk() < 5_000_000)
  }
}

extension VictimProcess {
  /// How many batches it says that it wrote.
  fileprivate func count() -> Int? {
    guard let line = line(), line.hasPrefix("wrote ") else { return nil }
    return Int(line.dropFirst(6))
  }
}
