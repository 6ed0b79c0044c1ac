import GlueCore
import Testing

@testable import GlueQuorum

/// What makes a quorum go on, and go on undisturbed: courses of events in virtual time, each of which goes wrong with the
/// mistake that it is about.
@Suite(.apart) struct RaftLivenessTests {
  /// Three voters without other faults, one of which leads.
  private func settled(_ fault: RaftFault?) -> (network: RaftNetwork, leader: Int, follower: Int) {
    let network = RaftNetwork(seed: 0, fault: fault)
    network.isFaulty = false
    network.isIdle = true
    network.lossPercent = 0
    network.run(for: 1_000)
    let leader = network.leaderPlace ?? 0
    return (network, leader, (leader + 1) % 3)
  }

  @Test(arguments: [nil, RaftFault.noPreVote])
  func whoComesBackDeposesNobody(fault: RaftFault?) {
    let (network, leader, follower) = settled(fault)
    let term = network.nodes[leader].machine?.term
    network.isolate(follower)
    network.run(for: 2_000)
    network.cut = []
    network.run(for: 1_000)
    let isUndisturbed = network.leaderPlace == leader && network.nodes[leader].machine?.term == term
    #expect(isUndisturbed == (fault == nil))
  }

  @Test(arguments: [nil, RaftFault.noLeaderStickiness])
  func whoDoesNotHearTheLeaderDeposesNobody(fault: RaftFault?) {
    let (network, leader, follower) = settled(fault)
    let term = network.nodes[leader].machine?.term
    network.cut = [leader * 16 + follower, follower * 16 + leader]
    network.run(for: 2_000)
    let isUndisturbed = network.leaderPlace == leader && network.nodes[leader].machine?.term == term
    #expect(isUndisturbed == (fault == nil))
  }

  @Test(arguments: [nil, RaftFault.noCheckQuorum])
  func aLeaderThatIsCutOffStepsDown(fault: RaftFault?) {
    let (network, leader, _) = settled(fault)
    network.isolate(leader)
    network.run(for: 500)
    #expect((network.nodes[leader].machine?.role != .leader) == (fault == nil))
  }

  @Test(arguments: [nil, RaftFault.neverResends])
  func whatWasLostIsSentAgain(fault: RaftFault?) throws {
    let (network, leader, follower) = settled(fault)
    network.cut = [leader * 16 + follower]
    for value in 1...3 { _ = try network.nodes[leader].machine?.propose([UInt8(value)], at: network.now) }
    network.run(for: 40)
    network.cut = []
    network.run(for: 500)
    let last = try #require(network.nodes[leader].machine?.lastIndex)
    #expect((network.nodes[follower].machine?.commitIndex == last) == (fault == nil))
  }
}
