import GlueCore
import GlueQuorum

/// What the driver's thread does that writes a quorum model.
extension SimulatedQuorum {
  /// Begins to do what the storage has to do next.
  func beginJob() {
    guard let disk, store != nil, job == nil, let next = machine.nextJob(at: endpoint.now) else { return }
    job = next
    let simulation = endpoint.simulation
    simulation.schedule(after: disk.duration()) { _ in
      self.whenRunning { quorum in
        // It may have been finished while it was closed.
        guard quorum.job != nil else { return }
        quorum.finishJob()
      }
    }
  }

  /// Does what is under way, and tells the machine how it ended.
  func finishJob() {
    guard let disk, let store, let job else { return }
    self.job = nil
    do throws(LogError) {
      let bytes = try disk.perform(job, on: store)
      endpoint.simulation.recorder.wrote(job, to: store.storage)
      input { $0.jobDone(stateBytes: bytes, at: $1) }
    } catch {
      endpoint.simulation.recorder.interrupted(job, on: store.storage)
      // As in the driver: the storage is not used again, and the opening goes on without a vote.
      store.close()
      self.store = nil
      input { $0.jobFailed(reason: "\(error)", at: $1) }
    }
  }
}
