/// What a transaction did.
public struct Applied: Hashable, Sendable {
  /// What the others are to be told.
  public let delta: Delta
  /// What is shown differently.
  public let changes: [ModelChange]
  /// Dots that had an entry before and have none now: what a store deletes. It writes the delta's entries.
  public let removed: [Dot]
}

/// What merging a delta did.
public struct Merged: Hashable, Sendable {
  /// What is shown differently.
  public var changes: [ModelChange] = []
  /// Entries that are new, or newer than before: what a store writes.
  public var upserts: [Entry] = []
  /// Dots that had an entry before and have none now: what a store deletes.
  public var removed: [Dot] = []
  /// Limits that are exceeded now. What came was taken all the same.
  public var exceeded: [ModelLimit] = []
  /// Whether anything was new: entries, removals or changes that left nothing.
  public var isNew = false
}

/// What a peer lacks.
public enum Missing: Hashable, Sendable {
  /// This. Empty if it lacks nothing.
  case delta(Delta)
  /// The removal log does not reach back to what it has seen: what it holds must be compared.
  case needsReconciliation
}

/// A dot that has an entry, and the part of the entry that can change.
public struct LiveDot: Hashable, Comparable, Sendable {
  /// The dot.
  public var dot: Dot
  /// How often older parts of a counter were joined into it. Of two entries with the same dot the one with more is the newer.
  public var folds: UInt32

  /// Joins the parts.
  public init(dot: Dot, folds: UInt32) {
    self.dot = dot
    self.folds = folds
  }

  /// Orders by dot, then folds.
  public static func < (a: LiveDot, b: LiveDot) -> Bool { a.dot == b.dot ? a.folds < b.folds : a.dot < b.dot }
}
