/// Which changes a replica has seen: a version vector, the dots beyond it, and a generation.
///
/// There are no tombstones: what the context covers and the document does not hold has been removed (Almeida, Shoker, Baquero: Delta
/// State Replicated Data Types, 2018, §7). The context is all that is left of what was removed. It grows with the number of replica
/// IDs that have ever written; a higher *generation* gives back what old ones take: the context of generation g covers all dots of
/// replicas that began in generation g - 2 or before, seen or not.
public struct CausalContext: Hashable, Sendable {
  /// The generation. Contexts join to the higher one.
  public private(set) var generation: UInt32
  /// The dots of replicas that the generation does not cover.
  public private(set) var seen: DotSet

  /// From parts; what the generation covers is dropped.
  public init(generation: UInt32 = 0, seen: DotSet = DotSet()) {
    self.generation = generation
    self.seen = seen
    if generation >= 2 { dropOldReplicas() }
  }

  /// Whether nothing has ever been seen: a newcomer's.
  public var isEmpty: Bool { generation == 0 && seen.isEmpty }

  /// Whether a change has been seen, or counts as seen.
  public func covers(_ dot: Dot) -> Bool { generationCovers(dot.replica) || seen.contains(dot) }

  /// Whether all changes of a replica count as seen.
  public func generationCovers(_ replica: ReplicaID) -> Bool { generation >= 2 && replica.generation <= generation - 2 }

  /// Whether all that another one covers is covered.
  public func covers(_ other: CausalContext) -> Bool {
    generation >= other.generation && other.seen.parts.allSatisfy { covers($0) }
  }

  /// Whether all dots of a part are covered.
  func covers(_ part: DotSet.Part) -> Bool {
    generationCovers(part.replica) || part.counters.subtracting(seen[part.replica]).isEmpty
  }

  /// Whether a dot is covered by both.
  public func overlaps(_ other: CausalContext) -> Bool {
    // Of a replica that a generation covers the other one counts as having seen all: a single dot is one too many.
    if seen.parts.contains(where: { other.generationCovers($0.replica) || other.seen.overlaps($0) }) { return true }
    return other.seen.parts.contains { generationCovers($0.replica) } || min(generation, other.generation) >= 2
  }

  /// Adds dots.
  public mutating func insert(_ dots: DotSet) {
    seen.formUnion(dots)
    if generation >= 2, dots.parts.contains(where: { generationCovers($0.replica) }) { dropOldReplicas() }
  }

  /// Adds a range of counters of a replica.
  mutating func insert(_ counters: Range<UInt64>, of replica: ReplicaID) {
    if !generationCovers(replica) { seen.insert(counters, of: replica) }
  }

  /// Joins with another one.
  public mutating func formUnion(_ other: CausalContext) {
    raise(to: other.generation)
    insert(other.seen)
  }

  /// Goes to a generation, if it is a higher one.
  mutating func raise(to generation: UInt32) {
    guard generation > self.generation else { return }
    self.generation = generation
    dropOldReplicas()
  }

  private mutating func dropOldReplicas() {
    let context = self
    seen.removeReplicas { context.generationCovers($0) }
  }
}
