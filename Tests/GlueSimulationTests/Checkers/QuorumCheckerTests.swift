import GlueCore
import GlueQuorum
import GlueSimulation
import Testing

// Each checker of quorum models is shown a history that breaks its invariant, and one that does not.

private let cluster = ClusterID(high: 1, low: 2)
private let storage = StorageID(7)
private let member = MemberID(EndpointID(1), storage)
private func entry(_ index: LogIndex, term: Term = 1, _ bytes: [UInt8] = []) -> RaftEntry {
  RaftEntry(index: index, term: term, .command(bytes))
}
private let snapshot = RaftSnapshot(index: 1, term: 1, membership: Membership(voters: [member]), state: [])
private func second(_ seconds: UInt64) -> Timestamp { Timestamp(nanoseconds: seconds * 1_000_000_000) }

@Suite struct QuorumCheckerTests {
  @Test func aTermHasOneLeader() {
    var checker = QuorumLeaders()
    #expect(checker.leads(1, term: 2, of: cluster) == nil)
    #expect(checker.leads(1, term: 2, of: cluster) == nil)
    #expect(checker.leads(2, term: 3, of: cluster) == nil)
    #expect(checker.leads(2, term: 2, of: cluster) != nil)
  }

  @Test func whatIsAppliedAtAnIndexIsTheSameForAll() {
    var checker = QuorumLog()
    #expect(checker.applied(entry(2), of: cluster, by: 1) == (true, nil))
    #expect(checker.applied(entry(2), of: cluster, by: 2) == (false, nil))
    #expect(checker.applied(entry(2, term: 2), of: cluster, by: 3).verdict != nil)
    #expect(checker.applied(entry(2, [1]), of: cluster, by: 3).verdict != nil)
    #expect(checker.has(5, after: 2, of: cluster, by: 1) == nil)
    #expect(checker.has(5, after: 2, of: cluster, by: 2) == nil)
    #expect(checker.has(6, after: 2, of: cluster, by: 3) != nil)
  }

  @Test func entriesAreAppliedOneAfterTheOther() {
    var checker = QuorumOrder()
    checker.began(1, after: 4)
    #expect(checker.applied(.entry(entry(5)), by: 1) == nil)
    #expect(checker.applied(.state(9, 1), by: 1) == nil)
    #expect(checker.applied(.entry(entry(11)), by: 1) != nil)
    #expect(checker.applied(.state(3, 1), by: 1) != nil)
    #expect(checker.applied(.entry(entry(3)), by: 1) != nil)
    #expect(checker.applied(.state(0, 0), by: 1) == nil)
  }

  @Test func whatAStorageHasConfirmedIsThere() {
    let hard = RaftHardState(term: 3, vote: member)
    func written() -> QuorumMemory {
      var checker = QuorumMemory()
      checker.wrote(.found(cluster, snapshot), to: storage)
      checker.wrote(.write(RaftWrite(hardState: hard, entries: [entry(2), entry(3)])), to: storage)
      return checker
    }
    func verdict(_ stored: StoredRaft?, _ checker: QuorumMemory = written()) -> String? {
      var checker = checker
      return checker.loaded(storage, cluster: stored == nil ? nil : cluster, stored: stored)
    }
    let all = StoredRaft(hardState: hard, snapshot: snapshot, entries: [entry(2), entry(3)])
    #expect(verdict(all) == nil)
    #expect(verdict(nil) != nil)
    #expect(verdict(StoredRaft(hardState: hard, snapshot: snapshot, entries: [entry(2)])) != nil)
    #expect(verdict(StoredRaft(hardState: RaftHardState(term: 2), snapshot: snapshot, entries: all.entries)) != nil)
    #expect(verdict(StoredRaft(hardState: RaftHardState(term: 3), snapshot: snapshot, entries: all.entries)) != nil)
    // What was being written in place of an entry may be there or not.
    var cutOff = written()
    cutOff.interrupted(.write(RaftWrite(entries: [entry(3, term: 3)])), on: storage)
    let replaced = StoredRaft(hardState: hard, snapshot: snapshot, entries: [entry(2), entry(3, term: 3)])
    #expect(verdict(replaced, cutOff) == nil)
    #expect(verdict(replaced) != nil)
    #expect(verdict(StoredRaft(hardState: hard, snapshot: snapshot), cutOff) != nil)
  }

  @Test func writesAreThereOnce() {
    var checker = QuorumDurability()
    let (done, not, unknown) = (checker.asked(), checker.asked(), checker.asked())
    checker.ended(done, .done(5))
    checker.ended(not, .notDone)
    func verdict(_ counts: [Int: Int64], after index: LogIndex = 9) -> String? {
      checker.judged(after: index) { counts[$0] ?? 0 }
    }
    #expect(verdict([done: 1]) == nil)
    #expect(verdict([done: 1, unknown: 1]) == nil)
    #expect(verdict([:], after: 4) == nil)
    #expect(verdict([:]) != nil)
    #expect(verdict([done: 2]) != nil)
    #expect(verdict([done: 1, not: 1]) != nil)
    #expect(verdict([done: 1, unknown: 2]) != nil)
  }

  @Test func aStaleReadIsNoticed() {
    func verdict(reading value: String?) -> String? {
      var checker = QuorumHistory()
      let write = checker.asked(.write(key: "a", value: "1"), by: 1, at: second(1))
      checker.ended(write, .committed, at: second(2))
      let read = checker.asked(.read(key: "a", value: nil), by: 2, at: second(3))
      checker.ended(read, .committed, read: .read(key: "a", value: value), at: second(4))
      return checker.judged()
    }
    #expect(verdict(reading: "1") == nil)
    #expect(verdict(reading: nil) != nil)
  }

  @Test func aTokenIsOfOneAndTokensGrow() {
    var checker = QuorumLocks()
    #expect(checker.granted("door", token: 3, to: 1, at: second(1)) == nil)
    #expect(checker.granted("door", token: 3, to: 1, at: second(2)) == nil)
    #expect(checker.holds("door", token: 3, at: 1, now: second(9)) == nil)
    #expect(checker.granted("door", token: 4, to: 2, at: second(9)) == nil)
    #expect(checker.holds("door", token: 3, at: 1, now: second(9)) == nil)
    #expect(checker.holds("door", token: 3, at: 1, now: second(10)) != nil)
    #expect(checker.holds("door", token: 4, at: 2, now: second(10)) == nil)
    #expect(checker.granted("door", token: 4, to: 1, at: second(10)) != nil)
    #expect(checker.committed("door", token: 3, at: 20) == nil)
    #expect(checker.committed("door", token: 4, at: 30) == nil)
    #expect(checker.committed("door", token: 3, at: 25) == nil)
    #expect(checker.committed("door", token: 3, at: 31) != nil)
  }

  @Test func whatDoesNotEndOrHappenIsNoticed() {
    var ends = QuorumEnds()
    #expect(ends.sampled(1, overdue: 0) == nil)
    #expect(ends.sampled(1, overdue: 1) != nil)
    #expect(ends.closed(1, waiting: 0) == nil)
    #expect(ends.closed(1, waiting: 1) != nil)
    var progress = QuorumProgress()
    #expect(progress.settled(1, .committed(3), isRelayed: true) == nil)
    #expect(progress.settled(1, nil, isRelayed: true) != nil)
    #expect(progress.settled(1, .failed(.closed), isRelayed: false) != nil)
    var convergence = QuorumConvergence()
    #expect(convergence.settled(1, [1], after: 2, 2, [1], after: 2) == nil)
    #expect(convergence.settled(1, [1], after: 2, 2, [2], after: 2) != nil)
    #expect(convergence.settled(1, [1], after: 2, 2, [1], after: 3) != nil)
  }
}
