/// How large a document may become. A local change beyond a limit is refused; a received one is taken, or replicas would diverge, and
/// reported.
public struct DocumentLimits: Hashable, Sendable {
  /// Paths and set elements that hold something. Each costs some 300 bytes of memory with a short path and value.
  public var keys = 1_000_000
  /// Bytes of one value, encoded.
  public var valueBytes = 64 << 10
  /// Bytes of one transaction, encoded without any saving: all its paths in full.
  public var transactionBytes = 1 << 20
  /// Ranges of dots in the context: one for each replica ID that ever wrote, more while changes are missing. Each costs some 80 bytes of
  /// memory and 25 on the wire whenever a context is sent. Local changes are not refused for it.
  public var contextRanges = 65_536
  /// Dots in the removal log. A peer that was away for more removals than that compares everything it holds with others instead of
  /// being told what was removed. Each costs some 60 bytes of memory.
  public var removalLogDots = 100_000

  /// The defaults.
  public init() {}
}
