import GlueCore

/// Tasks of the program that prefer the endpoint's executor run on the I/O thread, between callbacks and the sending of
/// datagrams: a message reaches the task that waits for it, and what that publishes leaves, without a change of threads.
///
///     enqueue ──▶ jobs ──▶ I/O thread, marked as in a callback
///        └───────────┴───▶ the global executor: before the start, after the end, or while too many threads are stuck
///
/// A job is what a task does until it waits for something. One that blocks is relieved as a callback is; those behind it go on
/// with the thread that takes over.
extension Driver: TaskExecutor {
  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let isCallers = ioThread.load(ordering: .relaxed) != IOThread.current
    let (isTaken, wakes) = lock.withLock { state -> (Bool, Bool) in
      guard state.takesJobs, !hasCallbackLimit else { return (false, false) }
      state.jobs.append(job)
      hasJobs.store(true, ordering: .relaxed)
      // In a burst the I/O thread sleeps without being said to, for a moment that is long for a task.
      return (true, isCallers && (state.wakes() || state.isBursting))
    }
    if !isTaken { runElsewhere([job]) }
    if wakes { poller.wake() }
  }

  /// Runs what tasks have to do, for ``callbackSlice`` at most; by the I/O thread. It comes back at once if something is left.
  func runJobs(_ turn: Turn) {
    guard hasJobs.load(ordering: .relaxed) else { return }
    if hasCallbackLimit { return runJobsElsewhere() }
    let slow = Nanoseconds(settings.slowCallbackThreshold)
    let since = Timestamp.now
    var now = since
    while let job = nextJob() {
      enterCallback(of: nil, at: now, handingOverSince: since, turn)
      job.runSynchronously(on: asUnownedTaskExecutor())
      leaveCallback(handingOverSince: since, turn)
      guard !turn.isRelieved else { return }
      let returned = Timestamp.now
      let duration = returned.since(now)
      now = returned
      if duration > slow { reportSlowCallback(CallbackThread.Call.jobFilter, duration, isAwaited: false) }
      guard now.since(since) < Self.callbackSlice else { return }
    }
  }

  private func nextJob() -> UnownedJob? {
    lock.withLock { state in
      let job = state.jobs.popFirst()
      if state.jobs.isEmpty { hasJobs.store(false, ordering: .relaxed) }
      return job
    }
  }

  /// Gives all jobs away: nobody could relieve the I/O thread in one, or there is no such thread any more.
  func runJobsElsewhere() {
    let jobs = lock.withLock { state in
      hasJobs.store(false, ordering: .relaxed)
      return state.takeJobs()
    }
    runElsewhere(jobs)
  }

  private func runElsewhere(_ jobs: some Sequence<UnownedJob>) {
    for job in jobs { globalConcurrentExecutor.enqueue(ExecutorJob(job)) }
  }
}
