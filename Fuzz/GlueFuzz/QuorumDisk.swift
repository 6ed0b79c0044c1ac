import GlueCore
import GlueQuorum

/// What a member has on its disk: a job counts when it is done.
struct QuorumDisk {
  let storage: StorageID
  var cluster: ClusterID?
  var stored: StoredRaft?

  init(storage: StorageID) { self.storage = storage }

  /// Does a job. Returns how many bytes the state of a compaction has, and what is wrong with what was to be done.
  mutating func perform(_ job: QuorumJob) -> (stateBytes: Int?, problem: String?) {
    switch job {
    case .found(let cluster, let snapshot):
      guard self.cluster == nil else { return (nil, "a storage is founded twice") }
      self.cluster = cluster
      stored = StoredRaft(snapshot: snapshot)
    case .write(let write):
      guard var log = stored else { return (nil, "a storage is written to that belongs to nobody") }
      if let hardState = write.hardState {
        guard hardState.term >= log.hardState.term else { return (nil, "a term goes back on disk") }
        log.hardState = hardState
      }
      if let snapshot = write.snapshot {
        let fits = log.entries.contains { $0.index == snapshot.index && $0.term == snapshot.term }
        log.entries.removeAll { !fits || $0.index <= snapshot.index }
        log.snapshot = snapshot
      }
      if let first = write.entries.first {
        log.entries.removeAll { $0.index >= first.index }
        guard log.entries.last?.index ?? log.snapshot.index == first.index - 1 else { return (nil, "a gap in the log") }
        log.entries += write.entries
      }
      stored = log
    case .compact(let index, let term, let membership, let state, let keepFrom):
      let bytes = state.encoded()
      stored?.snapshot = RaftSnapshot(index: index, term: term, membership: membership, state: bytes)
      stored?.entries.removeAll { $0.index < keepFrom || $0.index <= index }
      return (bytes.count, nil)
    }
    return (nil, nil)
  }
}
