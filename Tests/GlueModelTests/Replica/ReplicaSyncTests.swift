import GlueCore
import Testing

@testable import GlueModel

/// What replicas say to each other in plain situations, and what it costs.
@Suite(.apart) struct ReplicaSyncTests {
  static func path(_ text: String) -> ModelPath { ModelPath(unchecked: text) }

  /// One side writes so many keys, some in a transaction.
  static func fill(_ network: ReplicaNetwork, _ index: Int, keys: Int, prefix: String = "key") throws {
    for start in stride(from: 0, to: keys, by: 100) {
      try network.apply(
        (start..<min(keys, start + 100)).map { .set(path("\(prefix)/\($0)"), .int(Int64($0))) }, at: index)
    }
  }

  static func sum(_ network: ReplicaNetwork, _ counter: (ReplicaCounters) -> UInt64) -> UInt64 {
    network.nodes.reduce(0) { $0 + counter($1.machine.counters) }
  }

  @Test func aChangeIsOneMessageToEachAndNothingMore() throws {
    let network = ReplicaNetwork(4, seed: 1)
    network.connectAll()
    network.run(for: .seconds(1))
    let before = network.messages
    try network.apply([.set(Self.path("a"), 1), .increment(Self.path("n"), 2)], at: 0)
    network.run(for: .seconds(20))
    #expect(network.isConverged)
    #expect(network.messages - before == 3)
    #expect(network[3].machine.document.read(Self.path("n")) == .counter(2))
  }

  @Test func aNewcomerAsksOneOfMany() throws {
    let network = ReplicaNetwork(10, seed: 2)
    for a in 0..<9 { for b in 0..<a { network.connect(a, b) } }
    try Self.fill(network, 0, keys: 3_000)
    network.run(for: .seconds(2))
    let (bytes, answers) = (network.bytes, Self.sum(network, \.answers))
    for other in 0..<9 { network.connect(9, other) }
    #expect(network.run(for: .seconds(2)) { network.isConverged })
    network.run(for: .seconds(5))
    #expect(network[9].machine.counters.requests == 1)
    #expect(Self.sum(network, \.answers) == answers + 1)
    #expect(Self.sum(network, \.reconciliations) == 0)
    // The state once, and a few words with everybody.
    let state = network[0].machine.document.state().encoded().count
    #expect(network.bytes - bytes < state + 9 * 4 * 200)
  }

  @Test func afterAPartitionEachFetchesOnce() throws {
    let network = ReplicaNetwork(10, seed: 3)
    network.connectAll()
    try Self.fill(network, 0, keys: 1_000, prefix: "old")
    network.run(for: .seconds(2))
    for a in 0..<5 { for b in 5..<10 { network.disconnect(a, b) } }
    network.run(for: .seconds(4))
    try Self.fill(network, 0, keys: 300, prefix: "left")
    try Self.fill(network, 5, keys: 300, prefix: "right")
    network.run(for: .seconds(4))
    #expect(!network.isConverged)
    let answers = Self.sum(network, \.answers)
    network.connectAll()
    #expect(network.run(for: .seconds(2)) { network.isConverged })
    network.run(for: .seconds(5))
    // Ten replicas, each of which lacks the other side's. Who asks while another's answer is on its way asks in vain, at most once.
    #expect(Self.sum(network, \.answers) - answers <= 20)
    #expect(Self.sum(network, \.reconciliations) == 0)
  }

  @Test func changesGoThroughWhoHearsBoth() throws {
    let network = ReplicaNetwork(4, seed: 4)
    for next in 1..<4 { network.connect(next - 1, next) }
    network.run(for: .seconds(1))
    try network.apply([.set(Self.path("a"), 1)], at: 0)
    #expect(network.run(for: .seconds(200)) { network.isConverged })
    // Two chains that meet tell each other at once.
    let other = ReplicaNetwork(4, seed: 5)
    other.connect(0, 1)
    other.connect(2, 3)
    try other.apply([.set(Self.path("a"), 1)], at: 0)
    other.run(for: .seconds(1))
    other.connect(1, 2)
    #expect(other.run(for: .seconds(5)) { other.isConverged })
  }

  @Test func aLostChangeIsFetched() throws {
    let network = ReplicaNetwork(3, seed: 6)
    network.lossDelay = .seconds(60)
    network.connectAll()
    network.run(for: .seconds(1))
    network.lose(1, from: 0, to: 2)
    try network.apply([.set(Self.path("a"), 1)], at: 0)
    network.run(for: .milliseconds(100))
    #expect(!network.isConverged)
    try network.apply([.set(Self.path("a"), 2)], at: 0)
    #expect(network.run(for: .seconds(1)) { network.isConverged })
    #expect(network[2].machine.counters.requests == 1)
    #expect(network[1].machine.counters.requests == 0)
  }

  @Test func whatBuildsOnSomethingMissingWaitsForIt() throws {
    let network = ReplicaNetwork(3, seed: 7)
    network.lossDelay = .seconds(60)
    network.connectAll()
    try network.apply([.set(Self.path("a"), 1)], at: 0)
    network.run(for: .seconds(1))
    // 1 replaces what 0 wrote, and 2 has not seen that: it must not take the one without the other.
    network.lose(1, from: 0, to: 2)
    try network.apply([.set(Self.path("a"), 2), .set(Self.path("b"), 2)], at: 0)
    network.run(for: .milliseconds(50))
    try network.apply([.set(Self.path("a"), 3)], at: 1)
    network.run(for: .milliseconds(50))
    #expect(network[2].machine.document.read(Self.path("a")) == .value(1))
    #expect(network[2].machine.counters.heldDeltas == 1)
    #expect(network.run(for: .seconds(1)) { network.isConverged })
    #expect(network[2].machine.document.read(Self.path("b")) == .value(2))
  }

  @Test func whoDoesNotAnswerIsPassedOver() throws {
    let network = ReplicaNetwork(3, seed: 8)
    network.connect(0, 1)
    try Self.fill(network, 0, keys: 10)
    network.run(for: .seconds(1))
    var refused: Set<Int> = []
    network.drops = { from, _, bytes in
      // Whoever is asked first never answers.
      guard bytes[1] == PeerMessage.Kind.missing.rawValue else { return false }
      if refused.isEmpty { refused = [from] }
      return refused.contains(from)
    }
    network.connectAll()
    #expect(network.run(for: .seconds(4)) { network.isConverged })
    #expect(network[2].machine.counters.requestTimeouts == 1)
    #expect(network[2].machine.counters.requests == 2)
  }

  /// The writer of a change leaves before it has reached everybody: those who have it tell the others, at once and not when their turn comes.
  @Test func whatALeavingWriterCouldNotTellAllIsPassedOn() throws {
    let network = ReplicaNetwork(4, seed: 15)
    network.connectAll()
    network.run(for: .seconds(40))
    network.disconnect(0, 3)
    network.run(for: .seconds(4))
    try network.apply([.set(Self.path("a"), 1)], at: 0)
    network.run(for: .milliseconds(50))
    for other in 1...2 { network.disconnect(0, other) }
    let before = network.messages
    #expect(
      network.run(for: .seconds(5)) { network[3].machine.document.read(Self.path("a")) == .value(1) }, "not after 30 s")
    network.run(for: .seconds(1))
    #expect(network.messages - before < 20, "one of them tells it")
  }

  @Test func changesAreConfirmedByThoseWhoHaveThem() throws {
    let network = ReplicaNetwork(3, seed: 16)
    network.connectAll()
    network.run(for: .seconds(1))
    func ask() {
      network[0].machine.askForConfirmation(at: network.time(of: network[0]))
      network.drain(network[0])
    }
    ask()
    #expect(network[0].machine.unconfirmedPeerIDs == [], "nothing was changed")
    network.lossDelay = .seconds(60)
    network.lose(1, from: 0, to: 2)
    try network.apply([.set(Self.path("a"), 1)], at: 0)
    ask()
    #expect(network[0].machine.unconfirmedPeerIDs == [network[1].id, network[2].id])
    // Whoever missed the change fetches it because it is asked.
    #expect(network.run(for: .seconds(1)) { network[0].machine.unconfirmedPeerIDs == [] })
    #expect(network[0].machine.confirmedPeerIDs == [network[1].id, network[2].id])
    #expect(network[2].machine.document.read(Self.path("a")) == .value(1))
    // Who comes later is asked as well; who is about to leave does not count any more.
    network[1].machine.becomeTransient(at: network.time(of: network[1]))
    network.drain(network[1])
    network.run(for: .milliseconds(100))
    #expect(network[0].machine.confirmedPeerIDs == [network[2].id] && network[0].machine.peerIDs == [network[2].id])
    network.restart(2)
    network.connectAll()
    #expect(network.run(for: .seconds(8)) { network[0].machine.confirmedPeerIDs == [network[2].id] })
  }

  /// Anybody may subscribe to the topic: who says nothing is no replica, and nobody waits for it.
  @Test func whoSaysNothingIsNoReplica() throws {
    let network = ReplicaNetwork(2, seed: 17)
    network.takesMessages = { $0 == 0 }
    network.connectAll()
    network.run(for: .seconds(1))
    #expect(!network[0].machine.isInSync && network[0].machine.peerIDs == [])
    network.run(for: .seconds(2))
    #expect(network[0].machine.isInSync && network[0].machine.peerIDs == [])
  }

  /// Parts of an answer are lost, and that is told: it is asked for again at once.
  @Test func anAnswerOfWhichPartsAreLostIsAskedForAgain() throws {
    let network = ReplicaNetwork(2, seed: 13)
    for index in 0..<40 {
      try network.apply([.set(Self.path("k/\(index)"), .bytes([UInt8](repeating: 1, count: 9_000)))], at: 0)
    }
    var parts = 0
    network.drops = { from, _, bytes in
      guard from == 0, bytes[1] == PeerMessage.Kind.part.rawValue else { return false }
      parts += 1
      return parts == 3
    }
    network.connectAll()
    #expect(network.run(for: .seconds(1)) { parts >= 3 })
    network[1].machine.lostMessages(from: network[0].id, at: network.time(of: network[1]))
    #expect(network.run(for: .seconds(1)) { network.isConverged }, "before a request's timeout")
    #expect(network[1].machine.counters.requests == 2)
    #expect(network[1].machine.counters.requestTimeouts == 0)
  }

  /// A replica is set back to an earlier state, and others know more of it than it does: what it writes then reaches them.
  @Test func whoWasSetBackTakesAnotherIdentity() throws {
    let network = ReplicaNetwork(2, seed: 14)
    network.connectAll()
    network.run(for: .seconds(1))
    let own = network[0].machine.document.replica
    try network.apply([.set(Self.path("a"), 1)], at: 0)
    network.run(for: .seconds(1))
    // What it wrote, and has forgotten.
    let forgotten = Delta(
      operation: Delta.Operation(replica: own, counters: 2..<4, time: 9),
      entries: [Entry(dot: Dot(own, 2), time: 9, path: Self.path("b"), content: .value(2))])
    let bytes = PeerMessage.encoded(forgotten)
    for node in network.nodes {
      bytes.withUnsafeBytes { node.machine.receiveDelta($0, from: EndpointID(9), at: network.time(of: node)) }
    }
    #expect(network[0].machine.nextEvent() == .identityTaken)
    #expect(network[0].machine.document.replica != own)
    try network.apply([.set(Self.path("c"), 3)], at: 0)
    #expect(network.run(for: .seconds(1)) { network.isConverged })
    #expect(network[1].machine.document.read(Self.path("c")) == .value(3))
    #expect(network[1].machine.document.read(Self.path("b")) == .value(2))
    #expect(network[1].machine.nextEvent() == nil)
  }

  @Test func aLongStateComesInParts() throws {
    let network = ReplicaNetwork(2, seed: 9)
    for index in 0..<40 {
      try network.apply(
        [.set(Self.path("blob/\(index)"), .bytes([UInt8](repeating: UInt8(index), count: 9_000)))], at: 0)
    }
    var longest = 0
    network.watch = { _, _, bytes in longest = max(longest, bytes.count) }
    network.connectAll()
    #expect(network.run(for: .seconds(2)) { network.isConverged })
    #expect(longest <= ReplicaConfiguration.partBytes + 40)
    #expect(network[1].machine.counters.requests == 1)
    // All of it at once: what belongs together is seen together.
    #expect(network[1].transactions == 1)
  }

  /// Both have 20,000 keys and neither remembers what was removed.
  @Test func whatWasRemovedLongAgoIsFoundByComparing() throws {
    var limits = DocumentLimits()
    limits.removalLogDots = 10
    let network = ReplicaNetwork(2, seed: 10, limits: limits)
    network.connectAll()
    try Self.fill(network, 0, keys: 20_000)
    network.run(for: .seconds(2))
    network.disconnectAll()
    network.run(for: .seconds(4))
    for index in 0..<50 {
      try network.apply([.delete(Self.path("key/\(index * 400)"))], at: 0)
      try network.apply([.delete(Self.path("key/\(index * 400 + 200)"))], at: 1)
    }
    try network.apply([.set(Self.path("new"), 1)], at: 0)
    let bytes = network.bytes
    network.connectAll()
    #expect(network.run(for: .seconds(3)) { network.isConverged })
    #expect(network[0].machine.document.keyCount == 19_901)
    #expect(Self.sum(network, \.reconciliations) >= 1)
    #expect(network.bytes - bytes < 60_000)
  }

  @Test func ownWritesThatNobodyHasSurviveTwoCleanUps() throws {
    var configuration = ReplicaConfiguration()
    (configuration.cleanUpReplicas, configuration.cleanUpInterval) = (1, .seconds(60))
    let network = ReplicaNetwork(3, seed: 11, configuration: configuration)
    network.connectAll()
    try network.apply([.set(Self.path("gone"), 1), .set(Self.path("kept"), 1)], at: 2)
    try network.apply([.set(Self.path("a"), 1)], at: 0)
    try network.apply([.set(Self.path("b"), 1)], at: 1)
    // Long enough for all to know that the others have it.
    network.run(for: .seconds(200))
    network.disconnect(0, 2)
    network.disconnect(1, 2)
    try network.apply([.set(Self.path("late"), 7)], at: 2)
    try network.apply([.delete(Self.path("gone"))], at: 0)
    for round in 0..<4 {
      try network.apply([.set(Self.path("a"), .int(Int64(round)))], at: 0)
      try network.apply([.set(Self.path("b"), .int(Int64(round)))], at: 1)
      network.run(for: .seconds(61))
    }
    #expect(network[0].machine.document.context.generation >= 2)
    network.connectAll()
    #expect(network.run(for: .seconds(10)) { network.isConverged })
    let document = network[0].machine.document
    #expect(document.read(Self.path("late")) == .value(7))
    #expect(document.read(Self.path("kept")) == .value(1))
    #expect(document.read(Self.path("gone")) == nil)
    #expect(network[2].events.contains(.rewritten(count: 1)))
  }
}
