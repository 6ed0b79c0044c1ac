import GlueCore
import Testing

@testable import GlueModel

/// What is written while live dots are compared.
@Suite(.apart) struct ReplicaComparisonTests {
  private static func path(_ text: String) -> ModelPath { ModelPath(unchecked: text) }

  /// Two replicas that were apart, and whose removal log tells little of what they did meanwhile.
  private func apart(removalLogDots: Int) throws -> ReplicaNetwork {
    var limits = DocumentLimits()
    limits.removalLogDots = removalLogDots
    let network = ReplicaNetwork(2, seed: 21, limits: limits)
    network.lossDelay = .seconds(60)
    network.connectAll()
    try network.apply((0..<8).map { .set(Self.path("old/\($0)"), 0) } + [.set(Self.path("shared"), 0)], at: 0)
    network.run(for: .seconds(1))
    network.disconnectAll()
    network.run(for: .seconds(4))
    for index in 0..<2 {
      try network.apply(["a", "b", "d"].map { .set(Self.path("\(index)/\($0)"), 1) }, at: index)
      for key in 0..<4 { try network.apply([.delete(Self.path("old/\(index * 4 + key)"))], at: index) }
    }
    return network
  }

  /// Lets both compare until a message of this kind is on its way; then both write over what they had, and the other one does not hear of it.
  private func write(after kind: PeerMessage.Kind, in network: ReplicaNetwork) throws {
    var isSeen = false
    network.watch = { _, _, bytes in if bytes[1] == kind.rawValue { isSeen = true } }
    network.connectAll()
    #expect(network.run(for: .seconds(3)) { isSeen })
    for index in 0..<2 {
      network.lose(1, from: index, to: 1 - index)
      try network.apply(
        [
          .set(Self.path("\(index)/a"), 2), .set(Self.path("\(index)/b"), 2), .set(Self.path("shared"), 1),
          .set(Self.path("\(index)/c"), 1),
        ], at: index)
    }
  }

  /// Whoever is told of what was replaced is told what replaced it.
  @Test(arguments: [PeerMessage.Kind.need, .reconcile, .finish], [0, 1])
  func itIsSeenAsAWholeOrNotAtAll(kind: PeerMessage.Kind, removalLogDots: Int) throws {
    let network = try apart(removalLogDots: removalLogDots)
    network.check = { node in
      let document = node.machine.document
      #expect(document.read(Self.path("shared")) != nil, "\(node.index) has lost something")
      for index in 0..<2 {
        let (a, b) = (document.read(Self.path("\(index)/a")), document.read(Self.path("\(index)/b")))
        #expect(a == b, "\(node.index) has seen half of a transaction")
        // What was written together with 1 stays, and is there as soon as anything of it is; what was written with 2 as soon as that.
        #expect((a != nil) == (document.read(Self.path("\(index)/d")) != nil))
        #expect((a == .value(2)) == (document.read(Self.path("\(index)/c")) != nil))
      }
    }
    try write(after: kind, in: network)
    #expect(network.run(for: .seconds(40)) { network.isConverged })
    #expect(network[0].machine.document.stateBytes() == network[1].machine.document.stateBytes())
    #expect(network.nodes.contains { $0.machine.counters.reconciliations > 0 })
  }
}
