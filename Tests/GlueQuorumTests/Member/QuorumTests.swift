import GlueCore
import GlueModel
import Testing

@testable import GlueQuorum

@Suite(.apart) struct QuorumTests {
  /// Three voters and an observer, founded.
  func three(observers: Int = 1, seed: UInt64 = 1) -> QuorumNetwork {
    let network = QuorumNetwork(3 + observers, withStorage: 3, seed: seed)
    network.startAll()
    #expect(network.found(3) == .done)
    return network
  }

  @Test func aQuorumIsFoundedAndDecides() {
    let network = three()
    guard case .committed = network.set(3, "a", 1) else { return #expect(Bool(false), "not committed") }
    for index in 0..<4 { #expect(network.read(index, "a") == 1) }
    #expect(network.nodes.prefix(3).allSatisfy { $0.machine?.role == .voter })
    #expect(network.nodes[3].machine?.role == .observer)
  }

  /// One request of an opening stands in line for a lock; others are made meanwhile, more than a session remembers.
  @Test func whoStandsInLineForALockGoesOnWriting() throws {
    let network = three(observers: 2)
    func lock(_ index: Int, timeout: Nanoseconds) -> UInt64? {
      network.input(index) {
        $0.submit(.acquire(lock: "door", ttl: 3_600_000, waits: true, note: ""), timeout: timeout, at: $1)
      }
    }
    let first = try #require(lock(3, timeout: .seconds(5)))
    network.run(for: .seconds(1))
    guard case .granted(let token)? = network.results.first(where: { $0.node == 3 && $0.ticket == first })?.result
    else {
      return #expect(Bool(false), "no lock")
    }
    let second = try #require(lock(4, timeout: .seconds(3_600)))
    for number in 0..<1_100 {
      guard case .committed = network.set(4, "a", .int(Int64(number))) else { return #expect(Bool(false), "\(number)") }
    }
    _ = network.ask(3) { $0.submit(.release(lock: "door", token: token), timeout: .seconds(5), at: $1) }
    network.run(for: .seconds(1))
    guard case .granted? = network.results.first(where: { $0.node == 4 && $0.ticket == second })?.result else {
      return #expect(Bool(false), "the next in line did not get it")
    }
  }

  @Test func oneVoterDecidesAlone() {
    let network = QuorumNetwork(1, withStorage: 1, seed: 3)
    network.startAll()
    #expect(network.found(1) == .done)
    guard case .committed = network.set(0, "a", 1) else { return #expect(Bool(false), "not committed") }
    network.crash(0)
    network.start(0)
    #expect(network.read(0, "a") == 1)
  }

  @Test func whatWasDecidedSurvivesTheLeader() throws {
    let network = three()
    guard case .committed = network.set(3, "a", 1) else { return #expect(Bool(false), "not committed") }
    let leader = try #require(network.awaitLeader())
    network.crash(leader)
    let other = (leader + 1) % 3
    guard case .committed = network.set(other, "b", 2) else { return #expect(Bool(false), "not committed") }
    network.start(leader)
    #expect(network.read(leader, "a") == 1)
    #expect(network.read(leader, "b") == 2)
  }

  @Test func withoutAMajorityWritesEndWithWhoIsMissing() throws {
    let network = three()
    _ = network.set(3, "a", 1)
    network.crash(1)
    network.crash(2)
    network.run(for: .seconds(5))
    let asked = network.now
    #expect(
      network.set(0, "b", 2, timeout: .seconds(2)) == .failed(.noQuorum(missing: [EndpointID(2), EndpointID(3)])))
    #expect(network.now.since(asked) < .milliseconds(2_100))
    network.start(1)
    guard case .committed = network.set(0, "b", 3) else { return #expect(Bool(false), "not committed") }
  }

  @Test func aVoterThatLostItsStorageHasNoVote() throws {
    let network = three()
    _ = network.set(3, "a", 1)
    network.crash(2)
    network.wipe(2)
    network.start(2)
    network.run(for: .seconds(5))
    #expect(network.nodes[2].machine?.role == .observer)
    #expect(network.read(2, "a") == 1)
    #expect(network.events.contains { $0.event == .foreignStorage(EndpointID(3)) })
    // With it as it is now it becomes a member again.
    #expect(network.ask(0) { $0.change(.add(EndpointID(3), asVoter: true), timeout: .seconds(30), at: $1) } == .done)
    network.run(for: .seconds(2))
    #expect(network.nodes[2].machine?.role == .voter)
    network.crash(0)
    guard case .committed = network.set(2, "b", 2, timeout: .seconds(10)) else {
      return #expect(Bool(false), "not committed")
    }
  }

  @Test func aVoterWhoseStorageFailsIsMissedAndFollowsOn() {
    let network = three(observers: 0)
    network.input(2) { $0.jobFailed(reason: "the disk", at: $1) }
    for number in 1...3 { _ = network.set(0, "a", .int(Int64(number)), timeout: .seconds(10)) }
    network.run(for: .seconds(3))
    #expect(network.nodes[0].machine?.missingVoters == [EndpointID(3)])
    #expect(network.nodes[2].machine?.state.document.read(ModelPath(unchecked: "a"))?.value == 3)
    network.input(1) { $0.jobFailed(reason: "the disk", at: $1) }
    switch network.set(0, "a", 4, timeout: .seconds(3)) {
    case .failed(.noQuorum(let missing)), .unknown(_, let missing):
      #expect(missing == [EndpointID(2), EndpointID(3)])
    case let other: #expect(Bool(false), "\(String(describing: other))")
    }
  }

  /// Also of the leader: somebody else leads then.
  @Test(arguments: [0, 1, 2])
  func aVoterGivesUpItsVoteInOneStepAndGetsItBack(_ index: Int) throws {
    let network = three()
    let id = EndpointID(UInt64(index + 1))
    #expect(network.ask(3) { $0.change(.add(id, asVoter: false), timeout: .seconds(30), at: $1) } == .done)
    let leader = try #require(network.awaitLeader())
    #expect(leader != index)
    _ = network.set(3, "a", 1)
    network.run(for: .seconds(2))
    #expect(network.nodes[index].machine?.role == .learner)
    #expect(network.nodes[index].machine?.state.document.read(ModelPath(unchecked: "a"))?.value == 1)
    #expect(network.ask(3) { $0.change(.add(id, asVoter: true), timeout: .seconds(30), at: $1) } == .done)
    network.run(for: .seconds(2))
    #expect(network.nodes[index].machine?.role == .voter)
  }

  @Test func theLastVoterKeepsItsVote() {
    let network = QuorumNetwork(1, withStorage: 1, seed: 1)
    network.startAll()
    #expect(network.found(1) == .done)
    let result = network.ask(0) { $0.change(.add(EndpointID(1), asVoter: false), timeout: .seconds(30), at: $1) }
    #expect(result == .failed(.notChanged(.add(EndpointID(1), asVoter: false), .wrongCount)))
  }

  @Test func aMemberThatIsRemovedFollowsOn() throws {
    let network = three()
    _ = network.set(3, "a", 1)
    #expect(network.ask(0) { $0.change(.remove(EndpointID(3)), timeout: .seconds(30), at: $1) } == .done)
    _ = network.set(3, "b", 2)
    network.run(for: .seconds(10))
    #expect(network.nodes[2].machine?.role == .observer)
    #expect(network.nodes[2].machine?.state.document.read(ModelPath(unchecked: "b"))?.value == 2)
  }

  @Test func aMemberThatWasAwayWhenItWasRemovedFollowsOn() throws {
    let network = three()
    _ = network.set(3, "a", 1)
    network.crash(2)
    #expect(network.ask(0) { $0.change(.remove(EndpointID(3)), timeout: .seconds(30), at: $1) } == .done)
    _ = network.set(3, "b", 2)
    network.start(2)
    network.run(for: .seconds(10))
    #expect(network.nodes[2].machine?.role == .observer)
    #expect(network.nodes[2].machine?.state.document.read(ModelPath(unchecked: "b"))?.value == 2)
  }

  @Test func aLearnerThatWasCutOffWhenItWasRemovedFollowsOn() throws {
    let network = QuorumNetwork(4, withStorage: 4, seed: 3)
    for index in 0..<4 { network.start(index) }
    #expect(network.found(3) == .done)
    #expect(network.ask(0) { $0.change(.add(EndpointID(4), asVoter: false), timeout: .seconds(30), at: $1) } == .done)
    network.run(for: .seconds(3))
    #expect(network.nodes[3].machine?.role == .learner)
    network.partition([3])
    #expect(network.ask(0) { $0.change(.remove(EndpointID(4)), timeout: .seconds(30), at: $1) } == .done)
    _ = network.set(0, "b", 2)
    network.heal()
    network.run(for: .seconds(10))
    #expect(network.nodes[3].machine?.role == .observer)
    #expect(network.nodes[3].machine?.state.document.read(ModelPath(unchecked: "b"))?.value == 2)
  }

  @Test func whoComesLateGetsTheStateWithoutTheLog() throws {
    let network = QuorumNetwork(5, withStorage: 4, seed: 5)
    network.configuration.compactionBytes = 2_000
    network.configuration.raft.keptBytes = 500
    network.configuration.recentBytes = 500
    for index in 0..<3 { network.start(index) }
    #expect(network.found(3) == .done)
    for index in 0..<50 { _ = network.set(0, "k\(index)", .string(String(repeating: "x", count: 3_000))) }
    network.start(3)
    network.start(4)
    network.run(for: .seconds(3))
    #expect(network.nodes[4].machine?.state.document.keyCount == 50)
    #expect(network.ask(4) { $0.change(.add(EndpointID(4), asVoter: false), timeout: .seconds(30), at: $1) } == .done)
    network.run(for: .seconds(3))
    #expect(network.nodes[3].machine?.role == .learner)
    // A voter that was away for longer than the log reaches back.
    network.crash(1)
    for index in 0..<50 { _ = network.set(0, "k\(index)", .string(String(repeating: "y", count: 3_000))) }
    network.start(1)
    network.run(for: .seconds(5))
    let states = Set(network.nodes.map { $0.machine?.state.encoded() })
    #expect(states.count == 1)
  }

  @Test func aLockHasOneHolderAndRisingTokens() throws {
    let network = three(observers: 2)
    func acquire(_ index: Int, waits: Bool = false, timeout: Nanoseconds = .seconds(5)) -> QuorumResult? {
      network.ask(index) {
        $0.submit(.acquire(lock: "door", ttl: 3_000, waits: waits, note: "n\(index)"), timeout: timeout, at: $1)
      }
    }
    guard case .granted(let first) = acquire(3) else { return #expect(Bool(false), "not granted") }
    #expect(acquire(4) == .rejected(.held(lock: "door", note: "n3")))
    // It is kept alive beyond its life.
    network.run(for: .seconds(10))
    #expect(network.nodes[3].machine?.holds("door", token: first, at: network.now) == true)
    // Its holder is gone, and who waits gets it.
    network.crash(3)
    guard case .granted(let second) = acquire(4, waits: true, timeout: .seconds(10)) else {
      return #expect(Bool(false), "not granted")
    }
    #expect(second > first)
  }

  @Test(arguments: 1...20)
  func aLockIsNotLostBeforeItsEntryIsSeen(seed: Int) throws {
    let network = three(observers: 1, seed: UInt64(seed))
    for number in 0..<20 {
      // What is decided meanwhile is seen here in between.
      network.input(0) {
        $0.submit(.transaction([], [.increment(ModelPath(unchecked: "n"), 1)]), timeout: .seconds(5), at: $1)
      }
      let result = network.ask(3) {
        $0.submit(.acquire(lock: "door\(number)", ttl: 10_000, waits: true, note: ""), timeout: .seconds(5), at: $1)
      }
      guard case .granted = result else { return #expect(Bool(false), "\(String(describing: result))") }
    }
    network.run(for: .seconds(1))
    #expect(network.nodes[3].machine?.heldLocks.count == 20)
  }

  @Test func aHolderThatIsCutOffKnowsBeforeAnybodyElseHoldsTheLock() throws {
    let network = three(observers: 2)
    func acquire(_ index: Int) -> QuorumResult? {
      network.ask(index) {
        $0.submit(.acquire(lock: "door", ttl: 3_000, waits: true, note: ""), timeout: .seconds(20), at: $1)
      }
    }
    guard case .granted(let token) = acquire(3) else { return #expect(Bool(false), "not granted") }
    for other in [0, 1, 2, 4] { network.setCut(3, other, true) }
    let ticket = network.input(4) {
      $0.submit(.acquire(lock: "door", ttl: 3_000, waits: true, note: ""), timeout: .seconds(20), at: $1)
    }
    var wasHeldByBoth = false
    network.run(until: network.now + .seconds(20)) {
      let isGranted = network.results.contains { $0.node == 4 && $0.ticket == ticket }
      if isGranted, network.nodes[3].machine?.holds("door", token: token, at: network.now) == true {
        wasHeldByBoth = true
      }
      return !isGranted
    }
    #expect(!wasHeldByBoth)
    #expect(network.results.contains { $0.node == 4 && $0.ticket == ticket })
    network.run(for: .seconds(1))
    #expect(network.events.contains { $0.node == 3 && $0.event == .lockLost("door", token: token) })
  }

  @Test func whoGivesUpWaitingNeverHoldsTheLock() throws {
    let network = three(observers: 2)
    func acquire(_ index: Int, timeout: Nanoseconds) -> QuorumResult? {
      network.ask(index) {
        $0.submit(.acquire(lock: "door", ttl: 3_000, waits: true, note: ""), timeout: timeout, at: $1)
      }
    }
    guard case .granted(let token) = acquire(3, timeout: .seconds(5)) else {
      return #expect(Bool(false), "not granted")
    }
    #expect(acquire(4, timeout: .seconds(1)) == .failed(.lockNotFree("door")))
    network.input(3) { $0.release("door", token: token, at: $1) }
    network.run(for: .seconds(5))
    #expect(network.nodes[0].machine?.state.lock("door") == nil)
  }

  @Test func whoGivesUpWaitingIsOutOfTheLineAlsoIfItGoesOnAsking() throws {
    let network = three(observers: 2)
    func acquire(_ index: Int, timeout: Nanoseconds) -> QuorumResult? {
      network.ask(index) {
        $0.submit(.acquire(lock: "door", ttl: 60_000, waits: true, note: ""), timeout: timeout, at: $1)
      }
    }
    guard case .granted(let token) = acquire(3, timeout: .seconds(5)) else {
      return #expect(Bool(false), "not granted")
    }
    #expect(acquire(4, timeout: .seconds(1)) == .failed(.lockNotFree("door")))
    guard case .committed = network.set(4, "a", 1) else { return #expect(Bool(false), "not committed") }
    network.run(for: .seconds(1))
    #expect(network.nodes[0].machine?.state.lock("door")?.waiting == 0)
    network.input(3) { $0.release("door", token: token, at: $1) }
    network.run(for: .seconds(1))
    #expect(network.nodes[0].machine?.state.lock("door") == nil)
  }

  @Test func aLockThatWasLostByTimeIsFreeAlsoIfItsHolderGoesOnAsking() throws {
    let network = three(observers: 2)
    func acquire(_ index: Int) -> QuorumResult? {
      network.ask(index) {
        $0.submit(.acquire(lock: "door", ttl: 2_000, waits: true, note: ""), timeout: .seconds(20), at: $1)
      }
    }
    guard case .granted(let token) = acquire(3) else { return #expect(Bool(false), "not granted") }
    network.crash(1)
    network.crash(2)
    network.run(for: .seconds(6))
    #expect(network.events.contains { $0.node == 3 && $0.event == .lockLost("door", token: token) })
    network.start(1)
    _ = network.set(3, "a", 1)
    guard case .granted = acquire(4) else { return #expect(Bool(false), "not granted") }
    #expect(network.nodes[3].machine?.holds("door", token: token, at: network.now) == false)
  }

  @Test func aLeaderThatRefusesItsOwnRequestsTriesThemLater() throws {
    let network = QuorumNetwork(1, withStorage: 1, seed: 7)
    network.configuration.raft.uncommittedBytes = 1_000
    network.startAll()
    #expect(network.found(1) == .done)
    let tickets = (0..<20).compactMap { number in
      network.input(0) {
        $0.submit(
          .transaction([], [.set(ModelPath(unchecked: "k\(number)"), .string(String(repeating: "x", count: 900)))]),
          timeout: .seconds(10), at: $1)
      }
    }
    network.run(for: .seconds(10))
    for ticket in tickets {
      guard case .committed? = network.results.first(where: { $0.ticket == ticket })?.result else {
        return #expect(Bool(false), "not committed")
      }
    }
  }

  @Test func aRequestWhoseFateIsUnknownCanBeLookedUp() throws {
    let network = three()
    _ = network.set(3, "a", 1)
    let leader = try #require(network.awaitLeader())
    // It gets the request, and is not heard of again.
    let others = Set(0..<4).subtracting([leader])
    let ticket = try #require(
      network.input(3) {
        $0.submit(.transaction([], [.increment(ModelPath(unchecked: "n"), 1)]), timeout: .seconds(1), at: $1)
      })
    network.run(for: .milliseconds(1))
    for other in others { network.setCut(leader, other, true) }
    for a in 0..<3 { for b in 0..<3 where a < b { network.setCut(a, b, true) } }
    network.run(for: .seconds(2))
    guard case .unknown(let token, _)? = network.results.first(where: { $0.node == 3 && $0.ticket == ticket })?.result
    else { return #expect(Bool(false), "its fate is known") }
    network.heal()
    let result = network.ask(3) { $0.resolve(token, timeout: .seconds(10), at: $1) }
    let count = network.read(3, "n")
    switch result {
    case .committed: #expect(network.nodes[3].machine?.state.document.read(ModelPath(unchecked: "n"))?.int == 1)
    case .rejected(.settled): #expect(count == nil)
    default: #expect(Bool(false), "\(String(describing: result))")
    }
    #expect(QuorumToken("\(token)") == token)
  }
}
