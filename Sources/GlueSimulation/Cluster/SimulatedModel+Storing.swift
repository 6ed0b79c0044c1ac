import GlueCore
import GlueModel

/// What the driver's thread does that writes a model.
extension SimulatedModel {
  /// Begins to write what there is to write.
  func writeToDisk() {
    guard let disk, !isWriting, let batch = replica.nextStoreBatch(at: endpoint.now) else { return }
    isWriting = true
    begin(batch)
    if mutation?.mutant == .trustsTheDisk { succeeded(batch) }
    let simulation = endpoint.simulation
    simulation.schedule(after: disk.begin(batch, at: simulation.now)) { _ in
      self.whenRunning { $0.written(batch) }
    }
  }

  private func written(_ batch: ReplicaBatch) {
    guard let disk else { return }
    isWriting = false
    guard disk.end(at: endpoint.simulation.now) else {
      return input { replica, time in replica.storeFailed(reason: "the disk", at: time.now) }
    }
    succeeded(batch)
    input { _, _ in }
  }

  /// It is being closed: what is left is written, if the disk takes it.
  func writeTheRest() {
    guard let disk else { return }
    disk.crash()
    if isWriting { replica.storeFailed(reason: "closed", at: endpoint.now) }
    isWriting = false
    while let batch = replica.nextStoreBatch(at: Timestamp(nanoseconds: .max)) {
      begin(batch)
      _ = disk.begin(batch, at: endpoint.simulation.now)
      guard disk.end(at: endpoint.simulation.now) else {
        return replica.storeFailed(reason: "the disk", at: endpoint.now)
      }
      succeeded(batch)
    }
  }

  /// The batch is of what the replica has now.
  private func begin(_ batch: ReplicaBatch) {
    guard let disk else { return }
    let state = replica.document.state()
    let snapshot = StoredReplica(context: replica.document.context, entries: state.entries, clock: batch.clock)
    endpoint.simulation.recorder.models.durability.began(
      snapshot, revision: batch.revision, of: opening, on: disk.number)
  }

  private func succeeded(_ batch: ReplicaBatch) {
    guard let disk else { return }
    replica.storeSucceeded()
    endpoint.simulation.recorder.models.durability.told(replica.storedRevision, of: opening, on: disk.number)
  }
}
