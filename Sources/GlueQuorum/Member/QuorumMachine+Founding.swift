import GlueCore

/// A quorum that is being founded from here: every future voter is asked for its storage, and when all have answered the founder makes the
/// first state. The others get it as anybody does who lacks it, and find themselves named in it.
struct Founding: Sendable {
  let ticket: UInt64
  let cluster: ClusterID
  let voters: [EndpointID]
  let deadline: Timestamp
  var storages: [(endpoint: EndpointID, storage: StorageID)]
  var inviteAt: Timestamp
  /// Not before this, so that a quorum of this name that is there is heard of first.
  let foundAt: Timestamp
  /// The first state is made; what is missing is a leader.
  var isFounded = false

  func storage(of endpoint: EndpointID) -> StorageID? { storages.first { $0.endpoint == endpoint }?.storage }
}

extension QuorumMachine {
  /// The log begins with the founding, which stands for an entry.
  static let foundingIndex: LogIndex = 1
  static let foundingTerm: Term = 1

  /// Founds the quorum, once and for all, with these voters: 1, 3, 5, 7 or 9, of whom this endpoint is one. All of them have to be there, with storages
  /// that belong to no quorum yet. Ends when there is a leader.
  public func initialize(voters: [EndpointID], timeout: Nanoseconds, at now: Timestamp) -> UInt64 {
    let ticket = client.nextTicket()
    if let obstacle = obstacle(to: voters) {
      end(ticket, .failed(obstacle))
      return ticket
    }
    guard let storage else { return ticket }
    founding = Founding(
      ticket: ticket, cluster: ClusterID(high: generator.next(), low: generator.next()), voters: voters,
      deadline: now + timeout, storages: [(endpoint, storage)], inviteAt: now,
      foundAt: now + QuorumConfiguration.foundingPause)
    checkFounding(now)
    pump(now)
    return ticket
  }

  private func obstacle(to voters: [EndpointID]) -> QuorumObstacle? {
    if isClosed { return .closed }
    if let storageFailure { return .storageFailed(storageFailure) }
    if isBound, let cluster { return .isFounded(cluster) }
    if applied > 0, let cluster { return .isFounded(cluster) }
    if founding != nil { return .invalidVoters("a founding is under way") }
    if storage == nil { return .invalidVoters("this endpoint has no storage") }
    if let problem = Membership.problem(withFirst: voters) { return .invalidVoters(problem) }
    if !voters.contains(endpoint) { return .invalidVoters("this endpoint, \(endpoint), is not one of them") }
    return nil
  }

  /// Asks somebody who came later than the founding began.
  func invite(_ peer: EndpointID, at now: Timestamp) {
    // Also who has accepted: it promises to wait only for a while.
    guard let founding, !founding.isFounded, founding.voters.contains(peer) else { return }
    send(.invite(founding.cluster), to: peer)
  }

  func checkFounding(_ now: Timestamp) {
    guard let founding else { return }
    if now >= founding.deadline {
      let missing = founding.isFounded ? missingVoters : founding.voters.filter { founding.storage(of: $0) == nil }
      return endFounding(
        founding, .failed(founding.isFounded ? .foundedWithoutLeader(missing: missing) : .noQuorum(missing: missing)))
    }
    guard !founding.isFounded else { return }
    if now >= founding.inviteAt {
      self.founding?.inviteAt = now + QuorumConfiguration.invitationInterval
      for voter in founding.voters { invite(voter, at: now) }
    }
    foundIfComplete(now)
  }

  /// The founding is over when something can be decided.
  func concludeFounding() {
    guard let founding, founding.isFounded, leader != nil, applied > Self.foundingIndex else { return }
    endFounding(founding, .done)
  }

  func endFounding(_ founding: Founding, _ result: QuorumResult) {
    end(founding.ticket, result)
    self.founding = nil
  }

  func receiveInvitation(_ cluster: ClusterID, from peer: EndpointID, at now: Timestamp) {
    guard let storage, storageFailure == nil else { return send(.decline(cluster, .hasNoStorage), to: peer) }
    if isBound || joining != nil {
      // It may be asked again by one who has not heard its answer.
      if self.cluster != cluster { send(.decline(cluster, .isMember), to: peer) }
      return
    }
    if applied > 0, self.cluster != cluster { return send(.decline(cluster, .followsAnother), to: peer) }
    // Two who found at the same time would each lack the other: the one with the lower identity goes on.
    let isOutdone = founding.map { !$0.isFounded && $0.cluster < cluster } ?? false
    // A founder that asks for another cluster has given up the one before.
    let isPledged = pledge.map { $0.until > now && $0.cluster != cluster && $0.founder != peer } ?? false
    guard !isOutdone, !isPledged else { return send(.decline(cluster, .isPledged), to: peer) }
    if let founding, founding.cluster != cluster {
      guard !founding.isFounded else { return send(.decline(cluster, .isMember), to: peer) }
      endFounding(founding, .failed(.declined(peer, .isPledged)))
    }
    pledge = (cluster, peer, now + QuorumConfiguration.pledgeLifetime)
    send(.accept(cluster, storage), to: peer)
  }

  func receiveAcceptance(_ cluster: ClusterID, _ storage: StorageID, from peer: EndpointID, at now: Timestamp) {
    guard let founding, founding.cluster == cluster, !founding.isFounded, founding.voters.contains(peer),
      founding.storage(of: peer) == nil
    else { return }
    self.founding?.storages.append((peer, storage))
    foundIfComplete(now)
  }

  func receiveDecline(_ cluster: ClusterID, _ reason: QuorumDecline, from peer: EndpointID) {
    guard let founding, founding.cluster == cluster, !founding.isFounded, founding.voters.contains(peer) else { return }
    endFounding(founding, .failed(.declined(peer, reason)))
  }

  /// Whether nothing but time is missing.
  func isReady(_ founding: Founding) -> Bool {
    founding.storages.count == founding.voters.count && joining == nil && !isBound && applied == 0
  }

  private func foundIfComplete(_ now: Timestamp) {
    guard let founding, !founding.isFounded, now >= founding.foundAt, isReady(founding) else { return }
    self.founding?.isFounded = true
    let members = founding.storages.map { MemberID($0.endpoint, $0.storage) }
    joining = Joining(
      cluster: founding.cluster,
      snapshot: RaftSnapshot(
        index: Self.foundingIndex, term: Self.foundingTerm, membership: Membership(voters: members),
        state: QuorumState(limits: configuration.state).encoded()))
  }
}
