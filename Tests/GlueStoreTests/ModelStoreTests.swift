import Foundation
import GlueCore
import GlueModel
import GlueStore
import Testing

/// What a replica stores is there again.
@Suite struct ModelStoreTests {
  private let time = ReplicaTime(now: .seconds(1), wallMicroseconds: 1_700_000_000_000_000)

  private func replica(_ endpoint: UInt64, _ stored: StoredReplica?) -> ReplicaMachine {
    ReplicaMachine(
      endpoint: EndpointID(endpoint), seed: endpoint * 7 + UInt64(stored?.entries.count ?? 0),
      stored: stored ?? .empty, at: time)
  }

  private func save(_ machine: ReplicaMachine, in store: SQLiteModelStore) throws {
    while let batch = machine.nextStoreBatch(at: time.now) {
      try store.write(batch)
      machine.storeSucceeded()
    }
  }

  private func path(_ text: String) throws -> ModelPath { try ModelPath(text) }

  @Test func everythingIsThereAgain() throws {
    let directory = try TemporaryDirectory()
    var store = try SQLiteModelStore(directory: directory.store, model: "home/ü")
    #expect(try store.load() == nil)
    var machine = replica(1, nil)
    let values: [ModelValue] = [
      .null, .bool(true), .int(.min), .double(-0.5), .string("ü\0"), .bytes([0, 255]), .list([1, .list([])]),
    ]
    for (index, value) in values.enumerated() { try machine.apply([.set(path("v/\(index)"), value)], at: time) }
    for _ in 0..<20 { try machine.apply([.increment(path("count"), -3)], at: time) }
    try machine.apply([.add(path("set"), "a"), .add(path("set"), "b"), .makeMap(path("empty"))], at: time)
    try save(machine, in: store)
    try machine.apply([.delete(path("v/0")), .remove(path("set"), "a"), .set(path("v/1"), 2)], at: time)
    try save(machine, in: store)

    let bytes = machine.document.stateBytes()
    try store.close()
    store = try SQLiteModelStore(directory: directory.store, model: "home/ü")
    let stored = try #require(try store.load())
    machine = replica(1, stored)
    #expect(machine.document.stateBytes() == bytes)
    // What goes on gets numbers of its own.
    try machine.apply([.increment(path("count"), 1)], at: time)
    try save(machine, in: store)
    #expect(machine.document.read(try path("count")) == .counter(-59))
    #expect(try store.load()?.context == machine.document.context)
  }

  @Test func modelsHaveFilesOfTheirOwn() throws {
    let directory = try TemporaryDirectory()
    let (one, two) = (
      try SQLiteModelStore(directory: directory.store, model: "a"),
      try SQLiteModelStore(directory: directory.store, model: "a/b")
    )
    #expect(one.path != two.path)
    let machine = replica(1, nil)
    try machine.apply([.set(path("x"), 1)], at: time)
    try save(machine, in: one)
    #expect(try one.load() != nil)
    #expect(try two.load() == nil)
    #expect(throws: StoreError.self) { _ = try SQLiteModelStore(directory: directory.store, model: "a") }
  }

  @Test func aCacheIsNoModel() throws {
    let directory = try TemporaryDirectory()
    let store = try SQLiteModelStore(directory: directory.store, model: "a")
    let path = store.path
    try store.close()
    try #require(rename(path, directory.database) == 0)
    let error = #expect(throws: StoreError.self) { _ = try SQLiteStore(directory: directory.store) }
    #expect(error?.kind == .notACache)
  }
}
