import Foundation
import GlueCore
import GlueQuorum
import GlueStore
import Testing

@Suite struct FileLogDirectoryTests {
  private let directory: TemporaryDirectory
  private let path: String
  private let cluster = ClusterID(high: 1, low: 2)
  private let snapshot = RaftSnapshot(
    index: 3, term: 1, membership: Membership(voters: [MemberID(EndpointID(1), StorageID(7))]), state: [1, 2, 3])

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.path + "/log"
  }

  private func open() throws -> RaftLogStore {
    var settings = RaftLogSettings()
    settings.segmentBytes = 4_096
    return try RaftLogStore(FileLogDirectory(path), newStorage: StorageID(7), settings: settings)
  }

  /// Founds a quorum, and writes so many entries of 1,000 bytes.
  private func fill(_ count: UInt64) throws -> [RaftEntry] {
    let store = try open()
    try store.found(cluster, snapshot)
    let entries = (0..<count).map {
      RaftEntry(index: 4 + $0, term: 2, .command(Array(repeating: UInt8($0), count: 1_000)))
    }
    for entry in entries { try store.write(RaftWrite(hardState: RaftHardState(term: 2), entries: [entry])) }
    store.close()
    return entries
  }

  @Test func whatWasWrittenIsThereWhenItIsOpenedAgain() throws {
    let entries = try fill(10)
    let store = try open()
    #expect(store.storage == StorageID(7) && store.cluster == cluster)
    #expect(store.report.isClean)
    #expect(store.stored?.hardState == RaftHardState(term: 2))
    #expect(store.stored?.snapshot == snapshot)
    #expect(store.stored?.entries == entries)
  }

  @Test func whatIsInASnapshotIsGivenBack() throws {
    let entries = try fill(20)
    let before = try FileManager.default.contentsOfDirectory(atPath: path).count
    let store = try open()
    var new = snapshot
    (new.index, new.term) = (20, 2)
    try store.compact(new, keepFrom: 19)
    store.close()
    #expect(try FileManager.default.contentsOfDirectory(atPath: path).count < before)
    let again = try open()
    #expect(again.stored?.snapshot == new)
    #expect(again.stored?.entries == entries.filter { $0.index > 20 })
  }

  @Test func aTornTailIsCutOffAndItsRoomIsZeroAgain() throws {
    let entries = try fill(2)
    let file = path + "/log-0000000000000001"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    let end = 1 + (bytes.lastIndex { $0 != 0 } ?? 0)
    bytes.replaceSubrange(end..<min(bytes.count, end + 500), with: Data("GLQB torn".utf8))
    try bytes.write(to: URL(fileURLWithPath: file))
    let store = try open()
    #expect(store.report.cutBytes >= 9)
    #expect(store.stored?.entries == entries)
    store.close()
    #expect(try Data(contentsOf: URL(fileURLWithPath: file))[end...].allSatisfy { $0 == 0 })
    #expect(try open().report.isClean)
  }

  @Test func onlyOneStoreHasItOpen() throws {
    let store = try open()
    #expect(throws: LogError.inUse(path)) { try open() }
    store.close()
    try open().close()
  }

  @Test func onlyItsUserCanReadIt() throws {
    _ = try fill(1)
    for name in try FileManager.default.contentsOfDirectory(atPath: path) {
      let attributes = try FileManager.default.attributesOfItem(atPath: path + "/" + name)
      #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600, "\(name)")
    }
  }

  @Test func aPathThatIsNoDirectoryIsTold() throws {
    #expect(FileManager.default.createFile(atPath: path, contents: nil))
    for place in [path, path + "/in", directory.path + "/missing/in"] {
      let error = #expect(throws: StoreError.self) { try FileLogDirectory(place) }
      #expect(error?.kind == .notADirectory && error?.path == place)
    }
  }

  @Test func whatCannotBeReadIsToldWithItsName() throws {
    try FileManager.default.createDirectory(atPath: path + "/identity", withIntermediateDirectories: true)
    let error = #expect(throws: LogError.self) { try open() }
    guard case .failed(_, let file, let reason) = error else { throw try #require(error) }
    #expect(file == path + "/identity" && !reason.isEmpty)
    // The failure has let it go.
    try FileManager.default.removeItem(atPath: path + "/identity")
    try open().close()
  }

  #if os(Linux)
    @Test func aFullDiskIsTold() throws {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      try FileManager.default.createSymbolicLink(atPath: path + "/mark", withDestinationPath: "/dev/full")
      let store = try open()
      try store.found(cluster, snapshot)
      let full = LogError.full(file: path + "/mark")
      #expect(throws: full) { try store.write(RaftWrite(hardState: RaftHardState(term: 2))) }
      #expect(throws: full) { try store.write(RaftWrite(hardState: RaftHardState(term: 3))) }
    }
  #endif

  @Test func eachQuorumHasADirectoryOfItsOwn() throws {
    let first = try FileLogDirectory(directory: directory.store, quorum: "vault")
    let second = try FileLogDirectory(directory: directory.store, quorum: "a/b")
    #expect(first.path == directory.store + "/glue-quorum-vault")
    #expect(second.path == directory.store + "/glue-quorum-a%2fb")
    try first.lock()
    try second.lock()
  }
}
