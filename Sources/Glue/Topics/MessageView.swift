import GlueCore

/// A message in the buffer it was received in, for the duration of a callback. Nothing is copied or allocated, unless the
/// callback before it took long; use ``copy()`` to keep it.
public struct MessageView: ~Copyable {
  // As the payload below: whoever calls the callback holds it. Counting the reference for each message took 4 % of its time.
  unowned(unsafe) let stream: StreamInfo
  /// The message's number in its publisher's topic, from 0: one after the other within one incarnation.
  public let sequence: UInt64
  /// When it was published, by the publisher's wall clock: microseconds since 1970.
  public let publishedAt: UInt64
  private let ageNanoseconds: UInt64
  // Valid for the callback only; as this type can be neither copied nor consumed by the callback, nothing outlives it.
  private let payload: UnsafeRawBufferPointer
  private let encodedAttributes: UnsafeRawBufferPointer

  init(_ delivery: borrowing Delivery, at now: Timestamp) {
    stream = delivery.stream
    sequence = delivery.sequence
    publishedAt = delivery.publishedMicroseconds
    ageNanoseconds = now.since(delivery.publishedAt).count
    payload = delivery.payload
    encodedAttributes = delivery.attributes
  }

  fileprivate init(
    _ message: Message, age: Nanoseconds, payload: UnsafeRawBufferPointer, encodedAttributes: UnsafeRawBufferPointer
  ) {
    stream = message.stream
    sequence = message.sequence
    publishedAt = message.publishedAt
    ageNanoseconds = age.count
    self.payload = payload
    self.encodedAttributes = encodedAttributes
  }

  /// The topic it was published on; empty for a direct message.
  public var topic: String { stream.topic }
  /// The topic's type, if it has one.
  public var type: String? { stream.type }
  /// Who published it.
  public var publisher: Publisher { Publisher(stream) }
  /// Whether it was sent to this endpoint alone rather than published on a topic.
  public var isDirect: Bool { stream.isDirect }
  /// How old it is, as well as the network's delay is known.
  public var age: Duration { .nanoseconds(Int64(clamping: ageNanoseconds)) }
  /// The size of the payload in bytes.
  public var byteCount: Int { payload.count }
  /// Facts about the message that its publisher sent with it. Decoded, and allocated, with each call.
  public var attributes: Attributes { Attributes(decoding: encodedAttributes) }
  /// Whether it says that its topic, which retains its last value, has none any more. It has no payload then.
  public var isCleared: Bool { attributes.retained?.isCleared ?? false }
  /// The payload as text. What is not UTF-8 becomes the replacement character.
  public var text: String { String(decoding: payload, as: UTF8.self) }

  /// Calls a closure with the payload's bytes, which are valid until it returns.
  public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try body(payload)
  }

  /// The message with bytes of its own.
  public func copy() -> Message {
    Message(
      stream: stream, sequence: sequence, bytes: [UInt8](payload), publishedAt: publishedAt, age: age,
      encodedAttributes: encodedAttributes.isEmpty ? [] : [UInt8](encodedAttributes))
  }
}

extension Message {
  /// Calls a closure with a view of the message.
  func withView(age: Nanoseconds, _ body: (borrowing MessageView) -> Void) {
    bytes.withUnsafeBytes { payload in
      encodedAttributes.withUnsafeBytes { attributes in
        body(MessageView(self, age: age, payload: payload, encodedAttributes: attributes))
      }
    }
  }
}
