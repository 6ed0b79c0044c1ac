import GlueCore
import GlueModel
import GlueQuorum
import Testing

@Suite struct QuorumStateTests {
  // MARK: Once

  @Test func aRequestAppliesOnce() {
    var driver = StateDriver()
    let session = driver.open(1)
    let request = driver.next(session)
    let count = QuorumOperation.transaction([], [.increment(ModelPath(unchecked: "n"), 1)])
    let first = driver.again(request, count)
    #expect(first.isCommitted)
    #expect(driver.again(request, count) == first)
    #expect(driver.state.document.read(ModelPath(unchecked: "n"))?.int == 1)
    #expect(driver.state.outcome(of: request) == first)
  }

  @Test func theSameNonceOpensTheSameSessionWhileThatLives() {
    var driver = StateDriver()
    let session = driver.open(7)
    #expect(driver.open(7) == session)
    #expect(driver.open(8) != session)
    driver.wait(600_000)
    #expect(driver.state.sessionCount == 0)
    #expect(driver.open(7).number == 3)
  }

  @Test func whatIsBelowTheFloorIsForgottenAndNeverApplies() {
    var driver = StateDriver()
    let session = driver.open(1)
    let late = driver.next(session)
    driver.again(driver.next(session), oldest: 2, .keepAlive)
    #expect(driver.again(late, .set("a", 1)) == .rejected(.forgotten))
    #expect(driver.again(RequestID(session: session, number: 0), .set("a", 1)) == .rejected(.forgotten))
    #expect(driver.state.document.keyCount == 0)
  }

  @Test func atMostAThousandOutcomesAreRemembered() {
    var driver = StateDriver()
    let session = driver.open(1)
    for _ in 0..<1_030 { driver.ask(session, .keepAlive) }
    #expect(driver.state.outcome(of: RequestID(session: session, number: 6)) == nil)
    #expect(driver.state.outcome(of: RequestID(session: session, number: 7)) != nil)
    #expect(driver.again(RequestID(session: session, number: 6), .set("a", 1)) == .rejected(.forgotten))
  }

  @Test func aSessionThatIsSilentForTheWindowIsOver() {
    var driver = StateDriver()
    let session = driver.open(1)
    driver.ask(session, .keepAlive, after: 599_999)
    driver.wait(599_999)
    #expect(driver.state.sessionCount == 1)
    #expect(driver.state.nextExpiry == driver.state.time + 1)
    driver.wait(1)
    #expect(driver.state.sessionCount == 0)
    #expect(driver.state.nextExpiry == nil)
    #expect(driver.ask(session, .set("a", 1)) == .rejected(.unknownSession))
  }

  @Test func timeNeverGoesBack() {
    var driver = StateDriver()
    driver.wait(1_000)
    _ = driver.state.apply(QuorumBatch(time: 5, commands: []), index: 2)
    #expect(driver.state.time == 1_000)
    _ = driver.state.apply(QuorumBatch(time: .max, commands: []), index: 3)
    let session = driver.open(1)
    #expect(driver.ask(session, .set("a", 1)).isCommitted)
  }

  @Test func ofTooManySessionsTheOneGoesThatWasSilentLongestAndHoldsNothing() {
    var driver = StateDriver()
    let holder = driver.open(1)
    #expect(driver.ask(holder, .lock("a", ttl: 600_000)).token == 1)
    let idle = driver.open(2)
    driver.wait(1)
    for nonce in 3...10_000 { _ = driver.open(UInt64(nonce)) }
    driver.ask(idle, .keepAlive, after: 1)
    #expect(driver.state.sessionCount == 10_000)
    #expect(driver.open(20_000).number == 10_001)
    #expect(driver.state.sessionCount == 10_000)
    #expect(driver.ask(holder, .keepAlive).isCommitted)
    #expect(driver.ask(idle, .keepAlive).isCommitted)
    #expect(driver.ask(SessionID(3), .keepAlive) == .rejected(.unknownSession))
  }

  // MARK: Transactions

  /// Once a condition that nothing is at a path came out as one that the value null is there.
  @Test func conditionsAreTheSameAfterTheLog() throws {
    let path = ModelPath(unchecked: "a")
    let conditions: [QuorumCondition] = [
      .value(path, ModelValue?.none), .value(path, .some(.null)), .value(path, 1), .node(path, ModelNode?.none),
      .node(path, .value(1)), .exists(path), .held(lock: "l", token: 1),
    ]
    let command = QuorumCommand(
      request: RequestID(session: SessionID(1), number: 1), oldest: 1, operation: .transaction(conditions, []))
    let batch = QuorumBatch(time: 1, commands: [command])
    #expect(try QuorumBatch(encoded: batch.encoded()) == batch)
  }

  @Test func aTransactionWhoseConditionFailsChangesNothing() {
    var driver = StateDriver()
    let session = driver.open(1)
    driver.ask(session, .set("a/b", 1))
    let (a, ab, c) = (ModelPath(unchecked: "a"), ModelPath(unchecked: "a/b"), ModelPath(unchecked: "c"))
    let map = ModelNode.map([.init(level: "b", node: .value(1))])
    let held: [QuorumCondition] = [
      .exists(a), .exists(ab), .exists(.root), .value(ab, 1), .value(c, nil), .node(c, nil), .node(a, map),
    ]
    #expect(driver.ask(session, .set("d", 1, if: held)).isCommitted)
    let failing: [QuorumCondition] = [
      .exists(c), .value(ab, 2), .value(ab, nil), .value(a, nil), .value(a, 1), .node(a, nil), .node(a, .value(1)),
      .held(lock: "l", token: 1),
    ]
    for condition in failing {
      guard case .rejected(.conditionFailed(1, _)) = driver.ask(session, .set("e", 1, if: [.exists(a), condition]))
      else {
        Issue.record("\(condition) holds")
        continue
      }
    }
    #expect(!driver.state.document.exists(ModelPath(unchecked: "e")))
  }

  @Test func aConditionOnALockHoldsWithItsToken() {
    var driver = StateDriver()
    let session = driver.open(1)
    let token = driver.ask(session, .lock("l")).token ?? 0
    #expect(driver.ask(session, .set("a", 1, if: [.held(lock: "l", token: token)])).isCommitted)
    driver.ask(session, .release(lock: "l", token: token))
    #expect(
      driver.ask(session, .set("a", 2, if: [.held(lock: "l", token: token)])) == .rejected(.conditionFailed(0, "l")))
  }

  @Test func whatTheModelRefusesChangesNothing() {
    var driver = StateDriver()
    let session = driver.open(1)
    let path = ModelPath(unchecked: "a")
    driver.ask(session, .set("a", 1))
    let edits: [ModelEdit] = [.set(ModelPath(unchecked: "x"), 1), .increment(path, 1)]
    #expect(
      driver.ask(session, .transaction([], edits))
        == .rejected(.refused(.wrongKind(path, is: .value, needs: .counter))))
    #expect(driver.state.document.keyCount == 1)
    let large = ModelValue.string(String(repeating: "x", count: 70_000))
    #expect(driver.ask(session, .set("a", large)) == .rejected(.refused(.limit(.valueBytes, 65_536))))
    let counter = ModelPath(unchecked: "n")
    driver.ask(session, .transaction([], [.increment(counter, .max)]))
    #expect(
      driver.ask(session, .transaction([], [.increment(counter, 1)])) == .rejected(.refused(.overflow(counter))))
    #expect((try? QuorumState(encoded: driver.state.encoded()))?.digest == driver.state.digest)
  }

  @Test func changesTellTheTimeOfTheQuorum() {
    var driver = StateDriver()
    let session = driver.open(1)
    driver.ask(session, .set("a", 1), after: 5)
    #expect(driver.applied.changes.map(\.time) == [5_000])
  }

  @Test func theStateDoesNotGrowWithWhatWasOverwritten() {
    var driver = StateDriver()
    let session = driver.open(1)
    func write(_ number: Int) {
      let request = driver.next(session)
      driver.again(request, oldest: request.number, .set("k\(number % 10)", .int(Int64(number % 100))))
    }
    for number in 0..<1_000 { write(number) }
    let before = driver.state.encoded().count
    for number in 0..<4_000 { write(number) }
    #expect(driver.state.encoded().count <= before + 100)
  }

  // MARK: Settling

  @Test func whatIsSettledFirstNeverApplies() {
    var driver = StateDriver()
    let (session, other) = (driver.open(1), driver.open(2))
    let request = driver.next(session)
    #expect(driver.ask(other, .settle(request)) == .rejected(.settled))
    #expect(driver.again(request, .set("a", 1)) == .rejected(.settled))
    #expect(driver.state.document.keyCount == 0)
  }

  @Test func settlingTellsWhatWasDecided() {
    var driver = StateDriver()
    let (session, other) = (driver.open(1), driver.open(2))
    let request = driver.next(session)
    let outcome = driver.again(request, .set("a", 1))
    #expect(driver.ask(other, .settle(request)) == outcome)
    let lock = driver.next(session)
    let token = driver.again(lock, .lock("l")).token ?? 0
    #expect(driver.ask(other, .settle(lock)).token == token)
    driver.ask(session, .release(lock: "l", token: token))
    #expect(driver.ask(other, .settle(lock)) == .lost)
    #expect(driver.state.outcome(of: lock) == .lost)
    #expect(driver.again(lock, .lock("l")) == .lost)
  }

  @Test func aRequestInLineThatIsSettledLeavesIt() {
    var driver = StateDriver()
    let (holder, waiter) = (driver.open(1), driver.open(2))
    let token = driver.ask(holder, .lock("l")).token ?? 0
    let request = driver.next(waiter)
    #expect(driver.again(request, .lock("l")) == .waiting)
    #expect(driver.ask(holder, .settle(request)) == .rejected(.settled))
    #expect(driver.notice(request) == .rejected(.settled))
    driver.ask(holder, .release(lock: "l", token: token))
    #expect(driver.state.lock("l") == nil)
  }

  @Test func aSessionSettlesItsOwnRequestsHoweverMuchItRemembers() {
    var driver = StateDriver()
    let (session, other) = (driver.open(1), driver.open(2))
    for _ in 0..<1_500 { driver.ask(session, .keepAlive) }
    let lost = (0..<50).map { _ in driver.next(session) }
    // Somebody else would push out what is remembered.
    #expect(driver.ask(other, .settle(lost[49])) == .rejected(.forgotten))
    #expect(driver.ask(session, .settle(lost[49])) == .rejected(.settled))
    #expect(driver.again(lost[49], .set("a", 1)) == .rejected(.settled))
    #expect(driver.state.document.keyCount == 0)
  }

  @Test func settlingWhatIsFarAheadPushesNothingOut() {
    var driver = StateDriver()
    let (session, other) = (driver.open(1), driver.open(2))
    let request = driver.next(session)
    let outcome = driver.again(request, .set("a", 1))
    for number in [1_026, 1 << 63, UInt64.max] {
      #expect(driver.ask(other, .settle(RequestID(session: session, number: number))) == .rejected(.forgotten))
    }
    for step in 0..<1_100 {
      driver.ask(other, .settle(RequestID(session: session, number: 2 + UInt64(step))))
    }
    #expect(driver.state.outcome(of: request) == outcome)
    // The highest number there is is a number like others.
    #expect(driver.again(RequestID(session: session, number: .max), .keepAlive).isCommitted)
    driver.ask(other, .settle(RequestID(session: session, number: .max - 1)))
    #expect((try? QuorumState(encoded: driver.state.encoded())) != nil)
  }
}
