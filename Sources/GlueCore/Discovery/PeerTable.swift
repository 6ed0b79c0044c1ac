import GlueAddress

/// What discovery knows of a peer beyond what it tells.
struct Peer: Sendable {
  var info: PeerInfo
  /// Announced interval × multiplier, within bounds.
  var lease: Nanoseconds
  /// When something valid last came from `info.address`.
  var addressHeardAt: Timestamp
  /// When a datagram of the session last came from there.
  var sessionHeardAt: Timestamp
  /// When an announcement last came by multicast or broadcast, and by unicast.
  var groupHeardAt: Timestamp?
  var unicastHeardAt: Timestamp?
  /// When it last said that it hears this endpoint by multicast or broadcast.
  var heardUsAt: Timestamp?
  /// Since when it says that it does not.
  var deafSince: Timestamp?
  /// How often it is still told that it is heard again, after it was told that it was not.
  var retractions = 0
  /// Whether the peer has shown that it knows our session ID: then WELCOME is no longer repeated.
  var isConfirmed: Bool
  /// Whether a WELCOME named both our session ID and the peer's: then the two belong together for good.
  var isBound: Bool
  /// Datagrams with a long header that came since the proof of its address; used where they are sealed.
  var received: ReplayWindow
  /// Packet number of the last WELCOME taken; older ones were overtaken.
  var welcomeNumber: UInt64
  /// Running while not confirmed.
  var welcome: Repetition?
  /// When it was last found to be there although an announcement had said that it leaves.
  var stayedAt: Timestamp?
  /// Running while there is doubt about the peer.
  var probe: Probe?
  /// Running while the peer seems to have moved.
  var move: Move?
  /// Where it was last heard from besides the session's address: where the session goes when that does not answer. With the
  /// number of the datagram that pays for the challenge which that takes, if it had one.
  var elsewhere: (address: SocketAddress, packetNumber: UInt64?)?
  /// Another address that datagrams of the session came from, and bytes from it that no challenge has answered yet.
  var stray: (address: SocketAddress, bytes: Int)?
  /// Whom it lists as heard or known.
  var listing = Listing()
  /// When to look whether the peer has to be introduced to others, and the time until the next look.
  var introductionAt: Timestamp
  var introductionDelay: Nanoseconds
  /// Peers in later places with which it exchanges datagrams that this endpoint passes on, since it was last looked at.
  var passing = SlotSet()
  /// When it may be tried to reach directly; only used while it is reached by way of others.
  var directTryAt: Timestamp

  /// A challenge to another address that the peer was heard from.
  struct Move: Sendable {
    var address: SocketAddress
    var token: UInt64
    var sentAt: Timestamp
  }
}

/// Challenges to a peer whose life or session is in doubt, and what its silence or answer will mean.
struct Probe: Sendable {
  struct Purposes: OptionSet, Sendable {
    let rawValue: UInt8
    /// Its lease is about to end.
    static let lease = Purposes(rawValue: 1)
    /// An announcement says that it leaves.
    static let leaving = Purposes(rawValue: 2)
    /// It seems not to know the session.
    static let session = Purposes(rawValue: 4)
    /// Another endpoint claims its ID or name.
    static let claim = Purposes(rawValue: 8)
    /// Somebody says so; the answer changes nothing.
    static let life = Purposes(rawValue: 16)
    /// Its address may not work any more: it writes from another one, or our own addresses have changed.
    static let path = Purposes(rawValue: 32)
  }
  var purposes: Purposes
  var token: UInt64
  let startedAt: Timestamp
  var sent: Int
  var nextAt: Timestamp
  /// The WELCOME that raised the doubt about the session, if one did, and that datagram's number.
  var rivalWelcome: (welcome: Welcome, packetNumber: UInt64)?
}

/// Something repeated at doubling intervals.
struct Repetition: Sendable {
  private(set) var nextAt: Timestamp
  private var delay: Nanoseconds
  private let longest: Nanoseconds

  init(bounds: ClosedRange<Nanoseconds>, from now: Timestamp) {
    delay = bounds.lowerBound
    longest = bounds.upperBound
    nextAt = now + delay
  }

  mutating func fire(at now: Timestamp) {
    delay = min(delay * 2, longest)
    nextAt = now + delay
  }
}

/// A set of places in the peer table.
struct SlotSet: Sendable {
  private var words: [UInt64] = []

  func contains(_ slot: Int) -> Bool { slot >> 6 < words.count && words[slot >> 6] & (1 << UInt64(slot & 63)) != 0 }
  mutating func insert(_ slot: Int) {
    while words.count <= slot >> 6 { words.append(0) }
    words[slot >> 6] |= 1 << UInt64(slot & 63)
  }
  mutating func remove(_ slot: Int) {
    if contains(slot) { words[slot >> 6] &= ~(1 << UInt64(slot & 63)) }
  }
  mutating func removeAll() { words.removeAll(keepingCapacity: true) }
}

/// Whom a peer lists in its announcements. A list that takes turns is complete after a number of announcements; until the
/// next one is, the last complete one counts as well.
struct Listing: Sendable {
  private var current = SlotSet()
  private var previous = SlotSet()
  private var announcements = 0

  func contains(_ slot: Int) -> Bool { current.contains(slot) || previous.contains(slot) }

  mutating func add(_ slot: Int) { current.insert(slot) }

  /// Counts an announcement. `turns` is how many it takes to list everybody.
  mutating func announced(turns: Int) {
    announcements += 1
    guard announcements >= turns else { return }
    swap(&previous, &current)
    current.removeAll()
    announcements = 0
  }

  mutating func forget(_ slot: Int) {
    current.remove(slot)
    previous.remove(slot)
  }
}

/// The peers, found in O(1) by endpoint ID, name, group tag or session ID.
///
/// A session ID is a place in the table in the low bits and at least 20 random bits above: a lookup is an array access and
/// a comparison, and an outsider cannot guess it. Iteration goes by place, so that it is the same in every run.
struct PeerTable: Sendable {
  /// By place: 0 if it is free. Set without a peer for an endpoint that is not a peer yet.
  private var sessions: [UInt32] = []
  /// By place: whether there is a peer. Apart from the peers, which are large, because it is asked most.
  private var isTaken: [Bool] = []
  private var peers: [Peer?] = []
  /// Places that had a peer before: others may have listed it.
  private var wasTaken = SlotSet()
  /// Used last, taken last, so that a place is not used again soon.
  private var free: [Int] = []
  private var byID: [EndpointID: Int] = [:]
  private var byName: [String: Int] = [:]
  private var byTag: [UInt32: Int] = [:]
  private let slotBits: UInt32
  private let capacity: Int
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = min(max(1, capacity), 1 << 12)
    var bits: UInt32 = 1
    while 1 << bits < self.capacity { bits += 1 }
    slotBits = bits
  }

  /// All places, taken or not.
  var indices: Range<Int> { 0..<peers.count }

  func contains(_ slot: Int) -> Bool { isTaken.indices.contains(slot) && isTaken[slot] }

  /// The peer in a place that has one.
  subscript(slot: Int) -> Peer {
    _read { yield peers[slot]! }
    _modify { yield &peers[slot]! }
  }

  func slot(of id: EndpointID) -> Int? { byID[id] }
  func slot(of id: EndpointID, _ incarnation: Incarnation) -> Int? {
    guard let slot = byID[id], self[slot].info.incarnation == incarnation else { return nil }
    return slot
  }
  func slot(name: String) -> Int? { byName[name] }
  func slot(tag: UInt32) -> Int? { byTag[tag] }
  func slot(session: UInt32) -> Int? {
    let slot = Int(session & (1 << slotBits - 1))
    guard slot < sessions.count, sessions[slot] == session, isTaken[slot] else { return nil }
    return slot
  }
  /// Whether a session ID was given to an endpoint that is not a peer yet.
  func isReserved(session: UInt32) -> Bool {
    let slot = Int(session & (1 << slotBits - 1))
    return session != 0 && slot < sessions.count && sessions[slot] == session && !isTaken[slot]
  }

  /// Takes a place and makes a session ID; nil if the table is full.
  mutating func reserve(using generator: inout SeededGenerator) -> (slot: Int, session: UInt32)? {
    let slot: Int
    if peers.count < capacity {
      slot = peers.count
      sessions.append(0)
      isTaken.append(false)
      peers.append(nil)
    } else if !free.isEmpty {
      slot = free.removeFirst()
    } else {
      return nil
    }
    var session: UInt32
    repeat {
      session = UInt32(truncatingIfNeeded: generator.next()) << slotBits | UInt32(slot)
    } while session == 0
    sessions[slot] = session
    return (slot, session)
  }

  /// Gives a reserved place up.
  mutating func release(_ slot: Int) {
    sessions[slot] = 0
    free.append(slot)
  }

  /// Puts a peer into its reserved place.
  mutating func insert(_ peer: Peer) {
    let slot = peer.info.slot
    if wasTaken.contains(slot) {
      for other in indices where isTaken[other] {
        self[other].listing.forget(slot)
        self[other].passing.remove(slot)
      }
    }
    wasTaken.insert(slot)
    peers[slot] = peer
    isTaken[slot] = true
    byID[peer.info.id] = slot
    byName[peer.info.name] = slot
    let tag = peer.info.incarnation.groupTag
    if byTag[tag] == nil {
      byTag[tag] = slot
      self[slot].info.hasUniqueTag = true
    }
    count += 1
  }

  /// Removes a peer and frees its place.
  mutating func remove(_ slot: Int) -> Peer {
    let peer = self[slot]
    byID[peer.info.id] = nil
    byName[peer.info.name] = nil
    let tag = peer.info.incarnation.groupTag
    if byTag[tag] == slot { byTag[tag] = nil }
    peers[slot] = nil
    isTaken[slot] = false
    release(slot)
    count -= 1
    return peer
  }
}

extension Incarnation {
  /// What names the sender in datagrams to groups (docs/protocol.md §2.2).
  public var groupTag: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
}
