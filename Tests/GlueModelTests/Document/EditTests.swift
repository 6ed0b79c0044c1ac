import GlueCore
import Testing

@testable import GlueModel

@Suite struct EditTests {
  private var one = Document(replica: ReplicaID(endpoint: EndpointID(1), number: 1))
  private var other = Document(replica: ReplicaID(endpoint: EndpointID(2), number: 2))

  private static func path(_ text: String) -> ModelPath { ModelPath(unchecked: text) }

  @Test mutating func aDocumentIsATree() throws {
    _ = try one.apply(
      [
        .set(Self.path("lights/kitchen/on"), true), .set(Self.path("lights/hall/on"), false),
        .increment(Self.path("visits"), 3),
        .add(Self.path("tags"), "b"), .add(Self.path("tags"), "a"), .add(Self.path("tags"), 7),
        .makeMap(Self.path("empty")),
      ], at: 1)
    let on = { (value: Bool) in ModelNode.map([.init(level: "on", node: .value(.bool(value)))]) }
    #expect(
      one.read(.root)
        == .map([
          .init(level: "empty", node: .map([])),
          .init(
            level: "lights",
            node: .map([.init(level: "hall", node: on(false)), .init(level: "kitchen", node: on(true))])),
          .init(level: "tags", node: .set([7, "a", "b"])),
          .init(level: "visits", node: .counter(3)),
        ]))
    #expect(one.read(Self.path("lights"))?["hall"] == on(false))
    #expect(one.keyCount == 7)
    _ = try one.apply([.delete(Self.path("lights")), .remove(Self.path("tags"), 7)], at: 2)
    #expect(one.read(Self.path("lights")) == nil && one.read(Self.path("lights/hall/on")) == nil)
    #expect(one.read(Self.path("tags")) == .set(["a", "b"]))
    _ = try one.apply([.delete(.root)], at: 3)
    #expect(one.read(.root) == nil && one.entryCount == 0 && one.leaves(under: .root) == [])
    #expect(try one.apply([.delete(.root), .delete(Self.path("x")), .remove(Self.path("tags"), "a")], at: 4) == nil)
  }

  @Test mutating func aTransactionSeesWhatItDid() throws {
    _ = try one.apply([.set(Self.path("a/b"), 1), .add(Self.path("s"), 1), .increment(Self.path("n"), 1)], at: 1)
    let applied = try #require(
      try one.apply(
        [
          .delete(Self.path("a/b")), .increment(Self.path("a"), 2), .remove(Self.path("s"), 1),
          .set(Self.path("s/x"), 3),
          .set(Self.path("n"), 1), .delete(Self.path("n")), .makeMap(Self.path("n")),
        ], at: 2))
    #expect(applied.changes.allSatisfy { $0.cause == .local })
    #expect(applied.delta.entries.count == 3 && applied.removed.count == 3)
    #expect(one.leaves(under: .root).map(\.content) == [.counter(2), .map, .value(3)])
    #expect(other.merge(applied.delta).changes.allSatisfy { $0.cause == .remote })
    #expect(other.leaves(under: .root) == one.leaves(under: .root))
  }

  @Test mutating func aConcurrentWriteSurvivesADeletion() throws {
    let written = try #require(try one.apply([.set(Self.path("a/x"), 1), .set(Self.path("a/y"), 2)], at: 1)).delta
    _ = other.merge(written)
    let deletion = try #require(try one.apply([.delete(Self.path("a"))], at: 9)).delta
    let writing = try #require(try other.apply([.set(Self.path("a/x"), 3), .add(Self.path("s"), 1)], at: 2)).delta
    _ = one.merge(writing)
    _ = other.merge(deletion)
    #expect(one.read(Self.path("a")) == .map([.init(level: "x", node: .value(3))]))
    #expect(one.stateBytes() == other.stateBytes())
    // Adding wins over removing.
    let removal = try #require(try one.apply([.remove(Self.path("s"), 1)], at: 10)).delta
    let addition = try #require(try other.apply([.add(Self.path("s"), 1)], at: 3)).delta
    _ = one.merge(addition)
    _ = other.merge(removal)
    #expect(one.read(Self.path("s")) == .set([1]))
    #expect(one.stateBytes() == other.stateBytes())
  }

  /// A deletion takes from a counter what it had seen, and leaves what it had not.
  @Test(arguments: 1...7) func aDeletionOfACounterIsExact(unseen: Int) throws {
    var one = self.one
    var other = self.other
    for _ in 0..<20 { _ = other.merge(try #require(try one.apply([.increment(Self.path("n"), 100)], at: 1)).delta) }
    #expect(other.entryCount == Document.partsPerCounter)
    let deletion = try #require(try other.apply([.delete(Self.path("n"))], at: 2)).delta
    for _ in 0..<unseen { _ = other.merge(try #require(try one.apply([.increment(Self.path("n"), 1)], at: 3)).delta) }
    _ = one.merge(deletion)
    #expect(one.read(Self.path("n")) == .counter(Int64(unseen)))
    #expect(one.stateBytes() == other.stateBytes())
  }

  @Test mutating func aWrongKindIsRefused() throws {
    _ = try one.apply(
      [.set(Self.path("v"), 1), .increment(Self.path("n"), 1), .add(Self.path("s"), 1), .set(Self.path("m/x"), 1)],
      at: 1)
    let refused: [(ModelEdit, ModelError)] = [
      (.set(Self.path("v/x"), 1), .wrongKind(Self.path("v"), is: .value, needs: .map)),
      (.increment(Self.path("n/x/y"), 1), .wrongKind(Self.path("n"), is: .counter, needs: .map)),
      (.add(Self.path("s/x"), 1), .wrongKind(Self.path("s"), is: .set, needs: .map)),
      (.increment(Self.path("v"), 1), .wrongKind(Self.path("v"), is: .value, needs: .counter)),
      (.add(Self.path("m"), 1), .wrongKind(Self.path("m"), is: .map, needs: .set)),
      (.makeMap(Self.path("n")), .wrongKind(Self.path("n"), is: .counter, needs: .map)),
      (.set(.root, 1), .wrongKind(.root, is: .map, needs: .value)),
      (.resolve(Self.path("v"), .kind(.set)), .wrongKind(Self.path("v"), is: .value, needs: .set)),
    ]
    for (edit, error) in refused {
      var document = one
      #expect(throws: error) { try document.apply([edit], at: 2) }
    }
    // A value may replace anything.
    _ = try one.apply([.set(Self.path("m"), 1), .set(Self.path("s"), 2), .set(Self.path("n"), 3)], at: 3)
    #expect(one.leaves(under: .root).count == 4 && one.entryCount == 4)
  }

  @Test mutating func aSumThatOverflowsIsRefused() throws {
    _ = try one.apply([.increment(Self.path("n"), .max)], at: 1)
    var document = one
    #expect(throws: ModelError.overflow(Self.path("n"))) { try document.apply([.increment(Self.path("n"), 1)], at: 2) }
    #expect(document.stateBytes() == one.stateBytes())
    _ = try one.apply([.increment(Self.path("n"), .min)], at: 3)
    #expect(one.read(Self.path("n")) == .counter(-1))
  }

  /// All or nothing, however far it came.
  @Test func aRefusedTransactionLeavesNothing() throws {
    let refused = ModelEdit.set(Self.path("z"), .bytes(Array(repeating: 0, count: DocumentLimits().valueBytes + 1)))
    for seed in 0..<UInt64(100) {
      var history = RandomHistory(seed: seed)
      history.run(steps: 40)
      var document = history.documents[0]
      let (bytes, digest, leaves, keys) = (
        document.stateBytes(), document.digest, document.leaves(under: .root), document.keyCount
      )
      let edits = (0..<6).map { _ in history.randomEdit() } + [refused]
      #expect(throws: ModelError.self) { try document.apply(edits, at: 99) }
      #expect(document.stateBytes() == bytes && document.digest == digest && document.keyCount == keys, "seed \(seed)")
      #expect(document.leaves(under: .root) == leaves, "seed \(seed)")
      _ = try document.apply([.delete(.root)], at: 100)
      #expect(
        document.tree.nodes[0].children.isEmpty && document.tree.entryCount == 0 && document.tree.fingerprint == 0)
    }
  }

  @Test mutating func aRefusedTransactionPartsWhatItJoined() throws {
    for _ in 0..<Document.partsPerCounter { _ = try one.apply([.increment(Self.path("n"), 5)], at: 1) }
    let before = one
    #expect(throws: ModelError.self) {
      try one.apply([.increment(Self.path("n"), 1), .set(Self.path("n/x"), 1)], at: 2)
    }
    #expect(one.stateBytes() == before.stateBytes() && one.digest == before.digest)
  }

  @Test mutating func policiesDecideWhatIsShown() throws {
    let write = { (document: inout Document, value: ModelValue, time: UInt64) throws in
      try #require(try document.apply([.set(Self.path("x/y"), value)], at: time)).delta
    }
    let first = try write(&one, 1, 20)
    let second = try write(&other, 2, 10)
    _ = one.merge(second)
    _ = other.merge(first)
    #expect(one.read(Self.path("x/y")) == .value(1))
    one.policies.set(.keepAll, under: Self.path("x"))
    #expect(one.read(Self.path("x/y")) == .concurrent([1, 2]))
    one.policies.set(.merge { $0.max() ?? .null }, under: Self.path("x/y"))
    #expect(one.read(Self.path("x/y")) == .value(2))
    #expect(one.stateBytes() == other.stateBytes())
    #expect(one.conflicts(under: .root).map(\.path) == [Self.path("x/y")])
    let resolution = try #require(try one.apply([.resolve(Self.path("x/y"), .kind(.value))], at: 30))
    #expect(one.read(Self.path("x/y")) == .value(2) && one.conflicts(under: .root) == [])
    _ = other.merge(resolution.delta)
    #expect(other.read(Self.path("x/y")) == .value(2))
  }

  @Test mutating func kindsInConflictAreResolved() throws {
    let value = try #require(try one.apply([.set(Self.path("a"), 1)], at: 20)).delta
    let map = try #require(try other.apply([.set(Self.path("a/b"), 2), .set(Self.path("a/c"), 3)], at: 10)).delta
    _ = one.merge(map)
    _ = other.merge(value)
    #expect(one.read(.root) == .map([.init(level: "a", node: .value(1))]))
    #expect(one.leaves(under: .root) == [ModelLeaf(path: Self.path("a"), content: .value(1))])
    #expect(one.conflicts(under: .root).first?.candidates.map(\.kind) == [.value, .map])
    #expect(one.read(Self.path("a/b")) == nil)
    #expect(throws: ModelError.wrongKind(Self.path("a"), is: .value, needs: .map)) {
      var document = one
      _ = try document.apply([.set(Self.path("a/d"), 1)], at: 21)
    }
    let resolution = try #require(try one.apply([.resolve(Self.path("a"), .kind(.map))], at: 30))
    #expect(
      Set(resolution.changes.map(\.path)) == [Self.path("a"), Self.path("a/b"), Self.path("a/c")]
        && resolution.changes.allSatisfy { ($0.path == Self.path("a")) == ($0.new == nil) })
    _ = other.merge(resolution.delta)
    #expect(one.stateBytes() == other.stateBytes())
    #expect(one.leaves(under: Self.path("a")).map(\.content) == [.value(2), .value(3)])
  }

  @Test func limitsBite() throws {
    var limits = DocumentLimits()
    limits.keys = 3
    limits.valueBytes = 10
    limits.transactionBytes = 200
    limits.replicas = 2
    limits.holes = 2
    var document = Document(replica: ReplicaID(endpoint: EndpointID(1), number: 1), limits: limits)
    _ = try document.apply([.set(Self.path("a"), 1), .set(Self.path("b"), 1), .add(Self.path("c"), 1)], at: 1)
    #expect(throws: ModelError.limitExceeded(.keys, limit: 3)) { try document.apply([.set(Self.path("d"), 1)], at: 2) }
    #expect(throws: ModelError.limitExceeded(.valueBytes, limit: 10)) {
      try document.apply([.set(Self.path("a"), "0123456789")], at: 2)
    }
    #expect(throws: ModelError.limitExceeded(.transactionBytes, limit: 200)) {
      try document.apply((0..<5).map { .set(Self.path("a"), .int($0)) }, at: 2)
    }
    _ = try document.apply([.set(Self.path("a"), 2), .delete(Self.path("b")), .set(Self.path("d"), 1)], at: 3)
    // What is received is taken, and told.
    var exceeded: [[ModelLimit]] = []
    for number in UInt64(2)...4 {
      var other = Document(replica: ReplicaID(endpoint: EndpointID(number), number: number))
      let delta = try #require(try other.apply([.set(Self.path("n\(number)"), "much more than 10 bytes")], at: number))
        .delta
      exceeded.append(document.merge(delta).exceeded)
    }
    #expect(exceeded == [[.keys], [.keys, .replicas], [.keys, .replicas]])
    #expect(document.keyCount == 6)
    let replica = ReplicaID(endpoint: EndpointID(2), number: 2)
    let holes = DotSet([Dot(replica, 3), Dot(replica, 5)])
    #expect(document.merge(Delta(covered: holes, entries: [])).exceeded.contains(.holes))
  }
}
