import GlueCore
import Testing

@testable import GlueQuorum

@Suite(.apart) struct RaftSimulationTests {
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

  /// As many seeds as a mistake gets; each is found in a small part of them, so that a change of the network spoils none. That those of
  /// liveness are seen is for ``RaftLivenessTests``, and that each shows in a machine alone for ``RaftMistakeTests``.
  static let tries: UInt64 = 1_500

  @Test(
    arguments: [
      (.voteNotSynced, .split), (.votesTwice, .shortReigns), (.votesForShorterLog, .sleeper), (.countsLearners, .split),
      (.acknowledgesBeforeSync, .split), (.leaderCountsUnsynced, .sleeper), (.commitsOldTerm, .split),
      (.commitsUnmatched, .sleeper), (.skipsPreviousCheck, .rivals), (.changesAtOnce, .rivals),
      (.changesBeforeOwnEntry, .rivals), (.readsWithoutRound, .longPause), (.readsFromOldRound, .longPause),
      (.neverResends, .rivals), (.keepsTruncatedMembership, .rivals), (.keepsMatchOverTerms, .sleeper),
    ] as [(RaftFault, RaftScene.Kind)])
  func aMistakeIsNoticed(fault: RaftFault, favourite: RaftScene.Kind) {
    let seed = (0..<Self.tries).first { seed in
      let network = RaftNetwork(seed: seed, fault: fault)
      network.favourite = favourite
      return network.run(milliseconds: Self.milliseconds) != nil
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
