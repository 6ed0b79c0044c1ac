import GlueCore
import Testing

@testable import GlueModel

/// Limits, stores, clocks and hostile bytes.
@Suite(.apart) struct ReplicaLimitTests {
  typealias Sync = ReplicaSyncTests

  func network(_ count: Int, seed: UInt64, _ change: (inout ReplicaConfiguration) -> Void) -> ReplicaNetwork {
    var configuration = ReplicaConfiguration()
    change(&configuration)
    return ReplicaNetwork(count, seed: seed, configuration: configuration)
  }

  func reached(_ limit: ReplicaLimit, at node: ReplicaNode) -> Bool {
    node.machine.count(of: limit) > 0
      && node.events.contains { if case .limitReached(limit, _) = $0 { true } else { false } }
  }

  @Test func changesThatTheNetworkDoesNotTakeAreFetchedLater() throws {
    let network = network(2, seed: 1) { $0.pendingDeltaBytes = 2_000 }
    network.connectAll()
    network.run(for: .seconds(1))
    network.takesDeltas = false
    for index in 0..<100 { try network.apply([.set(Sync.path("k/\(index)"), 1)], at: 0) }
    #expect(reached(.pendingDeltaBytes, at: network[0]))
    network.takesDeltas = true
    #expect(network.run(for: .seconds(2)) { network.isConverged })
  }

  @Test func changesThatWaitTooManyAreFetched() throws {
    let network = network(3, seed: 2) { $0.heldDeltaBytes = 500 }
    network.connectAll()
    network.run(for: .seconds(1))
    network.lose(1, from: 0, to: 2)
    for index in 0..<40 { try network.apply([.set(Sync.path("k/\(index)"), 1)], at: 0) }
    #expect(network.run(for: .seconds(3)) { network.isConverged })
    #expect(reached(.heldDeltaBytes, at: network[2]))
  }

  /// It is not fetched again and again: what is known at the first part is not waited for.
  @Test func aStateThatIsTooLongIsGivenUp() throws {
    let network = network(2, seed: 3) { $0.receivedPartBytes = 100_000 }
    for index in 0..<20 {
      try network.apply([.set(Sync.path("k/\(index)"), .bytes([UInt8](repeating: 1, count: 9_000)))], at: 0)
    }
    network.connectAll()
    network.run(for: .seconds(60))
    #expect(!network.isConverged)
    #expect(reached(.receivedPartBytes, at: network[1]))
    #expect(network[1].machine.counters.requests < 5)
  }

  @Test func whoIsBusySendsOthersAway() throws {
    let network = network(6, seed: 4) { $0.answersAtOnce = 1 }
    try Sync.fill(network, 0, keys: 10)
    // All are told that there is something, and the first answer does not leave.
    var told = 0
    network.watch = { from, _, _ in if from == 0 { told += 1 } }
    network.takesMessages = { $0 != 0 || told < 5 }
    network.connectAll()
    network.run(for: .seconds(1))
    network.takesMessages = { _ in true }
    #expect(network.run(for: .seconds(10)) { network.isConverged })
    #expect(reached(.answersAtOnce, at: network[0]))
  }

  /// Of each concern a peer that reads nothing costs one message, and what it asked for and gave up is not sent.
  @Test func aPeerThatReadsNothingCostsLittle() throws {
    let network = network(3, seed: 11) { _ in }
    try Sync.fill(network, 0, keys: 2_000)
    let state = network[0].machine.document.stateBytes().count
    network.connectAll()
    network.run(for: .seconds(3))
    #expect(network.isConverged)
    network.takesMessages = { $0 != 0 }
    for round in 0..<200 {
      try network.apply([.set(Sync.path("x"), .int(Int64(round)))], at: 1)
      network.restart(2)
      network.connectAll()
      network.run(for: .seconds(2))
    }
    #expect(network[0].machine.outbox.byteCount < 2 * state)
    network.takesMessages = { _ in true }
    let before = network.bytes
    network.connectAll()
    #expect(network.run(for: .seconds(5)) { network.isConverged })
    #expect(network.bytes - before < 4 * state)
  }

  @Test func tooManyReplicasAreTakenAndTold() throws {
    var limits = DocumentLimits()
    limits.replicas = 2
    let network = ReplicaNetwork(3, seed: 12, limits: limits)
    for index in 0..<3 { try network.apply([.set(Sync.path("k"), 1)], at: index) }
    network.connectAll()
    #expect(network.run(for: .seconds(3)) { network.isConverged })
    #expect(network.nodes.allSatisfy { reached(.replicas, at: $0) })
  }

  @Test func tooManyPeersAreLeftOut() throws {
    let network = network(5, seed: 5) { $0.peers = 2 }
    network.connectAll()
    network.run(for: .seconds(1))
    #expect(network.nodes.allSatisfy { $0.machine.peers.count == 2 && reached(.peers, at: $0) })
    // Changes reach them all the same.
    try network.apply([.set(Sync.path("a"), 1)], at: 0)
    network.run(for: .seconds(1))
    #expect(network.isConverged)
  }

  @Test func tooManyKeysAreTakenAndTold() throws {
    var limits = DocumentLimits()
    limits.keys = 5
    let network = ReplicaNetwork(2, seed: 6, limits: limits)
    try Sync.fill(network, 0, keys: 4, prefix: "a")
    try Sync.fill(network, 1, keys: 4, prefix: "b")
    #expect(throws: ModelError.self) { try network.apply([.set(Sync.path("x"), 1), .set(Sync.path("y"), 1)], at: 0) }
    network.connectAll()
    #expect(network.run(for: .seconds(2)) { network.isConverged })
    #expect(network[0].machine.document.keyCount == 8 && reached(.keys, at: network[0]))
  }

  @Test func aSkewIsToldOnceUntilItIsOver() throws {
    let network = ReplicaNetwork(3, seed: 7)
    network[2].clockError = 3_600_000_000
    network.connectAll()
    network.run(for: .seconds(1))
    func skews(_ node: Int) -> [ReplicaEvent] {
      network[node].events.filter { if case .clockSkew(EndpointID(3), _) = $0 { true } else { false } }
    }
    for _ in 0..<3 {
      try network.apply([.increment(Sync.path("n"), 1)], at: 0)
      network.run(for: .seconds(200))
    }
    #expect(skews(0).count == 1 && skews(1).count == 1)
    // Who is ahead dates its writes by the others.
    try network.apply([.set(Sync.path("a"), 1)], at: 2)
    network.run(for: .seconds(1))
    let date = network[0].machine.document.state().entries.last { $0.path == Sync.path("a") }?.time ?? 0
    #expect(date < network[0].wall(at: network.now) + 2_000_000)
  }

  @Test func aSlowOrFailingStoreHoldsNothingUp() throws {
    let network = ReplicaNetwork(2, seed: 8, stores: { $0 == 0 })
    network.connectAll()
    let store = try #require(network[0].store)
    store.isFailing = true
    for round in 0..<50 {
      try network.apply([.set(Sync.path("a"), .int(Int64(round))), .increment(Sync.path("n"), 1)], at: 0)
      network.run(for: .milliseconds(50))
    }
    #expect(network.isConverged && store.batches == 0)
    #expect(network[0].events.filter { if case .storeFailed = $0 { true } else { false } }.count == 1)
    store.isFailing = false
    let revision = network[0].machine.revision
    #expect(network.run(for: .seconds(31)) { network[0].machine.storedRevision >= revision })
    #expect(network[0].events.contains(.storeRecovered))
    // What came and went meanwhile was not written: of "a" the last value, of "n" the parts there are.
    #expect(store.written <= 1 + Document.partsPerCounter + 1)
    network.restart(0)
    #expect(network[0].machine.document.read(Sync.path("n")) == .counter(50))
  }

  @Test func anotherVersionIsToldOnce() {
    let network = ReplicaNetwork(2, seed: 9)
    network.connectAll()
    network.run(for: .seconds(1))
    let time = network.time(of: network[0])
    for _ in 0..<3 {
      [2, 1, 0].withUnsafeBytes { network[0].machine.receiveMessage($0, from: EndpointID(2), at: time) }
    }
    #expect(network[0].machine.nextEvent() == .unknownVersion(peer: EndpointID(2), version: 2))
    #expect(network[0].machine.nextEvent() == nil)
  }

  /// All messages of a history, damaged, to a replica that is in the middle of something.
  @Test func hostileBytesDoNoHarm() throws {
    var limits = DocumentLimits()
    limits.removalLogDots = 3
    let network = ReplicaNetwork(3, seed: 10, limits: limits)
    var seen: [[UInt8]] = []
    network.watch = { _, _, bytes in seen.append(bytes) }
    network.connectAll()
    var generator = SeededGenerator(seed: 5)
    for round in 0..<60 {
      if round % 10 == 0 { network.disconnectAll() }
      if round % 10 == 5 { network.connectAll() }
      try? network.apply(ReplicaHistory.edits(using: &generator), at: round % 3)
      network.run(for: .milliseconds(1_000))
    }
    seen += (0..<50).map { _ in (0..<30).map { _ in UInt8.random(in: 0...8, using: &generator) } }
    network.watch = { _, _, _ in }
    for round in 0..<6_000 {
      var bytes = seen[Int.random(in: 0..<seen.count, using: &generator)]
      for _ in 0..<Int.random(in: 0...3, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      if round % 5 == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator)) }
      let node = network[round % 3]
      let sender = EndpointID(UInt64.random(in: 1...4, using: &generator))
      bytes.withUnsafeBytes {
        node.machine.receiveMessage($0, from: sender, at: network.time(of: node))
        node.machine.receiveDelta($0, from: sender, at: network.time(of: node))
      }
      if round % 20 == 0 { network.run(for: .milliseconds(300)) }
      while node.machine.nextEvent() != nil {}
    }
    #expect(network.nodes.allSatisfy { $0.machine.counters.invalidMessages > 100 })
  }
}
