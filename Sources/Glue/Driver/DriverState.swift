import DequeModule
import GlueCore
import GlueNetwork

/// Everything that the driver's lock guards.
///
/// Sendable, although the machine is not: nothing of this is touched without the lock.
struct DriverState: ~Copyable, @unchecked Sendable {
  enum Phase: Comparable {
    /// Made, not started: no sockets, no thread.
    case ready
    /// The sockets are open and the thread is there.
    case running
    /// Takes no more messages; waits for acknowledgements.
    case leaving
    /// Has said goodbye; the thread sends that and ends.
    case closing
    /// Over.
    case closed
  }

  /// What the driver knows of a publication.
  struct PublicationRecord {
    let topic: String
    let options: PublicationOptions
    /// Handles that can still be closed.
    var handles = 0
    /// Whether `publish(_:to:)` uses it; it then stays until the end.
    var isImplicit = false
  }

  let machine: EndpointMachine
  var phase: Phase = .ready
  var failure: EndpointFailure?
  /// A shutdown was asked for.
  var isLeaving = false

  // MARK: Outputs that wait for the I/O thread

  /// A caller's thread has stopped sending before it had sent everything.
  var hasLeftovers = false
  var deliveries: [Delivery] = []
  var events: [EndpointEvent] = []

  /// Where datagrams can go.
  var reach = SocketPlan.Reach([])

  /// Writes to the store while the endpoint runs.
  var storeWriter: StoreWriter?

  // MARK: Who sends

  /// Somebody has the send batch; nobody else takes datagrams from the machine.
  var isSending = false
  /// The datagram of the send batch with which to go on when the socket has room.
  var blockedAt: Int?
  /// When a caller's thread last put in a message.
  var lastSubmission = Timestamp(nanoseconds: 0)
  /// How many messages followed each other closely.
  var burstLength = 0
  /// How many of them since the last pause.
  var closeMessages = 0
  /// Pauses in a burst since so many followed each other closely as begin one.
  var interruptions = 0
  /// Messages may be gathering: the I/O thread must not sleep long.
  var isBursting = false
  /// Bytes put in that nobody has sent yet, and since when.
  var gatheredBytes = 0
  var gatheredSince = Timestamp(nanoseconds: 0)

  // MARK: The I/O thread

  /// Whether the I/O thread waits, or is about to, and nobody has woken it yet.
  var isAsleep = false
  /// Until when it waits.
  var sleepsUntil: Timestamp?
  /// Whether it sleeps for a moment only, as a message was put in lately.
  var isLingering = false
  /// A callback has published since it last waited.
  var expectsAnswer = false
  /// What tasks have to do on it, see ``Driver/enqueue(_:)``.
  var jobs = Deque<UnownedJob>()

  // MARK: What the program has

  var publications: [PublicationID: PublicationRecord] = [:]
  var publicationsByTopic: [TopicKey: PublicationID] = [:]
  var sinks: [SubscriptionID: Sink] = [:]
  /// Grows with every change of ``sinks`` and ``directReader``, so that the I/O thread knows when its copy is old.
  var sinksVersion: UInt64 = 1
  var directReader: DeliveryQueue?
  /// How often each publication that was full got room again.
  var writableMarks: [PublicationID: UInt64] = [:]
  var eventReaders: [EventQueue] = []
  /// While nobody waits, the core does not report acknowledgements: an event for each batch of messages costs more than the
  /// rest of its acknowledgement.
  var waiters = Waiters() {
    didSet { machine.reportsAcknowledgements = !waiters.isEmpty }
  }

  init(machine: EndpointMachine) {
    self.machine = machine
    machine.reportsAcknowledgements = false
  }

  /// Takes over what the last input of the machine has produced. The I/O thread does so before it releases the lock: a
  /// delivery without an owner lies in its receive buffer.
  mutating func collect() {
    if machine.hasOutputs { takeOutputs() }
    if let storeWriter, machine.hasToStore { storeWriter.wake() }
  }

  private mutating func takeOutputs() {
    if deliveries.isEmpty {
      machine.takeDeliveries(into: &deliveries)
    } else {
      var more: [Delivery] = []
      machine.takeDeliveries(into: &more)
      deliveries.append(contentsOf: more)
    }
    while let event = machine.nextEvent() { events.append(event) }
  }

  var hasOutputs: Bool { !deliveries.isEmpty || !events.isEmpty }

  /// Whether there is an I/O thread for jobs, and will be for a while.
  var takesJobs: Bool { phase == .running || phase == .leaving }

  mutating func takeJobs() -> Deque<UnownedJob> {
    defer { jobs = [] }
    return jobs
  }

  /// Throws unless messages can be taken.
  func checkOpen() throws(EndpointFailure) {
    if let failure { throw failure }
    if isLeaving || phase > .running { throw .stopped }
  }

  /// Takes note of a message that was put in so long after the one before.
  mutating func noteMessage(after pause: Nanoseconds) {
    if pause < Driver.burstInterval {
      closeMessages += 1
      if closeMessages >= Driver.burstStart { interruptions = 0 }
    } else if burstLength >= Driver.burstStart, interruptions < Driver.mostInterruptions,
      pause < Driver.longestInterruption
    {
      interruptions += 1
      closeMessages = 0
    } else {
      burstLength = 0
      closeMessages = 0
      interruptions = 0
      return
    }
    burstLength += 1
  }

  /// Whether the thread of a burst is about to send what is due. The I/O thread then keeps out of it, also where an
  /// acknowledgement has made room. If it sent, it would go on as long as there is something, while the other thread only fills
  /// the send buffer: what is sent then lies no longer in the processor's cache, and the two fight for the lock.
  func isLeftToCaller(at now: Timestamp) -> Bool {
    guard isBursting, phase == .running, now.since(lastSubmission) < Driver.burstInterval else { return false }
    return gatheredBytes == 0 || gatheredBytes >= Driver.burstBytes || now.since(gatheredSince) < Driver.burstHold * 2
  }

  /// Wakes the I/O thread if it sleeps: returns whether to call the poller, once the lock is released.
  mutating func wakes() -> Bool {
    guard isAsleep else { return false }
    isAsleep = false
    return true
  }

  /// Like ``wakes()``, if the machine has to be called before the I/O thread would do so.
  mutating func wakesForTimer() -> Bool {
    guard isAsleep, let due = machine.nextWakeup else { return false }
    let slack = isLingering ? Driver.lingerSlack : .zero
    guard sleepsUntil.map({ due + slack < $0 }) ?? true else { return false }
    return wakes()
  }
}

extension Timestamp {
  /// The current time of the clock that the core is driven with.
  static var now: Timestamp { Timestamp(nanoseconds: MonotonicClock.nowNanoseconds()) }
}
