/// Subscriptions that come when a stream is known already and want what was before: each catches up in an object of its own, then joins the
/// others.
extension ReceivedStream {
  /// Lets another subscription share the stream: from where it wants to begin if the topic keeps something, else from now on.
  /// It does not wait for one that has the stream for itself and is stuck.
  ///
  /// - Parameter position: What it has not read in an earlier life; nil if it has read nothing of the stream.
  /// - Returns: what it has to catch up with, if that is not all here.
  func join(
    _ id: SubscriptionID, holdsBackPublisher: Bool, history: HistoryRequest, position: UInt64?, at now: Timestamp,
    into inbox: Inbox
  ) -> ReceivedStream? {
    if subscribers.count == 1, subscribers[0].isStuck, !subscribers[0].wasJoined {
      subscribers[0].wasJoined = true
      backlog.bytes = 0
      hasMoreRoom = true
    }
    let newcomer = Subscriber(
      id: id, holdsBackPublisher: holdsBackPublisher, from: position ?? 0, isLater: true, began: now)
    let live = carriers.lazy.map(\.nextSequence).reduce(next, max)
    let before = if case .last(let count) = history { live - min(live, UInt64(max(0, count))) } else { UInt64(0) }
    // Nobody has subscribed to what comes from a store until now; what came before that was had once.
    let wanted =
      retained.map(laterStart) ?? position ?? (isUnwanted ? max(before, kept.sequences.lowerBound) : before)
    guard history.wants(of: self.history), self.history.keepsSomething, wanted < next else {
      if let position, position < next {
        report(position..<next, reason: .evicted, to: [newcomer], into: inbox)
      }
      subscribers.append(newcomer)
      return nil
    }
    kept.trim(at: now)
    let reader = ReceivedStream(newcomer, behind: self, next: wanted, owedFrom: position ?? next)
    late.append(reader)
    reader.drain(at: now, into: inbox)
    return reader.subscribers.isEmpty ? nil : reader
  }

  /// Hands over what is kept here from the next message on.
  func replayKept(at now: Timestamp, into inbox: Inbox) {
    guard let log = kept.stream?.log else { return }
    log.replay(from: log.position(ofSequence: next), at: now) { message in
      do throws(WireError) {
        try deliver(message, into: inbox)
      } catch {
        giveUp(message.sequence..<message.sequence + 1, reason: .evicted, into: inbox)
      }
    } lose: { sequences, reason in
      giveUp(sequences, reason: reason, into: inbox)
    }
    if retained != nil { next = max(next, front?.next ?? next) }
  }

  /// Joins the others if it has got as far as they are.
  func catchUp() {
    guard let front, next >= front.next, !subscribers.isEmpty else { return }
    front.subscribers += subscribers
    front.late.removeAll { $0 === self }
    subscribers = []
    release()
  }

  /// Takes a subscription out, wherever it is. Returns whether it was there.
  func remove(_ id: SubscriptionID) -> Bool {
    guard let stream = all.first(where: { $0.subscribers.contains { $0.id == id } }) else { return false }
    stream.subscribers.removeAll { $0.id == id }
    for reader in late where reader.subscribers.isEmpty { reader.release() }
    late.removeAll(where: \.subscribers.isEmpty)
    return true
  }

  /// Takes note whether a subscription is stuck.
  func setStuck(_ isStuck: Bool, _ id: SubscriptionID) {
    for stream in all {
      guard let index = stream.subscribers.firstIndex(where: { $0.id == id }) else { continue }
      stream.subscribers[index].isStuck = isStuck
      stream.subscribers[index].wasJoined = false
    }
  }
}
