import GlueModel
import Testing

@testable import GlueFuzz

/// A few thousand inputs of each target. `scripts/fuzz` runs as many as one likes.
@Suite(.apart) struct ModelFuzzTests {
  private func run(_ target: some FuzzTarget, seed: UInt64, count: UInt64) {
    var target = target
    var input: [UInt8] = []
    for iteration in 0..<count {
      var generator = SplitMix64(seed: seed, iteration: iteration)
      input.removeAll(keepingCapacity: true)
      target.makeInput(&input, using: &generator)
      if let violation = input.withUnsafeBytes({ target.execute($0) }) {
        Issue.record("seed \(seed), iteration \(iteration): \(violation)")
      }
    }
  }

  @Test(arguments: [1, 2] as [UInt64]) func decodersAreTotal(seed: UInt64) throws {
    run(ModelDecoderTarget(corpus: try Corpus()), seed: seed, count: 2_500)
  }

  @Test(arguments: [1, 2] as [UInt64]) func replicasBearWhateverComes(seed: UInt64) {
    run(ReplicaTarget(), seed: seed, count: 100)
  }

  /// A target that gets nowhere finds nothing.
  @Test func scriptsReachWhatTheyAreFor() {
    var totals: [KeyPath<ReplicaCounters, UInt64>: UInt64] = [:]
    for seed in 0..<UInt64(200) {
      var generator = SplitMix64(seed: seed)
      var input: [UInt8] = []
      var target = ReplicaTarget()
      target.makeInput(&input, using: &generator)
      input.withUnsafeBytes { script in
        let world = ReplicaWorld(script: Script(script))
        _ = world.run()
        for counter in Self.counters { totals[counter, default: 0] += world.total(counter) }
      }
    }
    for counter in Self.counters { #expect(totals[counter, default: 0] > 10, "\(counter)") }
  }

  private nonisolated(unsafe) static let counters: [KeyPath<ReplicaCounters, UInt64>] = [
    \.localTransactions, \.receivedDeltas, \.heldDeltas, \.requests, \.requestTimeouts, \.answers, \.reconciliations,
    \.invalidMessages, \.storeFailures,
  ]
}
