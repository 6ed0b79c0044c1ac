import GlueCore

/// ```
/// byte 0      version of the protocol of quorum models: 1
/// byte 1      kind
///
/// 0 HELLO     flags (1: asks, 2: has a cluster, 4: has a storage, 8: knows a leader), cluster 16 bytes, storage u64, applied varint,
///             term varint, leader u64; what there is not is left out
/// 1 RAFT      cluster, from u64, to u64, message of Raft
/// 2 ASK       cluster, reads (count varint, number varint each), commands (counted bytes each)
/// 3 ANSWER    cluster, reads (count; number, index each), outcomes (request, nonce u64, outcome)
/// 4 REDIRECT  cluster, leader u64 or 0, requests (count; request each), nonces (count; u64 each), reads (count; number each)
/// 5 NEWS      cluster, term varint, leader u64, commit varint, entries
/// 6 FETCH     flags (1: needs a state, 2: has a cluster), cluster, from varint
/// 7 ENTRIES   cluster, entries
/// 8 OFFER     cluster, index varint, term varint, bytes varint, membership
/// 9 WANT      cluster, index varint, offset varint
/// 10 PIECE    cluster, index varint, offset varint, bytes
/// 11 INVITE   cluster
/// 12 ACCEPT   cluster, storage u64
/// 13 DECLINE  cluster, reason u8
/// 14 CHANGE   cluster, number varint, kind u8 (0 remove, 1 add as a learner, 2 add as a voter), endpoint u64
/// 15 CHANGED  cluster, number varint, result u8
/// ```
/// A request is its session and its number, as varints. What is last goes on to the end of the message.
extension QuorumMessage {
  static let version: UInt8 = 1

  private enum Kind: UInt8 {
    case hello, raft, ask, answer, redirect, news, fetch, entries, offer, want, piece, invite, accept, decline, change,
      changed
  }

  private enum FetchFlag {
    static let needsState: UInt8 = 1
    static let hasCluster: UInt8 = 2
    static let all = needsState | hasCluster
  }

  /// The version that a message says to be of.
  static func version(of bytes: UnsafeRawBufferPointer) throws(WireError) -> UInt8 {
    var reader = WireReader(bytes)
    return try reader.u8()
  }

  /// The longest fixed part of any kind is HELLO's, of 2 + 1 + 16 + 8 + 10 + 10 + 8 bytes.
  private static let fixedBytes = 64

  private static func encode(_ kind: Kind, atMost bytes: Int = 0, _ body: (inout WireWriter) -> Void) -> [UInt8] {
    WireWriter.encode(atMost: fixedBytes + bytes) { writer in
      writer.u8(version)
      writer.u8(kind.rawValue)
      body(&writer)
    }
  }

  /// The message as bytes.
  func encoded() -> [UInt8] {
    switch self {
    case .hello(let hello): Self.encode(.hello) { hello.write(to: &$0) }
    case .raft(let cluster, let from, let to, let message):
      Self.encodeTail(.raft, cluster, message.encoded()) { writer in
        writer.u64(from.number)
        writer.u64(to.number)
      }
    case .ask(let cluster, let commands, let reads): Self.encodeAsk(cluster, commands, reads)
    case .answer(let cluster, let answer): answer.encoded(cluster)
    case .redirect(let cluster, let leader, let requests, let nonces, let reads):
      Self.encode(.redirect, atMost: 40 + 20 * requests.count + 8 * nonces.count + 10 * reads.count) { writer in
        writer.cluster(cluster)
        writer.u64(leader?.rawValue ?? 0)
        writer.varint(count: requests.count)
        for request in requests { writer.request(request) }
        writer.varint(count: nonces.count)
        for nonce in nonces { writer.u64(nonce) }
        writer.varint(count: reads.count)
        for read in reads { writer.varint(read) }
      }
    case .news(let cluster, let news):
      Self.encode(.news, atMost: news.entries.reduce(0) { $0 + $1.encodedBoundWithPlace }) { writer in
        writer.cluster(cluster)
        writer.varint(news.term)
        writer.u64(news.leader.rawValue)
        writer.varint(news.commit)
        for entry in news.entries { entry.write(to: &writer) }
      }
    case .fetch(let cluster, let index, let needsState):
      Self.encode(.fetch) { writer in
        writer.u8((needsState ? FetchFlag.needsState : 0) | (cluster == nil ? 0 : FetchFlag.hasCluster))
        if let cluster { writer.cluster(cluster) }
        writer.varint(index)
      }
    case .entries(let cluster, let entries):
      Self.encode(.entries, atMost: entries.reduce(0) { $0 + $1.encodedBoundWithPlace }) { writer in
        writer.cluster(cluster)
        for entry in entries { entry.write(to: &writer) }
      }
    case .offer(let cluster, let offer):
      Self.encode(.offer, atMost: Membership.encodedBound) { writer in
        writer.cluster(cluster)
        writer.varint(offer.index)
        writer.varint(offer.term)
        writer.varint(offer.bytes)
        offer.membership.write(to: &writer)
      }
    case .want(let cluster, let index, let offset):
      Self.encodeTail(.want, cluster) { writer in
        writer.varint(index)
        writer.varint(offset)
      }
    case .piece(let cluster, let index, let offset, let bytes):
      Self.encodeTail(.piece, cluster, bytes) { writer in
        writer.varint(index)
        writer.varint(offset)
      }
    case .invite(let cluster): Self.encodeTail(.invite, cluster) { _ in }
    case .accept(let cluster, let storage): Self.encodeTail(.accept, cluster) { $0.u64(storage.number) }
    case .decline(let cluster, let reason): Self.encodeTail(.decline, cluster) { $0.u8(reason.rawValue) }
    case .change(let cluster, let number, let change):
      Self.encodeTail(.change, cluster) { writer in
        writer.varint(number)
        switch change {
        case .remove(let endpoint):
          writer.u8(0)
          writer.u64(endpoint.rawValue)
        case .add(let endpoint, let asVoter):
          writer.u8(asVoter ? 2 : 1)
          writer.u64(endpoint.rawValue)
        }
      }
    case .changed(let cluster, let number, let result):
      Self.encodeTail(.changed, cluster) { writer in
        writer.varint(number)
        writer.u8(result.rawValue)
      }
    }
  }

  private static func encodeTail(
    _ kind: Kind, _ cluster: ClusterID, _ tail: [UInt8] = [], _ body: (inout WireWriter) -> Void
  ) -> [UInt8] {
    encode(kind, atMost: tail.count) { writer in
      writer.cluster(cluster)
      body(&writer)
      writer.bytes(tail)
    }
  }

  private static func encodeAsk(_ cluster: ClusterID, _ commands: [QuorumCommand], _ reads: [UInt64]) -> [UInt8] {
    let encoded = commands.map { $0.encoded() }
    return encode(.ask, atMost: 10 + 10 * reads.count + encoded.reduce(0) { $0 + $1.count + 10 }) { writer in
      writer.cluster(cluster)
      writer.varint(count: reads.count)
      for read in reads { writer.varint(read) }
      for command in encoded { writer.countedBytes(command) }
    }
  }

  /// Reads a message of this version.
  ///
  /// - Throws: ``WireError`` if the bytes are no such message. The counts in them size no allocation.
  init(encoded bytes: UnsafeRawBufferPointer) throws(WireError) {
    var reader = WireReader(bytes)
    guard try reader.u8() == Self.version, let kind = Kind(rawValue: try reader.u8()) else {
      throw .invalidValue(.quorumMessage)
    }
    self = try Self.read(kind, &reader)
    guard reader.isAtEnd else { throw .invalidValue(.quorumMessage) }
  }

  private static func read(_ kind: Kind, _ reader: inout WireReader) throws(WireError) -> QuorumMessage {
    if kind == .hello { return .hello(try QuorumHello(from: &reader)) }
    if kind == .fetch {
      let flags = try reader.u8()
      guard flags & ~FetchFlag.all == 0 else { throw .invalidValue(.quorumMessage) }
      let cluster = flags & FetchFlag.hasCluster == 0 ? nil : try reader.cluster()
      return .fetch(cluster, from: try reader.index(), needsState: flags & FetchFlag.needsState != 0)
    }
    let cluster = try reader.cluster()
    switch kind {
    case .hello, .fetch: throw .invalidValue(.quorumMessage)
    case .raft:
      return .raft(
        cluster, from: try reader.storage(), to: try reader.storage(), try RaftMessage(encoded: Array(reader.rest())))
    case .ask:
      let reads = try reader.list { (reader) throws(WireError) in try reader.varint() }
      var commands: [QuorumCommand] = []
      while !reader.isAtEnd { commands.append(try QuorumCommand(encoded: reader.countedBytes())) }
      return .ask(cluster, commands, reads: reads)
    case .answer: return .answer(cluster, try QuorumAnswer(from: &reader))
    case .redirect:
      let leader = try reader.u64()
      return .redirect(
        cluster, leader: leader == 0 ? nil : EndpointID(leader),
        requests: try reader.list { (reader) throws(WireError) in try reader.request() },
        nonces: try reader.list { (reader) throws(WireError) in try reader.u64() },
        reads: try reader.list { (reader) throws(WireError) in try reader.varint() })
    case .news:
      return .news(
        cluster,
        QuorumNews(
          term: try reader.index(), leader: try reader.endpointID(), commit: try reader.index(),
          entries: try reader.entries()))
    case .entries: return .entries(cluster, try reader.entries())
    case .offer:
      let (index, term, bytes) = (try reader.index(), try reader.index(), try reader.varint())
      return .offer(
        cluster,
        QuorumOffer(index: index, term: term, membership: try Membership(from: &reader), bytes: bytes))
    case .want: return .want(cluster, index: try reader.index(), offset: try reader.varint())
    case .piece:
      return .piece(cluster, index: try reader.index(), offset: try reader.varint(), Array(reader.rest()))
    case .invite: return .invite(cluster)
    case .accept: return .accept(cluster, try reader.storage())
    case .decline:
      guard let reason = QuorumDecline(rawValue: try reader.u8()) else { throw .invalidValue(.quorumMessage) }
      return .decline(cluster, reason)
    case .change:
      let number = try reader.varint()
      let kind = try reader.u8()
      guard kind <= 2 else { throw .invalidValue(.quorumMessage) }
      let endpoint = try reader.endpointID()
      return .change(
        cluster, number: number, kind == 0 ? .remove(endpoint) : .add(endpoint, asVoter: kind == 2))
    case .changed:
      let number = try reader.varint()
      guard let result = QuorumChangeResult(rawValue: try reader.u8()) else { throw .invalidValue(.quorumMessage) }
      return .changed(cluster, number: number, result)
    }
  }
}

extension QuorumHello {
  private enum Flag {
    static let asks: UInt8 = 1
    static let hasCluster: UInt8 = 2
    static let hasStorage: UInt8 = 4
    static let hasLeader: UInt8 = 8
    static let all = asks | hasCluster | hasStorage | hasLeader
  }

  func write(to writer: inout WireWriter) {
    writer.u8(
      (asks ? Flag.asks : 0) | (cluster == nil ? 0 : Flag.hasCluster) | (storage == nil ? 0 : Flag.hasStorage)
        | (leader == nil ? 0 : Flag.hasLeader))
    if let cluster { writer.cluster(cluster) }
    if let storage { writer.u64(storage.number) }
    writer.varint(applied)
    writer.varint(term)
    if let leader { writer.u64(leader.rawValue) }
  }

  init(from reader: inout WireReader) throws(WireError) {
    let flags = try reader.u8()
    guard flags & ~Flag.all == 0 else { throw .invalidValue(.quorumMessage) }
    asks = flags & Flag.asks != 0
    cluster = flags & Flag.hasCluster == 0 ? nil : try reader.cluster()
    storage = flags & Flag.hasStorage == 0 ? nil : try reader.storage()
    applied = try reader.index()
    term = try reader.index()
    leader = flags & Flag.hasLeader == 0 ? nil : try reader.endpointID()
  }
}

extension QuorumAnswer {
  func encoded(_ cluster: ClusterID) -> [UInt8] {
    QuorumMessage.encodeAnswer(
      atMost: 10 + 20 * reads.count + outcomes.reduce(0) { $0 + 28 + $1.outcome.encodedBytesBound }
    ) {
      writer in
      writer.cluster(cluster)
      writer.varint(count: reads.count)
      for read in reads {
        writer.varint(read.number)
        writer.varint(read.index)
      }
      for item in outcomes {
        writer.request(item.request)
        writer.u64(item.nonce)
        item.outcome.write(to: &writer)
      }
    }
  }

  init(from reader: inout WireReader) throws(WireError) {
    reads = try reader.list { (reader) throws(WireError) in
      Read(number: try reader.varint(), index: try reader.index())
    }
    outcomes = []
    while !reader.isAtEnd {
      outcomes.append(
        Outcome(request: try reader.request(), nonce: try reader.u64(), outcome: try QuorumOutcome(from: &reader)))
    }
  }
}

extension QuorumMessage {
  fileprivate static func encodeAnswer(atMost bytes: Int, _ body: (inout WireWriter) -> Void) -> [UInt8] {
    encode(.answer, atMost: bytes, body)
  }
}

// MARK: Parts

extension WireWriter {
  mutating func cluster(_ cluster: ClusterID) {
    u64(cluster.high)
    u64(cluster.low)
  }

  mutating func request(_ request: RequestID) {
    varint(request.session.number)
    varint(request.number)
  }
}

extension WireReader {
  mutating func cluster() throws(WireError) -> ClusterID { ClusterID(high: try u64(), low: try u64()) }

  /// A storage is never 0.
  mutating func storage() throws(WireError) -> StorageID {
    let number = try u64()
    guard number != 0 else { throw .invalidValue(.quorumMessage) }
    return StorageID(number)
  }

  /// The index of an entry or a term, of a size that can be counted with.
  mutating func index() throws(WireError) -> LogIndex { try position(.quorumMessage) }

  /// Entries up to the end, without gaps.
  mutating func entries() throws(WireError) -> [RaftEntry] {
    var entries: [RaftEntry] = []
    while !isAtEnd {
      let entry = try RaftEntry(from: &self)
      if let last = entries.last, entry.index != last.index + 1 { throw .invalidValue(.quorumMessage) }
      entries.append(entry)
    }
    return entries
  }

  mutating func request() throws(WireError) -> RequestID {
    RequestID(session: SessionID(try varint()), number: try varint())
  }

  /// A count, and so many elements. Each has at least a byte, so a false count ends with the bytes.
  mutating func list<Element>(_ element: (inout WireReader) throws(WireError) -> Element) throws(WireError) -> [Element]
  {
    let count = try varint()
    guard count <= UInt64(remaining) else { throw .truncated }
    var list: [Element] = []
    for _ in 0..<count { list.append(try element(&self)) }
    return list
  }
}
