/// How large a document may become. A local change beyond a limit is refused; a received one is taken, or replicas would diverge, and
/// reported.
public struct DocumentLimits: Hashable, Sendable {
  /// Paths and set elements that hold something. Each costs some 300 bytes of memory with a short path and value.
  public var keys = 1_000_000
  /// Bytes of one value, encoded.
  public var valueBytes = 64 << 10
  /// Bytes of one transaction: its paths in full, its values, and some for each entry. What it removes does not count.
  public var transactionBytes = 1 << 20
  /// Replica IDs in the context: one for each opening of the model that ever wrote, until a higher generation drops it. Each costs some 80
  /// bytes of memory, and some 25 whenever a context is sent. Local changes are not refused for it.
  public var replicas = 65_536
  /// Ranges of changes of one replica that have been seen, with changes between them that have not. Local changes are not refused for it.
  public var holes = 1_024
  /// Dots in the removal log. A peer that was away for more removals than that compares everything it holds with others instead of
  /// being told what was removed. Each costs some 60 bytes of memory.
  public var removalLogDots = 100_000

  /// The defaults.
  public init() {}
}
