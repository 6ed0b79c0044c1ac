import GlueCore
import GlueModel
import Testing

@testable import GlueQuorum

/// Quorums that are founded, and others of the same name.
extension QuorumTests {
  @Test func whoFoundsInVainMayTryAgainAtOnce() {
    let network = QuorumNetwork(3, withStorage: 3, seed: 1)
    network.start(0)
    network.start(1)
    network.run(for: .seconds(1))
    let voters = network.nodes.map(\.id)
    let inVain = network.ask(0) { $0.initialize(voters: voters, timeout: .seconds(2), at: $1) }
    #expect(inVain == .failed(.noQuorum(missing: [voters[2]])))
    network.start(2)
    network.run(for: .seconds(1))
    // The second one waits for that founding still.
    #expect(
      network.ask(2) { $0.initialize(voters: voters, timeout: .seconds(1), at: $1) }
        == .failed(.declined(voters[1], .isPledged)))
    #expect(network.ask(0) { $0.initialize(voters: voters, timeout: .seconds(4), at: $1) } == .done)
  }

  @Test func whereAQuorumIsNoOtherOneIsFounded() throws {
    let network = QuorumNetwork(2, withStorage: 2, seed: 1)
    network.startAll()
    #expect(network.found(1) == .done)
    let cluster = try #require(network.nodes[0].machine?.cluster)
    let second = network.ask(1) { $0.initialize(voters: [EndpointID(2)], timeout: .seconds(30), at: $1) }
    #expect(second == .failed(.isFounded(cluster)))
    // Also by one that has just come.
    network.crash(1)
    network.wipe(1)
    network.start(1)
    let third = network.ask(1) { $0.initialize(voters: [EndpointID(2)], timeout: .seconds(30), at: $1) }
    #expect(third == .failed(.nameIsTaken(cluster, at: EndpointID(1))))
  }

  /// Two quorums of one name, founded while they were apart. Clients that come meet both.
  @Test func whatACommandIsToldIsOfOneQuorum() throws {
    let network = QuorumNetwork(3, withStorage: 2, seed: 1)
    network.setCut(0, 1, true)
    network.start(0)
    network.start(1)
    #expect(network.found(1) == .done)
    #expect(network.ask(1) { $0.initialize(voters: [EndpointID(2)], timeout: .seconds(30), at: $1) } == .done)
    network.setCut(0, 1, false)
    var places: Set<ClusterID> = []
    for number in 0..<60 {
      network.start(2)
      let path = "z\(number)"
      guard case .committed = network.set(2, path, 1) else { return #expect(Bool(false), "\(path) is not committed") }
      let client = try #require(network.nodes[2].machine)
      network.run(for: .seconds(1))
      let holders = network.nodes.prefix(2).compactMap(\.machine).filter { machine in
        machine.state.document.read(ModelPath(unchecked: path))?.value == 1
      }
      #expect(holders.map(\.cluster) == [client.cluster])
      let cluster = try #require(client.cluster)
      places.insert(cluster)
      // Whom it takes for the leader is the leader of that one.
      #expect(client.membership?.voters.map(\.endpoint) == client.leader.map { [$0] })
      network.crash(2)
    }
    #expect(places.count == 2, "both were met first")
  }

  @Test func theLimitsOfTheFounderAreThoseOfAll() throws {
    let network = QuorumNetwork(2, withStorage: 1, seed: 1)
    network.configuration.state.document.keys = 2
    network.start(0)
    #expect(network.found(1) == .done)
    // One that would allow more, and one that would allow less.
    for keys in [10, 1] {
      network.configuration.state.document.keys = keys
      network.start(1)
      for path in ["a", "b"] {
        guard case .committed = network.set(1, path, 1) else { return #expect(Bool(false), "\(path)") }
      }
      guard case .rejected = network.set(1, "c", 1) else { return #expect(Bool(false), "more than the founder allows") }
      network.crash(0)
      network.start(0)
      network.run(for: .seconds(3))
      #expect(network.nodes[0].machine?.state.digest == network.nodes[1].machine?.state.digest)
      network.crash(1)
    }
  }
}
