import DequeModule
import GlueCore

/// One replica of a model: the document, and all that keeps it equal to its peers'.
///
/// It is driven from outside and knows no network, disk or clock. **The drain rule**: after every input take the outputs until there are none (changes,
/// broadcasts, messages, events, a batch for the store); then come back at ``nextWakeup``, or with the next input.
///
/// Deltas of local transactions go to all peers at once, in order. What gets lost on the way, or was before a peer came, is found by comparing contexts, and
/// fetched from one peer at a time (``Peer``, ``Request``). The channels are assumed to be reliable and in order for each sender while a session
/// lasts, with losses told; nothing is assumed of what was before or after.
///
/// Where the methods are: `+Deltas` what goes to and comes from the delta topic, `+Peers` who is there and what they have, `+Requests` what is asked for
/// and merged, `+Answers` what is served, `+Confirmations` who has what was changed here, `+CleanUp` what happens when the generation rises, `+Storing`, `+Time`.
public final class ReplicaMachine {
  /// The settings.
  public let configuration: ReplicaConfiguration
  /// Whose replica it is.
  public let endpoint: EndpointID
  /// What is in the model.
  public internal(set) var document: Document
  /// What has happened since the start.
  public internal(set) var counters = ReplicaCounters()

  /// Which opening of the model this is.
  let instance: UInt64
  /// The numbers under which this opening has written: the instance, and others if somebody else used that one.
  var ownNumbers: [UInt64]
  var clock: HybridClock
  var generator: SeededGenerator
  /// In the order of endpoint IDs.
  var peers: [Peer] = []
  var held = HeldDeltas()

  // Requests of this replica.
  var request: Request?
  var lastRequest: UInt64
  /// How many in a row were not answered.
  var failedRequests: UInt64 = 0
  /// Digests of states that are included in this one.
  var includedDigests: Deque<UInt64> = []

  // Requests of peers.
  var reconciliations: [ServedReconciliation] = []
  var inbox = Inbox()

  // Outputs.
  var pendingDeltas: Deque<[UInt8]> = []
  var pendingDeltaBytes = 0
  var outbox = Outbox()
  var pendingChanges: Deque<[ModelChange]> = []
  var pendingEvents: Deque<ReplicaEvent> = []
  var limits = LimitTally<ReplicaLimit>()

  // Times at which something is due.
  /// When to compare with a peer; nil while all are known to have the same.
  var compareAt: Timestamp?
  /// When to tell the peers of what was fetched; nil if there is nothing to tell.
  var announceAt: Timestamp?
  var announcedAt: Timestamp?
  /// Whether somebody else may tell it in place of this one.
  var isAnnouncementCommon = false

  /// When the generation rose, or this replica started.
  var generationSince: Timestamp

  /// The number of the present state: it rises with every change, local or received.
  public internal(set) var revision: UInt64 = 0
  var storing: StoreProgress?
  /// Changes of this replica that another one is known to have.
  var confirmed = DotSet()
  /// Whether others should not rely on this one.
  public internal(set) var isTransient: Bool
  /// Changes of this replica that peers were asked to confirm.
  var wish = DotSet()

  /// A replica that begins with what was stored, or with nothing.
  ///
  /// - Parameters:
  ///   - seed: Random and new at every opening: the identity of the replica comes from it.
  ///   - stored: What the store holds; nil for a replica without one.
  public init(
    endpoint: EndpointID, seed: UInt64, stored: StoredReplica? = nil, limits: DocumentLimits = DocumentLimits(),
    configuration: ReplicaConfiguration = ReplicaConfiguration(), at time: ReplicaTime
  ) {
    self.configuration = configuration
    self.endpoint = endpoint
    isTransient = configuration.isTransient
    generator = SeededGenerator(seed: seed)
    instance = generator.next()
    ownNumbers = [instance]
    lastRequest = generator.next()
    generationSince = time.now
    clock = HybridClock(last: stored?.clock ?? 0)
    let generation = stored?.context.generation ?? 0
    let replica = ReplicaID(endpoint: endpoint, number: instance, generation: generation)
    if let stored {
      document = Document(replica: replica, context: stored.context, entries: stored.entries, limits: limits)
      storing = StoreProgress()
    } else {
      document = Document(replica: replica, limits: limits)
    }
  }
}

// MARK: Reading

extension ReplicaMachine {
  /// What paths with several values show.
  public var policies: ModelPolicies {
    get { document.policies }
    set { document.policies = newValue }
  }
}

// MARK: Outputs

extension ReplicaMachine {
  /// The next transaction's changes, oldest first. Together with what was read before they give what can be read now.
  public func nextChanges() -> [ModelChange]? { pendingChanges.popFirst() }

  /// The next event.
  public func nextEvent() -> ReplicaEvent? { pendingEvents.popFirst() }

  /// Whether there is something for the delta topic.
  public var hasBroadcasts: Bool { !pendingDeltas.isEmpty }

  /// The next message for the delta topic, to all peers.
  public func nextBroadcast() -> [UInt8]? {
    guard let bytes = pendingDeltas.popFirst() else { return nil }
    pendingDeltaBytes -= bytes.count
    counters.deltaBytesSent += UInt64(bytes.count)
    return bytes
  }

  /// The next message to a single peer. Those to whom nothing can be sent now are left out.
  public func nextMessage(where hasRoom: (EndpointID) -> Bool = { _ in true }) -> (peer: EndpointID, bytes: [UInt8])? {
    guard let message = outbox.next(where: hasRoom) else { return nil }
    counters.messagesSent += 1
    counters.messageBytesSent += UInt64(message.bytes.count)
    return message
  }

  /// How often a limit was reached.
  public func count(of limit: ReplicaLimit) -> UInt64 { limits[limit] }
}

// MARK: For all parts

extension ReplicaMachine {
  func tell(_ event: ReplicaEvent) {
    if pendingEvents.count >= ReplicaConfiguration.events { pendingEvents.removeFirst() }
    pendingEvents.append(event)
  }

  func reach(_ limit: ReplicaLimit, at now: Timestamp) {
    if let count = limits.reach(limit, at: now) { tell(.limitReached(limit, count: count)) }
  }

  func send(_ message: PeerMessage, to peer: EndpointID, _ concern: Outbox.Concern) {
    outbox.append(message.encoded(), to: peer, concern)
  }
}
