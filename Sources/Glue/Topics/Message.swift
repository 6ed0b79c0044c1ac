import GlueCore

/// Who published a message.
public struct Publisher: Hashable, Sendable {
  /// The publisher's endpoint ID.
  public let id: EndpointID
  /// The publisher's name.
  public let name: String
  /// Which life of the publisher.
  public let incarnation: Incarnation

  init(_ stream: StreamInfo) {
    id = stream.publisher
    name = stream.publisherName
    incarnation = stream.incarnation
  }
}

/// A received message. It owns its bytes.
public struct Message: Sendable {
  let stream: StreamInfo
  /// The message's number in its publisher's topic, from 0: one after the other within one incarnation.
  public let sequence: UInt64
  /// The payload.
  public let bytes: [UInt8]
  /// When it was published, by the publisher's wall clock: microseconds since 1970.
  public let publishedAt: UInt64
  /// How old it was when it was handed over, as well as the network's delay is known.
  public internal(set) var age: Duration
  let encodedAttributes: [UInt8]

  init(
    stream: StreamInfo, sequence: UInt64, bytes: [UInt8], publishedAt: UInt64, age: Duration,
    encodedAttributes: [UInt8]
  ) {
    self.stream = stream
    self.sequence = sequence
    self.bytes = bytes
    self.publishedAt = publishedAt
    self.age = age
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
  /// Facts about the message that its publisher sent with it.
  public var attributes: Attributes { encodedAttributes.withUnsafeBytes(Attributes.init(decoding:)) }
  /// Whether it says that its topic, which retains its last value, has none any more. It has no payload then.
  public var isCleared: Bool { attributes.retained?.isCleared ?? false }
  /// The payload as text. What is not UTF-8 becomes the replacement character.
  public var text: String { String(decoding: bytes, as: UTF8.self) }
}

extension Attributes {
  /// The attributes that the core has found valid when the message came in.
  init(decoding bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty else {
      self.init()
      return
    }
    var reader = WireReader(bytes)
    self = (try? Attributes(from: &reader)) ?? Attributes()
  }
}
