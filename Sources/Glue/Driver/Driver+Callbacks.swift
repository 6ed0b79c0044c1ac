import DequeModule
import GlueCore
import GlueNetwork
import Logging
import Synchronization

// An I/O thread and its callbacks:
//
//     input, output ──▶ in a callback ── returns ──▶ input, output
//                          │
//                          └─ is relieved ─▶ still in the callback ── returns ──▶ works off the backlog ──▶ ends
//                                  │
//                                  └▶ another thread: input, output
//
// `callbacksSince` is the mark of it: not 0 in a callback. Who replaces it by 0 decides: the I/O thread when the callback has
// returned, or the thread that relieves it. The times in it are never the same twice.
extension Driver {
  /// Enters a callback; by the I/O thread.
  ///
  /// - Parameter place: The delivery it is for; `nil` for a job of a task, which is in all else like a callback.
  @inline(__always)
  func enterCallback(of place: Int?, at now: Timestamp, handingOverSince since: Timestamp, _ turn: Turn) {
    turn.place = place
    turn.calledAt = now
    lastCallbacksAt.store(now.nanoseconds, ordering: .relaxed)
    callbacksSince.store(since.nanoseconds, ordering: .releasing)
    callbackWatch.ensureAwake()
  }

  /// Comes back from a callback; by the I/O thread, which may be that no more.
  @inline(__always)
  func leaveCallback(handingOverSince since: Timestamp, _ turn: Turn) {
    let (isIOThread, _) = callbacksSince.compareExchange(
      expected: since.nanoseconds, desired: 0, ordering: .acquiringAndReleasing)
    if !isIOThread { turn.isRelieved = true }
  }

  /// Looks whether a callback takes long; by the watch.
  ///
  /// - Returns: When to look again; `nil` if there was no callback for a while, and none goes on that has to be watched.
  func lookAtCallbacks(at now: Timestamp) -> Timestamp? {
    var due: Timestamp?
    let since = Timestamp(nanoseconds: callbacksSince.load(ordering: .relaxed))
    let last = Timestamp(nanoseconds: lastCallbacksAt.load(ordering: .relaxed))
    if since.nanoseconds != 0 {
      due = since + CallbackWatch.interval
      if now.since(since) >= CallbackWatch.interval {
        startRelief(since)
        due = now + CallbackWatch.interval
      }
    } else if now.since(last) < CallbackWatch.linger {
      due = now + CallbackWatch.interval
    }
    for thread in callbackThreads.withLock({ $0.running }) where thread.isUnnoticed {
      tellOverdue(thread, at: now)
      if thread.isUnnoticed { due = due ?? now + CallbackWatch.interval }
    }
    return due
  }

  // MARK: Relief

  /// Starts a thread that takes the place of the I/O thread, if that has not returned from its callback by then.
  private func startRelief(_ since: Timestamp) {
    guard lastRelief.exchange(since.nanoseconds, ordering: .relaxed) != since.nanoseconds else { return }
    do throws(EndpointFailure) {
      try IOThread.start(named: Self.ioThreadName) { [self] in
        guard let stuck = turn.withLock({ $0 }), let turn = takeOver(from: stuck, since: since) else {
          // Not needed; but the next callback of the same handover may be stuck.
          lastRelief.store(0, ordering: .relaxed)
          return
        }
        runIOThread(turn)
      }
    } catch {
      lastRelief.store(0, ordering: .relaxed)  // the next look tries again
      reportCallbackLimit()
    }
  }

  /// Takes over everything from a thread that is in a callback, and detaches the callback's subscription, if it is one's.
  ///
  /// - Returns: `nil` if it has returned from the callback.
  private func takeOver(from stuck: Turn, since: Timestamp) -> Turn? {
    let taken = stuck.relief.withLock { relief -> (turn: Turn, thread: CallbackThread)? in
      let (isStuck, _) = callbacksSince.compareExchange(
        expected: since.nanoseconds, desired: 0, ordering: .acquiringAndReleasing)
      guard isStuck else { return nil }
      let called = stuck.called
      let filter = called?.sink.filter ?? CallbackThread.Call.jobFilter
      let thread = CallbackThread(CallbackThread.Call(filter: filter, since: stuck.calledAt))
      callbackThreads.withLock { $0.add(thread) }
      callbackThreadCount.add(1, ordering: .relaxed)
      relief = CallbackThread.Relief(
        thread: thread,
        duty: called.map { CallbackThread.Duty(sink: $0.sink, backlog: detach($0.sink, $0.id), thread: thread) })
      let turn = Turn(takingOver: stuck)
      stuck.forget()
      return (turn, thread)
    }
    guard let taken else { return nil }
    turn.withLock { $0 = taken.turn }
    localCounters.add(to: .relievedCallbacks)
    tellOverdue(taken.thread, at: .now)
    return taken.turn
  }

  private func detach(_ sink: CallbackSink, _ id: SubscriptionID) -> DeliveryQueue {
    let backlog = sink.detach(id)
    if backlog.holdsPublisherBack { lock.withLock { $0.machine.setStuck(true, id) } }
    return backlog
  }

  // MARK: Backlogs

  /// For so long a thread works off one backlog while other subscriptions wait for a thread.
  private static let backlogSlice = CallbackWatch.interval

  /// Puts a message aside for a detached subscription, or for one that no thread is left for; by the I/O thread.
  ///
  /// - Returns: Whether it was put aside; otherwise the callback can be called.
  func putAside(_ delivery: Delivery, for sink: CallbackSink, _ id: SubscriptionID, at now: Timestamp, _ turn: Turn)
    -> Bool
  {
    if sink.isDetached {
      if let backlog = sink.backlog, put(delivery, into: backlog, at: now, turn) { return true }
      sink.attach()
      lock.withLock { $0.machine.setStuck(false, id) }
    }
    guard hasCallbackLimit, !sink.isCancelled else { return false }
    let waits = callbackThreads.withLock { threads in
      // Who cancels takes it out of line afterwards.
      guard threads.running.count >= settings.callbackThreadLimit, !sink.isCancelled else { return false }
      let backlog = detach(sink, id)
      guard put(delivery, into: backlog, at: now, turn) else { return false }
      threads.wait(sink, backlog)
      return true
    }
    if waits { reportCallbackLimit() }
    return waits
  }

  /// Whether so many threads are stuck in callbacks that none may be added: the I/O thread then calls none, since nobody could
  /// relieve it.
  var hasCallbackLimit: Bool { callbackThreadCount.load(ordering: .relaxed) >= settings.callbackThreadLimit }

  /// Goes on with the callbacks of detached subscriptions until there are none; by a thread that was relieved.
  func workOffBacklogs(_ turn: Turn) {
    guard let relief = turn.relief.withLock({ $0.take() }) else { return }
    endCall(of: relief.thread, at: .now)
    var next = relief.duty ?? callbackThreads.withLock { $0.nextDuty(of: relief.thread) }
    while let duty = next {
      let started = Timestamp.now
      var successor: CallbackThread.Duty?
      while successor == nil, let entry = duty.backlog.takeOrFinish(driver: self) {
        let now = Timestamp.now
        if duty.sink.isCancelled { continue }
        if let expiry = entry.expiresAt, expiry <= now {
          reportLoss(of: entry.message, .expired, filter: duty.sink.filter)
          continue
        }
        duty.thread.begin(duty.sink.filter, at: now)
        lastCallbacksAt.store(now.nanoseconds, ordering: .relaxed)
        callbackWatch.ensureAwake()
        entry.message.withView(age: now.since(entry.publishedAt)) { duty.sink.onMessage($0) }
        let returned = Timestamp.now
        endCall(of: duty.thread, at: returned)
        if returned.since(started) >= Self.backlogSlice {
          successor = callbackThreads.withLock { $0.exchange(duty) }
        }
      }
      next = successor ?? callbackThreads.withLock { $0.nextDuty(of: duty.thread) }
    }
    callbackThreadCount.subtract(1, ordering: .relaxed)
  }

  private func endCall(of thread: CallbackThread, at now: Timestamp) {
    guard let call = thread.end() else { return }
    let duration = now.since(call.since)
    if call.isTold || duration > Nanoseconds(settings.slowCallbackThreshold) {
      reportSlowCallback(call.filter, duration, isAwaited: call.isTold)
    }
  }

  // MARK: Events

  /// Tells that a callback takes long while it goes on; at most once a second for each filter.
  private func tellOverdue(_ thread: CallbackThread, at now: Timestamp) {
    let call = thread.noticeOverdue(Nanoseconds(settings.slowCallbackThreshold), at: now) { call in
      callbackLimiter.permits("running \(call.filter)") != nil
    }
    guard let call, call.isTold else { return }
    broadcast(.slowCallback(filter: call.filter, duration: now.since(call.since).duration, isOver: false))
  }

  /// Tells that a callback that took long is over; at most once a second for each filter, but always if it was told that it
  /// goes on.
  func reportSlowCallback(_ filter: String, _ duration: Nanoseconds, isAwaited: Bool) {
    localCounters.add(to: .slowCallbacks)
    let isPermitted = callbackLimiter.permits("over \(filter)") != nil
    guard isPermitted || isAwaited else { return }
    broadcast(.slowCallback(filter: filter, duration: duration.duration, isOver: true))
  }

  private func reportCallbackLimit() {
    let count = localCounters.add(to: .callbackLimit)
    guard callbackLimiter.permits("callbackThreadLimit") != nil else { return }
    broadcast(.limit(name: "callbackThreadLimit", count: count))
  }
}
