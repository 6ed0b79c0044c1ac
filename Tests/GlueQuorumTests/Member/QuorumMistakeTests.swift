import GlueCore
import GlueModel
import GlueSimulation
import Testing

@testable import GlueQuorum

/// What clients were told while everything went just as a mistake needs it: with the mistake the checker must refuse the history, and without it
/// accept it.
@Suite(.apart) struct QuorumMistakeTests {
  /// Three voters of which the first leads, and what was asked and answered.
  private final class Story {
    let network = QuorumNetwork(3, withStorage: 3, seed: 1)
    var operations: [HistoryOperation] = []
    let leader: Int
    /// The others.
    let followers: [Int]

    init?(_ fault: QuorumFault? = nil, raft: RaftFault? = nil) {
      network.configuration = .lan
      network.fault = fault
      network.raftFault = raft
      network.startAll()
      guard network.found(3) == .done, let leader = network.awaitLeader() else { return nil }
      self.leader = leader
      followers = [0, 1, 2].filter { $0 != leader }
      network.run(for: .seconds(1))
    }

    /// Somebody of these leads, and is ready.
    func awaitLeader(of nodes: [Int]) -> Int? {
      network.run(until: network.now + .seconds(30)) { leader(of: nodes) == nil }
      return leader(of: nodes)
    }

    private func leader(of nodes: [Int]) -> Int? {
      nodes.first { network.nodes[$0].machine?.leading?.clock != nil }
    }

    func write(_ value: String, at node: Int) {
      let call = network.now
      let result = network.set(node, "key", .string(value))
      let outcome: HistoryOperation.Outcome = if case .committed = result { .committed } else { .unknown }
      note(node, .write(key: "key", value: value), since: call, outcome)
    }

    func read(at node: Int) {
      let call = network.now
      let result = network.ask(node) { $0.read(timeout: .seconds(20), at: $1) }
      guard case .readable = result else { return }
      let value = network.nodes[node].machine?.state.document.read(ModelPath(unchecked: "key"))?.string
      note(node, .read(key: "key", value: value), since: call, .committed)
    }

    func note(
      _ node: Int, _ action: HistoryOperation.Action, since call: Timestamp, _ outcome: HistoryOperation.Outcome
    ) {
      operations.append(
        HistoryOperation(
          process: Int64(operations.count), action, call: Int64(call.nanoseconds),
          return: outcome == .unknown ? nil : Int64(network.now.nanoseconds), outcome))
      // What begins in the moment in which something else ends would count as concurrent with it.
      network.now = network.now + Nanoseconds(1)
    }

    /// Whether it is linearizable; nil if it is not the story that was meant.
    func verdict(of count: Int) -> Bool? {
      guard operations.count == count, operations.allSatisfy({ $0.outcome == .committed }) else { return nil }
      return LinearizabilityChecker().check(History(operations: operations)).verdict == .linearizable
    }
  }

  /// A leader sleeps until there is another one, and is asked before it has looked at the clock.
  private func readAfterPause(_ fault: QuorumFault? = nil, raft: RaftFault? = nil) -> Bool? {
    guard let story = Story(fault, raft: raft) else { return nil }
    story.write("old", at: story.leader)
    story.network.pause(story.leader, for: .seconds(10))
    guard let next = story.awaitLeader(of: story.followers) else { return nil }
    story.write("new", at: next)
    story.read(at: story.leader)
    return story.verdict(of: 3)
  }

  @Test func aReadByALeaderThatSleptIsNotAnsweredFromItsLease() {
    #expect(readAfterPause() == true)
    #expect(readAfterPause(.leaseReadAfterPause) == false)
  }

  @Test func aReadIsNotAnsweredWithoutARound() {
    #expect(readAfterPause(raft: .readsWithoutRound) == false)
  }

  /// A follower goes down the moment its leader takes an entry for committed, and the leader too.
  private func crashAfterAcknowledging(_ fault: RaftFault? = nil) -> Bool? {
    guard let story = Story(raft: fault) else { return nil }
    let (network, near, far) = (story.network, story.followers[0], story.followers[1])
    network.setCut(story.leader, far, true)
    network.setCut(near, far, true)
    // The follower's disk begins a moment after the leader's, and ends a moment after.
    network.diskTime = 50_000_000...50_000_000
    story.write("value", at: story.leader)
    network.crash(story.leader)
    network.crash(near)
    network.diskTime = 1_000_000...1_000_000
    network.start(near)
    network.heal()
    guard let next = story.awaitLeader(of: story.followers) else { return nil }
    story.read(at: next)
    return story.verdict(of: 2)
  }

  @Test func whatWasAcknowledgedIsOnTheFollowersDisk() {
    #expect(crashAfterAcknowledging() == true)
    #expect(crashAfterAcknowledging(.acknowledgesBeforeSync) == false)
  }

  /// A leader whose disk is slow goes down after a follower was told that an entry is committed, and that follower is gone.
  private func crashBeforeOwnSync(_ fault: RaftFault? = nil) -> Bool? {
    guard let story = Story(raft: fault) else { return nil }
    let (network, near, far) = (story.network, story.followers[0], story.followers[1])
    story.write("first", at: near)
    network.setCut(story.leader, far, true)
    network.setCut(near, far, true)
    network.diskTime = 400_000_000...400_000_000
    let call = network.now
    let ticket = network.input(near) {
      $0.submit(.transaction([], [.set(ModelPath(unchecked: "key"), .string("value"))]), timeout: .seconds(5), at: $1)
    }
    network.run(until: network.now + .seconds(5)) { network.nodes[story.leader].job == nil }
    network.diskTime = 1_000_000...1_000_000
    network.run(until: network.now + .seconds(5)) { !network.results.contains { $0.ticket == ticket } }
    guard case .committed = network.results.first(where: { $0.ticket == ticket })?.result else { return nil }
    story.note(near, .write(key: "key", value: "value"), since: call, .committed)
    network.crash(near)
    network.crash(story.leader)
    network.start(story.leader)
    network.heal()
    guard let next = story.awaitLeader(of: [story.leader, far]) else { return nil }
    story.read(at: next)
    return story.verdict(of: 3)
  }

  @Test func aLeaderCountsItselfOnlyWhenItHasWritten() {
    #expect(crashBeforeOwnSync() == true)
    #expect(crashBeforeOwnSync(.leaderCountsUnsynced) == false)
  }

  /// A client that got no answer asks again, of a state that has done it already.
  private func askAgain(_ fault: QuorumFault? = nil) -> Bool {
    var state = QuorumState()
    state.fault = fault
    let opened = state.apply(
      QuorumBatch(
        time: 1,
        commands: [
          QuorumCommand(
            request: RequestID(session: SessionID(0), number: 0), oldest: 0, operation: .openSession(nonce: 7))
        ]), index: 1)
    guard case .opened(let session)? = opened.outcomes.first?.1 else { return false }
    let path = ModelPath(unchecked: "key")
    let command = QuorumCommand(
      request: RequestID(session: session, number: 1), oldest: 1,
      operation: .transaction([.value(path, nil)], [.set(path, .string("value"))]))
    _ = state.apply(QuorumBatch(time: 2, commands: [command]), index: 2)
    let answer = state.apply(QuorumBatch(time: 3, commands: [command]), index: 3).outcomes.first?.1
    let isDone = if case .committed? = answer { true } else { false }
    let operations = [
      HistoryOperation(
        process: 1, .compareAndSet(key: "key", expected: nil, value: "value"), call: 1, return: 3,
        isDone ? .committed : .rejected(reason: nil)),
      HistoryOperation(
        process: 2, .read(key: "key", value: state.document.read(path)?.string), call: 4, return: 5, .committed),
    ]
    return LinearizabilityChecker().check(History(operations: operations)).verdict == .linearizable
  }

  @Test func whoAsksAgainIsToldWhatWasDone() {
    #expect(askAgain())
    #expect(!askAgain(.retryAppliedTwice))
  }
}
