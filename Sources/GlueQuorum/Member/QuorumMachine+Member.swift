import GlueCore

/// When the log was replaced by a snapshot, and when it is time for the next one.
struct Compaction: Sendable {
  /// What the last snapshot holds.
  var snapshot: LogIndex = 0
  /// Bytes that were applied since.
  var bytes = 0
  /// Of the state in the last snapshot.
  var stateBytes = 0
  /// A snapshot is being written, up to this entry.
  var underWay: LogIndex?
}

/// A storage is about to become a member's.
struct Joining: Sendable {
  let cluster: ClusterID
  let snapshot: RaftSnapshot
  var isUnderWay = false
}

// MARK: Raft

extension QuorumMachine {
  /// A member that has known no leader for so long listens to what the leader tells all. Elections end before that.
  var passedByAfter: Nanoseconds { Nanoseconds(3 * configuration.raft.electionTimeout.count) }

  /// Takes everything that Raft has to give. Returns whether there was something.
  func pumpRaft(_ now: Timestamp) -> Bool {
    guard let raft, storageFailure == nil else { return false }
    var isMoving = false
    while let (to, message) = raft.nextMessage() {
      if let cluster, let storage { send(.raft(cluster, from: storage, to: to.storage, message), to: to.endpoint) }
    }
    while let snapshot = raft.nextInstalled() {
      isMoving = true
      install(snapshot, at: now)
    }
    while let entry = raft.nextCommitted() {
      isMoving = true
      apply(entry, at: now)
    }
    while let (token, index) = raft.nextRead() {
      isMoving = true
      concludeRead(token, index, at: now)
    }
    while let (source, index) = raft.nextNeed() {
      if applied >= index, applied > raft.commitIndex {
        isMoving = true
        raft.install(snapshot(), at: now)
        continue
      }
      following.need = max(following.need ?? 0, index)
      following.preferred = source.endpoint
      follow(now)
    }
    return isMoving
  }

  /// Raft goes on from a state that came from elsewhere.
  private func install(_ snapshot: RaftSnapshot, at now: Timestamp) {
    if following.need ?? 0 <= snapshot.index { following.need = nil }
    compaction.snapshot = snapshot.index
    compaction.bytes = 0
    compaction.stateBytes = snapshot.state.count
    guard snapshot.index > applied else { return }
    let decoded = fetchedState?.index == snapshot.index ? fetchedState?.state : nil
    fetchedState = nil
    guard let state = decoded ?? (try? QuorumState(encoded: snapshot.state)) else {
      return
    }
    restore(state, index: snapshot.index, term: snapshot.term, membership: snapshot.membership, at: now)
  }

  /// What an applied entry means for the member.
  func noteApplied(_ entry: RaftEntry, at now: Timestamp) {
    compaction.bytes += entry.encodedBound
    leaderApplied(entry, at: now)
    guard case .membership(let new) = entry.content else { return }
    if let raft {
      // Removed while it was away: Raft would go on asking for votes that nobody gives.
      if let member, !new.contains(member), raft.commitIndex < entry.index {
        raft.install(snapshot(), at: now)
      }
    } else {
      joinIfNamed()
    }
  }

  /// The state as it is now.
  func snapshot() -> RaftSnapshot {
    RaftSnapshot(
      index: applied, term: appliedTerm, membership: membership ?? Membership(voters: []), state: state.encoded())
  }

  /// A storage that has never been a member's becomes one as soon as a committed state names it. It cannot have voted yet.
  func joinIfNamed() {
    guard raft == nil, joining == nil, !isBound, storageFailure == nil, let cluster, let member,
      membership?.contains(member) == true
    else { return }
    joining = Joining(cluster: cluster, snapshot: snapshot())
  }
}

// MARK: The storage

extension QuorumMachine {
  /// What the storage has to do next; nil if nothing, or while it does something.
  public func nextJob(at now: Timestamp) -> QuorumJob? {
    guard !isJobUnderWay, storageFailure == nil, storage != nil else { return nil }
    if let waiting = joining, !waiting.isUnderWay {
      joining?.isUnderWay = true
      isJobUnderWay = true
      return .found(waiting.cluster, waiting.snapshot)
    }
    guard let raft else { return nil }
    if let write = raft.nextWrite() {
      isJobUnderWay = true
      return .write(write)
    }
    guard compaction.bytes >= compactionBytes, let membership,
      applied > compaction.snapshot, applied <= raft.commitIndex
    else { return nil }
    compaction.underWay = applied
    compaction.bytes = 0
    isJobUnderWay = true
    return .compact(
      index: applied, term: appliedTerm, membership, state, keepFrom: applied + 1)
  }

  /// How many bytes of log a snapshot replaces. Members apply the same entries, and a vote waits while a snapshot is written: so that not all of them write
  /// theirs at the same entry, each waits up to half as long again.
  private var compactionBytes: Int {
    let least = max(configuration.compactionBytes, compaction.stateBytes)
    return least + Int(Double(least / 2) * Double((storage?.number ?? 0) >> 32) / Double(UInt32.max))
  }

  /// The storage has done it, and it is synced.
  ///
  /// - Parameter stateBytes: Of the encoded state, after a ``QuorumJob/compact(index:term:_:_:keepFrom:)``.
  public func jobDone(stateBytes: Int? = nil, at now: Timestamp) {
    isJobUnderWay = false
    if let done = joining, done.isUnderWay {
      joining = nil
      becomeMember(done, at: now)
    } else if let index = compaction.underWay {
      compaction.underWay = nil
      compaction.snapshot = index
      compaction.stateBytes = stateBytes ?? compaction.stateBytes
      raft?.compacted(to: index)
    } else {
      raft?.written(at: now)
    }
    pump(now)
  }

  /// The storage could not, and is not used again: whoever cannot remember must not vote. The opening goes on as an observer.
  public func jobFailed(reason: String, at now: Timestamp) {
    isJobUnderWay = false
    storageFailure = reason
    joining = nil
    raft = nil
    leaderlessSince = nil
    if let founding { endFounding(founding, .failed(.storageFailed(reason))) }
    tell(.storageFailed(reason))
    noteListeners()
    greetAll()
    pump(now)
  }

  private func becomeMember(_ done: Joining, at now: Timestamp) {
    guard let member else { return }
    // The storage says so now, whatever was heard meanwhile.
    if cluster != nil, cluster != done.cluster { forgetCluster() }
    cluster = done.cluster
    isBound = true
    pledge = nil
    if done.snapshot.index > applied,
      let state = try? QuorumState(encoded: done.snapshot.state)
    {
      replaceState(
        by: state, index: done.snapshot.index, term: done.snapshot.term, membership: done.snapshot.membership)
    }
    compaction.snapshot = done.snapshot.index
    compaction.stateBytes = done.snapshot.state.count
    leaderlessSince = now
    raft = RaftMachine(
      member: member, stored: StoredRaft(snapshot: done.snapshot), configuration: configuration.raft,
      seed: generator.next(), at: now)
    raft?.fault = raftFault
    // What was learned while the storage was busy.
    if applied > done.snapshot.index { raft?.install(snapshot(), at: now) }
    recent = RecentEntries()
    greetAll()
  }
}
