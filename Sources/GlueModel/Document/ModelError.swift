/// Why a change of a model is refused. Nothing has happened then, neither here nor anywhere else.
public enum ModelError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A text is no path.
  case invalidPath(String, problem: String)
  /// A value that a model cannot hold.
  case invalidValue(ModelPath, problem: String)
  /// At the path is something else than the change needs: a value where a map would have to be, a map where a counter would.
  case wrongKind(ModelPath, is: ModelKind, needs: ModelKind)
  /// The sum of the counter would not fit into 64 bits.
  case overflow(ModelPath)
  /// The model was closed.
  case closed
  /// What a transaction has read was changed by others each time it was tried.
  case changedMeanwhile(attempts: Int)
  /// A limit of ``DocumentLimits`` would be exceeded.
  case limitExceeded(ModelLimit, limit: Int)

  /// The reason in words.
  public var description: String {
    switch self {
    case .invalidPath(let text, let problem): "“\(text)” is no path of a model: \(problem)"
    case .invalidValue(let path, let problem): "the value for \(path) is refused: \(problem)"
    case .wrongKind(let path, let kind, let needed): "\(path) is a \(kind.rawValue), not a \(needed.rawValue)"
    case .closed: "the model is closed"
    case .changedMeanwhile(let attempts):
      "what the transaction has read was changed by others, \(attempts) times in a row"
    case .overflow(let path): "the counter \(path) would exceed 64 bits"
    case .limitExceeded(let limit, let bound): "\(limit.rawValue) would exceed the limit of \(bound)"
    }
  }
}

/// What ``DocumentLimits`` limits.
public enum ModelLimit: String, Sendable, CaseIterable {
  /// ``DocumentLimits/keys``.
  case keys
  /// ``DocumentLimits/valueBytes``.
  case valueBytes = "bytes of a value"
  /// ``DocumentLimits/transactionBytes``.
  case transactionBytes = "bytes of a transaction"
  /// ``DocumentLimits/replicas``.
  case replicas
  /// ``DocumentLimits/holes``.
  case holes
}
