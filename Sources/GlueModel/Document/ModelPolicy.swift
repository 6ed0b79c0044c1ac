/// What a path shows where several values were written concurrently. A policy is the reader's: all values are kept in any case, until
/// somebody writes over them or resolves the conflict.
public enum ModelPolicy: Sendable {
  /// The one with the latest time; of equal times that of the highest writer.
  case lastWriter
  /// All, the latest first.
  case keepAll
  /// What the function makes of all, the latest first. It must depend on nothing else, or replicas show different things.
  case merge(@Sendable ([ModelValue]) -> ModelValue)
}

/// Which policy holds where.
public struct ModelPolicies: Sendable {
  private var rules: [(prefix: ModelPath, policy: ModelPolicy)] = []

  /// The last writer everywhere.
  public init() {}

  /// Decides for a path and everything below it for which no longer prefix decides.
  public mutating func set(_ policy: ModelPolicy, under prefix: ModelPath) {
    rules.removeAll { $0.prefix == prefix }
    rules.append((prefix, policy))
    rules.sort { $0.prefix.text.utf8.count > $1.prefix.text.utf8.count }
  }

  /// The policy for a path.
  public func policy(for path: ModelPath) -> ModelPolicy {
    rules.first { $0.prefix.contains(path) }?.policy ?? .lastWriter
  }
}
