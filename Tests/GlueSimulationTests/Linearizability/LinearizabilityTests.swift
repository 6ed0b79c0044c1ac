import GlueSimulation
import Testing

@Suite struct LinearizabilityTests {
  @Test func nothingIsLinearizable() {
    #expect(verdict([]) == .linearizable)
  }

  @Test func aReadBesideAWriteSeesEitherValue() {
    let write = HistoryOperation(1, 10, 20, .write(key: "x", value: "a"))
    #expect(verdict([write, .init(2, 15, 18, .read(key: "x", value: nil))]) == .linearizable)
    #expect(verdict([write, .init(2, 15, 18, .read(key: "x", value: "a"))]) == .linearizable)
    #expect(verdict([write, .init(2, 15, 18, .read(key: "x", value: "b"))]) == .violated)
  }

  @Test func aReadAfterAWriteSeesIt() {
    let write = HistoryOperation(1, 10, 20, .write(key: "x", value: "a"))
    #expect(verdict([write, .init(2, 21, 22, .read(key: "x", value: nil))]) == .violated)
    // At one moment of the clock nobody can tell.
    #expect(verdict([write, .init(2, 20, 22, .read(key: "x", value: nil))]) == .linearizable)
  }

  /// Herlihy and Wing, "Linearizability", 1990: what one has seen, nobody sees undone.
  @Test func twoReadsBesideAWriteAgreeOnItsMoment() {
    let write = HistoryOperation(1, 0, 100, .write(key: "x", value: "a"))
    let first = HistoryOperation(2, 10, 20, .read(key: "x", value: "a"))
    #expect(verdict([write, first, .init(3, 30, 40, .read(key: "x", value: nil))]) == .violated)
    #expect(verdict([write, first, .init(3, 15, 40, .read(key: "x", value: nil))]) == .linearizable)
  }

  @Test func keysAreJudgedApartUnlessATransactionConnectsThem() {
    let both = HistoryOperation(
      1, 0, 10, .transaction(conditions: [], writes: [HistoryCell("x", "1"), HistoryCell("y", "1")]))
    let x = HistoryOperation(2, 3, 4, .read(key: "x", value: "1"))
    #expect(verdict([both, x, .init(2, 5, 6, .read(key: "y", value: "1"))]) == .linearizable)
    let report = LinearizabilityChecker().check(
      History(operations: [both, x, .init(2, 5, 6, .read(key: "y", value: nil)), .init(1, 0, 1, .delete(key: "z"))]))
    #expect(report.verdict == .violated)
    #expect(report.partitions == 2)
    #expect(report.violations.first?.keys == ["x", "y"])
  }

  @Test func ofTwoWhoCompareAndSetTheSameValueOneIsRejected() {
    let start = [HistoryCell("x", "0")]
    let one = HistoryOperation(1, 0, 10, .compareAndSet(key: "x", expected: "0", value: "1"))
    let two = HistoryOperation.Action.compareAndSet(key: "x", expected: "0", value: "2")
    #expect(verdict([one, .init(2, 0, 10, two)], initial: start) == .violated)
    #expect(verdict([one, .init(2, 0, 10, two, .rejected(reason: nil))], initial: start) == .linearizable)
    #expect(verdict([.init(2, 0, 10, two, .rejected(reason: nil))], initial: start) == .violated)
    #expect(verdict([.init(2, 0, 10, two, .rejected(reason: "no quorum"))], initial: start) == .linearizable)
  }

  @Test func anUnknownWriteTakesEffectLateOrNeverButNotTwice() {
    let unknown = HistoryOperation(1, 0, 5, .write(key: "x", value: "a"), .unknown)
    let seen = HistoryOperation(2, 50, 51, .read(key: "x", value: "a"))
    let write = HistoryOperation(2, 60, 61, .write(key: "x", value: "b"))
    #expect(verdict([unknown, .init(2, 10, 11, .read(key: "x", value: nil)), seen]) == .linearizable)
    #expect(verdict([unknown, write, .init(2, 70, 71, .read(key: "x", value: "b"))]) == .linearizable)
    #expect(verdict([unknown, seen, write, .init(2, 70, 71, .read(key: "x", value: "a"))]) == .violated)
    #expect(verdict([.init(1, 55, nil, .write(key: "x", value: "a"), .unknown), seen]) == .violated)
  }

  @Test func anUnknownWriteThatNobodyReadsMayStillFailACondition() {
    let unknown = HistoryOperation(1, 0, nil, .write(key: "x", value: "a"), .unknown)
    let rejected = HistoryOperation(
      2, 10, 11, .compareAndSet(key: "x", expected: nil, value: "b"), .rejected(reason: nil))
    #expect(verdict([unknown, rejected]) == .linearizable)
    #expect(verdict([rejected]) == .violated)
    #expect(verdict([.init(1, 0, 5, .write(key: "x", value: "a"), .failed), rejected]) == .violated)
  }

  @Test func aViolationTellsThePrefixAndWhatHasNoPlace() throws {
    let report = LinearizabilityChecker().check(
      History(operations: [
        .init(1, 0, 1, .write(key: "x", value: "a")), .init(1, 2, 3, .write(key: "x", value: "b")),
        .init(2, 4, 9, .read(key: "x", value: "a")), .init(1, 5, 10, .write(key: "x", value: "c")),
        .init(3, 0, 1, .write(key: "y", value: "c")),
      ]))
    let violation = try #require(report.violations.first)
    #expect(report.violations.count == 1)
    #expect(violation.keys == ["x"])
    #expect(violation.prefix == [0, 1, 3])
    #expect(violation.state == [HistoryCell("x", "c")])
    #expect(violation.unplaced == [2])
  }

  @Test func lettersSpeltDifferentlyAreDifferentKeys() {
    let write = HistoryOperation(1, 0, 1, .write(key: "\u{E9}", value: "a"))
    #expect(verdict([write, .init(1, 2, 3, .read(key: "e\u{301}", value: nil))]) == .linearizable)
  }

  @Test func workIsBounded() {
    // Everybody writes at one time, all of it is read, and one read is of what was never written.
    var operations: [HistoryOperation] = []
    for process in 0..<Int64(60) {
      operations.append(.init(process, 0, nil, .write(key: "x", value: "\(process)"), .unknown))
      operations.append(.init(process, 1000, 2000, .read(key: "x", value: "\(process)")))
    }
    operations.append(.init(99, 900, 999, .read(key: "x", value: "never")))
    let report = LinearizabilityChecker(states: 500).check(History(operations: operations))
    #expect(report.verdict == .undecided)
    #expect(report.undecided == [["x"]])
  }

  @Test func unknownWritesThatNobodyReadsCostNothing() {
    var operations = (0..<Int64(2_000)).map {
      HistoryOperation($0, $0, nil, .write(key: "x", value: "u\($0)"), .unknown)
    }
    operations.append(.init(1, 3_000, 3_001, .write(key: "x", value: "a")))
    operations.append(.init(1, 3_002, 3_003, .read(key: "x", value: "b")))
    let report = LinearizabilityChecker(states: 100).check(History(operations: operations))
    #expect(report.verdict == .violated)
    #expect(report.considered == 2)
  }
}
