/// A change of a document.
public enum ModelEdit: Hashable, Sendable {
  /// Replaces everything seen at the path and below by a value.
  case set(ModelPath, ModelValue)
  /// Removes everything seen at the path and below. What others write concurrently stays.
  case delete(ModelPath)
  /// Adds an element to a set; who removes it concurrently does not remove this one.
  case add(ModelPath, ModelValue)
  /// Removes an element from a set, as far as it has been seen.
  case remove(ModelPath, ModelValue)
  /// Adds to a counter, or subtracts.
  case increment(ModelPath, Int64)
  /// Makes a map that is there even if it is empty.
  case makeMap(ModelPath)
  /// Ends a conflict.
  case resolve(ModelPath, ModelResolution)

  /// Where it changes something.
  public var path: ModelPath {
    switch self {
    case .set(let path, _), .delete(let path), .add(let path, _), .remove(let path, _), .increment(let path, _),
      .makeMap(let path),
      .resolve(let path, _):
      path
    }
  }
}

/// How a conflict ends.
public enum ModelResolution: Hashable, Sendable {
  /// This value replaces everything at the path, and below.
  case value(ModelValue)
  /// What is of this kind stays, and the rest goes. Several values become the one that is shown.
  case kind(ModelKind)
}
