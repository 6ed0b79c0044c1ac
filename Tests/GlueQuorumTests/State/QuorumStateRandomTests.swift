import GlueCore
import GlueModel
import GlueQuorum
import Testing

@Suite(.apart) struct QuorumStateRandomTests {
  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func aStateThatCameAsBytesGoesOnAsTheOneThatAppliedAllEntries(seed: UInt64) throws {
    var dice = StateDice(seed: seed)
    var direct = QuorumState()
    var copy = QuorumState()
    var lastToken: UInt64 = 0
    for index in 1...500 as ClosedRange<LogIndex> {
      let batch = dice.batch(after: direct.time)
      let one = direct.apply(batch, index: index)
      dice.note(one)
      // The other one reads the entry, and at times the state, from bytes.
      let other = copy.apply(try QuorumBatch(encoded: batch.encoded()), index: index)
      try #require(copy.encoded() == direct.encoded(), "after entry \(index)")
      try #require(
        one.outcomes.map { $0.1 } == other.outcomes.map { $0.1 }
          && one.notices.map { $0.1 } == other.notices.map { $0.1 })
      try #require(one.notices.map { $0.0 } == other.notices.map { $0.0 } && one.changes == other.changes)
      try #require(copy.nextExpiry == direct.nextExpiry && copy.digest == direct.digest)
      if dice.chance(25) { copy = try QuorumState(encoded: copy.encoded()) }
      // Whoever got a lock with this entry has a higher token than all before, in the order in which they got it.
      let tokens = direct.locks.map(\.token).filter { $0 > lastToken }
      #expect(Set(tokens).count == tokens.count)
      lastToken = max(lastToken, tokens.max() ?? 0)
      #expect(direct.document.conflicts(under: .root).isEmpty)
    }
    #expect(lastToken > 20)
  }

  @Test func theNextExpiryIsWhenSomethingGoesAndNotBefore() throws {
    var dice = StateDice(seed: 11)
    var state = QuorumState()
    for index in 1...600 as ClosedRange<LogIndex> {
      dice.note(state.apply(dice.batch(after: state.time), index: index))
      guard let next = state.nextExpiry, next > state.time else { continue }
      var copy = state
      _ = copy.apply(QuorumBatch(time: next - 1, commands: []), index: index + 1)
      #expect(copy.sessionCount == state.sessionCount && copy.locks == state.locks)
      _ = copy.apply(QuorumBatch(time: next, commands: []), index: index + 2)
      #expect(copy.sessionCount < state.sessionCount || copy.locks != state.locks)
      #expect(copy.nextExpiry.map { $0 > next } ?? true)
    }
  }

  @Test func noBytesTrap() throws {
    var dice = StateDice(seed: 21)
    var state = QuorumState()
    var read = 0
    for index in 1...1_500 as ClosedRange<LogIndex> {
      let batch = dice.batch(after: state.time)
      dice.note(state.apply(batch, index: index))
      if let hostile = try? QuorumBatch(encoded: dice.damage(batch.encoded())) {
        read += 1
        var copy = state
        _ = copy.apply(hostile, index: index)
        _ = try QuorumState(encoded: copy.encoded())
      }
      let bytes = dice.damage(state.encoded())
      if var hostile = try? QuorumState(encoded: bytes) {
        read += 1
        #expect(hostile.encoded() == bytes)
        for step in 1...3 as ClosedRange<LogIndex> { _ = hostile.apply(dice.batch(after: hostile.time), index: step) }
        _ = hostile.apply(QuorumBatch(time: .max, commands: []), index: 4)
        _ = hostile.encoded()
      }
    }
    #expect(read > 300)
  }

  @Test func onlyTheBytesOfAStateAreRead() throws {
    var driver = StateDriver()
    _ = driver.open(1)
    let bytes = driver.state.encoded()
    #expect((try? QuorumState(encoded: bytes + [0])) == nil)
    #expect((try? QuorumState(encoded: Array(bytes.dropLast()))) == nil)
    // A limit in one byte more than it needs.
    #expect((try? QuorumState(encoded: Array(bytes[..<3]) + [bytes[3] | 0x80, 0] + bytes.dropFirst(4))) == nil)
    // More sessions than there may be.
    #expect((try? QuorumState(encoded: [1, 9, 9, 9, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F])) == nil)
  }

  @Test func aLargeDocumentIsNotWalkedThroughForSmallQuestions() {
    var driver = StateDriver()
    let session = driver.open(1)
    for start in stride(from: 0, to: 5_000, by: 500) {
      let edits = (start..<(start + 500)).map { ModelEdit.set(ModelPath(unchecked: "m/k\($0)"), .int(Int64($0))) }
      driver.ask(session, .transaction([], edits))
    }
    // As each question looks at a few nodes only, thousands take no time.
    let conditions = [QuorumCondition.exists(ModelPath(unchecked: "m")), .exists(.root)]
    for number in 0..<2_000 { driver.ask(session, .set("n", .int(Int64(number)), if: conditions)) }
    #expect(driver.state.document.keyCount == 5_001)
  }
}
