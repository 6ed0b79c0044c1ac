import DequeModule

/// Who has what: the questions behind receipts.
extension EndpointMachine {
  /// The number of remote endpoints with a matching subscription.
  public func matchedSubscribers(of publication: PublicationID) -> Int {
    topics.publications[publication.rawValue]?.stream.liveReaders ?? 0
  }

  /// A session with a peer: after a parting there is another one, also with the same life of it.
  public struct PeerSession: Hashable, Sendable {
    /// The peer.
    public let id: EndpointID
    /// The session's number at this end.
    public let session: UInt32
  }

  /// The remote endpoints with a matching subscription, ascending.
  public func subscribers(of publication: PublicationID) -> [PeerSession] {
    guard let stream = topics.publications[publication.rawValue]?.stream else { return [] }
    return stream.readers.filter { !$0.isRequested }.map {
      PeerSession(id: $0.session.peer.id, session: $0.session.peer.localSession)
    }.sorted { $0.id < $1.id }
  }

  /// Whether every matched reliable reader has everything below the position that was published while it was matched.
  public func isAcknowledged(_ publication: PublicationID, below position: UInt64) -> Bool {
    guard let publication = topics.publications[publication.rawValue] else { return true }
    return !publication.stream.isReliable || publication.stream.confirmed >= position
  }

  /// The peers that have not acknowledged the message that ends at the position, ascending. Those that left without doing
  /// so are among them, up to 64 departures back.
  public func unacknowledged(_ publication: PublicationID, below position: UInt64) -> [EndpointID] {
    let number = publication.rawValue
    guard let stream = topics.publications[number]?.stream ?? pastPublications[number] else { return [] }
    return stream.unacknowledged(endingAt: position).sorted()
  }

  /// Asks the readers of a publication to acknowledge at once what they have not yet.
  public func hurryAcknowledgement(of publication: PublicationID, at now: Timestamp) {
    guard let publication = topics.publications[publication.rawValue] else { return }
    for reader in publication.stream.readers where reader.hasOutstanding && publication.stream.isReliable {
      reader.session.wantsAcknowledgement = true
      reader.owesHeartbeat = true
      enqueue(reader, at: now)
    }
  }

  /// The session with a peer, by which direct messages are told apart from those of an earlier one: their positions begin
  /// anew. Nil without one.
  public func session(with peer: EndpointID) -> UInt32? { sessionsByPeer[peer]?.peer.localSession }

  /// What became of the direct message that ends at a position.
  public func directOutcome(in session: UInt32, endingAt position: UInt64) -> DirectOutcome {
    if let live = sessions[session] {
      if live.direct.acknowledged < position { return .pending }
      return live.direct.stream.unacknowledged(endingAt: position).isEmpty ? .acknowledged : .failed
    }
    guard let stream = pastSessions[UInt64(session)] else { return .failed }
    return stream.unacknowledged(endingAt: position).isEmpty ? .acknowledged : .failed
  }

  /// Whether a direct message of so many bytes would be admitted, or refused for another reason than room.
  public func hasRoom(for bytes: Int, to peer: EndpointID) -> Bool {
    sessionsByPeer[peer].map { !$0.direct.stream.isFull(for: bytes) } ?? true
  }

  /// Whether nothing that was published or sent reliably waits for an acknowledgement.
  public var isAllAcknowledged: Bool {
    topics.publications.values.allSatisfy { !$0.stream.isReliable || $0.stream.acknowledged >= $0.stream.log.end }
      && sessions.values.allSatisfy { $0.direct.acknowledged >= $0.direct.stream.log.end }
  }
}

/// What became of a direct message.
public enum DirectOutcome: Sendable {
  /// The peer has it.
  case acknowledged
  /// It is on its way.
  case pending
  /// The peer left before it confirmed it, it expired, or the session ended so long ago that nobody knows.
  case failed
}

/// Streams that are over, for the receipts of their last messages; the oldest are forgotten.
struct PastStreams {
  /// Receipts are awaited soon, or not at all.
  static let limit = 64

  private var streams = Deque<(number: UInt64, stream: OutboundStream)>()

  mutating func remember(_ stream: OutboundStream, as number: UInt64) {
    if streams.count >= Self.limit { streams.removeFirst() }
    streams.append((number, stream))
  }

  subscript(number: UInt64) -> OutboundStream? { streams.last { $0.number == number }?.stream }
}
