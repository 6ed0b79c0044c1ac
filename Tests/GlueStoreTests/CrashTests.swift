import GlueCore
import GlueStore
import Testing

@testable import StoreVictim

/// A store whose process is killed at any moment has all that was confirmed, and nothing half.
@Suite struct CrashTests {
  @Test(arguments: [(1, 100), (7, 2_000), (100, 100), (2, 100_000)])
  func whatWasConfirmedSurvivesAKill(_ messages: Int, _ bytes: Int) throws {
    let directory = try TemporaryDirectory()
    let stream = VictimStream(messages: messages, bytes: bytes)
    var next = 0
    for _ in 0..<12 {
      let victim = try VictimProcess(["write", directory.store, "\(messages)", "\(bytes)"])
      // It writes on while this reads, so it may be anywhere when it is killed.
      let confirmations = Int.random(in: 1...40)
      for _ in 0..<confirmations {
        #expect(victim.line() == "\(next)")
        next += 1
      }
      for line in victim.kill() {
        #expect(line == "\(next)")
        next += 1
      }
      let store = try SQLiteStore(directory: directory.store)
      let found = try stream.batches(in: store.load(now: .current()))
      // The last one may have been written and not been confirmed any more.
      #expect(found.upperBound == next || found.upperBound == next + 1)
      #expect(store.byteCount == found.count * messages * bytes)
      next = found.upperBound
      try store.close()
    }
  }

  @Test func aProcessThatHasTheStoreKeepsOthersOut() throws {
    let directory = try TemporaryDirectory()
    let victim = try VictimProcess(["hold", directory.store])
    #expect(victim.line() == "open")
    for _ in 0..<3 {
      let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.store) }
      #expect(error?.kind == .locked)
      #expect(error?.path == directory.database)
    }
    _ = victim.kill()
    #expect(try SQLiteStore(directory: directory.store).load(now: .current()) == StoredContents())
  }

  @Test func anotherStoreOfTheSameProcessIsKeptOutToo() throws {
    let directory = try TemporaryDirectory()
    let store = try SQLiteStore(directory: directory.store)
    for _ in 0..<3 {
      let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.store) }
      #expect(error?.kind == .locked)
    }
    // The attempts have not let go the lock: other processes are kept out as before.
    let victim = try VictimProcess(["hold", directory.store])
    #expect(victim.line() == "failed locked")
    #expect(victim.status() == 1)
    try store.write([.stream(.sample())])
    try store.close()
    #expect(try SQLiteStore(directory: directory.store).load(now: .current()).streams.count == 1)
  }
}
