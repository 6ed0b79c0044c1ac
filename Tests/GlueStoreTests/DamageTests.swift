import Foundation
import GRDB
import GlueCore
import GlueStore
import Testing

/// Whatever lies where the store should, opening or reading it gives an error that says so, and never traps.
@Suite struct DamageTests {
  let directory: TemporaryDirectory
  private let stream = StoredStream.sample()

  init() throws { directory = try TemporaryDirectory() }

  private func failure(_ path: String? = nil) -> StoreError? {
    #expect(throws: StoreError.self) { try SQLiteStore(directory: path ?? directory.store).load(now: .first(100)) }
  }

  /// Puts bytes where the database should be.
  private func put(_ bytes: Data) throws {
    try? FileManager.default.createDirectory(atPath: directory.store, withIntermediateDirectories: false)
    try bytes.write(to: URL(fileURLWithPath: directory.database))
  }

  /// The bytes of a database of 100 messages of different lengths, closed.
  private func database() throws -> Data {
    let store = try SQLiteStore(directory: directory.store)
    try store.write(
      [.stream(stream)]
        + (0..<100).map { .message(.sample($0, body: [UInt8](repeating: 3, count: Int($0 * $0))), of: stream.hash) })
    try store.close()
    return try Data(contentsOf: URL(fileURLWithPath: directory.database))
  }

  @Test func aFileIsNoDirectory() throws {
    try Data().write(to: URL(fileURLWithPath: directory.store))
    #expect(failure()?.kind == .notADirectory)
    #expect(failure(directory.store + "/below")?.kind == .notADirectory)
    #expect(failure(directory.path + "/missing/below")?.kind == .notADirectory)
    #expect(failure("")?.kind == .notADirectory)
  }

  @Test func aDirectoryMustBeWritable() throws {
    // Nobody may, not even root.
    #if os(Linux)
      let path = "/sys/glue"
    #else
      let path = "/glue"
    #endif
    let error = try #require(failure(path))
    #expect(error.kind == .notPermitted)
    #expect(error.description.contains(path))
  }

  @Test func theDirectoryIsPrivate() throws {
    _ = try database()
    for path in [directory.store: 0o700, directory.database: 0o600] {
      let attributes = try FileManager.default.attributesOfItem(atPath: path.key)
      #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == path.value)
    }
  }

  @Test func aDirectoryInPlaceOfTheFileIsRefused() throws {
    try FileManager.default.createDirectory(atPath: directory.database, withIntermediateDirectories: true)
    #expect(failure()?.kind == .notPermitted)
  }

  @Test(arguments: [2, 15, 16, 99, 100, 512, 4_096, 100_000]) func randomBytesAreNoCache(_ count: Int) throws {
    var noise = Noise(seed: count)
    try put(Data(noise.bytes(count)))
    #expect(failure()?.kind == .notACache)
  }

  @Test func anEmptyFileIsANewStore() throws {
    try put(Data())
    #expect(try SQLiteStore(directory: directory.store).load(now: .first(100)) == StoredContents())
  }

  @Test(arguments: ["CREATE TABLE t (a)", "PRAGMA application_id = 5", "PRAGMA user_version = 1"])
  func anotherProgramsDatabaseIsLeftAlone(_ sql: String) throws {
    try FileManager.default.createDirectory(atPath: directory.store, withIntermediateDirectories: false)
    try DatabaseQueue(path: directory.database).write { try $0.execute(sql: sql) }
    let before = try Data(contentsOf: URL(fileURLWithPath: directory.database))
    #expect(failure()?.kind == .notACache)
    #expect(try Data(contentsOf: URL(fileURLWithPath: directory.database)) == before)
  }

  @Test func aNewerSchemaIsRefused() throws {
    _ = try database()
    try DatabaseQueue(path: directory.database).write { try $0.execute(sql: "PRAGMA user_version = 2") }
    #expect(failure()?.kind == .newerSchema)
  }

  @Test func aTruncatedDatabaseIsDamaged() throws {
    let whole = try database()
    for length in stride(from: whole.count - 1, to: 4_096, by: -max(whole.count / 40, 1)) {
      try put(whole.prefix(length))
      let error = try #require(failure(), "of \(whole.count) bytes \(length) are left")
      #expect(error.kind == .corrupt)
    }
  }

  /// A page of a tree is noticed. In one that continues a long body SQLite sees only bytes, and gives back what is there.
  @Test(arguments: ["zeros", "ones", "noise"]) func aDamagedPageIsNoticedOrHarmless(_ filling: String) throws {
    let whole = try database()
    var noise = Noise(seed: 1)
    var noticed = 0
    for page in 0..<whole.count / 4_096 {
      var damaged = whole
      let bytes =
        switch filling {
        case "zeros": [UInt8](repeating: 0, count: 4_096)
        case "ones": [UInt8](repeating: 255, count: 4_096)
        default: noise.bytes(4_096)
        }
      damaged.replaceSubrange(page * 4_096..<(page + 1) * 4_096, with: bytes)
      try put(damaged)
      do {
        let store = try SQLiteStore(directory: directory.store)
        let contents = try store.load(now: .first(100))
        #expect(contents.streams.flatMap(\.messages).count <= 100)
        try store.write([.forgetStream(stream.hash)])
      } catch {
        noticed += 1
      }
    }
    #expect(noticed >= 5)
  }

  @Test(arguments: [
    "UPDATE message SET body = 5", "UPDATE message SET body = 'text'", "UPDATE message SET time = 'x'",
    "UPDATE message SET time = 1.5", "UPDATE message SET lifetime = x'00'", "UPDATE message SET boot = 99",
    "UPDATE message SET stream = 99", "UPDATE stream SET hash = 99", "UPDATE stream SET number = 99",
    "UPDATE stream SET topic = x'ff'", "UPDATE stream SET type = 1", "UPDATE stream SET history = 9",
    "UPDATE stream SET history = 2, depth = NULL", "UPDATE stream SET name = 'text'", "DELETE FROM boot",
    "DELETE FROM stream",
  ]) func rowsThatNobodyWritesAreDamage(_ sql: String) throws {
    _ = try database()
    var configuration = Configuration()
    configuration.foreignKeysEnabled = false
    try DatabaseQueue(path: directory.database, configuration: configuration).write { try $0.execute(sql: sql) }
    let error = try #require(failure())
    #expect(error.kind == .corrupt)
  }

  @Test func missingTablesAreAnError() throws {
    _ = try database()
    try DatabaseQueue(path: directory.database).write { try $0.execute(sql: "DROP TABLE message") }
    #expect(failure() != nil)
  }
}
