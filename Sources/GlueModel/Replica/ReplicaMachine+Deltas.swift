import GlueCore

/// What goes to and comes from the delta topic, and how anything is merged.
extension ReplicaMachine {
  /// Makes changes as one transaction: all or none, here and everywhere.
  ///
  /// - Throws: ``ModelError``; nothing has happened then.
  public func apply(_ edits: [ModelEdit], at time: ReplicaTime) throws(ModelError) {
    guard let applied = try document.apply(edits, at: clock.next(at: time)) else { return }
    take(applied, at: time)
  }

  /// What was changed here goes to the watchers, the store and the peers.
  func take(_ applied: Applied, at time: ReplicaTime) {
    counters.localTransactions += 1
    note(upserts: applied.delta.entries, removed: applied.removed)
    if !applied.changes.isEmpty { pendingChanges.append(applied.changes) }
    contextChanged(at: time.now)
    broadcast(applied.delta, at: time.now)
  }

  private func broadcast(_ delta: Delta, at now: Timestamp) {
    let bytes = PeerMessage.encoded(delta)
    guard pendingDeltaBytes + bytes.count <= configuration.pendingDeltaBytes else {
      // What waits is in the document: peers fetch it, as if it had got lost on the way.
      pendingDeltas.removeAll()
      pendingDeltaBytes = 0
      reach(.pendingDeltaBytes, at: now)
      announceAt = now
      return
    }
    pendingDeltas.append(bytes)
    pendingDeltaBytes += bytes.count
  }

  /// A message has come on the delta topic.
  public func receiveDelta(_ bytes: UnsafeRawBufferPointer, from sender: EndpointID, at time: ReplicaTime) {
    var reader = WireReader(bytes)
    do {
      switch try PeerMessage.header(reading: &reader) {
      case .otherVersion(let version): return refuse(version: version, of: sender)
      case .kind(.delta): break
      case .kind: throw WireError.invalidValue(.modelMessage)
      }
      let delta = try Delta(encoded: reader.rest())
      // What tells of a state is made for one peer; whoever else merges it may lose something.
      guard let operation = delta.operation, delta.generation == nil else {
        throw WireError.invalidValue(.modelMessage)
      }
      counters.receivedDeltas += 1
      if let index = index(of: sender) { peers[index].hasWritten = true }
      // Of a replica that a generation covers only removals could be taken. Its writer learns of the generation, and writes anew.
      guard !document.context.generationCovers(operation.replica) else { return expectMore(from: sender, at: time) }
      if !held.contains(from: sender), delta.follows(document.context) {
        merge(delta, at: time)
        mergeHeld(at: time)
      } else {
        hold(delta, byteCount: bytes.count, from: sender, at: time.now)
      }
    } catch {
      invalid(from: sender)
    }
  }

  /// Messages of a peer on the delta topic have been lost.
  public func lostDeltas(from sender: EndpointID, at time: ReplicaTime) { expectMore(from: sender, at: time) }

  /// A delta could not be published: whoever needs it has to fetch it.
  public func deltaWasNotPublished(at time: ReplicaTime) { announce(at: time.now) }

  private func hold(_ delta: Delta, byteCount: Int, from sender: EndpointID, at now: Timestamp) {
    guard held.byteCount + byteCount <= configuration.heldDeltaBytes else {
      held.removeAll()
      reach(.heldDeltaBytes, at: now)
      for index in peers.indices { noteMore(index, at: now) }
      return
    }
    counters.heldDeltas += 1
    held.append(delta, byteCount: byteCount, from: sender, at: now)
  }

  /// Merges what had to wait and need not any more.
  func mergeHeld(at time: ReplicaTime) {
    while let (_, delta) = held.next(in: document.context, at: time.now) { merge(delta, at: time) }
  }

  /// Joins the document with a delta. Returns whether anything in it was new.
  @discardableResult
  func merge(_ delta: Delta, at time: ReplicaTime) -> Bool {
    if let highest = delta.highestTime { clock.observe(highest, at: time) }
    let own = document.replica
    let nextOwn = document.context.seen[own].end
    let merged = document.merge(delta)
    guard merged.isNew else { return false }
    if document.context.seen[own].end > nextOwn { takeAnotherIdentity(at: time) }
    note(upserts: merged.upserts, removed: merged.removed)
    if !merged.changes.isEmpty { pendingChanges.append(merged.changes) }
    for limit in merged.exceeded { reach(limit == .keys ? .keys : .replicas, at: time.now) }
    contextChanged(at: time.now)
    return true
  }

  /// Changes are known that are said to be of this replica, and it has not made them: it was set back to an earlier state, as a virtual machine
  /// may be, or somebody lies. What it writes under dots that others have seen would not reach them.
  private func takeAnotherIdentity(at time: ReplicaTime) {
    // The generator was set back as well.
    var number = Hash64()
    number.combine(generator.next())
    number.combine(time.now.nanoseconds)
    number.combine(time.wallMicroseconds)
    document.replica.number = number.value
    ownNumbers.append(document.replica.number)
    tell(.identityTaken)
  }

  func invalid(from sender: EndpointID) {
    counters.invalidMessages += 1
    tell(.invalidMessage(from: sender))
  }

  func refuse(version: UInt8, of sender: EndpointID) {
    counters.invalidMessages += 1
    guard let index = index(of: sender), !peers[index].wasRefused else { return }
    peers[index].wasRefused = true
    tell(.unknownVersion(peer: sender, version: version))
  }
}
