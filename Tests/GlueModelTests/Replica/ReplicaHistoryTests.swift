import GlueCore
import Testing

@testable import GlueModel

/// Random histories of a few replicas under all faults, from seeds. What must hold whatever happens:
/// - when the faults have stopped all replicas hold the same bytes, within seconds;
/// - snapshot and changes give the state;
/// - no watcher ever sees half a transaction;
/// - then the network is silent.
@Suite(.apart) struct ReplicaHistoryTests {
  /// How long after the last fault all must be equal: a loss of contact is noticed within 3 s, a request repeated after 2 s.
  static let reunion = Nanoseconds.seconds(15)

  @Test(arguments: 0..<4) func allReplicasEndEqual(block: Int) throws {
    for seed in UInt64(block * 25)..<UInt64(block * 25 + 25) {
      var history = ReplicaHistory(seed: seed)
      try history.run()
    }
  }
}

/// One history.
struct ReplicaHistory {
  let seed: UInt64
  let network: ReplicaNetwork
  var generator: SeededGenerator
  let count: Int

  init(seed: UInt64) {
    self.seed = seed
    var generator = SeededGenerator(seed: seed &* 0x9E37_79B9)
    count = Int.random(in: 2...5, using: &generator)
    let withStore = (0..<count).map { _ in Bool.random(using: &generator) }
    var limits = DocumentLimits()
    // In every third history the removal log is too short to tell what was removed.
    if seed % 3 == 0 { limits.removalLogDots = 3 }
    var configuration = ReplicaConfiguration()
    if seed % 7 == 0 { configuration.pendingDeltaBytes = 1_000 }
    if seed % 11 == 0 { configuration.heldDeltaBytes = 300 }
    if seed % 5 == 0 { configuration.answersAtOnce = 1 }
    if seed % 13 == 0 { (configuration.cleanUpReplicas, configuration.cleanUpInterval) = (2, .seconds(60)) }
    network = ReplicaNetwork(
      count, seed: seed, stores: { withStore[$0] }, limits: limits, configuration: configuration)
    self.generator = generator
  }

  mutating func run() throws {
    let seed = seed
    network.check = { node in
      // Both halves are always written together.
      let halves = ["pair/a", "pair/b"].map { node.machine.document.read(ModelPath(unchecked: $0)) }
      #expect(halves[0] == halves[1], "seed \(seed): half a transaction")
    }
    setClocks()
    network.connectAll()
    for _ in 0..<Int.random(in: 10...40, using: &generator) {
      for _ in 0..<Int.random(in: 0...3, using: &generator) { fault() }
      for _ in 0..<Int.random(in: 1...4, using: &generator) { write() }
      network.run(
        for: network.random(Int.random(in: 0..<8, using: &generator) == 0 ? .seconds(20) : .milliseconds(100)))
    }
    try endFaults()
  }

  private mutating func endFaults() throws {
    for node in network.nodes {
      node.store?.isFailing = false
      node.store?.delay = .milliseconds(3)
    }
    network.connectAll()
    let network = network
    let isEqual = network.run(for: ReplicaHistoryTests.reunion) { network.isConverged }
    try #require(isEqual, "seed \(seed): not equal")
    let bytes = network[0].machine.document.stateBytes()
    for node in network.nodes {
      #expect(node.machine.document.stateBytes() == bytes, "seed \(seed): \(node.index) has other bytes")
      #expect(node.leaves == Set(node.machine.document.leaves(under: .root)), "seed \(seed): \(node.index)'s watcher")
    }
    network.run(for: .seconds(600))
    let messages = network.messages
    network.run(for: .seconds(3_600))
    #expect(network.messages == messages, "seed \(seed): not silent")
    let now = network[0].machine.document.stateBytes()
    for node in network.nodes {
      // A clean-up may have come in between.
      #expect(node.machine.document.stateBytes() == now, "seed \(seed): \(node.index) has other bytes")
      guard let content = node.store?.content else { continue }
      let stored = Document(
        replica: ReplicaID(endpoint: node.id, number: 1), context: content.context, entries: content.entries)
      #expect(stored.stateBytes() == now, "seed \(seed): \(node.index) stored something else")
    }
  }

  private mutating func setClocks() {
    for node in network.nodes {
      switch Int.random(in: 0..<8, using: &generator) {
      case 0: node.clockError = 3_600_000_000
      case 1: node.clockError = -3_600_000_000
      case 2: node.clockError = -Int64(ReplicaNetwork.today)
      case 3: node.clockRunsBackward = true
      default: node.clockError = Int64.random(in: -100_000...100_000, using: &generator)
      }
    }
  }

  private mutating func fault() {
    let (a, b) = (Int.random(in: 0..<count, using: &generator), Int.random(in: 0..<count, using: &generator))
    switch Int.random(in: 0..<10, using: &generator) {
    case 0: network.disconnect(a, b)
    case 1: network.connect(a, b)
    case 2: network.connectAll()
    case 3: network.disconnectAll()
    case 4:  // A chain.
      network.disconnectAll()
      for next in 1..<count { network.connect(next - 1, next) }
    case 5: network.lose(Int.random(in: 1...3, using: &generator), from: a, to: b)
    case 6: network.restart(a)
    case 7: network[a].store?.isFailing = Bool.random(using: &generator)
    case 8: network[a].store?.delay = .milliseconds(UInt64.random(in: 0...5_000, using: &generator))
    default: setClocks()
    }
  }

  private mutating func write() {
    let index = Int.random(in: 0..<count, using: &generator)
    // A change may be refused: a counter is no map.
    try? network.apply(Self.edits(using: &generator), at: index)
  }

  static func edits(using generator: inout SeededGenerator) -> [ModelEdit] {
    let path = ModelPath(
      unchecked: ["x", "y", "m/a", "m/b", "m/n/a", "c/1", "c/2", "s"].randomElement(using: &generator)!)
    let value = ModelValue.int(Int64.random(in: 0..<1_000, using: &generator))
    switch Int.random(in: 0..<12, using: &generator) {
    case 0, 1:
      return [.set(ModelPath(unchecked: "pair/a"), value), .set(ModelPath(unchecked: "pair/b"), value)]
    case 2, 3, 4: return [.set(path, value)]
    case 5: return [.delete(path)]
    case 6: return [.add(ModelPath(unchecked: "s"), .int(Int64.random(in: 0..<5, using: &generator)))]
    case 7: return [.remove(ModelPath(unchecked: "s"), .int(Int64.random(in: 0..<5, using: &generator)))]
    case 8: return [.makeMap(ModelPath(unchecked: "m"))]
    case 9: return [.delete(ModelPath(unchecked: "m"))]
    default: return [.increment(ModelPath(unchecked: "c/1"), Int64.random(in: -9...9, using: &generator))]
    }
  }
}
