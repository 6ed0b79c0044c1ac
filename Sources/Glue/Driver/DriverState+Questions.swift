import GlueCore

extension DriverState {
  /// Opens a publication in the core and remembers it.
  mutating func advertise(
    _ topic: String, _ options: PublicationOptions, at now: Timestamp
  ) throws(EndpointFailure) -> PublicationID {
    let id: PublicationID
    do throws(EndpointError) {
      id = try machine.advertise(topic, options: options, at: now)
    } catch {
      throw EndpointFailure(error)
    }
    if publications[id] == nil { publications[id] = PublicationRecord(topic: topic, options: options) }
    publicationsByTopic[TopicKey(topic)] = id
    return id
  }

  /// Whether everybody concerned has the message that ends at the position.
  func isAcknowledged(_ target: Receipt.Target, below position: UInt64) -> Bool {
    switch target {
    case .publication(let id):
      machine.isAcknowledged(id, below: position) && machine.unacknowledged(id, below: position).isEmpty
    case .direct(_, let session): machine.directOutcome(in: session, endingAt: position) == .acknowledged
    }
  }

  /// Whether nothing can change any more about who has it.
  func isSettled(_ target: Receipt.Target, below position: UInt64) -> Bool {
    switch target {
    case .publication(let id): machine.isAcknowledged(id, below: position)
    case .direct(_, let session): machine.directOutcome(in: session, endingAt: position) != .pending
    }
  }

  /// Who does not have it.
  func unacknowledged(_ target: Receipt.Target, below position: UInt64) -> [EndpointID] {
    switch target {
    case .publication(let id): machine.unacknowledged(id, below: position)
    case .direct(let peer, _): isAcknowledged(target, below: position) ? [] : [peer]
    }
  }

  // MARK: Waits

  /// Removes the waits for these changes whose conditions hold now.
  mutating func ready(for keys: [WaitKey]) -> [Resumption] {
    var resumptions: [Resumption] = []
    guard !waiters.isEmpty else { return resumptions }
    for key in keys {
      // The conditions look at the rest of the state, so the waits are taken out of it for the time.
      var waiters = exchange(&self.waiters, with: Waiters())
      waiters.remove(for: key, into: &resumptions) { $0.isReady(self) ? .ready : nil }
      self.waiters = waiters
    }
    return resumptions
  }

  /// Ends all waits: the endpoint is closed.
  mutating func endAllWaits() -> [Resumption] {
    var resumptions: [Resumption] = []
    for key in Array(waiters.waiting.keys) {
      var waiters = exchange(&self.waiters, with: Waiters())
      waiters.remove(for: key, into: &resumptions) { $0.isReady(self) ? .ready : .stopped }
      self.waiters = waiters
    }
    return resumptions
  }

  /// Takes note of an event; returns what the program is told, if anything, and which waits it may end.
  mutating func absorb(_ event: EndpointEvent) -> (event: Event?, keys: [WaitKey]) {
    switch event {
    case .peerAdded(let info): return (.peerAdded(Peer(info)), [])
    case .peerUpdated(let info): return (.peerUpdated(Peer(info)), [])
    case .peerRemoved(let info, let reason):
      let acknowledgements = waiters.waiting.keys.filter { key in
        if case .acknowledged = key { true } else { false }
      }
      return (.peerRemoved(Peer(info), reason: reason), acknowledgements + [.direct(info.id), .interest, .answers])
    case .loss(let loss):
      let report = LossReport(
        topic: loss.stream.topic, publisher: Publisher(loss.stream), sequences: loss.sequences, reason: loss.reason,
        filters: loss.subscriptions.compactMap { sinks[$0]?.filter })
      return (.loss(report), [])
    case .typeMismatch(let mismatch): return (.typeMismatch(mismatch), [])
    case .clash(let report): return (.clash(ClashNotice(report)), [])
    case .defeated(let report):
      let notice = ClashNotice(report)
      failure = .clash(notice)
      isLeaving = true
      return (.clash(notice), [.leaving])
    case .incompatible(let id, let name, let versions):
      return (.incompatible(id, name: name, versions: versions), [])
    case .interestKnown: return (nil, [.interest, .answers])
    case .inquiryAnswered: return (nil, [.answers])
    case .multicast(let report): return (.multicast(report), [])
    case .limit(let name, let count): return (.limit(name: name, count: count), [])
    case .matched(let id, subscribers: _): return (nil, [.matched(id)])
    case .writable(let id):
      writableMarks[id, default: 0] += 1
      return (nil, [.writable(id)])
    case .acknowledged(let id, below: _): return (nil, [.acknowledged(id)])
    case .stored(let id): return (nil, [.stored(id)])
    case .timeAhead(let stream, let lead):
      return (.timeAhead(topic: stream.topic, publisher: Publisher(stream), by: lead.duration), [])
    case .directAcknowledged(let peer): return (nil, [.direct(peer)])
    case .keyMismatch(let mismatch): return (.keyMismatch(mismatch), [])
    case .publicationRefused(let topic, let peer): return (.publicationRefused(topic: topic, by: peer), [])
    case .subscriptionRefused(let filter, let peer): return (.subscriptionRefused(filter: filter, by: peer), [])
    }
  }
}

/// Puts a new value in the place of another.
private func exchange<T>(_ place: inout T, with value: T) -> T {
  let old = place
  place = value
  return old
}
