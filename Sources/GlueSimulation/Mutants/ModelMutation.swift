import GlueCore
import GlueModel

/// Makes one opening of a model behave as a ``Mutant`` does. It sits between the replica and the simulation.
struct ModelMutation {
  let mutant: Mutant
  private var turn = 0
  /// An entry that was there once.
  private var buried: LiveDot?

  /// nil if the mutant does nothing to models.
  init?(_ mutant: Mutant) {
    switch mutant {
    case .takesNoAnswers, .altersEntries, .losesEntries, .splitsTransactions, .bringsBack, .trustsTheDisk,
      .swallowsChanges, .neverRests:
      self.mutant = mutant
    default: return nil
    }
  }

  // MARK: Messages

  /// What reaches the replica in place of a message of the delta topic.
  mutating func deltas(_ bytes: [UInt8]) -> [[UInt8]] {
    turn += 1
    guard let delta = Self.delta(in: bytes) else { return [bytes] }
    let entries = delta.entries
    switch mutant {
    case .altersEntries where turn % 5 == 0 && !entries.isEmpty:
      var altered = entries
      altered[0].path = ModelPath(unchecked: "elsewhere")
      return [Self.message(Delta(operation: delta.operation, covered: delta.covered, entries: altered))]
    case .losesEntries where turn % 5 == 0 && !entries.isEmpty:
      return [
        Self.message(Delta(operation: delta.operation, covered: delta.covered, entries: [Entry](entries.dropLast())))
      ]
    case .splitsTransactions: return Self.split(delta).map { Self.message($0) }
    default: return [bytes]
    }
  }

  /// What reaches the replica in place of a message that is for it alone.
  mutating func messages(_ bytes: [UInt8]) -> [[UInt8]] {
    /// MISSING and FINISH in docs/model-protocol.md.
    let answers: Set<UInt8> = [3, 5]
    if mutant == .takesNoAnswers, bytes.count > 1, answers.contains(bytes[1]) { return [] }
    return [bytes]
  }

  private static let header: [UInt8] = [1, 0]

  private static func delta(in bytes: [UInt8]) -> Delta? {
    guard bytes.starts(with: header) else { return nil }
    return bytes.withUnsafeBytes { try? Delta(encoded: UnsafeRawBufferPointer(rebasing: $0[header.count...])) }
  }

  private static func message(_ delta: Delta) -> [UInt8] { header + delta.encoded() }

  /// A transaction as one of its first change, and one of the others.
  private static func split(_ delta: Delta) -> [Delta] {
    guard var first = delta.operation, first.counters.count > 1 else { return [delta] }
    var second = first
    first.counters = first.counters.lowerBound..<first.counters.lowerBound + 1
    second.counters = first.counters.upperBound..<second.counters.upperBound
    func isOfSecond(_ entry: Entry) -> Bool {
      entry.dot.replica == second.replica && second.counters.contains(entry.dot.counter)
    }
    return [
      Delta(operation: first, covered: delta.dependencies, entries: delta.entries.filter { !isOfSecond($0) }),
      Delta(operation: second, entries: delta.entries.filter(isOfSecond)),
    ]
  }

  // MARK: What is seen of the replica

  /// What watchers are told in place of transactions' changes.
  mutating func changes(_ told: [[ModelChange]]) -> [[ModelChange]] {
    guard mutant == .swallowsChanges, !told.isEmpty else { return told }
    turn += 1
    return turn % 10 == 0 ? told.map { [ModelChange]($0.dropLast()) } : told
  }

  /// What the replica seems to hold.
  mutating func held(_ dots: [LiveDot]) -> [LiveDot] {
    guard mutant == .bringsBack else { return dots }
    turn += 1
    guard let buried else {
      self.buried = dots.first
      return dots
    }
    guard turn % 5 == 0, !dots.contains(where: { $0.dot == buried.dot }) else { return dots }
    return (dots + [buried]).sorted()
  }
}
