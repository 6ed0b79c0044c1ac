import GlueCore
import GlueSimulation
import Testing

@testable import GlueQuorum

@Suite struct LogFailureTests {
  static let workload = LogWorkload(steps: 18)

  /// How many operations it takes.
  static let operations: Int = {
    let directory = SimulatedLogDirectory()
    _ = workload.run(on: directory)
    return directory.operations
  }()

  @Test(arguments: [SimulatedLogDirectory.Failure.refused, .crash])
  func afterAFailureEverythingThrowsAndNothingConfirmedIsLost(failure: SimulatedLogDirectory.Failure) {
    for number in 1...Self.operations {
      let directory = SimulatedLogDirectory()
      directory.failures[number] = failure
      let outcome = Self.workload.run(on: directory)
      #expect(outcome.error != nil, "operation \(number)")
      if outcome.again != nil { #expect(outcome.again == outcome.error, "operation \(number)") }
      // The process begins anew, or the power is cut as well.
      for disk in [directory.disk, directory.disk.afterPowerCut(.sectors(seed: UInt64(number)))] {
        let breach = Self.workload.breach(disk, confirmed: outcome.confirmed)
        #expect(breach == nil, "operation \(number)")
      }
    }
  }

  @Test func aFullDiskIsToldAndLosesNothing() {
    let all = SimulatedLogDirectory()
    _ = Self.workload.run(on: all)
    for capacity in stride(from: 10, to: all.disk.byteCount, by: 401) {
      let directory = SimulatedLogDirectory()
      directory.capacity = capacity
      let outcome = Self.workload.run(on: directory)
      guard case .full = outcome.error else {
        Issue.record("with room for \(capacity): \(String(describing: outcome.error))")
        return
      }
      if outcome.again != nil { #expect(outcome.again == outcome.error) }
      let breach = Self.workload.breach(directory.disk, confirmed: outcome.confirmed)
      #expect(breach == nil, "with room for \(capacity)")
    }
  }

  @Test(arguments: [512, -512])
  func aWriteThatGoesElsewhereIsNoticed(distance: Int) {
    var refused = 0
    for number in 1...Self.operations {
      let directory = SimulatedLogDirectory()
      directory.failures[number] = .misdirected(by: distance)
      let outcome = Self.workload.run(on: directory)
      #expect(outcome.error == nil)
      do throws(LogError) {
        let stored = try LogWorkload.open(SimulatedLogDirectory(directory.disk)).stored
        // It hit what nobody needs any more, or nothing.
        #expect(stored.map(LogState.init) == Self.workload.states.last, "operation \(number)")
      } catch {
        refused += 1
      }
    }
    #expect(refused > 2)
  }

  @Test func whatIsRefusedForGoodReasonDoesNotEndIt() throws {
    let store = try LogWorkload.open(SimulatedLogDirectory())
    #expect(store.cluster == nil && store.stored == nil)
    #expect(throws: LogError.isNoMember) { try store.write(RaftWrite(hardState: RaftHardState(term: 1))) }
    let members = Membership(voters: [MemberID(EndpointID(1), LogWorkload.storage)])
    let snapshot = RaftSnapshot(index: 1, term: 1, membership: members, state: [])
    #expect(throws: LogError.isNoMember) { try store.compact(snapshot, keepFrom: 1) }
    try store.found(LogWorkload.cluster, snapshot)
    #expect(throws: LogError.isMember(LogWorkload.cluster)) { try store.found(LogWorkload.cluster, snapshot) }
    try store.write(RaftWrite(hardState: RaftHardState(term: 1)))
    store.close()
    #expect(throws: LogError.self) { try store.write(RaftWrite(hardState: RaftHardState(term: 2))) }
  }
}
