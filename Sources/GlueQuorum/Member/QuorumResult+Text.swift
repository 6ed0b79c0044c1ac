import GlueCore

extension QuorumObstacle: CustomStringConvertible {
  /// As in `endpoints 3 and 7 are`.
  package static func list(_ endpoints: [EndpointID]) -> String {
    let names = endpoints.map(\.description)
    guard let last = names.last else { return "nobody is" }
    return names.count == 1
      ? "endpoint \(last) is" : "endpoints \(names.dropLast().joined(separator: ", ")) and \(last) are"
  }

  /// One line for people.
  public var description: String {
    switch self {
    case .noQuorum(let missing):
      missing.isEmpty
        ? "no leader was found in time" : "there is no majority: \(Self.list(missing)) not there"
    case .foundedWithoutLeader(let missing):
      "the quorum is founded, and no leader was found in time\(missing.isEmpty ? "" : ": \(Self.list(missing)) not there")"
    case .notFounded: "nobody who is there knows a quorum of this name"
    case .stateIsMissing: "there is a quorum of this name, and its state did not get here in time"
    case .tooManyRequests(let limit): "\(limit) requests are not decided yet, and more are not taken"
    case .lockNotFree(let name): "the lock \(name) was not free in time"
    case .lockLost(let name): "the lock \(name) was granted, and had run out before that was known here"
    case .declined(let endpoint, let reason): "endpoint \(endpoint) does not take part: \(reason)"
    case .notMember(let endpoint, let members):
      "endpoint \(endpoint) is no member; \(Self.list(members)) \(members.count == 1 ? "the only one" : "members")"
    case .notChanged(let change, let result): result.text(of: change)
    case .nameIsTaken(let cluster, let endpoint):
      "there is a quorum of this name already, \(cluster), which endpoint \(endpoint) belongs to"
    case .invalidVoters(let problem): "these voters cannot found a quorum: \(problem)"
    case .isFounded(let cluster): "the quorum is founded already, as \(cluster)"
    case .foreignToken: "the token is of another quorum"
    case .storageFailed(let reason): "the storage failed: \(reason)"
    case .closed: "the quorum model is closed"
    }
  }
}

extension QuorumDecline: CustomStringConvertible {
  /// A few words.
  public var description: String {
    switch self {
    case .hasNoStorage: "it has no storage"
    case .isMember: "its storage belongs to a quorum already"
    case .isPledged: "it takes part in another founding"
    case .followsAnother: "it follows another quorum of that name"
    }
  }
}

extension QuorumChangeResult {
  /// One line for people.
  fileprivate func text(of change: QuorumChange) -> String {
    switch (self, change) {
    case (.isDone, _): "the membership is as it was asked for"
    case (.isUnderWay, _): "endpoint \(change.endpoint) has not caught up in time"
    case (.isAbsent, _): "endpoint \(change.endpoint) is not there, or has the model open without a storage"
    case (.wouldStop, _):
      "of the voters that would be left no majority is there, so nothing could be decided any more"
    case (.wrongCount, .remove(let endpoint)): "endpoint \(endpoint) is the last voter"
    case (.wrongCount, .add(_, asVoter: true)): "there are \(Membership.voterLimit) voters already"
    case (.wrongCount, .add(let endpoint, asVoter: false)):
      "endpoint \(endpoint) is the last voter, or there are \(Membership.learnerLimit) learners already"
    case (.notLeader, _): "no leader was found in time"
    }
  }
}
