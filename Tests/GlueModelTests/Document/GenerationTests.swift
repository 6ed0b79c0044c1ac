import GlueCore
import Testing

@testable import GlueModel

@Suite struct GenerationTests {
  private static let x = ModelPath(unchecked: "x")
  private static let n = ModelPath(unchecked: "n")
  private static let y = ModelPath(unchecked: "y")

  private func replica(_ number: UInt64) -> Document {
    Document(replica: ReplicaID(endpoint: EndpointID(number), number: number))
  }

  @Test func twoGenerationsGiveBackWhatDeadReplicasTook() throws {
    var one = replica(1)
    for number in 0..<UInt64(100) {
      var dead = Document(replica: ReplicaID(endpoint: EndpointID(2), number: number))
      _ = one.merge(try #require(try dead.apply([.set(try ModelPath("key\(number % 10)"), 1)], at: number)).delta)
    }
    let leaves = one.leaves(under: .root)
    #expect(one.context.seen.parts.count == 100)
    one.advanceGeneration()
    #expect(one.context.seen.parts.count == 100)
    one.advanceGeneration()
    #expect(one.context.seen.parts.isEmpty)
    #expect(one.leaves(under: .root) == leaves)
    // It goes on under another name, and what it removes is removed.
    let applied = try #require(try one.apply([.delete(try ModelPath("key1"))], at: 200))
    #expect(applied.delta.operation?.replica.generation == 2)
    #expect(one.leaves(under: .root).count == leaves.count - 1)
  }

  @Test func nothingDeletedComesBack() throws {
    var (one, other) = (replica(1), replica(2))
    let written = try #require(try one.apply([.set(Self.x, 1), .set(Self.y, 1)], at: 1)).delta
    _ = other.merge(written)
    _ = try one.apply([.delete(Self.x)], at: 2)
    one.advanceGeneration()
    one.advanceGeneration()
    // The other one was away. It still has what was deleted.
    #expect(one.missing(for: other.context) == .needsReconciliation)
    MissingTests.sync(&other, from: one)
    #expect(other.read(Self.x) == nil && other.read(Self.y) == .value(1))
    #expect(other.stateBytes() == one.stateBytes())
    // Old deltas and old states do not bring it back.
    var old = replica(3)
    _ = old.merge(written)
    let again = [one.merge(written), one.merge(old.state())]
    #expect(again.allSatisfy { !$0.isNew })
    #expect(one.read(Self.x) == nil && one.read(Self.y) == .value(1))
  }

  @Test func whoFollowsLosesNothing() throws {
    var (one, other) = (replica(1), replica(2))
    for round in 0..<UInt64(10) {
      one.advanceGeneration()
      // Written before it knows of the generation: the one before still counts.
      let applied = try #require(try other.apply([.set(try ModelPath("key\(round)"), .int(Int64(round)))], at: round))
        .delta
      _ = one.merge(applied)
      MissingTests.sync(&other, from: one)
      #expect(other.stateBytes() == one.stateBytes(), "round \(round)")
      #expect(one.leaves(under: .root).count == Int(round) + 1)
      #expect(one.context.seen.parts.count <= 2)
    }
  }

  @Test func whoWasAwayTooLongLosesWhatNobodyElseHasAndWritesItAnew() throws {
    var (one, other) = (replica(1), replica(2))
    _ = other.merge(try #require(try one.apply([.set(Self.x, 1)], at: 1)).delta)
    let mine = try #require(try other.apply([.set(Self.y, 2), .increment(Self.n, 3)], at: 2)).delta
    for _ in 0..<2 { one.advanceGeneration() }
    MissingTests.sync(&other, from: one)
    #expect(other.read(Self.y) == nil)
    #expect(other.stateBytes() == one.stateBytes())
    let rewritten = other.rewrite(mine.entries, at: 9)
    let anew = try #require(rewritten)
    #expect(anew.delta.entries.map(\.time) == [2, 2] && anew.delta.operation?.replica.generation == 2)
    _ = one.merge(anew.delta)
    #expect(one.read(Self.y) == .value(2) && one.read(Self.n) == .counter(3))
    #expect(other.stateBytes() == one.stateBytes())
  }

  @Test func aNewcomerGetsEverything() throws {
    var one = replica(1)
    _ = try one.apply([.set(Self.x, 1)], at: 1)
    for _ in 0..<5 { one.advanceGeneration() }
    _ = try one.apply([.set(Self.y, 1)], at: 2)
    var newcomer = replica(2)
    let told = MissingTests.sync(&newcomer, from: one)
    #expect(told != nil)
    #expect(newcomer.stateBytes() == one.stateBytes())
    #expect(newcomer.replica.generation == 5)
  }

  /// Generations rise anywhere at any time, among replicas that meet now and then. They converge, and what went from a document never
  /// comes back to it.
  @Test func generationsConverge() {
    for seed in 0..<UInt64(100) {
      var history = RandomHistory(seed: seed, isCausal: true)
      var live = history.documents.map { _ in Set<Dot>() }
      var gone = live
      func look(_ index: Int) {
        let now = Set(history.documents[index].state().entries.map(\.dot))
        gone[index].formUnion(live[index].subtracting(now))
        live[index] = now
        #expect(gone[index].isDisjoint(with: now), "seed \(seed)")
      }
      func meet(_ a: Int, _ b: Int) {
        MissingTests.sync(&history.documents[a], from: history.documents[b])
        look(a)
        // What is left was covered without having been seen.
        guard history.documents[a].context == history.documents[b].context,
          history.documents[a].digest != history.documents[b].digest
        else { return }
        MissingTests.reconcile(&history.documents[a], from: history.documents[b])
        look(a)
      }
      for _ in 0..<80 {
        let count = history.documents.count
        switch history.below(6) {
        case 0, 1: look(history.edit().document)
        case 2: if let delivery = history.deliver() { look(delivery.document) }
        case 3: if history.below(4) == 0 { history.documents[history.below(count)].advanceGeneration() }
        default:
          let (a, b) = (history.below(count), history.below(count))
          if a != b { meet(a, b) }
        }
      }
      for _ in 0..<3 {
        for a in history.documents.indices { for b in history.documents.indices where a != b { meet(a, b) } }
      }
      for document in history.documents {
        #expect(document.stateBytes() == history.documents[0].stateBytes(), "seed \(seed)")
      }
    }
  }
}
