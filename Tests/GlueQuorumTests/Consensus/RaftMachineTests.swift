import GlueCore
import Testing

@testable import GlueQuorum

@Suite struct RaftMachineTests {
  static let members = (1...4).map { MemberID(EndpointID($0), StorageID($0)) }
  static func at(_ milliseconds: UInt64) -> Timestamp { Timestamp(nanoseconds: milliseconds * 1_000_000) }

  static func machine(voters: Int = 3, entries: [RaftEntry] = [], term: Term = 1) -> RaftMachine {
    let snapshot = RaftSnapshot(
      index: 1, term: 1, membership: Membership(voters: Array(members[..<voters])), state: [])
    return RaftMachine(
      member: members[0], stored: StoredRaft(hardState: .init(term: term), snapshot: snapshot, entries: entries),
      configuration: .lan, seed: 1, at: at(0))
  }

  static func sync(_ machine: RaftMachine, _ milliseconds: UInt64) {
    while machine.nextWrite() != nil { machine.written(at: at(milliseconds)) }
  }

  static func messages(_ machine: RaftMachine) -> [RaftMessage] {
    var all: [RaftMessage] = []
    while let next = machine.nextMessage() { all.append(next.message) }
    return all
  }

  /// A leader of term 2 of three whose first entry, 2, is committed.
  static func leader() -> RaftMachine {
    let machine = machine()
    machine.advance(to: at(400))
    machine.receive(.voteReply(.init(term: 2, isPreVote: true, isGranted: true)), from: members[1], at: at(400))
    sync(machine, 400)
    machine.receive(.voteReply(.init(term: 2, isPreVote: false, isGranted: true)), from: members[1], at: at(400))
    sync(machine, 400)
    machine.receive(.appendReply(.init(term: 2, result: .synced(index: 2, term: 2))), from: members[1], at: at(400))
    _ = messages(machine)
    return machine
  }

  @Test func aVoteIsSyncedBeforeItIsSent() {
    let machine = Self.machine()
    machine.receive(
      .voteRequest(.init(term: 2, lastIndex: 1, lastTerm: 1)), from: Self.members[1], at: Self.at(1))
    #expect(Self.messages(machine).isEmpty)
    #expect(machine.nextWrite()?.hardState == RaftHardState(term: 2, vote: Self.members[1]))
    #expect(Self.messages(machine).isEmpty)
    machine.written(at: Self.at(2))
    #expect(Self.messages(machine) == [.voteReply(.init(term: 2, isPreVote: false, isGranted: true))])
  }

  @Test func whatFittedALeaderDoesNotFitItInALaterTerm() {
    let machine = Self.machine()
    let leader = Self.members[1]
    let entries = [RaftEntry(index: 2, term: 1, .empty), RaftEntry(index: 3, term: 1, .command([1]))]
    machine.receive(
      .append(.init(term: 1, previousIndex: 1, previousTerm: 1, commit: 1, entries: entries)), from: leader,
      at: Self.at(1))
    Self.sync(machine, 2)
    // It has lost them, and leads again with others in their place.
    machine.receive(.heartbeat(term: 2, round: 1, commit: 3), from: leader, at: Self.at(3))
    Self.sync(machine, 4)
    #expect(machine.commitIndex == 1)
    #expect(machine.nextCommitted() == nil)
  }

  @Test func anElectionIsAskedForBeforeTheTermRises() {
    let machine = Self.machine()
    machine.advance(to: Self.at(400))
    #expect(machine.role == .preCandidate)
    #expect(machine.term == 1)
  }

  @Test func whoHearsALeaderVotesForNobodyUnlessThatOneWantsIt() {
    let machine = Self.machine()
    machine.receive(.heartbeat(term: 1, round: 1, commit: 1), from: Self.members[1], at: Self.at(1))
    var request = RaftMessage.VoteRequest(term: 2, lastIndex: 1, lastTerm: 1)
    machine.receive(.voteRequest(request), from: Self.members[2], at: Self.at(2))
    #expect(machine.term == 1)
    request.isTransfer = true
    machine.receive(.voteRequest(request), from: Self.members[2], at: Self.at(2))
    #expect(machine.hardState.vote == Self.members[2])
  }

  @Test func anAppendIsAnsweredWhenItIsSynced() {
    let machine = Self.machine()
    let entry = RaftEntry(index: 2, term: 1, .empty)
    machine.receive(
      .append(.init(term: 1, previousIndex: 1, previousTerm: 1, commit: 2, entries: [entry])), from: Self.members[1],
      at: Self.at(1))
    #expect(machine.commitIndex == 2)
    #expect(Self.messages(machine).isEmpty)
    #expect(machine.nextCommitted() == nil)
    Self.sync(machine, 2)
    #expect(Self.messages(machine) == [.appendReply(.init(term: 1, result: .synced(index: 2, term: 1)))])
    #expect(machine.nextCommitted() == entry)
  }

  @Test func aFollowerCommitsOnlyWhatIsKnownToFit() {
    let machine = Self.machine(entries: [RaftEntry(index: 2, term: 1, .empty)])
    machine.receive(.heartbeat(term: 2, round: 1, commit: 2), from: Self.members[1], at: Self.at(1))
    #expect(machine.commitIndex == 1)
  }

  @Test func aLeaderIsNoneWithoutAMajority() {
    let machine = Self.leader()
    #expect(machine.role == .leader)
    machine.advance(to: Self.at(600))
    #expect(machine.role == .follower)
  }

  @Test func aReadIsConfirmedOnlyByALaterRound() {
    let machine = Self.leader()
    machine.advance(to: Self.at(440))
    _ = Self.messages(machine)
    let old = machine.round
    machine.requestRead(7, at: Self.at(441))
    let reply = { (round: UInt64) in
      RaftMessage.heartbeatReply(.init(term: 2, round: round, received: 2, synced: 2, syncedTerm: 2))
    }
    machine.receive(reply(old), from: Self.members[1], at: Self.at(442))
    #expect(machine.nextRead() == nil)
    _ = Self.messages(machine)
    machine.receive(reply(old + 1), from: Self.members[1], at: Self.at(443))
    #expect(machine.nextRead()?.index == 2)
  }

  @Test func oneMemberChangesAtATime() throws {
    let machine = Self.leader()
    let four = Membership(voters: Self.members)
    #expect(throws: RaftRefusal.badChange("2 members would change, and one can at a time")) {
      try machine.propose(Membership(voters: [Self.members[0]]), at: Self.at(401))
    }
    _ = try machine.propose(four, at: Self.at(401))
    #expect(machine.membership == four)
    #expect(throws: RaftRefusal.changeUnderWay) {
      try machine.propose(Membership(voters: Array(Self.members[..<3])), at: Self.at(401))
    }
  }

  @Test func aTruncatedMembershipIsNotInForce() {
    let four = Membership(voters: Self.members)
    let machine = Self.machine(entries: [RaftEntry(index: 2, term: 1, .membership(four))])
    #expect(machine.membership == four)
    machine.receive(
      .append(
        .init(
          term: 2, previousIndex: 1, previousTerm: 1, commit: 1, entries: [RaftEntry(index: 2, term: 2, .empty)])),
      from: Self.members[1], at: Self.at(1))
    #expect(machine.membership.voters.count == 3)
  }

  @Test func aSingleVoterCommitsAndReadsAlone() throws {
    let machine = Self.machine(voters: 1)
    machine.advance(to: Self.at(400))
    Self.sync(machine, 400)
    let index = try machine.propose([1], at: Self.at(401))
    #expect(machine.commitIndex < index)
    Self.sync(machine, 402)
    #expect(machine.commitIndex == index)
    machine.requestRead(1, at: Self.at(403))
    #expect(machine.nextRead()?.index == index)
  }

  @Test func messagesSurviveTheWireAndOtherBytesAreRefused() throws {
    let entries = [
      RaftEntry(index: 2, term: 1, .empty), RaftEntry(index: 3, term: 2, .command([1, 2, 3])),
      RaftEntry(index: 4, term: 2, .membership(Membership(voters: Self.members))),
    ]
    let messages: [RaftMessage] = [
      .append(.init(term: 2, previousIndex: 1, previousTerm: 1, commit: 1, entries: entries)),
      .voteRequest(.init(term: 2, lastIndex: 1, lastTerm: 1, isPreVote: true)),
      .voteReply(.init(term: 2, isPreVote: true, isGranted: false)),
      .appendReply(.init(term: 2, result: .refused(previous: 9, hint: 4, hintTerm: 1))),
      .heartbeat(term: 2, round: 300, commit: 1), .behind(term: 2, index: 70_000), .stand(term: 2),
      .heartbeatReply(.init(term: 2, round: 3, received: 9, synced: 8, syncedTerm: 2)),
    ]
    var random = SeededGenerator(seed: 1)
    for message in messages {
      let bytes = message.encoded()
      #expect(try RaftMessage(encoded: bytes) == message)
      for _ in 0..<300 {
        var other = bytes
        other[Int(random.next() % UInt64(other.count))] = UInt8(truncatingIfNeeded: random.next())
        if let read = try? RaftMessage(encoded: other) {
          let machine = Self.machine()
          machine.receive(read, from: Self.members[1], at: Self.at(1))
          #expect(try RaftMessage(encoded: read.encoded()) == read)
        }
      }
    }
  }

  @Test func theLastTermIsNotLeft() {
    let snapshot = RaftSnapshot(index: 1, term: 1, membership: Membership(voters: Self.members), state: [])
    let machine = RaftMachine(
      member: Self.members[0],
      stored: StoredRaft(hardState: .init(term: WireLimits.position), snapshot: snapshot), configuration: .lan, seed: 1,
      at: Self.at(0))
    machine.advance(to: Self.at(10_000))
    #expect(machine.term == WireLimits.position)
    #expect(machine.nextMessage() == nil)
    #expect(machine.nextWakeup.map { $0 > Self.at(10_000) } == true)
  }
}
