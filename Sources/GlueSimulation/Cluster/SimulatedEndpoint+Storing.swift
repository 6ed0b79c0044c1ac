import GlueCore

/// What the driver's store thread does.
extension SimulatedEndpoint {
  /// How long it waits after a failure.
  private static let pause = Nanoseconds.milliseconds(200)

  /// Takes over what is on the disk of its host.
  func restore() {
    guard let disk else { return }
    let streams = disk.load(at: now)
    machine.restore(streams, at: now)
    // What has more than its limit lets go of the rest.
    guard disk.byteCount < machine.configuration.topics.historyBytes else { return }
    // Of the values of one topic that are on the disk only the highest is taken over.
    for loaded in streams where loaded.stream.history != .retained {
      let origin = loaded.stream.origin
      let verdict = simulation.recorder.durability.restored(
        loaded, as: machine.held(loaded.stream.topic, of: origin.publisher, origin.incarnation), by: life)
      simulation.recorder.judge(.durability, verdict, at: simulation.now)
    }
  }

  /// Begins to write what there is to write.
  func writeToDisk() {
    guard let disk, !isOver, !isWriting, let batch = machine.nextStoreBatch() else { return }
    isWriting = true
    if filter?.mutant == .confirmsBeforeTheSync { machine.stored(batch.number, at: now) }
    let simulation = simulation
    simulation.schedule(after: disk.begin(batch)) { _ in self.written(batch.number) }
  }

  private func written(_ batch: UInt64) {
    guard !isOver, let disk else { return }
    guard isRunning else { return simulation.schedule(after: Self.pause) { _ in self.written(batch) } }
    guard disk.end() else {
      machine.storingFailed(batch)
      return simulation.schedule(after: Self.pause) { _ in
        self.isWriting = false
        self.drain()
      }
    }
    isWriting = false
    machine.stored(batch, at: now)
    drain()
  }

  /// It has said goodbye: what is left is written.
  func writeTheRest() {
    guard let disk else { return }
    disk.crash()
    while let batch = machine.nextStoreBatch() {
      _ = disk.begin(batch)
      guard disk.end() else { return machine.storingFailed(batch.number) }
      machine.stored(batch.number, at: now)
    }
  }

  /// Stores have told what they have of a publication: it has to be there.
  func checkCopies(of publication: PublicationID, end: UInt64) {
    let hash = StreamHash(
      publisher: machine.configuration.id, incarnation: machine.incarnation, number: publication.rawValue)
    for sequence in end - min(end, 64)..<end {
      let told = machine.storedCount(of: publication, sequence..<sequence + 1) ?? 0
      let verdict = simulation.recorder.durability.told(
        told, having: simulation.disks.count { $0?.has(sequence, of: hash) ?? false }, sequence: sequence, of: life)
      simulation.recorder.judge(.durability, verdict, at: simulation.now)
    }
  }
}
