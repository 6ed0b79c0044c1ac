import GlueCore
import GlueModel
import GlueSimulation
import Testing

@testable import GlueQuorum

@Suite(.apart) struct QuorumHistoryTests {
  @Test(arguments: 1...4)
  func whatClientsAreToldIsLinearizable(seed: Int) {
    let workload = QuorumWorkload(voters: seed % 3 == 0 ? 5 : 3, observers: 2, seed: UInt64(seed))
    workload.network.lossOneOf = seed % 2 == 0 ? 50 : 0
    #expect(workload.network.found(workload.voters) == .done)
    workload.network.results = []
    workload.run(for: .seconds(6))
    let report = LinearizabilityChecker().check(History(operations: workload.operations))
    #expect(report.verdict == .linearizable, "seed \(seed): \(report.violations)")
    let committed = workload.operations.count { $0.outcome == .committed }
    #expect(committed > 50, "seed \(seed): \(workload.operations.count) operations, \(committed) done")
    // In the end all have the same.
    let states = Set(workload.network.nodes.map { $0.machine?.state.encoded() })
    #expect(states.count == 1, "seed \(seed)")
  }
}
