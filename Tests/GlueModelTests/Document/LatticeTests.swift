import GlueCore
import Testing

@testable import GlueModel

@Suite(.apart) struct LatticeTests {
  static let seeds = 0..<UInt64(100)

  @Test func anyOrderAndAnyRepetitionGiveTheSameBytes() {
    for seed in Self.seeds {
      var history = RandomHistory(seed: seed)
      history.run(steps: 40)
      let plain = history.deltas.reduce(PlainDocument()) { $0.joined(with: $1.plain) }
      history.settle()
      for index in history.documents.indices {
        #expect(history.documents[index].plain == plain, "seed \(seed)")
        #expect(history.documents[index].stateBytes() == history.documents[0].stateBytes(), "seed \(seed)")
        #expect(history.documents[index].digest == history.documents[0].digest, "seed \(seed)")
      }
      // Twice, reversed, through the wire, into a document of its own.
      var other = Document(replica: ReplicaID(endpoint: EndpointID(99), number: 0))
      for delta in history.deltas.reversed() + history.deltas {
        let bytes = delta.encoded()
        let decoded = bytes.withUnsafeBytes { try? Delta(encoded: $0) }
        #expect(decoded == delta, "seed \(seed)")
        _ = other.merge(decoded ?? delta)
      }
      #expect(other.stateBytes() == history.documents[0].stateBytes(), "seed \(seed)")
      #expect(other.leaves(under: .root) == history.documents[0].leaves(under: .root), "seed \(seed)")
      let again = history.deltas.map { other.merge($0) }
      #expect(again.allSatisfy { !$0.isNew }, "seed \(seed)")
    }
  }

  @Test func everyStepIsThatOfTheDefinition() {
    for seed in Self.seeds {
      var history = RandomHistory(seed: seed)
      var plain = history.documents.map { _ in PlainDocument() }
      for _ in 0..<40 {
        if history.below(2) == 0 {
          let (index, edits, applied) = history.edit()
          guard let applied else { continue }
          if edits.count == 1 {
            let expected = plain[index].delta(of: edits[0], by: history.documents[index].replica, at: history.time)
            #expect(applied.delta.plain == expected, "seed \(seed): \(edits)")
          }
          plain[index] = plain[index].joined(with: applied.delta.plain)
          #expect(history.documents[index].plain == plain[index], "seed \(seed): \(edits)")
        } else if let (index, delta, merged) = history.deliver() {
          let before = plain[index]
          plain[index] = before.joined(with: delta.plain)
          #expect(history.documents[index].plain == plain[index], "seed \(seed)")
          // What a store is told.
          var stored = before.entries
          for dot in merged.removed { #expect(stored.removeValue(forKey: dot) != nil, "seed \(seed)") }
          for entry in merged.upserts { stored[entry.dot] = entry }
          #expect(stored == plain[index].entries, "seed \(seed)")
          #expect(merged.isNew == (before != plain[index]), "seed \(seed)")
        }
      }
    }
  }

  @Test func joiningStatesIsCommutativeAssociativeAndIdempotent() {
    func join(_ a: Document, _ b: Document) -> Document {
      var result = a
      _ = result.merge(b.state())
      return result
    }
    for seed in Self.seeds {
      var history = RandomHistory(seed: seed, replicas: 3)
      history.run(steps: 40)
      let (a, b, c) = (history.documents[0], history.documents[1], history.documents[2])
      let ab = join(a, b)
      #expect(ab.plain == a.plain.joined(with: b.plain), "seed \(seed)")
      #expect(ab.stateBytes() == join(b, a).stateBytes(), "seed \(seed)")
      #expect(join(ab, c).stateBytes() == join(a, join(b, c)).stateBytes(), "seed \(seed)")
      #expect(join(a, a).stateBytes() == a.stateBytes(), "seed \(seed)")
      #expect(join(ab, b).stateBytes() == ab.stateBytes(), "seed \(seed)")
      #expect(ab.digest == join(b, a).digest, "seed \(seed)")
      #expect((ab.digest == a.digest) == (ab.stateBytes() == a.stateBytes()), "seed \(seed)")
    }
  }

  @Test func aStoredDocumentIsTheSame() {
    for seed in 0..<UInt64(200) {
      var history = RandomHistory(seed: seed)
      history.run(steps: 60)
      let document = history.documents[0]
      let loaded = Document(
        replica: ReplicaID(endpoint: EndpointID(1), number: 77), context: document.context,
        entries: document.state().entries)
      #expect(loaded.stateBytes() == document.stateBytes())
      #expect(loaded.leaves(under: .root) == document.leaves(under: .root))
    }
  }

  /// Counters are exact: every increment counts once, those that a deletion had seen not at all.
  @Test func countersAreExact() throws {
    let path = try ModelPath("n")
    for seed in Self.seeds {
      var history = RandomHistory(seed: seed)
      var sum: Int64 = 0
      for _ in 0..<60 {
        if history.below(2) == 0 {
          let amount = Int64(history.below(9)) - 4
          let index = history.below(history.documents.count)
          history.time += 1
          history.deltas.append(
            try #require(try history.documents[index].apply([.increment(path, amount)], at: history.time)).delta)
          sum += amount
        } else {
          _ = history.deliver()
        }
      }
      history.settle()
      for document in history.documents {
        if !history.deltas.isEmpty { #expect(document.read(path) == .counter(sum), "seed \(seed)") }
        #expect(document.entryCount <= Document.partsPerCounter * history.documents.count)
      }
    }
  }
}
