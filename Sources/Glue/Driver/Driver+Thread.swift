import GlueAddress
import GlueCore
import GlueNetwork

extension Driver {
  /// For so long after something was submitted the I/O thread looks at the timers every ``lingerSleep`` without being woken: a
  /// publisher that sends now and then would otherwise wake it for each message, only to set a timer.
  private static let lingerTime = Nanoseconds.milliseconds(100)
  /// Longer than acknowledgements take to come, each of which wakes it anyway.
  private static let lingerSleep = Nanoseconds.milliseconds(8)
  /// How late timers may be for that: the first probe after a lone message is due after 5 ms and more.
  static let lingerSlack = Nanoseconds.milliseconds(3)
  /// A datagram that seems to have waited longer in the socket was stamped by a clock that was set since.
  private static let longestSocketWait = Nanoseconds.seconds(10)

  /// How often, and how long, the I/O thread waits at its end for a batch that another thread is sending.
  private static let lastRounds = 20
  private static let lastPause = Nanoseconds.milliseconds(1)

  /// The life of the I/O thread: waits, takes what has arrived, hands it over, sends; until the endpoint closes, or until
  /// another thread has taken its place.
  func runIOThread(_ turn: Turn) {
    ioThread.store(IOThread.current, ordering: .relaxed)
    handOver(turn)  // what another thread has left
    advance(turn)  // what the start has produced leaves before the first wait
    while !turn.isRelieved, let ready = waitForWork(turn) {
      turn.isCaughtUp = !turn.sockets.all.contains { ready.isReadable($0.slot) }
      for entry in turn.sockets.all {
        if ready.isWritable(entry.slot) { resumeSending(on: entry.socket) }
        guard ready.isReadable(entry.slot) else { continue }
        receive(from: entry, turn)
        if turn.isRelieved { break }
      }
      guard !turn.isRelieved else { break }
      watchNetwork(ready, turn)
      advance(turn)
    }
    finishSending(turn)
    guard !turn.isRelieved else { return workOffBacklogs(turn) }
    if let monitor = turn.network.monitor { poller.remove(monitor.watcher) }
    close()
    ioThread.store(0, ordering: .relaxed)
  }

  /// - Returns: `nil` when the thread is to end.
  private func waitForWork(_ turn: Turn) -> Poller.ReadySet? {
    guard let timeout = prepareToWait(turn) else { return nil }
    do {
      var rest = timeout
      let ready =
        try poll(insteadOf: &rest, turn) ?? poller.wait(timeoutNanoseconds: rest == .max ? nil : rest)
      // A callback that was called while answers were polled for may have been stuck: then this thread is another one now.
      if !turn.isRelieved { noteSuspension(waitingFor: timeout, turn) }
      return ready
    } catch {
      // The poller works as long as it is open, and only this thread closes it.
      log.logger.critical("the I/O thread cannot wait", metadata: ["error": "\(error)"])
      return nil
    }
  }

  /// Hands over and sends the last things, goodbyes among them.
  private func finishSending(_ turn: Turn) {
    advance(turn)
    guard !turn.isRelieved else { return }
    // Another thread may be in the middle of its last batch; it takes microseconds, or the socket is full.
    for _ in 0..<Self.lastRounds {
      let isSending = lock.withLock { $0.isSending && $0.blockedAt == nil }
      guard isSending else { break }
      IOThread.sleep(Self.lastPause)  // not the poller: its sockets may be readable, and nobody reads any more
    }
    drain()
  }

  /// Decides how long to wait, in nanoseconds: not at all if there is work, `.max` for ever. `nil` ends the thread.
  private func prepareToWait(_ turn: Turn) -> UInt64? {
    turn.metrics.sampleIfDue(self)
    return lock.withLock { state in
      if state.phase >= .closing { return nil }
      let now = Timestamp.now
      turn.expectsAnswer = state.expectsAnswer
      state.expectsAnswer = false
      state.collect()
      if state.hasOutputs || !state.jobs.isEmpty { return 0 }
      if state.hasLeftovers, !state.isSending, !state.isLeftToCaller(at: now) { return 0 }
      var until = state.machine.nextWakeup
      for other in [state.waiters.earliestDeadline, turn.metrics.nextSample, turn.network.lookAt] {
        if let other { until = min(until ?? other, other) }
      }
      if now.since(state.lastSubmission) < Self.lingerTime {
        let linger = now + Self.lingerSleep
        until = min(until ?? linger, linger)
        state.isLingering = true
      } else {
        state.isLingering = false
      }
      if state.isBursting {
        if now.since(state.lastSubmission) < Self.burstEnd {
          // Nobody needs to wake this thread for so short a time.
          return min(until.map { $0.since(now).count } ?? .max, Self.burstNap.count)
        }
        state.isBursting = false
      }
      state.sleepsUntil = until
      state.isAsleep = true
      return until.map { $0.since(now).count } ?? .max
    }
  }

  /// What a batch of received datagrams held.
  enum Received {
    case nothing, noMessage, message
  }

  /// Takes one batch of datagrams, from so many slots at most; what is left makes the next wait return at once.
  @discardableResult
  func receive(from entry: EndpointSockets.Entry, slots: Int = .max, _ turn: Turn) -> Received {
    let batch = turn.batch
    let truncated = batch.truncatedCount
    do {
      guard try entry.socket.receive(into: batch, slots: slots) > 0 else { return .nothing }
    } catch {
      localCounters.add(to: .receiveErrors)
      if let code = error.code { reportNetworkError(code, "\(error)") }
      return .nothing
    }
    if batch.truncatedCount != truncated {
      localCounters.add(batch.truncatedCount - truncated, to: .receiveTruncated)
    }
    if batch.queueDropCount != 0 { noteQueueDrops(of: entry, turn) }
    let wall = MonotonicClock.wallNanoseconds()
    let broadcastAddresses = turn.sockets.plan.broadcastAddresses
    let tap = settings.onDatagram
    lock.withLock { state in
      state.isAsleep = false
      let now = Timestamp.now
      for index in 0..<batch.count {
        let datagram = batch[index]
        // A group that reaches beyond one link is heard by all sockets that joined it, on whatever interface.
        guard entry.groupInterface == 0 || entry.groupInterface == datagram.interfaceIndex else { continue }
        let waited = datagram.kernelReceiveTimeNanoseconds.map { Nanoseconds(wall > $0 ? wall - $0 : 0) } ?? .zero
        let arrivedBefore = waited > Self.longestSocketWait ? .zero : waited
        let receivedAt = Timestamp(nanoseconds: now.nanoseconds - min(now.nanoseconds, arrivedBefore.count))
        let arrival = arrival(of: datagram, at: entry, broadcastAddresses)
        if let tap {
          tap(
            SightedDatagram(
              source: datagram.source, isGroup: arrival == .group, interface: datagram.interfaceIndex,
              content: state.machine.sight(datagram.bytes)))
        }
        state.machine.receive(
          datagram.bytes, from: datagram.source, arrival: arrival, at: now, receivedAt: receivedAt)
      }
      takeOutputs(&state, turn)
    }
    let hasMessages = !turn.deliveries.isEmpty
    if hasMessages, entry.groupInterface == 0 { turn.lastSource = entry }
    handOver(turn)
    return hasMessages ? .message : .noMessage
  }

  private func noteQueueDrops(of entry: EndpointSockets.Entry, _ turn: Turn) {
    let sentToGroups = entry.groupInterface == 0 ? 0 : lock.withLock { $0.machine.groupDatagramsSent }
    let lost = turn.queueDrops[entry.slot.index].note(turn.batch.queueDropCount, sentToGroups: sentToGroups)
    guard lost > 0 else { return }
    localCounters.add(lost, to: .receiveQueueDrops)
    reportReceiveOverflow()
  }

  private func arrival(
    of datagram: ReceivedDatagram, at entry: EndpointSockets.Entry, _ broadcastAddresses: [IPAddress]
  ) -> Arrival {
    if entry.groupInterface != 0 { return .group }
    guard let destination = datagram.destination else { return .unicast }
    return destination.isMulticast || broadcastAddresses.contains(destination) ? .group : .unicast
  }

  /// Lets time pass, hands over what others' inputs have produced, and sends what is due.
  private func advance(_ turn: Turn) {
    guard !turn.isRelieved else { return }
    let resumptions = lock.withLock { state -> [Resumption] in
      state.isAsleep = false
      let now = Timestamp.now
      if let due = state.machine.nextWakeup, due <= now {
        state.machine.advance(to: now, isCaughtUp: turn.isCaughtUp)
      }
      takeOutputs(&state, turn)
      var resumptions: [Resumption] = []
      state.waiters.removeExpired(at: now, into: &resumptions)
      return resumptions + state.ready(for: [.allAcknowledged, .topicValue])
    }
    for resumption in resumptions { resumption.resume() }
    handOver(turn)
  }

  /// Takes the pending deliveries and events over from the state, under the lock.
  private func takeOutputs(_ state: inout DriverState, _ turn: Turn) {
    state.collect()
    swap(&state.deliveries, &turn.deliveries)
    swap(&state.events, &turn.events)
    if state.sinksVersion != turn.sinksVersion {
      turn.sinks = state.sinks
      turn.directReader = state.directReader
      turn.sinksVersion = state.sinksVersion
    }
  }
}
