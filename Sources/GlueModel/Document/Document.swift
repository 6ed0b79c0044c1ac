import GlueCore

/// A replicated document: a causal CRDT in which values, counters, sets and maps live at paths.
///
/// Any replica changes it at once; replicas that have merged the same deltas, in any order, hold the same bytes. A change removes what
/// its writer had seen, and what is concurrent stays. This type knows neither time nor network.
public struct Document: Sendable {
  /// Under which the next change is written. Its generation follows that of the context.
  public private(set) var replica: ReplicaID
  /// Which changes have been seen.
  public private(set) var context = CausalContext()
  /// What paths with several values show.
  public var policies = ModelPolicies()
  /// How large it may become.
  public let limits: DocumentLimits

  /// An empty document.
  public init(replica: ReplicaID, limits: DocumentLimits = DocumentLimits()) {
    self.replica = replica
    self.limits = limits
  }

  /// A document as it was stored: the entries that were left, and the context. What the removal log held is lost.
  public init(replica: ReplicaID, context: CausalContext, entries: [Entry], limits: DocumentLimits = DocumentLimits()) {
    self.init(replica: replica, limits: limits)
    _ = merge(Delta(generation: context.generation, covered: context.seen, entries: entries))
  }
}

// MARK: Editing

extension Document {
  /// Makes all changes in order, or none if one is refused: one transaction, which arrives everywhere as one. nil if there was nothing to
  /// change. The time is in microseconds since 1970; a later change of the same replica has a later one.
  public mutating func apply(_ edits: [ModelEdit], at time: UInt64) throws(ModelError) -> Applied? { fatalError() }
}

// MARK: Merging

extension Document {
  /// Joins with what another replica tells.
  public mutating func merge(_ delta: Delta) -> Merged { fatalError() }
}

// MARK: Reading

extension Document {
  /// What a path shows, with everything below it; nil for nothing. ``ModelPath/root`` shows everything.
  public func read(_ path: ModelPath) -> ModelNode? { fatalError() }
  /// The leaves at a path and below, ascending level by level.
  public func leaves(under path: ModelPath) -> [ModelLeaf] { fatalError() }
  /// The conflicts at a path and below.
  public func conflicts(under path: ModelPath) -> [ModelConflict] { fatalError() }
  /// Paths and set elements that hold something.
  public var keyCount: Int { fatalError() }
  /// Entries.
  public var entryCount: Int { fatalError() }
}

// MARK: What others lack

extension Document {
  /// What a peer with that context lacks: entries it has not seen, and what was removed by changes that it has not seen.
  public func missing(for theirs: CausalContext) -> Missing { fatalError() }
  /// What a peer with that context lacks, where its live dots have been compared with those here: what it has not seen; of what it has
  /// seen, the entries of `resending` (it has fewer folds of them) and the removal of `removed` (it still has them, and they are gone here).
  public func missing(for theirs: CausalContext, resending: [Dot], removed: DotSet) -> Delta { fatalError() }
  /// Everything.
  public func state() -> Delta { fatalError() }
}

// MARK: Comparing

extension Document {
  /// The fingerprint of the live dots in an interval that the other context covers too.
  public func fingerprint(of interval: DotInterval, within theirs: CausalContext) -> DotFingerprint { fatalError() }
  /// The first live dots, at most so many, in an interval that the other context covers too, ascending.
  public func liveDots(in interval: DotInterval, within theirs: CausalContext, limit: Int) -> [LiveDot] { fatalError() }
  /// The intervals, at most so many, in order, into which such live dots are cut so that each has as many as another.
  public func cut(_ interval: DotInterval, within theirs: CausalContext, into count: Int) -> [DotInterval] {
    fatalError()
  }
  /// The entries of those dots that have one.
  public func entries(of dots: some Sequence<Dot>) -> [Entry] { fatalError() }
  /// 64 bits over context and live dots, kept up to date, so it costs O(replicas). Equal states have equal ones; and of different states
  /// only those that an error made, with other contents under the same dots, have equal ones.
  public var digest: UInt64 { fatalError() }
  /// 64 bits over ``stateBytes()``: O(entries).
  public var stateHash: UInt64 { fatalError() }
  /// The canonical encoding of context and entries: equal for equal states.
  public func stateBytes() -> [UInt8] { fatalError() }
}

// MARK: Generations

extension Document {
  /// Begins the next generation. The context then covers all of replicas that began two generations ago or earlier, seen or not; what they
  /// wrote and nobody removed stays.
  public mutating func advanceGeneration() { fatalError() }
}
