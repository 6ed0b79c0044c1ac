import GlueCore
import GlueModel
import GlueQuorum

/// Why something that was asked of a quorum model did not happen, or why nobody knows whether it did.
public enum QuorumFailure: Error, Hashable, Sendable {
  /// It was decided that it does not happen.
  case rejected(QuorumRejection)
  /// It has not happened, and will not: nobody decided about it.
  case notDone(QuorumObstacle)
  /// Nobody said in time what became of it. ``Quorum/resolve(_:timeout:)`` tells later.
  case unknown(QuorumToken, missing: [EndpointID])
  /// What a transaction had read was changed by others, as often as it was tried.
  case changedMeanwhile(attempts: Int)
  /// The storage cannot be used.
  case storage(String)
  /// The endpoint has this quorum model open already.
  case isOpen(String)

  /// Voters that are not there, as far as that is why.
  public var missing: [EndpointID] {
    switch self {
    case .notDone(.noQuorum(let missing)), .notDone(.foundedWithoutLeader(let missing)), .unknown(_, let missing):
      missing
    default: []
    }
  }

  init?(_ result: QuorumResult) {
    switch result {
    case .committed, .granted, .readable, .done: return nil
    case .rejected(let rejection): self = .rejected(rejection)
    case .failed(let obstacle): self = .notDone(obstacle)
    case .unknown(let token, let missing): self = .unknown(token, missing: missing)
    }
  }
}

extension QuorumFailure: CustomStringConvertible {
  /// One line for people.
  public var description: String {
    switch self {
    case .rejected(let rejection): "\(rejection)"
    case .notDone(let obstacle): "\(obstacle)"
    case .unknown(let token, let missing):
      "nobody said in time whether it was decided\(missing.isEmpty ? "" : "; \(QuorumObstacle.list(missing)) not there"); "
        + "it can be looked up by \(token)"
    case .changedMeanwhile(let attempts): "what it had read was changed by others, \(attempts) times in a row"
    case .storage(let reason): reason
    case .isOpen(let name): "the quorum model \(name) is open already"
    }
  }
}
