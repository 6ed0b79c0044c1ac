import GlueCore

/// What a path shows, with everything below it.
public enum ModelNode: Hashable, Sendable {
  /// A value.
  case value(ModelValue)
  /// Values that were written concurrently, the latest first, where the policy is to keep all.
  case concurrent([ModelValue])
  /// The sum of a counter.
  case counter(Int64)
  /// The elements of a set, in the order of ``ModelValue``.
  case set([ModelValue])
  /// What is below, ascending by the bytes of the levels.
  case map([Child])

  /// Something in a map.
  public struct Child: Hashable, Sendable {
    /// The level.
    public let level: String
    /// What is there.
    public let node: ModelNode

    /// Joins the parts.
    public init(level: String, node: ModelNode) {
      self.level = level
      self.node = node
    }

    /// Equal if the bytes of the levels are, as of paths, and what is there.
    public static func == (a: Child, b: Child) -> Bool { a.level.utf8.elementsEqual(b.level.utf8) && a.node == b.node }

    /// Hashes the bytes of the level.
    public func hash(into hasher: inout Hasher) {
      for byte in level.utf8 { hasher.combine(byte) }
      hasher.combine(node)
    }
  }

  /// Its kind.
  public var kind: ModelKind {
    switch self {
    case .value, .concurrent: .value
    case .counter: .counter
    case .set: .set
    case .map: .map
    }
  }

  /// The value, of several the latest; nil if it is something else.
  public var value: ModelValue? {
    switch self {
    case .value(let value): value
    case .concurrent(let values): values.first
    case .counter, .set, .map: nil
    }
  }
  /// The value, if it is a boolean.
  public var bool: Bool? { value?.bool }
  /// The value, if it is a whole number; or the sum of a counter.
  public var int: Int64? { if case .counter(let sum) = self { sum } else { value?.int } }
  /// The value, if it is a number, whole or not.
  public var double: Double? { value?.double }
  /// The value, if it is a text.
  public var string: String? { value?.string }
  /// The elements, if it is a set.
  public var elements: [ModelValue]? { if case .set(let elements) = self { elements } else { nil } }
  /// What is in it, if it is a map.
  public var children: [Child]? { if case .map(let children) = self { children } else { nil } }

  /// What is at a level of a map.
  public subscript(level: String) -> ModelNode? {
    guard case .map(let children) = self else { return nil }
    return children.first { $0.level.utf8.elementsEqual(level.utf8) }?.node
  }
}

/// What a path shows by itself. A document is the same as its leaves: a path and what it shows, in which a set has one leaf for each
/// element, and a map one only if it was made explicitly.
public enum ModelContent: Hashable, Sendable {
  /// A value.
  case value(ModelValue)
  /// Values that were written concurrently, the latest first, where the policy is to keep all.
  case concurrent([ModelValue])
  /// The sum of a counter.
  case counter(Int64)
  /// An element of the set at the path.
  case element(ModelValue)
  /// A map that was made explicitly.
  case map
}

/// A path, and what it shows by itself.
public struct ModelLeaf: Hashable, Sendable {
  /// Where.
  public let path: ModelPath
  /// What.
  public let content: ModelContent

  /// Joins the parts.
  public init(path: ModelPath, content: ModelContent) {
    self.path = path
    self.content = content
  }
}

/// A leaf that became different. The leaves of a document before, and its changes in any order, make the leaves after it.
public struct ModelChange: Hashable, Sendable {
  /// Where.
  public let path: ModelPath
  /// What was shown; nil for nothing. For a set: the element that went.
  public let old: ModelContent?
  /// What is shown; nil for nothing. For a set: the element that came.
  public let new: ModelContent?
  /// Who wrote what is shown, or removed what was; nil if that is not known any more.
  public let writer: EndpointID?
  /// When, in microseconds since 1970 of the writer's hybrid clock; nil if that is not known any more.
  public let time: UInt64?
  /// How it came.
  public let cause: Cause

  /// Joins the parts.
  public init(
    path: ModelPath, old: ModelContent?, new: ModelContent?, writer: EndpointID?, time: UInt64?, cause: Cause
  ) {
    (self.path, self.old, self.new) = (path, old, new)
    (self.writer, self.time, self.cause) = (writer, time, cause)
  }

  /// How a change came.
  public enum Cause: String, Sendable {
    /// Made here.
    case local
    /// Made elsewhere.
    case remote
    /// There is a conflict at the path, or was one until this change.
    case merged
  }
}

/// Entries at one path of which no writer had seen the others: several values, or different kinds.
public struct ModelConflict: Hashable, Sendable {
  /// Where.
  public let path: ModelPath
  /// What each wrote, the latest first. The first one tells what is shown, unless the policy says otherwise.
  public let candidates: [Candidate]

  /// One side of a conflict.
  public struct Candidate: Hashable, Sendable {
    /// What is there. For a set or map it has no elements.
    public let kind: ModelKind
    /// The value, if it is one.
    public let value: ModelValue?
    /// Who wrote it.
    public let writer: EndpointID
    /// When, in microseconds since 1970 of the writer's hybrid clock.
    public let time: UInt64
  }
}
