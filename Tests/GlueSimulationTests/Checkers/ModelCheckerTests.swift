import GlueCore
import GlueModel
import GlueSimulation
import Testing

// Each checker of models is shown a history that breaks its invariant, and one that does not.

private let writer = ReplicaID(endpoint: EndpointID(1), number: 7)
private func dot(_ counter: UInt64) -> Dot { Dot(writer, counter) }
private func live(_ counters: UInt64...) -> [LiveDot] { counters.map { LiveDot(dot: dot($0), folds: 0) } }
private func entry(_ counter: UInt64, _ path: String = "a", _ value: ModelValue = 1) throws -> Entry {
  Entry(dot: dot(counter), time: counter, path: try ModelPath(path), content: .value(value))
}
private func context(_ counters: Range<UInt64>, generation: UInt32 = 0) -> CausalContext {
  var seen = DotSet()
  seen.insert(counters, of: writer)
  return CausalContext(generation: generation, seen: seen)
}

/// The writer writes 1 and 2 in one transaction, and then removes 1 with its third change.
private func ledger() throws -> ModelLedger {
  var ledger = ModelLedger()
  ledger.wrote(
    ModelLedger.Operation(counters: 1..<3, removed: [], folded: []), entries: [try entry(1), try entry(2, "b")],
    by: writer)
  ledger.wrote(ModelLedger.Operation(counters: 3..<4, removed: [dot(1)], folded: []), entries: [], by: writer)
  return ledger
}

private let nothing = ModelView(opening: 2)
private let both = ModelView(opening: 2, context: context(1..<3), held: live(1, 2))
private let afterwards = ModelView(opening: 2, context: context(1..<4), held: live(2))

@Suite struct ModelCheckerTests {
  @Test func aLedgerKnowsWhoWroteAndRemovedWhat() throws {
    let ledger = try ledger()
    #expect(ledger.entry(live(2)[0])?.path.text == "b")
    #expect(ledger.entry(live(3)[0]) == nil)
    #expect(ledger.end(of: writer) == 4)
    #expect(ledger.operations(of: writer, in: 2..<3).count == 1)
    #expect(ledger.operations(of: writer, in: 2..<4).count == 2)
    #expect(!ledger.isRemoved(dot(1), in: both.context))
    #expect(ledger.isRemoved(dot(1), in: afterwards.context))
    #expect(nothing.difference(to: both).appeared == live(1, 2))
    #expect(both.difference(to: afterwards).gone == [dot(1)])
    let folded = ModelView(opening: 2, held: [LiveDot(dot: dot(2), folds: 1)])
    let (appeared, gone) = both.difference(to: folded)
    #expect(appeared == folded.held)
    #expect(gone == [dot(1)])
  }

  @Test func integrityNoticesWhatNobodyWrote() throws {
    let ledger = try ledger()
    var checker = ModelIntegrity()
    #expect(checker.appeared([try entry(1), try entry(2, "b")], at: 2, in: ledger) == nil)
    #expect(checker.appeared([try entry(2, "c")], at: 2, in: ledger) != nil)
    #expect(checker.appeared([try entry(2, "b", 5)], at: 2, in: ledger) != nil)
    #expect(checker.appeared([try entry(3)], at: 2, in: ledger) != nil)
    #expect(checker.changed(from: nothing, to: afterwards, in: ledger) == nil)
    #expect(checker.changed(from: both, to: ModelView(opening: 2, context: context(1..<5)), in: ledger) != nil)
  }

  private func isKept(_ old: ModelView, _ new: ModelView) throws -> Bool {
    var checker = ModelRetention()
    let ledger = try ledger()
    let gone = old.difference(to: new).gone
    let seen = old.operations(seenBy: new, in: ledger)
    return checker.changed(from: old, to: new, seen: seen, gone: gone, in: ledger) == nil
  }

  @Test func retentionNoticesWhatIsMissing() throws {
    #expect(try isKept(nothing, both))
    #expect(try isKept(both, afterwards))
    #expect(try isKept(nothing, afterwards))
    #expect(try !isKept(both, ModelView(opening: 2, context: both.context, held: live(2))))
    #expect(try !isKept(nothing, ModelView(opening: 2, context: both.context, held: live(1))))
    #expect(try !isKept(both, ModelView(opening: 2, context: afterwards.context, held: [])))
    // What is not counted as seen any more could come back.
    #expect(try !isKept(afterwards, ModelView(opening: 2, context: both.context, held: live(2))))
    // What a clean-up passes may be missing.
    #expect(try isKept(both, ModelView(opening: 2, context: context(1..<1, generation: 2), held: [])))
    #expect(try !isKept(both, ModelView(opening: 2, context: context(1..<3, generation: 1), held: [])))
  }

  @Test func retentionNoticesACounterThatWasNotFolded() throws {
    var ledger = try ledger()
    ledger.wrote(
      ModelLedger.Operation(counters: 4..<5, removed: [], folded: [LiveDot(dot: dot(2), folds: 1)]), entries: [],
      by: writer)
    var checker = ModelRetention()
    let old = ModelView(opening: 2, context: context(1..<4), held: live(2))
    for (folds, isRight) in [(1, true), (0, false)] as [(UInt32, Bool)] {
      let new = ModelView(opening: 2, context: context(1..<5), held: [LiveDot(dot: dot(2), folds: folds)])
      let verdict = checker.changed(
        from: old, to: new, seen: old.operations(seenBy: new, in: ledger), gone: [], in: ledger)
      #expect((verdict == nil) == isRight)
    }
  }

  @Test func transactionsNoticesAPart() throws {
    let ledger = try ledger()
    var checker = ModelTransactions()
    #expect(checker.changed(to: both, seen: nothing.operations(seenBy: both, in: ledger)) == nil)
    let first = ModelView(opening: 2, context: context(1..<2), held: live(1))
    #expect(checker.changed(to: first, seen: nothing.operations(seenBy: first, in: ledger)) != nil)
    let second = ModelView(opening: 2, context: context(2..<4), held: live(2))
    #expect(checker.changed(to: second, seen: nothing.operations(seenBy: second, in: ledger)) != nil)
    #expect(checker.refused(at: 2, hasChanged: false) == nil)
    #expect(checker.refused(at: 2, hasChanged: true) != nil)
  }

  @Test func noReturnNoticesWhatComesBack() throws {
    let ledger = try ledger()
    func isGone(_ old: ModelView, _ new: ModelView) -> Bool {
      var checker = ModelNoReturn()
      return checker.changed(
        from: old, to: new, seen: old.operations(seenBy: new, in: ledger), appeared: old.difference(to: new).appeared)
        == nil
    }
    #expect(isGone(both, afterwards))
    #expect(!isGone(afterwards, ModelView(opening: 2, context: afterwards.context, held: live(1, 2))))
    #expect(!isGone(both, ModelView(opening: 2, context: afterwards.context, held: live(1, 2))))
  }

  @Test func convergenceNoticesADifference() throws {
    var checker = ModelConvergence()
    let one = Delta(generation: 0, covered: context(1..<4).seen, entries: [try entry(2)])
    let other = Delta(generation: 0, covered: context(1..<4).seen, entries: [try entry(2, "a", 2)])
    let later = Delta(generation: 1, covered: context(1..<4).seen, entries: [try entry(2)])
    #expect(checker.settled(1, one, 2, one, of: "home") == nil)
    #expect(checker.settled(1, one, 2, other, of: "home") != nil)
    #expect(checker.settled(1, one, 2, later, of: "home") != nil)
  }

  @Test func durabilityNoticesWhatWasReportedTooEarly() throws {
    func content(_ end: UInt64) throws -> StoredReplica {
      StoredReplica(context: context(1..<end), entries: [try entry(end - 1)], clock: end)
    }
    func load(_ content: StoredReplica, in checker: inout ModelDurability) -> String? {
      let document = Document(replica: writer, context: content.context, entries: content.entries)
      return checker.loaded(content, as: document, by: 9, from: 3)
    }
    var checker = ModelDurability()
    #expect(load(.empty, in: &checker) == nil)
    checker.began(try content(2), revision: 1, of: 4, on: 3)
    var other = checker
    #expect(load(.empty, in: &other) == nil)
    checker.told(1, of: 4, on: 3)
    other = checker
    #expect(load(.empty, in: &other) != nil)
    // The next one is under way: either may be there.
    checker.began(try content(3), revision: 2, of: 4, on: 3)
    for end in [2, 3] as [UInt64] {
      other = checker
      #expect(load(try content(end), in: &other) == nil)
    }
    other = checker
    #expect(load(try content(4), in: &other) != nil)
    checker.told(2, of: 4, on: 3)
    #expect(load(try content(2), in: &checker) != nil)
    // What is there is not what the replica begins with.
    let wrong = Document(replica: writer, context: context(1..<3), entries: [])
    #expect(checker.loaded(try content(3), as: wrong, by: 9, from: 3) != nil)
  }

  @Test func watchingNoticesAChangeThatWasNotTold() throws {
    func change(_ old: ModelValue?, _ new: ModelValue?) throws -> ModelChange {
      ModelChange(
        path: try ModelPath("a"), old: old.map { .value($0) }, new: new.map { .value($0) }, writer: nil, time: nil,
        cause: .remote)
    }
    let leaf = ModelLeaf(path: try ModelPath("a"), content: .value(1))
    let other = ModelLeaf(path: try ModelPath("a"), content: .value(2))
    var checker = ModelWatching()
    checker.began(2, with: [leaf])
    #expect(checker.shows([leaf], at: 2) == nil)
    #expect(checker.shows([other], at: 2) != nil)
    #expect(checker.told([try change(1, 2)], at: 2) == nil)
    #expect(checker.shows([other], at: 2) == nil)
    #expect(checker.told([try change(1, 2)], at: 2) != nil)
    #expect(checker.told([try change(nil, 2)], at: 2) != nil)
    #expect(checker.told([try change(2, nil)], at: 2) == nil)
    #expect(checker.shows([], at: 2) == nil)
  }
}
