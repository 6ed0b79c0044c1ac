import GlueCore

/// An encoded state that is given to others in pieces.
struct Serving: Sendable {
  var offer: QuorumOffer?
  var bytes: [UInt8] = []
  /// When it was asked for last.
  var usedAt: Timestamp?
}

// MARK: Giving what others lack

extension QuorumMachine {
  func receiveFetch(
    _ cluster: ClusterID?, from index: LogIndex, needsState: Bool, _ peer: EndpointID, at now: Timestamp
  ) {
    guard let own = self.cluster, applied > 0, cluster == nil || cluster == own else {
      return send(.hello(hello()), to: peer)
    }
    guard index <= applied else { return send(.entries(own, []), to: peer) }
    if !needsState, let entries = entries(from: index) { return send(.entries(own, entries), to: peer) }
    let offer = offer(atLeast: index, now)
    send(.offer(own, offer), to: peer)
  }

  /// Applied entries, as far as they are still there.
  private func entries(from index: LogIndex) -> [RaftEntry]? {
    let found =
      raft?.entries(from: index, bytes: QuorumConfiguration.entriesBytes)
      ?? recent.from(index, bytes: QuorumConfiguration.entriesBytes)
    guard let found, !found.isEmpty else { return nil }
    return found.filter { $0.index <= applied }
  }

  /// The state that is given out already, if what follows it is still there; else the present one.
  private func offer(atLeast index: LogIndex, _ now: Timestamp) -> QuorumOffer {
    serving.usedAt = now
    if let offer = serving.offer, offer.index >= index, offer.index == applied || entries(from: offer.index + 1) != nil
    {
      return offer
    }
    serving.bytes = state.encoded()
    let offer = QuorumOffer(
      index: applied, term: appliedTerm, membership: membership ?? Membership(voters: []),
      bytes: UInt64(serving.bytes.count))
    serving.offer = offer
    return offer
  }

  func receiveWant(index: LogIndex, offset: UInt64, from peer: EndpointID, at now: Timestamp) {
    guard index <= applied else { return }
    guard let cluster, let offer = serving.offer, offer.index == index, offset < offer.bytes else {
      // It is not given out any more: whoever wants it begins anew.
      if let cluster { send(.offer(cluster, self.offer(atLeast: index, now)), to: peer) }
      return
    }
    serving.usedAt = now
    let start = Int(offset)
    let end = min(serving.bytes.count, start + QuorumConfiguration.pieceBytes)
    send(.piece(cluster, index: index, offset: offset, Array(serving.bytes[start..<end])), to: peer)
  }

  /// Lets go of an encoded state that nobody asks for.
  func checkServing(_ now: Timestamp) {
    guard let usedAt = serving.usedAt, now >= usedAt + QuorumConfiguration.servedLifetime else { return }
    serving = Serving()
  }
}
