import GlueCore
import GlueQuorum

/// What a seed decides about a quorum model: who founds and opens it, and what happens to them.
package struct QuorumPlan: Sendable {
  package let name: String
  /// The participants that found it.
  package let voters: [Int]
  /// The participants that open it, the voters among them.
  package let openers: Set<Int>
  /// Those with a disk: the voters, and some who may become voters.
  package let disks: [Int: SimulatedQuorumDisk.Trouble]
  /// Of the voters, those who may lose their storages: the others are a majority.
  package let unlucky: [Int]
  /// How many writes are asked for, reads, locks, and changes of the members.
  package let writes: Int
  /// See ``writes``.
  package let reads: Int
  /// See ``writes``.
  package let locks: Int
  /// See ``writes``.
  package let changes: Int
  /// How often somebody closes it and opens it again.
  package let closings: Int
  /// How often an endpoint with a disk ends amid something, and starts again.
  package let crashes: Int
  /// How often one of the unlucky ends and comes back without its storage.
  package let losses: Int
  package let configuration: QuorumConfiguration
  /// Whether in the end all are connected by way of one only.
  package let endsRelayed: Bool

  /// So many runs in a hundred have a quorum model.
  private static let share = 15
  /// More openings than this tell nothing new, and cost time.
  private static let mostOpeners = 8

  /// The quorum model of a run, if it has one. `isCertain`: it has.
  static func make(participants count: Int, isCertain: Bool, seed: UInt64) -> QuorumPlan? {
    var dice = Dice(seed: seed, concern: .quorums)
    guard dice.chance(percent: share) || isCertain else { return nil }
    return QuorumPlan(participants: count, &dice)
  }

  private init(participants count: Int, _ dice: inout Dice) {
    name = "vault"
    let wanted = dice.pick([1, 3, 3, 3, 3, 5])
    let voters = count < wanted ? 3 : wanted
    let openers = dice.distinct(
      max(voters, dice.int(min(voters + 1, count)...min(Self.mostOpeners, count))), below: count)
    self.voters = Array(openers.prefix(voters))
    self.openers = Set(openers)
    unlucky = Array(openers.prefix((voters - 1) / 2))
    var disks: [Int: SimulatedQuorumDisk.Trouble] = [:]
    for host in openers.prefix(voters + dice.int(0...2)) { disks[host] = .sound }
    for host in unlucky { disks[host] = dice.pick([.sound, .refuses, .misdirects]) }
    self.disks = disks
    writes = dice.int(40...110)
    reads = dice.int(20...60)
    locks = dice.int(4...16)
    changes = dice.int(0...4)
    closings = dice.int(0...3)
    crashes = dice.int(0...5)
    losses = dice.chance(percent: 30) ? 1 : 0
    var configuration = QuorumConfiguration()
    if dice.chance(percent: 60) {
      configuration.compactionBytes = dice.pick([500, 3_000])
      configuration.raft.keptEntries = dice.pick([0, 5, 50])
      configuration.raft.keptBytes = dice.pick([0, 2_000])
      configuration.recentBytes = dice.pick([0, 2_000])
    }
    self.configuration = configuration
    endsRelayed = dice.chance(percent: 40)
  }
}
