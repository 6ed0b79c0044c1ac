import GlueCore
import Testing

@testable import GlueQuorum

/// For each mistake the smallest thing that it spoils: right without it, wrong with it.
@Suite(.apart) struct RaftMistakeTests {
  @Test(arguments: RaftFault.allCases)
  func aMistakeShowsInASingleMachine(fault: RaftFault) {
    #expect(Self.isRight(about: fault, with: nil))
    #expect(!Self.isRight(about: fault, with: fault))
  }

  private static let me = RaftMachineTests.members[0]
  private static let one = RaftMachineTests.members[1]
  private static let two = RaftMachineTests.members[2]
  private static let three = RaftMachineTests.members[3]
  private static func at(_ milliseconds: UInt64) -> Timestamp { RaftMachineTests.at(milliseconds) }

  private static func machine(_ fault: RaftFault?, _ entries: [RaftEntry] = []) -> RaftMachine {
    let machine = RaftMachineTests.machine(entries: entries)
    machine.fault = fault
    return machine
  }

  /// Leads three in term 2; `isReady`: the first entry of its term is committed.
  private static func leader(_ fault: RaftFault?, _ entries: [RaftEntry] = [], isReady: Bool = true) -> RaftMachine {
    let machine = RaftMachineTests.machine(entries: entries)
    machine.advance(to: at(400))
    machine.receive(.voteReply(.init(term: 2, isPreVote: true, isGranted: true)), from: one, at: at(400))
    RaftMachineTests.sync(machine, 400)
    machine.receive(.voteReply(.init(term: 2, isPreVote: false, isGranted: true)), from: one, at: at(400))
    RaftMachineTests.sync(machine, 400)
    if isReady { machine.receive(synced(machine.lastIndex), from: one, at: at(400)) }
    _ = RaftMachineTests.messages(machine)
    machine.fault = fault
    return machine
  }

  private static func synced(_ index: LogIndex, term: Term = 2) -> RaftMessage {
    .appendReply(.init(term: 2, result: .synced(index: index, term: term)))
  }

  private static func append(
    _ term: Term, after previous: LogIndex, of previousTerm: Term, commit: LogIndex, _ entries: [RaftEntry]
  ) -> RaftMessage {
    .append(.init(term: term, previousIndex: previous, previousTerm: previousTerm, commit: commit, entries: entries))
  }

  private static func grantsVotes(_ messages: [RaftMessage]) -> Bool {
    messages.contains(.voteReply(.init(term: 2, isPreVote: false, isGranted: true)))
  }

  // A line of a list for each mistake; apart they would be no clearer.
  // swift-format-ignore
  private static func isRight(about mistake: RaftFault, with fault: RaftFault?) -> Bool {
    let old = RaftEntry(index: 2, term: 1, .empty)
    let four = Membership(voters: [me, one, two, three])
    switch mistake {
    case .voteNotSynced:
      let machine = machine(fault)
      machine.receive(.voteRequest(.init(term: 2, lastIndex: 1, lastTerm: 1)), from: one, at: at(1))
      return RaftMachineTests.messages(machine).isEmpty
    case .votesTwice:
      let machine = machine(fault)
      machine.receive(.voteRequest(.init(term: 2, lastIndex: 1, lastTerm: 1)), from: one, at: at(1))
      RaftMachineTests.sync(machine, 2)
      let first = RaftMachineTests.messages(machine)
      machine.receive(.voteRequest(.init(term: 2, lastIndex: 1, lastTerm: 1)), from: two, at: at(3))
      RaftMachineTests.sync(machine, 4)
      return grantsVotes(first) && !grantsVotes(RaftMachineTests.messages(machine))
    case .votesForShorterLog:
      let machine = machine(fault, [old])
      machine.receive(.voteRequest(.init(term: 2, lastIndex: 1, lastTerm: 1)), from: one, at: at(1))
      RaftMachineTests.sync(machine, 2)
      return !grantsVotes(RaftMachineTests.messages(machine))
    case .countsLearners:
      let snapshot = RaftSnapshot(
        index: 1, term: 1, membership: Membership(voters: [me, one, two], learners: [three]), state: [])
      let machine = RaftMachine(
        member: me, stored: StoredRaft(hardState: .init(term: 1), snapshot: snapshot), configuration: .lan, seed: 1,
        at: at(0))
      machine.fault = fault
      machine.advance(to: at(400))
      machine.receive(.voteReply(.init(term: 2, isPreVote: true, isGranted: true)), from: three, at: at(401))
      return machine.role == .preCandidate
    case .acknowledgesBeforeSync:
      let machine = machine(fault)
      machine.receive(append(1, after: 1, of: 1, commit: 1, [old]), from: one, at: at(1))
      return RaftMachineTests.messages(machine).isEmpty
    case .leaderCountsUnsynced:
      let machine = leader(fault)
      guard let index = try? machine.propose([1], at: at(401)) else { return false }
      machine.receive(synced(index), from: one, at: at(402))
      return machine.commitIndex < index
    case .commitsOldTerm:
      let machine = leader(fault, [old], isReady: false)
      machine.receive(synced(2, term: 1), from: one, at: at(402))
      return machine.commitIndex == 1
    case .commitsUnmatched:
      let machine = machine(fault, [old])
      machine.receive(.heartbeat(term: 2, round: 1, commit: 2), from: one, at: at(1))
      return machine.commitIndex == 1
    case .skipsPreviousCheck:
      let machine = machine(fault, [old])
      machine.receive(append(2, after: 2, of: 2, commit: 1, [RaftEntry(index: 3, term: 2, .empty)]), from: one, at: at(1))
      return machine.lastIndex == 2
    case .changesAtOnce:
      let machine = leader(fault)
      _ = try? machine.propose(four, at: at(401))
      return (try? machine.propose(Membership(voters: [me, one, two]), at: at(401))) == nil
    case .changesBeforeOwnEntry:
      return (try? leader(fault, isReady: false).propose(four, at: at(401))) == nil
    case .readsWithoutRound:
      let machine = leader(fault)
      machine.requestRead(1, at: at(401))
      return machine.nextRead() == nil
    case .readsFromOldRound:
      let machine = leader(fault)
      machine.advance(to: at(440))
      _ = RaftMachineTests.messages(machine)
      let round = machine.round
      machine.requestRead(1, at: at(441))
      machine.receive(
        .heartbeatReply(.init(term: 2, round: round, received: 2, synced: 2, syncedTerm: 2)), from: one, at: at(442))
      return machine.nextRead() == nil
    case .keepsTruncatedMembership:
      let machine = machine(fault, [RaftEntry(index: 2, term: 1, .membership(four))])
      machine.receive(append(2, after: 1, of: 1, commit: 1, [RaftEntry(index: 2, term: 2, .empty)]), from: one, at: at(1))
      return machine.membership.voters.count == 3
    case .keepsMatchOverTerms:
      let machine = machine(fault)
      machine.receive(append(1, after: 1, of: 1, commit: 1, [old]), from: one, at: at(1))
      machine.receive(.heartbeat(term: 2, round: 1, commit: 2), from: one, at: at(2))
      return machine.commitIndex == 1
    case .noPreVote:
      let machine = machine(fault)
      machine.advance(to: at(400))
      return machine.term == 1
    case .noLeaderStickiness:
      let machine = machine(fault)
      machine.receive(.heartbeat(term: 1, round: 1, commit: 1), from: one, at: at(1))
      machine.receive(.voteRequest(.init(term: 2, lastIndex: 1, lastTerm: 1)), from: two, at: at(2))
      return machine.term == 1
    case .noCheckQuorum:
      let machine = leader(fault)
      machine.advance(to: at(600))
      return machine.role == .follower
    case .neverResends:
      let machine = leader(fault)
      guard let index = try? machine.propose([1], at: at(401)) else { return false }
      // The append is lost; the heartbeat after it is not.
      _ = RaftMachineTests.messages(machine)
      machine.advance(to: at(440))
      _ = RaftMachineTests.messages(machine)
      machine.receive(
        .heartbeatReply(.init(term: 2, round: machine.round, received: 2, synced: 2, syncedTerm: 2)), from: one,
        at: at(441))
      return RaftMachineTests.messages(machine).contains { message in
        if case .append(let append) = message { append.entries.contains { $0.index == index } } else { false }
      }
    }
  }
}
