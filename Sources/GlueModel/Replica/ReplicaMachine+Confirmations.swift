import GlueCore

/// Who has what was changed here.
extension ReplicaMachine {
  /// Asks all replicas that stay to tell when they have everything that was changed here so far.
  public func askForConfirmation(at time: ReplicaTime) {
    var own = DotSet()
    for replica in ownReplicas { own.insert(document.context.seen[replica], of: replica) }
    guard own != wish else { return }
    wish = own
    for index in peers.indices {
      peers[index].hasConfirmed = false
      sendWish(to: index)
    }
  }

  /// The replicas that stay, are there, and have not yet told that they have what they were asked for.
  public var unconfirmedPeerIDs: [EndpointID] {
    guard !wish.isEmpty else { return [] }
    return peers.filter {
      ($0.isLasting || $0.isAwaited(patience: configuration.requestTimeout)) && !$0.hasConfirmed
    }.map(\.id)
  }

  /// The replicas that stay, are there, and have told so.
  public var confirmedPeerIDs: [EndpointID] { peers.filter { $0.isLasting && $0.hasConfirmed }.map(\.id) }

  /// From now on others do not rely on this replica any more: it is about to leave.
  public func becomeTransient(at time: ReplicaTime) {
    guard !isTransient else { return }
    isTransient = true
    for index in peers.indices { sendStatus(asks: false, to: index, at: time) }
  }

  func sendWish(to index: Int) {
    guard !wish.isEmpty, !peers[index].hasConfirmed else { return }
    send(.confirm(wish), to: peers[index].id, .wish)
  }

  func receiveWish(_ dots: DotSet, from index: Int, at time: ReplicaTime) {
    peers[index].wish = dots
    confirmWishes()
    // It was told on the delta topic, or not: whatever became of that, it is missing here.
    if peers[index].wish != nil { expectMore(from: peers[index].id, at: time) }
  }

  func receiveConfirmation(_ dots: DotSet, from index: Int) {
    if CausalContext(seen: dots).covers(CausalContext(seen: wish)) { peers[index].hasConfirmed = true }
  }

  /// Tells those who wait for it that their changes are here.
  func confirmWishes() {
    for index in peers.indices {
      guard let dots = peers[index].wish, document.context.covers(CausalContext(seen: dots)) else { continue }
      peers[index].wish = nil
      send(.confirmed(dots), to: peers[index].id, .confirmation)
    }
  }
}
