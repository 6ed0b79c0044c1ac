import GlueCore
import GlueModel

/// What a seed decides about a model: who opens it, and how.
package struct ModelPlan: Sendable {
  package let name: String
  /// The participants that open it.
  package let openers: Set<Int>
  /// The hosts that keep it on their disk.
  package let disks: Set<Int>
  /// How many transactions are made in it.
  package let transactions: Int
  /// How often somebody closes it, and opens it again.
  package let closings: Int
  /// How many times a wall clock jumps.
  package let clockJumps: Int
  /// Whether some values are so long that what is fetched comes in parts.
  package let hasLongValues: Bool
  package let limits: DocumentLimits
  package let configuration: ReplicaConfiguration

  /// So many runs in a hundred have models.
  private static let share = 40

  /// How long it may take after all have the same until none has anything left to say: with each of up to 19 others compares once, at an
  /// interval, whoever does not know that it has the same; and contexts are cleaned up three times.
  static let restBound = Nanoseconds.seconds(240)

  /// The models of a run.
  static func make(participants count: Int, disks: [Int], seed: UInt64) -> [ModelPlan] {
    var dice = Dice(seed: seed, concern: .models)
    guard dice.chance(percent: share) else { return [] }
    let names = dice.chance(percent: 20) ? ["home", "fleet"] : ["home"]
    return names.map { ModelPlan($0, participants: count, disks: disks, &dice) }
  }

  private init(_ name: String, participants count: Int, disks: [Int], _ dice: inout Dice) {
    self.name = name
    let most = dice.chance(percent: 50) ? count : dice.int(2...count)
    let openers = Set(dice.distinct(most, below: count))
    self.openers = openers
    self.disks = openers.intersection(disks)
    transactions = dice.int(60...160)
    closings = dice.int(0...4)
    clockJumps = dice.int(0...2)
    hasLongValues = dice.chance(percent: 8)
    var limits = DocumentLimits()
    if dice.chance(percent: 40) { limits.removalLogDots = dice.pick([0, 4, 30]) }
    if dice.chance(percent: 10) { limits.keys = dice.int(5...20) }
    self.limits = limits
    configuration = Self.makeConfiguration(openers: openers.count, hasLongValues: hasLongValues, &dice)
  }

  private static func makeConfiguration(
    openers: Int, hasLongValues: Bool, _ dice: inout Dice
  ) -> ReplicaConfiguration {
    var configuration = ReplicaConfiguration()
    // Each pair is compared once before all are silent, and the run waits for that.
    if openers > 5 || dice.chance(percent: 70) { configuration.statusInterval = dice.pick([.seconds(1), .seconds(3)]) }
    if dice.chance(percent: 20) { configuration.pendingDeltaBytes = dice.int(200...2_000) }
    if dice.chance(percent: 20) { configuration.heldDeltaBytes = dice.int(200...2_000) }
    if dice.chance(percent: 20) { configuration.answersAtOnce = dice.int(1...2) }
    if dice.chance(percent: 15), !hasLongValues { configuration.receivedPartBytes = 256 << 10 }
    if dice.chance(percent: 25) {
      configuration.cleanUpReplicas = dice.int(2...5)
      configuration.cleanUpInterval = dice.pick([.seconds(2), .seconds(6), .seconds(15)])
    }
    return configuration
  }
}
