import GlueAddress
import GlueCore
import GlueNetwork

extension Driver {
  // A message that comes alone is sent by its caller at once: a hop to another thread would only cost time. A system
  // call for each of many messages caps the rate at some 350,000 a second, so in a burst they gather in the core until
  // they fill a datagram or a GSO run. Waking the I/O thread for that instead does not help: where processors are few it
  // runs at once, and finds one message.

  /// Messages that follow each other within this time belong to a burst. The time that sending takes does not count: it is
  /// tens of microseconds where the kernel lets the receiver run first.
  static let burstInterval = Nanoseconds.microseconds(20)
  /// So many messages of a burst still leave one by one: short bursts are not worth a delay.
  static let burstStart = 16
  /// Its thread may lose the processor, which is no end of a burst: if it were, sixteen more messages would leave one by one.
  static let longestInterruption = Nanoseconds.microseconds(500)
  /// After so many interruptions, without ``burstStart`` messages close together in between, it is not one any more.
  static let mostInterruptions = 2
  /// Bytes that gather in a burst before their caller sends them: three of the largest datagrams, which fit into one batch. What does not fit into one
  /// of them goes on in the next; with 64 KiB, 64 KiB messages took two datagrams each, and went at two thirds of the rate.
  static let burstBytes = 192 << 10
  /// How long messages of a burst that goes on gather at most, before their caller sends them.
  static let burstHold = Nanoseconds.microseconds(250)
  /// How long the I/O thread waits at most during a burst. It sends what is left when the burst pauses or ends.
  static let burstNap = Nanoseconds.microseconds(250)
  /// A burst is over when nothing was put in for so long; the I/O thread then sleeps until it is woken.
  static let burstEnd = Nanoseconds.milliseconds(2)
  /// A caller's thread that finds new datagrams whenever it has sent some leaves them to the I/O thread after this many
  /// times, or other threads' messages would keep it for ever.
  static let callerRounds = 2
  /// Bytes per turn of the sender: four of the largest datagrams. A larger batch saves system calls; the core's lock is
  /// held while it is filled, and it should stay in the processor's cache.
  static let sendBatchBytes = 256 << 10
  /// Datagrams per turn of the sender: four full GSO runs.
  static let sendBatchDatagrams = 256
  /// How long a datagram waits at most from being written to being sent. It says how old its messages were when it was written: sent
  /// later, after the process was stopped, say, it would make them younger than they are, and they would be shown after their
  /// expiry. It then counts as one that the network lost. A full socket buffer (1 MiB) is sent sooner from 40 Mbit/s on;
  /// on wires of 2 and 10 Mbit/s the congestion window kept it from filling up.
  static let longestWait = Nanoseconds.milliseconds(250)
  /// How long messages may be handed over before datagrams that are due are sent in between.
  static let callbackSlice = Nanoseconds.microseconds(200)
  /// How long messages may be handed over by many short callbacks before they are watched as if they were one: nothing is
  /// received meanwhile.
  static let longestHandover = Nanoseconds.milliseconds(10)

  /// What a caller's thread has to do once it has released the lock.
  struct FollowUp: OptionSet, Sendable {
    let rawValue: Int
    /// Send the batch, which is full of datagrams: `isSending` is set.
    static let send = FollowUp(rawValue: 1)
    /// Wake the I/O thread.
    static let wake = FollowUp(rawValue: 2)
  }

  /// Puts an input into the core and sends what it causes, or leaves that to whoever is at it.
  ///
  /// - Parameter isMessage: Whether the input is one of possibly many messages, so that it pays to wait for more.
  func submit<R: Sendable>(
    isMessage: Bool = false, _ input: (inout DriverState, Timestamp) throws(EndpointFailure) -> R
  ) throws(EndpointFailure) -> R {
    let now = Timestamp.now
    let done = try lock.withLockIfAvailable { (state) throws(EndpointFailure) -> (R, FollowUp) in
      try put(input, into: &state, isMessage: isMessage, asked: now, at: now)
    }
    guard let (result, followUp) = done else { return try submitInTurn(isMessage: isMessage, asked: now, input) }
    if !followUp.isEmpty { finish(followUp) }
    return result
  }

  /// The same if another thread has the lock. The time until it was free is no pause that the caller has made.
  private func submitInTurn<R: Sendable>(
    isMessage: Bool, asked: Timestamp, _ input: (inout DriverState, Timestamp) throws(EndpointFailure) -> R
  ) throws(EndpointFailure) -> R {
    let (result, followUp) = try lock.withLock { (state) throws(EndpointFailure) -> (R, FollowUp) in
      try put(input, into: &state, isMessage: isMessage, asked: asked, at: .now)
    }
    if !followUp.isEmpty { finish(followUp) }
    return result
  }

  @inline(__always)
  private func put<R: Sendable>(
    _ input: (inout DriverState, Timestamp) throws(EndpointFailure) -> R, into state: inout DriverState,
    isMessage: Bool, asked: Timestamp, at now: Timestamp
  ) throws(EndpointFailure) -> (R, FollowUp) {
    let result = try input(&state, now)
    return (result, prepareFollowUp(&state, isMessage: isMessage, asked: asked, at: now))
  }

  private func prepareFollowUp(
    _ state: inout DriverState, isMessage: Bool, asked: Timestamp, at now: Timestamp
  ) -> FollowUp {
    state.collect()
    guard state.phase > .ready, state.phase < .closing else { return [] }
    // In a callback: the I/O thread goes on with the outputs when the callback has returned.
    if ioThread.load(ordering: .relaxed) == IOThread.current {
      if isMessage { state.expectsAnswer = true }
      return []
    }
    var followUp: FollowUp = []
    if state.hasOutputs, state.wakes() { followUp.insert(.wake) }
    if isMessage, gathers(&state, asked: asked, at: now) {
      // The I/O thread learns of the burst, and stays about until it is over.
      if state.wakes() { followUp.insert(.wake) }
    } else if !state.isSending {
      if fillBatch(&state, at: now) {
        state.isSending = true
        followUp.insert(.send)
      } else if state.wakesForTimer() {
        followUp.insert(.wake)
      }
    }
    return followUp
  }

  /// Whether the message that was just put in waits for more.
  private func gathers(_ state: inout DriverState, asked: Timestamp, at now: Timestamp) -> Bool {
    state.noteMessage(after: asked.since(state.lastSubmission))
    // To copy much takes longer than a pause may, and so does waiting for the lock while a batch is filled.
    state.lastSubmission = state.gatheredBytes < Self.burstBytes ? now : .now
    guard state.burstLength >= Self.burstStart, !isIOThreadBusy(at: now) else { return false }
    state.isBursting = true
    // Half of what a publication may hold is enough, or there would be no room for messages of which none has been sent.
    let enough = min(Self.burstBytes, coreConfiguration.transport.sendBufferBytes / 2)
    return state.gatheredBytes < enough && now.since(state.gatheredSince) < Self.burstHold
  }

  /// Sends what has gathered: its publisher is about to wait for something.
  func flush() {
    let followUp = lock.withLock { state -> FollowUp in
      guard state.gatheredBytes > 0, !state.isSending, state.phase > .ready else { return [] }
      guard ioThread.load(ordering: .relaxed) != IOThread.current, fillBatch(&state, at: .now) else { return [] }
      state.isSending = true
      return .send
    }
    finish(followUp)
  }

  /// Whether the I/O thread has been in callbacks for so long that nothing should be left to it.
  private func isIOThreadBusy(at now: Timestamp) -> Bool {
    let since = callbacksSince.load(ordering: .relaxed)
    return since != 0 && now.since(Timestamp(nanoseconds: since)) > Self.callbackSlice
  }

  private func finish(_ followUp: FollowUp) {
    if followUp.contains(.send), sendBatches(rounds: Self.callerRounds) {
      poller.wake()
    } else if followUp.contains(.wake) {
      poller.wake()
    }
  }

  /// Fills the empty batch with the datagrams that are due; under the lock, before `isSending` is set or by who has it.
  ///
  /// - Returns: Whether there are any.
  func fillBatch(_ state: inout DriverState, at now: Timestamp) -> Bool {
    sendBatch.removeAll()
    pendingSeals.removeAll(keepingCapacity: true)
    sendBatch.deadline = (now + Self.longestWait).nanoseconds
    var isFull = true
    while !sendBatch.isFull(forDatagramOf: DatagramSocket.maximumDatagramBytes) {
      let buffer = UnsafeMutableRawBufferPointer(
        rebasing: sendBatch.nextBuffer.prefix(DatagramSocket.maximumDatagramBytes))
      guard let datagram = state.machine.nextUnsealedDatagram(into: buffer, at: now) else {
        isFull = false
        break
      }
      guard state.reach.contains(datagram.destination.ip) else {
        localCounters.add(to: .sendForeignFamily)
        continue
      }
      let destination = datagram.destination
      // A group is sent to on the interface that is its scope; who else has a scope needs it as part of the address.
      let interface = destination.ip.isMulticast || destination.ip.family == .v4 ? destination.scope : 0
      if let seal = datagram.pendingSeal { pendingSeals.append((sendBatch.count, seal)) }
      sendBatch.append(byteCount: datagram.byteCount, to: destination, interfaceIndex: interface)
    }
    if !isFull { state.gatheredBytes = 0 }
    return !sendBatch.isEmpty
  }

  /// Sends the batch and what becomes due meanwhile. The caller has set `isSending`; it is no longer set afterwards, unless
  /// the socket is full: then the I/O thread goes on when there is room.
  ///
  /// - Parameters:
  ///   - index: The datagram to begin with.
  ///   - rounds: How many batches to send at most.
  /// - Returns: Whether to wake the I/O thread.
  func sendBatches(startingAt index: Int = 0, rounds: Int) -> Bool {
    var index = index
    for round in 1... {
      if let blocked = sendBatch(from: index) {
        poller.setWatchesWritability(true, of: blocked)
        guard let rest = takeBack(from: blocked) else { return false }
        index = rest
        continue
      }
      index = 0
      let (isDone, wakes) = lock.withLock { state -> (Bool, Bool) in
        let now = Timestamp.now
        let isLeft = rounds == .max && state.isLeftToCaller(at: now)
        if round < rounds, !isLeft, fillBatch(&state, at: now) { return (false, false) }
        state.isSending = false
        // What is left is the I/O thread's, which may just be deciding to sleep.
        if round >= rounds { state.hasLeftovers = true }
        if rounds == Self.callerRounds { state.lastSubmission = now }
        state.collect()
        return (true, round >= rounds || state.hasOutputs ? state.wakes() : state.wakesForTimer())
      }
      if isDone { return wakes }
    }
    return false
  }

  /// Seals the datagrams of the batch that are not sealed yet, and sends them, each by the socket of its family.
  ///
  /// - Returns: The socket that had no room; `nil` if everything was tried.
  private func sendBatch(from index: Int) -> DatagramSocket? {
    // Here and not under the lock: others publish meanwhile, and acknowledgements are read.
    for (datagram, seal) in pendingSeals { seal.seal(sendBatch.mutableBytes(at: datagram)) }
    pendingSeals.removeAll(keepingCapacity: true)
    var index = index
    while index < sendBatch.count {
      let end = sendBatch.endOfFamily(from: index)
      let family = sendBatch[index].destination.ip.family
      // None after the endpoint was closed; and another one when sockets were replaced.
      guard let socket = sockets.withLock({ $0?.dataSocket(family) }) else {
        localCounters.add(UInt64(end - index), to: .sendForeignFamily)
        index = end
        continue
      }
      let result = socket.send(sendBatch, startingAt: index, upTo: end)
      if !result.failures.isEmpty { note(result.failures) }
      if result.isOverdue { localCounters.add(UInt64(end - result.nextIndex), to: .sendOverdue) }
      if result.isBlocked {
        localCounters.add(to: .sendBlocked)
        lock.withLock { $0.blockedAt = result.nextIndex }
        return socket
      }
      index = end
    }
    return nil
  }

  /// Takes a batch back that waits for room in a socket which was replaced meanwhile, and will never tell that it has room.
  /// The I/O thread looks for a waiting batch after it has replaced sockets, and here it is looked for replaced sockets
  /// after the batch began to wait: one of the two finds it.
  ///
  /// - Returns: The datagram with which to go on.
  private func takeBack(from socket: DatagramSocket) -> Int? {
    let isCurrent = sockets.withLock { $0?.dataSocket(socket.localAddress.ip.family) === socket }
    return isCurrent ? nil : lock.withLock { $0.blockedAt.take() }
  }

  /// Sends what is due, unless another thread is at it, or about to be; by the I/O thread.
  func drain() {
    let sends = lock.withLock { state -> Bool in
      let now = Timestamp.now
      guard !state.isSending, !state.isLeftToCaller(at: now) else { return false }
      state.hasLeftovers = false
      guard fillBatch(&state, at: now) else { return false }
      state.isSending = true
      return true
    }
    if sends { _ = sendBatches(rounds: .max) }
  }

  /// Goes on with a batch that the socket had no room for; by the I/O thread, when the socket is writable.
  func resumeSending(on socket: DatagramSocket) {
    poller.setWatchesWritability(false, of: socket)
    let index = lock.withLock { $0.blockedAt.take() }
    if let index { _ = sendBatches(startingAt: index, rounds: .max) }
  }

  /// Tells the core of datagrams that were too large, and the log of other errors. None of them ends anything: the core
  /// repeats what matters, and the network comes back.
  private func note(_ failures: [SendResult.Failure]) {
    var firstOfCode: [SystemErrorCode: (count: UInt64, destination: SocketAddress)] = [:]
    for failure in failures {
      let datagram = sendBatch[failure.datagram]
      if failure.code == .messageTooLarge {
        let (destination, byteCount) = (datagram.destination, datagram.bytes.count)
        lock.withLock { $0.machine.datagramTooLarge(to: destination, byteCount: byteCount, at: .now) }
      } else {
        firstOfCode[failure.code, default: (0, datagram.destination)].count += 1
      }
    }
    // A socket that was replaced while its datagrams were on their way there: no error of the network.
    firstOfCode[.closed] = nil
    for (code, note) in firstOfCode {
      localCounters.add(note.count, to: .sendErrors)
      reportNetworkError(
        code, "cannot send \(note.count) datagrams, the first to \(note.destination.textNamingInterface): \(code)",
        count: note.count)
    }
  }
}
