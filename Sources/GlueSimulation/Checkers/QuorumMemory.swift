import GlueQuorum

/// What a storage has confirmed is in it when it is opened again: term and vote, and the log. One that has lost it has another identity.
package struct QuorumMemory {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  private struct Promise {
    var cluster: ClusterID
    var hardState = RaftHardState()
    /// Terms of the entries, those of the last snapshot included.
    var terms: [LogIndex: Term] = [:]
    /// From where on something may be there or not, as it was being written.
    var uncertainFrom: LogIndex?
    var last: LogIndex { terms.keys.max() ?? 0 }
  }
  private var promises: [StorageID: Promise] = [:]

  /// Nothing written yet.
  package init() {}

  /// A job is done.
  package mutating func wrote(_ job: QuorumJob, to storage: StorageID) {
    switch job {
    case .found(let cluster, let snapshot):
      promises[storage] = Promise(cluster: cluster, terms: [snapshot.index: snapshot.term])
    case .write(let write):
      guard var promise = promises[storage] else { return }
      if let hardState = write.hardState { promise.hardState = hardState }
      if let snapshot = write.snapshot {
        if promise.terms[snapshot.index] != snapshot.term { promise.terms = [:] }
        promise.terms[snapshot.index] = snapshot.term
      }
      if let first = write.entries.first {
        promise.terms = promise.terms.filter { $0.key < first.index }
        for entry in write.entries { promise.terms[entry.index] = entry.term }
      }
      promises[storage] = promise
    case .compact: break
    }
  }

  /// A job was cut off, or failed: it may be done, or not.
  package mutating func interrupted(_ job: QuorumJob, on storage: StorageID) {
    guard case .write(let write) = job, let promise = promises[storage],
      let first = write.snapshot == nil ? write.entries.first?.index : 0
    else { return }
    promises[storage]?.uncertainFrom = min(first, promise.uncertainFrom ?? first)
  }

  /// A storage is opened, and has this.
  package mutating func loaded(_ storage: StorageID, cluster: ClusterID?, stored: StoredRaft?) -> String? {
    checks += 1
    let promise = promises[storage]
    if let cluster, let stored {
      var terms = [stored.snapshot.index: stored.snapshot.term]
      for entry in stored.entries { terms[entry.index] = entry.term }
      promises[storage] = Promise(cluster: cluster, hardState: stored.hardState, terms: terms)
    }
    guard let promise else { return nil }
    guard let stored, cluster == promise.cluster else {
      return "storage \(storage) has forgotten to which quorum it belongs"
    }
    let (old, new) = (promise.hardState, stored.hardState)
    guard new.term > old.term || new.term == old.term && (old.vote == nil || new.vote == old.vote) else {
      return
        "storage \(storage) has term \(new.term) and vote \(Self.text(new.vote)), and had confirmed term \(old.term) and vote "
        + Self.text(old.vote)
    }
    let last = min(promise.last, promise.uncertainFrom.map { $0 == 0 ? 0 : $0 - 1 } ?? .max)
    guard last > stored.snapshot.index else { return nil }
    guard let entry = stored.entries.first(where: { $0.index == last }) else {
      return
        "storage \(storage) ends with entry \(stored.entries.last?.index ?? stored.snapshot.index), and had confirmed \(last)"
    }
    guard entry.term == promise.terms[last] else {
      return
        "storage \(storage) has an entry \(last) of term \(entry.term), and had confirmed one of term \(promise.terms[last] ?? 0)"
    }
    return nil
  }

  private static func text(_ vote: MemberID?) -> String { vote.map { "\($0)" } ?? "none" }
}
