import GlueCore
import GlueModel

// MARK: Asking

extension QuorumMachine {
  /// Asks for something that has to be decided. How it ended comes as a ``nextResult()`` with this ticket, at the latest when the time is up.
  public func submit(_ operation: QuorumOperation, timeout: Nanoseconds, at now: Timestamp) -> UInt64 {
    let ticket = client.nextTicket()
    var obstacle = obstacleToRequests
    // A lock can be given back whatever else is under way.
    if case .release = operation, !isClosed { obstacle = nil }
    if let obstacle {
      end(ticket, .failed(obstacle))
    } else if let limit = operation.exceededLimit {
      end(ticket, .rejected(.limit(limit)))
    } else {
      if case .release(let lock, let token) = operation {
        // From now on nobody keeps it.
        client.locks.removeAll { $0.name == lock && $0.token == token }
      }
      enqueue(operation.withinBounds, ticket: ticket, deadline: now + timeout, at: now)
      pump(now)
    }
    return ticket
  }

  /// Asks when what is applied here includes everything that is decided by now.
  public func read(timeout: Nanoseconds, at now: Timestamp) -> UInt64 {
    let ticket = client.nextTicket()
    if let obstacle = obstacleToRequests {
      end(ticket, .failed(obstacle))
      return ticket
    }
    // Those that were not sent yet go together. A round that has left may be answered with what was decided before this read was asked for.
    if let last = client.rounds.indices.last, client.rounds[last].sentAt == nil {
      client.rounds[last].tickets.append((ticket, now + timeout))
    } else {
      client.rounds.append(
        QuorumClient.Round(number: client.nextRoundNumber(), tickets: [(ticket, now + timeout)], sendAt: now))
    }
    pump(now)
    return ticket
  }

  /// Asks for another membership, and looks after it until it is there.
  public func change(_ change: QuorumChange, timeout: Nanoseconds, at now: Timestamp) -> UInt64 {
    let ticket = client.nextTicket()
    if isClosed {
      end(ticket, .failed(.closed))
      return ticket
    }
    client.changes.append(
      QuorumClient.Change(
        ticket: ticket, number: client.nextRoundNumber(), change: change, deadline: now + timeout, askAt: now))
    pump(now)
    return ticket
  }

  /// Asks what became of a request: if it is not decided yet, it is decided that it does not happen.
  public func resolve(_ token: QuorumToken, timeout: Nanoseconds, at now: Timestamp) -> UInt64 {
    let ticket = client.nextTicket()
    if let obstacle = obstacleToRequests {
      end(ticket, .failed(obstacle))
    } else {
      enqueue(.settle(token.request), ticket: ticket, deadline: now + timeout, cluster: token.cluster, at: now)
      pump(now)
    }
    return ticket
  }

  private var obstacleToRequests: QuorumObstacle? {
    if isClosed { return .closed }
    let count = client.pending.count + client.rounds.reduce(0) { $0 + $1.tickets.count }
    // What became of one that a thousand others have passed by is not remembered. Of those in line for a lock everybody is told when they have it.
    let span = client.pending.first { !$0.isWaiting }.map { client.nextNumber - $0.number } ?? 0
    let limit = min(configuration.requests, QuorumStateLimits.results)
    return count >= limit || span >= UInt64(QuorumStateLimits.results) ? .tooManyRequests(limit: limit) : nil
  }

  @discardableResult
  func enqueue(
    _ operation: QuorumOperation, ticket: UInt64?, deadline: Timestamp?, lock: String? = nil, cluster: ClusterID? = nil,
    at now: Timestamp
  ) -> UInt64 {
    let number = client.nextNumber
    client.nextNumber += 1
    client.pending.append(
      QuorumClient.Pending(
        number: number, ticket: ticket, operation: operation, deadline: deadline, lock: lock, cluster: cluster,
        sendAt: now))
    return number
  }

  /// Whoever asked does not wait any more. A lock that he gets all the same is given back.
  public func cancel(_ ticket: UInt64, at now: Timestamp) {
    // It may have ended without anybody having taken the result.
    for (other, result) in results where other == ticket {
      guard case .granted(let token) = result, let held = client.locks.first(where: { $0.token == token }) else {
        continue
      }
      release(held.name, token: token, at: now)
    }
    results.removeAll { $0.ticket == ticket }
    for index in client.rounds.indices { client.rounds[index].tickets.removeAll { $0.ticket == ticket } }
    client.rounds.removeAll { $0.tickets.isEmpty }
    client.changes.removeAll { $0.ticket == ticket }
    if founding?.ticket == ticket, founding?.isFounded == false { founding = nil }
    if let index = client.pending.firstIndex(where: { $0.ticket == ticket }) {
      giveUp(index, at: now)
      pump(now)
    }
  }

  /// As ``cancel(_:at:)``, of a request by its number.
  func abandon(_ number: UInt64, at now: Timestamp) {
    if let index = client.index(of: number) { giveUp(index, at: now) }
  }

  /// A request that nobody waits for any more. One that has not left does not leave; a lock is not to be held unknown to anybody.
  private func giveUp(_ index: Int, at now: Timestamp) {
    let request = client.pending[index]
    if case .release = request.operation {
      // It goes on until the lock is given back.
      client.pending[index].ticket = nil
      client.pending[index].deadline = nil
      return
    }
    guard case .acquire(let lock, _, _, _) = request.operation, request.firstSent != nil else {
      if request.firstSent == nil { client.pending.remove(at: index) } else { client.pending[index].ticket = nil }
      return
    }
    client.pending[index].ticket = nil
    client.pending[index].deadline = nil
    // Out of the line: what became of it is settled, and if it was granted meanwhile that gives it back.
    if request.isWaiting, let session = client.session {
      client.pending.remove(at: index)
      enqueue(
        .settle(RequestID(session: session, number: request.number)), ticket: nil, deadline: nil, lock: lock, at: now)
    }
  }
}

// MARK: Sending

extension QuorumMachine {
  /// Sends what is due to whoever leads. Returns whether that was this opening itself, so that there may be more to do.
  func pumpRequests(_ now: Timestamp) -> Bool {
    guard !isClosed || !client.pending.isEmpty, let cluster, let leader else { return false }
    guard leader == endpoint ? leading != nil && raft?.role == .leader : peer(leader) != nil else { return false }
    var isOwn = false
    for ask in takeDue(now) {
      if leader == endpoint {
        receiveAsk(ask.commands, reads: ask.reads, from: endpoint, at: now)
        isOwn = true
      } else {
        send(.ask(cluster, ask.commands, reads: ask.reads), to: leader)
      }
    }
    for index in client.changes.indices.reversed() where client.changes[index].askAt <= now {
      client.changes[index].askAt = now + QuorumConfiguration.changeInterval
      let change = client.changes[index]
      if leader == endpoint {
        client.changed(change.number, advance(change.change, at: now))
        isOwn = true
      } else {
        send(.change(cluster, number: change.number, change.change), to: leader)
      }
    }
    return isOwn
  }

  /// What is due, in messages of a size that suits the log.
  private func takeDue(_ now: Timestamp) -> [(commands: [QuorumCommand], reads: [UInt64])] {
    var asks: [(commands: [QuorumCommand], reads: [UInt64])] = []
    var reads: [UInt64] = []
    let retry = now + QuorumConfiguration.retryInterval
    for index in client.rounds.indices where client.rounds[index].sendAt.map({ $0 <= now }) ?? false {
      client.rounds[index].sendAt = retry
      client.rounds[index].sentAt = client.rounds[index].sentAt ?? now
      reads.append(client.rounds[index].number)
    }
    guard let session = client.session else {
      var commands: [QuorumCommand] = []
      if !client.pending.isEmpty, client.openingUntil ?? now <= now {
        client.openingUntil = retry
        commands = [
          QuorumCommand(
            request: RequestID(session: SessionID(0), number: 0), oldest: 0,
            operation: .openSession(nonce: client.nonce))
        ]
      }
      return commands.isEmpty && reads.isEmpty ? [] : [(commands, reads)]
    }
    for place in client.pending.indices.reversed() {
      guard let wanted = client.pending[place].cluster, wanted != cluster else { continue }
      let request = client.pending.remove(at: place)
      if let ticket = request.ticket { end(ticket, .failed(.foreignToken)) }
    }
    let oldest = client.oldest
    var commands: [QuorumCommand] = []
    var bytes = 0
    for index in client.pending.indices where client.pending[index].sendAt.map({ $0 <= now }) ?? false {
      let request = client.pending[index]
      let command = QuorumCommand(
        request: RequestID(session: session, number: request.number), oldest: oldest, operation: request.operation)
      let size = command.approximateBytes
      if !commands.isEmpty,
        commands.count >= QuorumConfiguration.commandsPerMessage
          || bytes + size > QuorumConfiguration.commandBytesPerMessage
      {
        asks.append((commands, []))
        (commands, bytes) = ([], 0)
      }
      commands.append(command)
      bytes += size
      // Each copy costs a place in the log: where deciding takes long they are sent less often.
      let wait = QuorumConfiguration.retryInterval.count << UInt64(min(request.copies, 4))
      client.pending[index].sendAt = now + Nanoseconds(wait)
      client.pending[index].copies += 1
      client.pending[index].firstSent = request.firstSent ?? now
    }
    if !commands.isEmpty || !reads.isEmpty { asks.append((commands, reads)) }
    return asks
  }

  func receiveRedirect(
    from peer: EndpointID, leader: EndpointID?, _ requests: [RequestID], nonces: [UInt64], reads: [UInt64],
    at now: Timestamp
  ) {
    // One that leads, and refuses: it has too much to do.
    client.refused(requests, nonces: nonces, reads: reads, until: now + QuorumConfiguration.busyPause)
    guard !isFedByRaft else { return }
    if let leader, leader != peer, hint?.leader == peer || hint == nil, leader == endpoint || self.peer(leader) != nil {
      hint = (leader, hint?.term ?? 0)
    } else if leader == nil, hint?.leader == peer {
      hint = nil
    }
  }
}

// MARK: What becomes of it

extension QuorumMachine {
  func receiveAnswer(_ answer: QuorumAnswer, at now: Timestamp) {
    for item in answer.outcomes {
      if item.nonce != 0 {
        if item.nonce == client.nonce { sessionOpened(item.outcome, at: now) }
      } else if item.request.session == client.session {
        conclude(item.request.number, item.outcome, at: now)
      }
    }
    for read in answer.reads {
      guard let index = client.rounds.firstIndex(where: { $0.number == read.number }), client.rounds[index].index == nil
      else { continue }
      client.rounds[index].index = read.index
      client.rounds[index].sendAt = nil
      following.target = max(following.target, read.index)
    }
    concludeReads()
    follow(now)
  }

  private func sessionOpened(_ outcome: QuorumOutcome, at now: Timestamp) {
    switch outcome {
    case .opened(let session):
      if client.session == nil { client.session = session }
    case .rejected(let rejection) where client.session == nil:
      // There are too many sessions: nobody is served until one ends.
      for request in client.pending {
        if let ticket = request.ticket { end(ticket, .rejected(rejection)) }
      }
      client.pending = []
      client.openingUntil = nil
    default: break
    }
  }

  /// Ends the reads for which enough is applied.
  func concludeReads() {
    while let place = client.rounds.firstIndex(where: { $0.index.map { $0 <= applied } ?? false }) {
      let round = client.rounds.remove(at: place)
      // The leader confirmed later than it was asked that this is everything.
      if let sent = round.sentAt { currentAt = max(currentAt ?? sent, sent) }
      for (ticket, _) in round.tickets { end(ticket, .readable(applied)) }
    }
  }

  /// A request of this opening is decided. It may be told more than once.
  func conclude(_ number: UInt64, _ outcome: QuorumOutcome, at now: Timestamp) {
    guard let index = client.index(of: number) else { return }
    let request = client.pending[index]
    if outcome == .waiting {
      client.pending[index].isWaiting = true
      client.pending[index].sendAt = nil
      noteKept(request)
      if request.ticket == nil { giveUp(index, at: now) }
      return
    }
    if case .rejected(.unknownSession) = outcome { return sessionIsGone(request, at: now) }
    client.pending.remove(at: index)
    if client.keepAlive == number { client.keepAlive = nil }
    if case .settle(let other) = request.operation {
      if other.session == client.session { client.unresolved.removeAll { $0.number == other.number } }
    } else if outcome == .rejected(.forgotten), request.copies > 1, let session = client.session {
      // An earlier copy of it may have been decided, so long ago that nobody remembers.
      return finish(request, unknown(RequestID(session: session, number: number)))
    }
    if case .rejected = outcome {} else { noteKept(request) }
    switch outcome {
    case .granted(let token, let index): granted(token, index, request, at: now)
    case .committed(let index):
      if case .release(let lock, let token) = request.operation {
        client.locks.removeAll { $0.name == lock && $0.token == token }
      }
      finish(request, .committed(index))
    case .rejected(let rejection):
      if case .release(let lock, let token) = request.operation {
        client.locks.removeAll { $0.name == lock && $0.token == token }
      }
      finish(request, .rejected(rejection))
    case .lost:
      if case .acquire(let lock, _, _, _) = request.operation {
        finish(request, .failed(.lockLost(lock)))
      } else {
        // Settled: it had been granted or stood in line, and that is over.
        finish(request, .rejected(.settled))
      }
    case .opened, .waiting: break
    }
  }

  func finish(_ request: QuorumClient.Pending, _ result: QuorumResult) {
    if let ticket = request.ticket { end(ticket, result) }
  }

  private func noteKept(_ request: QuorumClient.Pending) {
    guard let sent = request.firstSent else { return }
    client.keptSince = max(client.keptSince ?? sent, sent)
  }

  /// The session has run out, or was never there in this cluster. Requests that left once were not applied, as this answer is to that one copy;
  /// of others nobody knows any more.
  private func sessionIsGone(_ request: QuorumClient.Pending, at now: Timestamp) {
    guard let session = client.session else { return }
    let requests = client.pending
    client.pending = []
    loseLocks()
    client.forgetSession(nonce: generator.next())
    for old in requests {
      if old.number == request.number ? old.copies <= 1 : old.copies == 0 {
        guard old.ticket != nil else { continue }
        enqueue(
          old.operation, ticket: old.ticket, deadline: old.deadline, lock: old.lock, cluster: old.cluster, at: now)
      } else if let ticket = old.ticket {
        end(ticket, unknown(RequestID(session: session, number: old.number)))
      }
    }
  }

  func unknown(_ request: RequestID) -> QuorumResult {
    guard let cluster else { return .failed(.noQuorum(missing: missingVoters)) }
    return .unknown(QuorumToken(cluster: cluster, request: request), missing: missingVoters)
  }

  /// After a state was put in place of the entries: what became of requests is in it.
  func lookForOutcomes(at now: Timestamp) {
    guard let session = client.session else { return }
    for request in client.pending where request.firstSent != nil {
      if let outcome = state.outcome(of: RequestID(session: session, number: request.number)) {
        conclude(request.number, outcome, at: now)
      }
    }
    checkLocks(at: now)
    concludeReads()
  }
}
