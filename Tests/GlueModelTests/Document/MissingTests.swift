import GlueCore
import Testing

@testable import GlueModel

@Suite(.apart) struct MissingTests {
  /// Brings one document what another has and it lacks; compares what is there if need be, as two replicas do. Returns what was sent
  /// without comparing.
  @discardableResult
  static func sync(_ target: inout Document, from source: Document) -> Delta? {
    switch source.missing(for: target.context) {
    case .delta(let delta):
      let bytes = delta.encoded()
      _ = target.merge(bytes.withUnsafeBytes { try? Delta(encoded: $0) } ?? delta)
      return delta
    case .needsReconciliation:
      reconcile(&target, from: source)
      return nil
    }
  }

  /// The target learns what the source has removed, and how far it has joined counters, and everything it lacks. Not the other way round:
  /// a removal without the change that made it would be seen by nobody who asks for changes.
  static func reconcile(_ target: inout Document, from source: Document) {
    let here = source.liveDots(within: target.context)
    let there = target.liveDots(within: source.context)
    #expect(here == here.sorted() && there == there.sorted())
    let foldsHere = Dictionary(uniqueKeysWithValues: here.map { ($0.dot, $0.folds) })
    let foldsThere = Dictionary(uniqueKeysWithValues: there.map { ($0.dot, $0.folds) })
    let gone = there.map(\.dot).filter { foldsHere[$0] == nil }
    let newer = here.filter { $0.folds > foldsThere[$0.dot] ?? .max }.map(\.dot)
    _ = target.merge(source.missing(for: target.context, resending: newer, removed: DotSet(gone)))
  }

  private func random(seed: UInt64, limits: DocumentLimits = DocumentLimits(), steps: Int = 60) -> RandomHistory {
    var history = RandomHistory(seed: seed, isCausal: true, limits: limits)
    history.run(steps: steps)
    return history
  }

  /// The state that both have together.
  private func joined(_ a: Document, _ b: Document) -> Document {
    var result = a
    _ = result.merge(b.state())
    return result
  }

  @Test func whatIsMissingIsWhatTheWholeStateBrings() {
    var told = 0
    for seed in 0..<UInt64(100) {
      var history = random(seed: seed)
      let expected = joined(history.documents[0], history.documents[1])
      var one = history.documents[0]
      let other = history.documents[1]
      if Self.sync(&one, from: other) != nil { told += 1 }
      #expect(one.stateBytes() == expected.stateBytes(), "seed \(seed)")
      // What was learnt of a state is passed on.
      var third = history.documents[history.documents.count - 1]
      let all = joined(third, one)
      Self.sync(&third, from: one)
      #expect(third.stateBytes() == all.stateBytes(), "seed \(seed)")
      // And a newcomer gets everything, without comparing.
      var newcomer = Document(replica: ReplicaID(endpoint: EndpointID(99), number: 99))
      let everything = Self.sync(&newcomer, from: third)
      #expect(everything != nil)
      #expect(newcomer.stateBytes() == third.stateBytes(), "seed \(seed)")
      guard case .delta(let nothing) = third.missing(for: newcomer.context) else {
        Issue.record("seed \(seed): equal contexts need nothing")
        continue
      }
      #expect(nothing.isEmpty)
      history.settle()
    }
    // Those whose logs reach back, and that is all of them here.
    #expect(told == 100)
  }

  @Test func onlyWhatIsMissingIsSent() {
    for seed in 0..<UInt64(100) {
      let history = random(seed: seed)
      let (one, other) = (history.documents[0], history.documents[1])
      guard case .delta(let delta) = one.missing(for: other.context) else { continue }
      for entry in delta.entries {
        let isNewer =
          other.tree.entry(of: entry.dot).map { other.tree.entries[Int($0)].content.folds < entry.content.folds }
          ?? false
        #expect(!other.context.covers(entry.dot) || isNewer, "seed \(seed)")
      }
      // Nothing that it has removed already, but what changes that it has not seen removed too.
      let removed = delta.plain.covered.subtracting(delta.entries.map(\.dot))
      #expect(removed.allSatisfy { one.context.covers($0) && one.tree.entry(of: $0) == nil }, "seed \(seed)")
    }
  }

  /// Replicas that exchange only what is missing, and seldom transactions: floors rise, logs are short, and everything converges.
  @Test func shortLogsLeadToComparing() {
    var compared = 0
    for seed in 0..<UInt64(100) {
      var limits = DocumentLimits()
      limits.removalLogDots = 4
      var history = RandomHistory(seed: seed, isCausal: true, limits: limits)
      for _ in 0..<80 {
        let count = history.documents.count
        switch history.below(4) {
        case 0, 1: _ = history.edit()
        case 2: _ = history.deliver()
        default:
          let (a, b) = (history.below(count), history.below(count))
          guard a != b else { continue }
          let expected = joined(history.documents[a], history.documents[b])
          if Self.sync(&history.documents[a], from: history.documents[b]) == nil { compared += 1 }
          #expect(history.documents[a].stateBytes() == expected.stateBytes(), "seed \(seed)")
        }
      }
      let plain = history.deltas.reduce(PlainDocument()) { $0.joined(with: $1.plain) }
      for _ in 0..<2 {
        for a in history.documents.indices {
          for b in history.documents.indices where a != b {
            Self.sync(&history.documents[a], from: history.documents[b])
          }
        }
      }
      for document in history.documents {
        #expect(document.plain == plain, "seed \(seed)")
      }
    }
    #expect(compared > 30)
  }

  @Test func aReplicaThatWasAwayGetsWhatItMissedAndNoMore() throws {
    var one = Document(replica: ReplicaID(endpoint: EndpointID(1), number: 1))
    for number in 0..<1_000 {
      _ = try one.apply([.set(try ModelPath("key\(number)"), .int(Int64(number)))], at: UInt64(number))
    }
    var other = Document(replica: ReplicaID(endpoint: EndpointID(2), number: 2))
    _ = other.merge(one.state())
    for number in 0..<10 { _ = try one.apply([.set(try ModelPath("key\(number * 7)"), 0)], at: 2_000) }
    _ = try one.apply([.delete(try ModelPath("key5"))], at: 2_000)
    guard case .delta(let delta) = one.missing(for: other.context) else {
      Issue.record("the log reaches back")
      return
    }
    #expect(delta.entries.count == 10)
    #expect(delta.encoded().count < 400, "\(delta.encoded().count)")
    let merged = other.merge(delta)
    #expect(merged.upserts.count == 10 && merged.removed.count == 11)
    #expect(other.stateBytes() == one.stateBytes())
  }

  /// Its dot has been seen; what it holds has not.
  @Test func aPartOfACounterThatGrewIsToldAgain() throws {
    let path = try ModelPath("n")
    var one = Document(replica: ReplicaID(endpoint: EndpointID(1), number: 1))
    for _ in 0..<Document.partsPerCounter { _ = try one.apply([.increment(path, 5)], at: 1) }
    var other = Document(replica: ReplicaID(endpoint: EndpointID(2), number: 2))
    _ = other.merge(one.state())
    for _ in 0..<3 { _ = try one.apply([.increment(path, 1)], at: 2) }
    let told = Self.sync(&other, from: one)
    let delta = try #require(told)
    #expect(delta.entries.count == 4)
    #expect(other.read(path) == .counter(43) && other.stateBytes() == one.stateBytes())
  }

  @Test func aLogThatWasLostIsNotTaken() throws {
    var one = Document(replica: ReplicaID(endpoint: EndpointID(1), number: 1))
    let path = try ModelPath("x")
    _ = try one.apply([.set(path, 1)], at: 1)
    var other = Document(replica: ReplicaID(endpoint: EndpointID(2), number: 2))
    _ = other.merge(one.state())
    _ = try one.apply([.delete(path)], at: 2)
    let loaded = Document(
      replica: ReplicaID(endpoint: EndpointID(1), number: 3), context: one.context, entries: one.state().entries)
    #expect(loaded.missing(for: other.context) == .needsReconciliation)
    Self.sync(&other, from: loaded)
    #expect(other.stateBytes() == one.stateBytes())
  }
}
