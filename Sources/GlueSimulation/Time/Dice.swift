import GlueCore

/// Seeded chance. Each concern of a run throws its own, so that a change in one does not shift the others.
package struct Dice: RandomNumberGenerator, Sendable {
  /// What chance is needed for.
  package enum Concern: UInt64, Sendable {
    case plan = 1
    case faults, workload, network, machines, hostility, scenario, disks, retained, models, quorums, groups
  }

  private var generator: SeededGenerator

  /// The dice of one concern in the run of a seed.
  package init(seed: UInt64, concern: Concern) {
    generator = SeededGenerator(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ concern.rawValue &* 0xD1B5_4A32_D192_ED03)
  }

  /// The next 64 bits.
  package mutating func next() -> UInt64 { generator.next() }

  /// A number below the bound, which is not 0. The bias of multiply-and-shift does not matter here; that it is the same
  /// on every platform does.
  package mutating func below(_ bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }
  /// A number in a range.
  package mutating func int(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(below(UInt64(range.upperBound - range.lowerBound) + 1))
  }
  /// Whether something happens that does so many times in a million.
  package mutating func chance(perMillion: Int) -> Bool {
    perMillion > 0 && below(1_000_000) < UInt64(perMillion)
  }
  /// Whether something happens that does so many times in a hundred.
  package mutating func chance(percent: Int) -> Bool { chance(perMillion: percent * 10_000) }
  /// A span within a range.
  package mutating func span(_ range: ClosedRange<Nanoseconds>) -> Nanoseconds {
    Nanoseconds(range.lowerBound.count + below(range.upperBound.count - range.lowerBound.count + 1))
  }
  /// One of several.
  package mutating func pick<Element>(_ choices: [Element]) -> Element { choices[Int(below(UInt64(choices.count)))] }
  /// So many different numbers below a bound, in random order.
  package mutating func distinct(_ count: Int, below bound: Int) -> [Int] {
    var numbers = Array(0..<bound)
    for index in 0..<min(count, bound) { numbers.swapAt(index, int(index...(bound - 1))) }
    return Array(numbers.prefix(count))
  }
}
