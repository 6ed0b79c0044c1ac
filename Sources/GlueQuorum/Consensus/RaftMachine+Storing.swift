import GlueCore

extension RaftMachine {
  /// What has to be written next, everything that waits in one; nil while a write is under way.
  public func nextWrite() -> RaftWrite? {
    guard writing == nil else { return nil }
    let from = max(stable, log.baseIndex)
    guard durableVersion < hardVersion || snapshotToWrite != nil || log.lastIndex > from else { return nil }
    let write = RaftWrite(
      hardState: durableVersion < hardVersion ? hardState : nil, snapshot: snapshotToWrite,
      entries: log.slice(from: from + 1, to: log.lastIndex, bytes: RaftConfiguration.writeBytes))
    writing = (hardVersion, write.entries.last?.index ?? log.lastIndex, snapshotToWrite?.index)
    snapshotToWrite = nil
    noteUnwritten()
    return write
  }

  /// The write that was taken last is on disk.
  public func written(at now: Timestamp) {
    self.now = max(self.now, now)
    guard let written = writing else { return }
    writing = nil
    durableVersion = written.version
    if snapshotToWrite == nil, stable < written.last {
      if role == .leader { unwrittenBytes -= bytes(after: stable, upTo: written.last) }
      stable = written.last
    }
    // What still waits has waited from now on.
    unwrittenSince = nil
    noteUnwritten()
    if written.snapshot != nil, snapshotToWrite == nil { isInstallDurable = true }
    while let first = held.first, first.version <= durableVersion {
      held.removeFirst()
      ready.append((first.to, first.message))
    }
    if role == .candidate, hardState.vote == member, durableVersion == hardVersion, !granted.contains(member) {
      granted.append(member)
      countVotes(at: now)
    }
    if role == .leader { advanceCommit(at: now) } else { replyIfSynced(isNew: true) }
  }

  /// The next committed entry, which is on this member's disk too.
  public func nextCommitted() -> RaftEntry? {
    guard installed == nil, delivered < min(commitIndex, stable) else { return nil }
    guard let entry = log.entry(at: delivered + 1) else { return nil }
    delivered += 1
    return entry
  }

  /// A state that replaces what was applied, once it is on disk.
  public func nextInstalled() -> RaftSnapshot? {
    guard isInstallDurable, let snapshot = installed else { return nil }
    installed = nil
    isInstallDurable = false
    delivered = snapshot.index
    return snapshot
  }

  /// Takes a committed state that came from elsewhere. What is older than what is known to be committed changes nothing;
  /// where the log has its last entry, that is committed, and nothing else.
  public func install(_ snapshot: RaftSnapshot, at now: Timestamp) {
    self.now = max(self.now, now)
    guard snapshot.index > commitIndex, snapshot.index <= WireLimits.position, snapshot.term <= WireLimits.position
    else { return }
    // A state of a later term comes from a later leader than the one that is followed.
    if snapshot.term > term { enter(snapshot.term, leader: nil, at: now) }
    if role == .leader { follow(nil, at: now) }
    if log.term(at: snapshot.index) == snapshot.term {
      commitIndex = snapshot.index
    } else {
      log = RaftLog(snapshot)
      stable = 0
      writing?.last = 0
      snapshotToWrite = snapshot
      installed = snapshot
      isInstallDurable = false
      commitIndex = snapshot.index
      matched = 0
    }
    matched = max(matched, commitIndex)
    owesReply = true
    replyIfSynced(isNew: false)
  }

  /// The store has a snapshot up to there: the log in memory may drop what is before, but for a tail for slow followers.
  public func compacted(to snapshot: LogIndex) {
    log.compact(
      to: min(snapshot, delivered, stable), keepingEntries: configuration.keptEntries, bytes: configuration.keptBytes)
  }
}
