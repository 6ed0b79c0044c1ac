import GlueCore
import Testing

@testable import GlueQuorum

@Suite struct RaftSimulationTests {
  /// What fits a unit test.
  static let seeds: UInt64 = 150
  static let milliseconds: UInt64 = 2_500

  @Test func nothingThatIsCommittedIsLostWhateverFails() {
    var newest: LogIndex = 0
    for seed in 0..<Self.seeds {
      let network = RaftNetwork(seed: seed)
      let breach = network.run(milliseconds: Self.milliseconds)
      #expect(breach == nil, "seed \(seed): \(network.summary)")
      newest += network.judge.newest
    }
    #expect(newest > Self.seeds * 10)
  }

  /// Each mistake with the first seed, from 0 on, that showed it; the search begins there, or it would take a minute. A
  /// change of the network moves them. Votes that are not synced, and changes at once, are caught by ``RaftMachineTests``.
  @Test(arguments: [
    (RaftFault.skipsPreviousCheck, UInt64(38)), (.acknowledgesBeforeSync, 42), (.commitsUnmatched, 399),
    (.votesTwice, 0), (.votesForShorterLog, 1), (.leaderCountsUnsynced, 2), (.commitsOldTerm, 164),
    (.countsLearners, 12), (.readsWithoutRound, 146), (.neverResends, 50),
  ])
  func aMistakeIsNoticed(fault: RaftFault, from first: UInt64) {
    let seed = (first..<first + 100).first {
      RaftNetwork(seed: $0, fault: fault).run(milliseconds: Self.milliseconds) != nil
    }
    #expect(seed != nil)
  }

  @Test func aWipedMemberUnderItsOldIdentityIsNoticed() {
    let seed = (0..<UInt64(400)).first { seed in
      let network = RaftNetwork(seed: seed)
      network.wipesKeepIdentity = true
      return network.run(milliseconds: Self.milliseconds) != nil
    }
    #expect(seed != nil)
  }
}
