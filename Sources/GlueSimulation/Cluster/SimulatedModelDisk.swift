import GlueCore
import GlueModel

/// The file in which a host keeps one model. Each batch is there as a whole or not at all. One that is being written when its endpoint ends may
/// be either, and so may one that was reported to have failed.
package final class SimulatedModelDisk {
  /// Its number in the run.
  package let number: Int
  /// Until when it refuses what is to be written.
  package var failsUntil = Timestamp(nanoseconds: 0)
  /// Whether it goes through troubled times by itself.
  package var isUnreliable = true
  private var entries: [Dot: Entry] = [:]
  private var context: CausalContext?
  private var clock: UInt64 = 0
  private var underWay: ReplicaBatch?
  private var dice: Dice

  /// An empty one.
  package init(number: Int, seed: UInt64) {
    self.number = number
    var numbers = Dice(seed: seed &+ UInt64(number), concern: .models)
    dice = Dice(seed: numbers.next(), concern: .disks)
  }

  /// What is on it; nil: nothing yet.
  package var content: StoredReplica? {
    context.map { StoredReplica(context: $0, entries: entries.values.sorted { $0.dot < $1.dot }, clock: clock) }
  }

  /// Begins to write. Returns how long it will take.
  func begin(_ batch: ReplicaBatch, at now: Timestamp) -> Nanoseconds {
    underWay = batch
    guard isUnreliable else { return .milliseconds(3) }
    if dice.chance(percent: 2) { failsUntil = now + dice.span(.seconds(1) ... .seconds(6)) }
    return dice.chance(percent: 5)
      ? dice.span(.milliseconds(100) ... .seconds(2)) : dice.span(.zero ... .milliseconds(40))
  }

  /// The time is over: whether what was begun is safe now. After a failure nobody knows whether it is there.
  func end(at now: Timestamp) -> Bool {
    guard let batch = underWay else { return false }
    underWay = nil
    guard now < failsUntil || isUnreliable && dice.chance(percent: 3) else {
      write(batch)
      return true
    }
    if dice.chance(percent: 30) { write(batch) }
    return false
  }

  /// Whoever writes has ended.
  func crash() {
    if let batch = underWay, dice.chance(percent: 50) { write(batch) }
    underWay = nil
  }

  private func write(_ batch: ReplicaBatch) {
    for entry in batch.upserts { entries[entry.dot] = entry }
    for dot in batch.removed { entries[dot] = nil }
    context = batch.context
    clock = batch.clock
  }
}
