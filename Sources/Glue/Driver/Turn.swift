import GlueCore
import GlueNetwork
import Synchronization

extension Driver {
  /// Messages that one call receives; each may be 64 KiB of joined datagrams.
  private static let receiveSlots = 16

  /// What only the I/O thread uses.
  ///
  /// An I/O thread that is stuck in a callback is relieved: another one takes over what is here and leaves it the batch, in
  /// which the callback's message may lie (``Driver/takeOver(from:since:)``). From then on it touches nothing here but what is
  /// marked as its own.
  final class Turn: @unchecked Sendable {
    // Its properties are exempt from the run-time exclusivity check, which the path of every message would pay for; nothing
    // here calls back into itself.

    let batch = ReceiveBatch(slots: receiveSlots)
    @exclusivity(unchecked) var deliveries: [Delivery] = []
    @exclusivity(unchecked) var events: [EndpointEvent] = []
    @exclusivity(unchecked) var sinks: [SubscriptionID: Sink] = [:]
    @exclusivity(unchecked) var directReader: DeliveryQueue?
    @exclusivity(unchecked) var sinksVersion: UInt64 = 0
    @exclusivity(unchecked) var credits: [DeliveryQueue.Credit] = []
    @exclusivity(unchecked) var drops = DropCollector()
    @exclusivity(unchecked) var sockets: EndpointSockets
    /// Whether nothing was to be received when the sockets were last looked at.
    @exclusivity(unchecked) var isCaughtUp = false
    /// What each socket's full buffer had dropped, by its place in the poller.
    @exclusivity(unchecked) var queueDrops = [QueueDrops](repeating: QueueDrops(), count: Poller.capacity)
    @exclusivity(unchecked) var network: NetworkWatch
    @exclusivity(unchecked) var metrics: MetricsSampler
    @exclusivity(unchecked) var suspension = SuspensionWatch(at: .now)

    // MARK: Conversations

    @exclusivity(unchecked) var answerPolling = AnswerPolling()
    /// A callback has published since the thread last waited.
    @exclusivity(unchecked) var expectsAnswer = false
    /// Until when to go on polling, if what came was no message.
    @exclusivity(unchecked) var pollsUntil: Timestamp?
    /// The data socket that the last messages came from.
    @exclusivity(unchecked) var lastSource: EndpointSockets.Entry?
    /// When all sockets were looked at last while answers were polled for.
    @exclusivity(unchecked) var lastLook = Timestamp(nanoseconds: 0)

    // MARK: The callback that runs

    /// The delivery whose callback runs, and since when; `nil` for a job of a task.
    @exclusivity(unchecked) var place: Int? = 0
    @exclusivity(unchecked) var calledAt = Timestamp(nanoseconds: 0)
    /// Held while another thread takes over. What that leaves for this one is complete once it can be taken.
    let relief = Mutex<CallbackThread.Relief?>(nil)
    /// Whether this thread knows that it was relieved. Its own.
    @exclusivity(unchecked) var isRelieved = false

    init(sockets: EndpointSockets, monitor: NetworkWatch.Monitor?, endpoint: String) {
      self.sockets = sockets
      network = NetworkWatch(monitor: monitor, retries: !sockets.problems.isEmpty)
      metrics = MetricsSampler(endpoint: endpoint)
    }

    /// What another thread leaves, except its batch; what lies in that is copied.
    init(takingOver old: Turn) {
      // While tasks run nothing is to be handed over.
      deliveries = old.place.map { old.deliveries.dropFirst($0 + 1).copiedFromBatch() } ?? []
      events = old.events
      sinks = old.sinks
      directReader = old.directReader
      sinksVersion = old.sinksVersion
      credits = old.credits
      drops = old.drops
      sockets = old.sockets
      queueDrops = old.queueDrops
      network = old.network
      metrics = old.metrics
    }

    /// The subscription whose callback runs; `nil` in a job of a task.
    var called: (id: SubscriptionID, sink: CallbackSink)? {
      guard let place else { return nil }
      guard let id = deliveries[place].subscription, case .callback(let sink) = sinks[id] else {
        preconditionFailure("in the callback of delivery \(place), which has none")
      }
      return (id, sink)
    }

    /// Lets go of what another thread has taken over.
    func forget() {
      deliveries = []
      events = []
      sinks = [:]
      directReader = nil
      credits = []
      drops = DropCollector()
    }

    /// Adds up what no longer holds a publisher back, to tell the core once.
    func addCredit(_ bytes: Int, of stream: StreamInfo) {
      if let last = credits.last, last.stream === stream {
        credits[credits.count - 1].bytes += bytes
      } else {
        credits.append(DeliveryQueue.Credit(stream: stream, bytes: bytes))
      }
    }

    /// A delivery that nobody will take holds nobody back.
    func addCredit(for delivery: Delivery) {
      if delivery.isHeld { addCredit(delivery.byteCount, of: delivery.stream) }
    }
  }
}

extension Delivery {
  var byteCount: Int { payload.count + attributes.count }
}

extension ArraySlice<Delivery> {
  /// The deliveries with owners: what lies in a receive buffer is copied, once for all subscriptions.
  fileprivate func copiedFromBatch() -> [Delivery] {
    var copied: (from: Delivery, to: PayloadBuffer)?
    return map { delivery in
      guard delivery.owner == nil else { return delivery }
      let buffer: PayloadBuffer
      if let copied, copied.from.stream === delivery.stream, copied.from.sequence == delivery.sequence {
        buffer = copied.to
      } else {
        buffer = PayloadBuffer(capacity: delivery.byteCount)
        buffer.append(delivery.attributes)
        buffer.append(delivery.payload)
        copied = (delivery, buffer)
      }
      var delivery = delivery
      let attributes = delivery.attributes.count
      delivery.owner = buffer
      delivery.attributes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<attributes])
      delivery.payload = UnsafeRawBufferPointer(rebasing: buffer.bytes[attributes...])
      return delivery
    }
  }
}
