import GlueCore
import GlueModel
import GlueQuorum

/// What can be said of a quorum as it is seen from one endpoint.
public struct QuorumStatus: Sendable {
  /// Which quorum; `nil`: none is known here yet.
  public let cluster: ClusterID?
  /// What this endpoint is in it.
  public let role: QuorumRole
  /// Who leads, as far as is known here.
  public let leader: EndpointID?
  /// The latest term that is known here.
  public let term: Term
  /// The last entry of the log whose effect is seen here.
  public let index: LogIndex
  /// The members, as decided; `nil`: not known yet.
  public let membership: Membership?
  /// Voters that are not there, or came back without their storage.
  public let missing: [EndpointID]
  /// The endpoints that have the model open, as far as they are reached now.
  public let peers: [EndpointID]
  /// 64 bits that are equal where the state is.
  public fileprivate(set) var hash: UInt64
  /// Paths, and elements of sets, that hold something.
  public let keys: Int
  /// Locks that are held, in the order of their names.
  public let locks: [QuorumLockState]
  /// How old the state can be, without what the network takes to tell; `nil`: no leader has told yet.
  public let age: Duration?
  /// Why the storage cannot be used any more.
  public let storageFailure: String?
}

extension Quorum {
  /// What can be said of the quorum as it is seen from here. Asks nobody.
  public var status: QuorumStatus {
    var (status, state) = link.withState { state in
      let machine = state.machine
      let now = Timestamp.now
      let status = QuorumStatus(
        cluster: machine.cluster, role: machine.role, leader: machine.leader, term: machine.term,
        index: machine.applied, membership: machine.membership, missing: machine.missingVoters,
        peers: machine.peerIDs, hash: 0, keys: machine.state.document.keyCount,
        locks: machine.state.locks, age: machine.currentTime(now).map { now.since($0).duration },
        storageFailure: machine.failure)
      return (status, machine.state)
    }
    // Heartbeats would wait while a large state is encoded.
    status.hash = state.digest
    return status
  }

  /// Voters that are not there, or came back without their storage: as in ``status``, which takes as long as the state is large.
  public var missing: [EndpointID] { link.withState { $0.machine.missingVoters } }

  /// Founds the quorum, once and for all, with these voters: 1, 3, 5, 7 or 9, of whom this endpoint is one. All of them have to have it open, with a
  /// storage that belongs to no quorum yet. Returns when it can be used.
  ///
  /// - Throws: ``QuorumFailure/notDone(_:)``, `CancellationError`.
  public func initialize(voters: [EndpointID], timeout: Duration? = nil) async throws {
    let span = span(timeout ?? Self.foundingPatience)
    try check(await link.ask { $0.initialize(voters: voters, timeout: span, at: $1) })
  }

  /// Gives an endpoint a vote, or has it only follow with a log of its own: then one that has a vote gives it up. It has to have the model open, with a
  /// storage; it gets its vote when it has caught up. One that lost its storage is replaced by itself as it is now.
  ///
  /// - Throws: ``QuorumFailure/notDone(_:)``, `CancellationError`. What has begun goes on in the quorum.
  public func addMember(_ endpoint: EndpointID, asVoter: Bool = true, timeout: Duration? = nil) async throws {
    let span = span(timeout ?? Self.changePatience)
    try check(await link.ask { $0.change(.add(endpoint, asVoter: asVoter), timeout: span, at: $1) })
  }

  /// Takes an endpoint out of the members. It goes on as an observer.
  ///
  /// - Throws: ``QuorumFailure/notDone(_:)``, with ``QuorumObstacle/notMember(_:members:)`` if it was none; `CancellationError`.
  public func removeMember(_ endpoint: EndpointID, timeout: Duration? = nil) async throws {
    let patience = timeout ?? Self.changePatience
    let deadline = Timestamp.now + span(patience)
    // First what is decided by now: one that was removed a moment ago is no member, and one that was added is.
    try await catchUp(timeout: patience)
    let members = link.withState { $0.machine.membership }?.all.map(\.endpoint) ?? []
    guard members.contains(endpoint) else { throw QuorumFailure.notDone(.notMember(endpoint, members: members)) }
    let span = deadline.since(Timestamp.now)
    try check(await link.ask { $0.change(.remove(endpoint), timeout: span, at: $1) })
  }

  /// Why a quorum cannot be founded with these voters, wherever that is; `nil` if it can.
  public static func problem(withVoters voters: [EndpointID]) -> String? { Membership.problem(withFirst: voters) }

  private func check(_ result: QuorumResult) throws {
    if let failure = QuorumFailure(result) { throw failure }
  }

  /// Finding all voters takes seconds, and the first election up to three.
  private static let foundingPatience = Duration.seconds(15)
  /// A new member fetches the whole state first.
  private static let changePatience = Duration.seconds(60)

  /// Waits until somebody is known to lead.
  ///
  /// - Throws: ``EndpointFailure/timedOut(waitingFor:)``, `CancellationError`.
  public func awaitLeader(timeout: Duration? = nil) async throws -> EndpointID {
    let deadline = Timestamp.now + span(timeout)
    while true {
      if link.withState({ $0.isClosed }) { throw QuorumFailure.notDone(.closed) }
      if let leader = link.withState({ $0.machine.leader }) { return leader }
      guard Timestamp.now < deadline else { throw EndpointFailure.timedOut(waitingFor: "a leader of \(name)") }
      try await Task.sleep(for: .milliseconds(5))
    }
  }
}

extension Endpoint {
  /// Opens a quorum model: from here on this endpoint follows what is decided in it, and takes part if its storage belongs to a member.
  ///
  /// - Parameters:
  ///   - name: Which model: a topic name without `$` at the beginning.
  ///   - settings: How it is opened.
  /// - Throws: ``EndpointFailure/invalidTopic(_:reason:)``; ``QuorumFailure/isOpen(_:)``: at most once per endpoint at a time;
  ///   ``QuorumFailure/storage(_:)`` if the storage cannot be read, is damaged or used by another process; ``EndpointFailure/stopped``.
  public func quorum(_ name: String, _ settings: Quorum.Settings = Quorum.Settings()) async throws -> Quorum {
    if let problem = Model.problem(withName: name) { throw EndpointFailure.invalidTopic(name, reason: problem) }
    let isNew = driver.quorums.withLock { quorums in
      guard quorums[name] == nil else { return false }
      quorums[name] = ObjectIdentifier(self)
      return true
    }
    guard isNew else { throw QuorumFailure.isOpen(name) }
    do {
      let (link, report) = try openQuorum(name, settings)
      driver.quorums.withLock { $0[name] = ObjectIdentifier(link) }
      let quorum = Quorum(link, recovery: report)
      try link.open()
      return quorum
    } catch {
      driver.quorums.withLock { $0[name] = nil }
      throw error
    }
  }

  private func openQuorum(_ name: String, _ settings: Quorum.Settings) throws -> (QuorumLink, RecoveryReport?) {
    guard let directory = settings.storage else { return (try QuorumLink(name, at: self, settings, nil), nil) }
    do {
      let opened = try OpenedStorage(directory)
      let report = opened.report
      if let other = opened.stored?.owner(of: opened.storage), other != id {
        throw QuorumFailure.storage("this storage of \(name) is that of endpoint \(other), and this one is \(id)")
      }
      return (try QuorumLink(name, at: self, settings, opened), report)
    } catch let error as LogError {
      throw QuorumFailure.storage("\(error)")
    } catch let error as WireError {
      throw QuorumFailure.storage("the stored state of \(name) cannot be read: \(error)")
    }
  }
}
