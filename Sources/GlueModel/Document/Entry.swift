/// Something that a change wrote and that nobody who saw it has removed or replaced. What a path shows is computed from its entries.
public struct Entry: Hashable, Sendable {
  /// The change that wrote it.
  public var dot: Dot
  /// When: microseconds since 1970 of the writer's hybrid clock.
  public var time: UInt64
  /// Where.
  public var path: ModelPath
  /// What.
  public var content: EntryContent

  /// Joins the parts.
  public init(dot: Dot, time: UInt64, path: ModelPath, content: EntryContent) {
    self.dot = dot
    self.time = time
    self.path = path
    self.content = content
  }
}

/// What an entry holds.
public enum EntryContent: Hashable, Sendable {
  /// The value of a register.
  case value(ModelValue)
  /// A part of a counter. Its writer joins its oldest parts; of two with the same dot the one with more `folds` is the newer.
  case amount(Int64, folds: UInt32)
  /// An element of a set.
  case element(ModelValue)
  /// A map that was made explicitly and may be empty.
  case map

  /// How often its writer has joined older parts into it; 0 for what is no part of a counter.
  var folds: UInt32 {
    if case .amount(_, let folds) = self { folds } else { 0 }
  }

  /// Bytes of the value, if there is one.
  var encodedBytes: Int {
    switch self {
    case .value(let value), .element(let value): value.encodedBytes
    case .amount, .map: 0
    }
  }

  /// The kind of what it is part of.
  public var kind: ModelKind {
    switch self {
    case .value: .value
    case .amount: .counter
    case .element: .set
    case .map: .map
    }
  }
}

/// What can be at a path.
public enum ModelKind: String, Sendable, CaseIterable {
  /// A register: one value, or several that were written concurrently.
  case value
  /// A counter.
  case counter
  /// A set.
  case set
  /// What has paths below it.
  case map
}
