/// What takes the messages of a stream as they come, in the order of one carrier (``InboundStream``).
protocol MessageSink: AnyObject {
  /// Bytes that were taken and not used up, and hold back whoever sends by this carrier.
  func unconsumedBytes(of carrier: InboundStream) -> Int
  /// Takes a message.
  func take(_ message: ArrivedMessage, at now: Timestamp, into inbox: Inbox) throws(WireError)
  /// Takes note that messages will not come by this carrier. An empty range: some from there on, and nobody knows how many.
  func lose(
    _ sequences: Range<UInt64>, reason: LossReason, by carrier: InboundStream, at now: Timestamp, into inbox: Inbox)
}

/// A message that a carrier has brought. `body` stays valid while `owner` lives, or, where `owner` is nil, until the received
/// datagram is given back.
struct ArrivedMessage {
  var sequence: UInt64
  /// Of its first unit.
  var position: UInt64
  /// How many units it took.
  var units: UInt64
  /// Attributes, if it has any, and payload.
  var body: UnsafeRawBufferPointer
  var owner: PayloadBuffer?
  var hasAttributes: Bool
  /// Publication, in microseconds after the stream's epoch.
  var time: UInt64
  /// The same on the local clock.
  var publishedAt: Timestamp
  var lifetime: Nanoseconds?

  /// On the local clock.
  var expiresAt: Timestamp? { lifetime.map { publishedAt + $0 } }

  /// Bytes of the encoded attributes at the beginning of the body.
  ///
  /// - Throws: if they are not valid.
  func attributeBytes() throws(WireError) -> Int {
    guard hasAttributes else { return 0 }
    var reader = WireReader(body)
    _ = try Attributes(from: &reader)
    return body.count - reader.remaining
  }

  /// The message for the program.
  func delivery(of info: StreamInfo, epochMicroseconds: UInt64) throws(WireError) -> Delivery {
    Delivery(self, for: nil, attributeBytes: try attributeBytes(), of: info, epochMicroseconds: epochMicroseconds)
  }
}

extension Delivery {
  /// A message for a subscription.
  ///
  /// - Parameter attributeBytes: Bytes of the encoded attributes, see ``ArrivedMessage/attributeBytes()``.
  @inline(__always)
  init(
    _ message: borrowing ArrivedMessage, for subscription: SubscriptionID?, attributeBytes: Int, of info: StreamInfo,
    epochMicroseconds: UInt64, isHeld: Bool = false, isDroppable: Bool = false
  ) {
    let body = message.body
    self.init(
      subscription: subscription, stream: info, sequence: message.sequence,
      publishedMicroseconds: epochMicroseconds &+ message.time, publishedAt: message.publishedAt,
      expiresAt: message.expiresAt, attributes: UnsafeRawBufferPointer(rebasing: body[..<attributeBytes]),
      payload: UnsafeRawBufferPointer(rebasing: body[attributeBytes...]), owner: message.owner, isHeld: isHeld,
      isDroppable: isDroppable)
  }
}

/// Takes the messages of a control stream, for the machine itself.
final class ControlSink: MessageSink {
  private unowned let session: Session

  init(of session: Session) { self.session = session }

  func unconsumedBytes(of carrier: InboundStream) -> Int { 0 }

  func take(_ message: ArrivedMessage, at now: Timestamp, into inbox: Inbox) {
    inbox.control.append((session, message.body, message.owner, message.publishedAt))
  }

  func lose(
    _ sequences: Range<UInt64>, reason: LossReason, by carrier: InboundStream, at now: Timestamp, into inbox: Inbox
  ) {
    inbox.lose(sequences, of: nil, subscriptions: [], reason: reason)
  }
}

/// Takes the messages that a peer sends to this endpoint alone.
final class DirectSink: MessageSink {
  private let info: StreamInfo

  init(_ info: StreamInfo) { self.info = info }

  func unconsumedBytes(of carrier: InboundStream) -> Int { 0 }

  func take(_ message: ArrivedMessage, at now: Timestamp, into inbox: Inbox) throws(WireError) {
    if let expires = message.expiresAt, expires <= now {
      return inbox.lose(
        message.sequence..<message.sequence + 1, of: info, subscriptions: [], reason: .expired)
    }
    // Times of direct messages count from the beginning of the session, whose wall clock nobody tells.
    inbox.deliveries.append(try message.delivery(of: info, epochMicroseconds: 0))
    inbox.counters.messagesDelivered += 1
  }

  func lose(
    _ sequences: Range<UInt64>, reason: LossReason, by carrier: InboundStream, at now: Timestamp, into inbox: Inbox
  ) {
    inbox.lose(sequences, of: info, subscriptions: [], reason: reason)
  }
}
