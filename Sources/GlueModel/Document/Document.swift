import GlueCore

/// A replicated document: a causal CRDT in which values, counters, sets and maps live at paths.
///
/// Any replica changes it at once; replicas that have merged the same deltas, in any order, hold the same bytes. A change removes what
/// its writer had seen, and what is concurrent stays. This type knows neither time nor network.
///
/// Its parts: the *tree* holds the live entries, the *context* tells which changes have been seen, so that what it covers and the
/// tree does not hold has been removed; the *removal log* makes it cheap to tell a peer what it missed.
public struct Document: Sendable {
  /// Of each replica a counter has at most so many parts: its writer joins the oldest two of more. A deletion that is concurrent removes
  /// exactly the changes it has seen, if it has seen all but the last seven of each replica.
  public static let partsPerCounter = 8

  /// Under which the next change is written. Its generation follows that of the context.
  public internal(set) var replica: ReplicaID
  /// Which changes have been seen.
  public internal(set) var context = CausalContext()
  /// What paths with several values show.
  public var policies = ModelPolicies()
  /// How large it may become.
  public let limits: DocumentLimits

  var tree = EntryTree()
  var log: RemovalLog

  /// An empty document.
  public init(replica: ReplicaID, limits: DocumentLimits = DocumentLimits()) {
    self.replica = replica
    self.limits = limits
    log = RemovalLog(limit: limits.removalLogDots)
  }

  /// A document as it was stored: the entries that were left, and the context. What the removal log held is lost.
  public init(replica: ReplicaID, context: CausalContext, entries: [Entry], limits: DocumentLimits = DocumentLimits()) {
    self.init(replica: replica, limits: limits)
    _ = merge(Delta(generation: context.generation, covered: context.seen, entries: entries))
  }

  /// 64 bits over context and live dots, kept up to date, so it costs O(ranges of the context). Equal states have equal ones; of different
  /// states only those that an error made, with other contents under the same dots, have equal ones.
  public var digest: UInt64 {
    var hash = Hash64()
    hash.combine(context.digest)
    hash.combine(tree.fingerprint)
    return hash.value
  }

  /// 64 bits over ``stateBytes()``: O(entries).
  public var stateHash: UInt64 {
    var hash = Hash64()
    hash.combine(stateBytes())
    return hash.value
  }

  /// The canonical encoding of context and entries: equal for equal states.
  public func stateBytes() -> [UInt8] { state().encoded() }

  /// Begins the next generation. The context then covers all of replicas that began two generations ago or earlier, seen or not; what they
  /// wrote and nobody removed stays.
  public mutating func advanceGeneration() {
    if context.generation < .max { raiseGeneration(to: context.generation + 1) }
  }

  /// Goes to a generation, if it is a higher one.
  mutating func raiseGeneration(to generation: UInt32) {
    context.raise(to: generation)
    replica.generation = max(replica.generation, generation)
    let context = context
    log.forget { context.generationCovers($0) }
  }
}
