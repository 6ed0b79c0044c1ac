import GlueCore
import GlueModel
import Testing

@testable import GlueQuorum

/// Leaders that cannot go on leading.
extension QuorumTests {
  @Test func aLeaderWhoseDiskHangsGivesWay() throws {
    let network = three()
    _ = network.set(3, "a", 1)
    let leader = try #require(network.awaitLeader())
    network.hangingDisks = [leader]
    // What was asked of it goes to the next one.
    guard case .committed = network.set(3, "b", 2, timeout: .seconds(20)) else {
      return #expect(Bool(false), "nobody else leads")
    }
    #expect(!network.leaders.contains(leader))
    let next = try #require(network.awaitLeader())
    // Nor does it ever lead while it hangs.
    network.crash(next)
    network.run(for: .seconds(20))
    #expect(network.leaders == [])
    network.hangingDisks = []
    #expect(network.read(leader, "b") == 2)
  }

  @Test func aVoterAloneWhoseDiskHangsSaysSoInTime() {
    let network = QuorumNetwork(1, withStorage: 1, seed: 1)
    network.startAll()
    #expect(network.found(1) == .done)
    guard case .committed = network.set(0, "z", 1) else { return #expect(Bool(false), "not committed") }
    network.hangingDisks = [0]
    // It was sent, so nobody knows.
    guard case .unknown = network.set(0, "b", 1, timeout: .seconds(6)) else {
      return #expect(Bool(false), "it was told what nobody can know")
    }
    #expect(network.leaders == [])
    let result = network.set(0, "a", 1, timeout: .seconds(2))
    #expect(result == .failed(.noQuorum(missing: [])))
    network.hangingDisks = []
    guard case .committed = network.set(0, "a", 1) else { return #expect(Bool(false), "it does not lead again") }
  }

  @Test func aLeaderThatIsClosedHandsOverAlsoWithALock() throws {
    let network = three()
    let leader = try #require(network.awaitLeader())
    let lock = network.ask(leader) {
      $0.submit(.acquire(lock: "door", ttl: 10_000, waits: true, note: ""), timeout: .seconds(5), at: $1)
    }
    guard case .granted = lock else { return #expect(Bool(false), "no lock") }
    network.input(leader) { $0.close(at: $1) }
    network.run(until: network.now + .milliseconds(100)) { network.nodes[leader].machine?.isHandingOver == true }
    #expect(network.nodes[leader].machine?.isHandingOver == false)
    // Before anybody would have missed the leader.
    network.run(for: .milliseconds(100))
    let next = try #require(network.leaders.first { $0 != leader })
    network.crash(leader)
    let again = network.ask(next) {
      $0.submit(.acquire(lock: "door", ttl: 10_000, waits: true, note: ""), timeout: .seconds(1), at: $1)
    }
    guard case .granted = again else { return #expect(Bool(false), "the lock is not free") }
  }
}
