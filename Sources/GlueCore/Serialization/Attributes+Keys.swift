/// The protocol's own attributes (docs/protocol.md §8). A getter gives nil if the attribute is absent or its value is not
/// what the key demands; of several with one key the first counts. A setter replaces all of the key, or removes them.
extension Attributes {
  /// The keys that the protocol defines. Applications use 64 and above.
  public enum Key {
    /// Content encoding.
    public static let contentEncoding: UInt64 = 1
    /// Correlation ID.
    public static let correlationID: UInt64 = 2
    /// Reply-to topic.
    public static let replyTo: UInt64 = 3
    /// Priority.
    public static let priority: UInt64 = 4
    /// Compression.
    public static let compression: UInt64 = 5
    /// User property; may occur several times.
    public static let userProperty: UInt64 = 6
    /// Signature.
    public static let signature: UInt64 = 7
    /// Schema hash.
    public static let schemaHash: UInt64 = 8
    /// Share group.
    public static let shareGroup: UInt64 = 9
    /// Rate limit.
    public static let rateLimit: UInt64 = 10
    /// Will.
    public static let will: UInt64 = 11
    /// Wall clock.
    public static let wallClock: UInt64 = 12
    /// Inquiry.
    public static let inquiry: UInt64 = 13
    /// What is kept of a topic, or wanted of it.
    public static let history: UInt64 = 14
    /// How old a subscription is.
    public static let age: UInt64 = 15
    /// The publisher of a stream that somebody else sends.
    public static let origin: UInt64 = 16
    /// The request that a stream answers.
    public static let request: UInt64 = 17
    /// What the sender holds of a stream.
    public static let held: UInt64 = 18
    /// What was published of a stream.
    public static let published: UInt64 = 19
    /// The time of a topic's value.
    public static let retained: UInt64 = 20
    /// Lowest key that belongs to applications.
    public static let firstOfApplications: UInt64 = 64
  }

  /// A name and a value that the application chose.
  public struct UserProperty: Hashable, Sendable {
    /// The name.
    public var name: String
    /// The value.
    public var value: String
    /// A name and its value.
    public init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  /// What others publish for an endpoint that vanished.
  public struct Will: Hashable, Sendable {
    /// Where.
    public var topic: String
    /// What.
    public var payload: [UInt8]
    /// A topic and a payload.
    public init(topic: String, payload: [UInt8]) {
      self.topic = topic
      self.payload = payload
    }
  }

  /// The value of the first attribute with the key.
  public func value(_ key: UInt64) -> [UInt8]? { entries.first { $0.key == key }?.value }

  /// Replaces all attributes with the key by one at the place of the first, or removes them.
  public mutating func set(_ key: UInt64, to value: [UInt8]?) {
    guard let value else { return entries.removeAll { $0.key == key } }
    guard let index = entries.firstIndex(where: { $0.key == key }) else {
      return entries.append(Entry(key: key, value: value))
    }
    entries[index].value = value
    entries[(index + 1)...].removeAll { $0.key == key }
  }

  /// How the payload is encoded, for example a media type.
  public var contentEncoding: String? {
    get { text(Key.contentEncoding) }
    set { setText(Key.contentEncoding, newValue) }
  }

  /// What joins a reply with its request.
  public var correlationID: [UInt8]? {
    get { value(Key.correlationID) }
    set { set(Key.correlationID, to: newValue) }
  }

  /// The topic that replies go to.
  public var replyTo: String? {
    get { text(Key.replyTo) }
    set { setText(Key.replyTo, newValue) }
  }

  /// The priority of a message, or of a stream.
  public var priority: UInt8? {
    get { read(Key.priority) { (reader) throws(WireError) in try reader.u8() } }
    set { set(Key.priority, to: newValue.map { [$0] }) }
  }

  /// How the payload is compressed.
  public var compression: String? {
    get { text(Key.compression) }
    set { setText(Key.compression, newValue) }
  }

  /// The user properties in order; those that are not valid are left out.
  public var userProperties: [UserProperty] {
    get {
      entries.filter { $0.key == Key.userProperty }.compactMap { entry in
        Self.decode(entry.value) { (reader) throws(WireError) in
          UserProperty(name: try reader.attributeText(), value: try reader.attributeText())
        }
      }
    }
    set {
      set(Key.userProperty, to: nil)
      for property in newValue {
        let bound = 20 + property.name.utf8.count + property.value.utf8.count
        let value = WireWriter.encode(atMost: bound) {
          $0.text(property.name)
          $0.text(property.value)
        }
        entries.append(Entry(key: Key.userProperty, value: value))
      }
    }
  }

  /// A signature of the message.
  public var signature: [UInt8]? {
    get { value(Key.signature) }
    set { set(Key.signature, to: newValue) }
  }

  /// A hash of the payload's schema.
  public var schemaHash: UInt64? {
    get { read(Key.schemaHash) { (reader) throws(WireError) in try reader.u64() } }
    set { set(Key.schemaHash, to: newValue.map { hash in WireWriter.encode(atMost: 8) { $0.u64(hash) } }) }
  }

  /// The group whose members share a subscription's messages.
  public var shareGroup: String? {
    get { text(Key.shareGroup) }
    set { setText(Key.shareGroup, newValue) }
  }

  /// Messages per second that a subscriber wants at most.
  public var rateLimit: UInt64? {
    get { read(Key.rateLimit) { (reader) throws(WireError) in try reader.varint() } }
    set { set(Key.rateLimit, to: newValue.map { rate in WireWriter.encode(atMost: 10) { $0.varint(rate) } }) }
  }

  /// The sender's will.
  public var will: Will? {
    get {
      read(Key.will) { (reader) throws(WireError) in
        Will(topic: try reader.name(.topic), payload: Array(try reader.countedBytes()))
      }
    }
    set {
      let value = newValue.map { will in
        WireWriter.encode(atMost: 20 + will.topic.utf8.count + will.payload.count) {
          $0.text(will.topic)
          $0.countedBytes(will.payload)
        }
      }
      set(Key.will, to: value)
    }
  }

  /// The sender's wall clock when it sent this, in microseconds since 1970.
  public var wallClock: UInt64? {
    get { read(Key.wallClock) { (reader) throws(WireError) in try reader.u64() } }
    set { set(Key.wallClock, to: newValue.map { time in WireWriter.encode(atMost: 8) { $0.u64(time) } }) }
  }

  /// Whether a subscription only asks for the types of topics. The value is empty.
  public var isInquiry: Bool {
    get { value(Key.inquiry) != nil }
    set { set(Key.inquiry, to: newValue ? [] : nil) }
  }

  /// What is kept of a topic.
  public var historyPolicy: HistoryPolicy? {
    get {
      switch history {
      case (0, _)?: .some(.none)
      case (1, _)?: .untilExpiry
      case (2, let depth)?: .last(depth)
      case (3, _)?: .retained
      default: nil
      }
    }
    set {
      switch newValue {
      case .untilExpiry: history = (1, 0)
      case .last(let depth): history = (2, depth)
      case .retained: history = (3, 0)
      case .some(.none): history = (0, 0)
      case nil: history = nil
      }
    }
  }

  /// What a subscription wants of what was published before it.
  public var historyRequest: HistoryRequest? {
    get {
      switch history {
      case (0, _)?: .some(.none)
      case (1, _)?: .all
      case (2, let depth)?: .last(depth)
      case (3, _)?: .retained
      default: nil
      }
    }
    set {
      switch newValue {
      case .all: history = (1, 0)
      case .last(let depth): history = (2, depth)
      case .retained: history = (3, 0)
      case .some(.none): history = (0, 0)
      case nil: history = nil
      }
    }
  }

  /// How much, as an attribute says it: nothing (0), all (1), so many of the last messages (2), or the topic's last value (3).
  private var history: (kind: UInt8, depth: Int)? {
    get {
      read(Key.history) { (reader) throws(WireError) in
        let kind = try reader.u8()
        return (kind, kind == 2 ? Int(clamping: try reader.varint()) : 0)
      }
    }
    set {
      let value = newValue.map { history in
        WireWriter.encode(atMost: 11) {
          $0.u8(history.kind)
          if history.kind == 2 { $0.varint(UInt64(max(0, history.depth))) }
        }
      }
      set(Key.history, to: value)
    }
  }

  /// How long ago a subscription began, in microseconds.
  public var age: UInt64? {
    get { read(Key.age) { (reader) throws(WireError) in try reader.varint() } }
    set { set(Key.age, to: newValue.map { age in WireWriter.encode(atMost: 10) { $0.varint(age) } }) }
  }

  /// The publisher of a stream that somebody else sends.
  public var origin: StreamOrigin? {
    get {
      read(Key.origin) { (reader) throws(WireError) in
        StreamOrigin(
          publisher: try reader.endpointID(), incarnation: try reader.incarnation(), name: try reader.text(.name),
          number: try reader.varint())
      }
    }
    set {
      let value = newValue.map { origin in
        WireWriter.encode(atMost: 40 + origin.name.utf8.count) {
          $0.u64(origin.publisher.rawValue)
          $0.u64(origin.incarnation.rawValue)
          $0.text(origin.name)
          $0.varint(origin.number)
        }
      }
      set(Key.origin, to: value)
    }
  }

  /// The request that a stream answers.
  public var request: UInt64? {
    get { read(Key.request) { (reader) throws(WireError) in try reader.varint() } }
    set { set(Key.request, to: newValue.map { number in WireWriter.encode(atMost: 10) { $0.varint(number) } }) }
  }

  /// What the sender can give of a stream to those who come later.
  public var held: HeldMessages? {
    get {
      read(Key.held) { (reader) throws(WireError) in
        let first = try reader.position(.sequence)
        let count = try reader.varint()
        guard count <= WireLimits.position - first else { throw .invalidValue(.sequence) }
        return HeldMessages(first: first, end: first + count, bytes: try reader.varint())
      }
    }
    set {
      let value = newValue.map { held in
        WireWriter.encode(atMost: 30) {
          $0.varint(held.first)
          $0.varint(held.end - held.first)
          $0.varint(held.bytes)
        }
      }
      set(Key.held, to: value)
    }
  }

  /// What was published of a stream so far.
  public var published: PublishedMessages? {
    get {
      read(Key.published) { (reader) throws(WireError) in
        PublishedMessages(messages: try reader.position(.sequence), bytes: try reader.varint())
      }
    }
    set {
      let value = newValue.map { published in
        WireWriter.encode(atMost: 20) {
          $0.varint(published.messages)
          $0.varint(published.bytes)
        }
      }
      set(Key.published, to: value)
    }
  }

  /// The time of a value of a topic that retains its last one, and whether it clears it.
  public var retained: RetainedMark? {
    get {
      read(Key.retained) { (reader) throws(WireError) in
        let time = try reader.u64()
        guard time <= WireLimits.position else { throw .invalidValue(.attributeValue) }
        return RetainedMark(time: time, isCleared: try reader.u8() & Self.isClearedFlag != 0)
      }
    }
    set {
      let value = newValue.map { mark in
        WireWriter.encode(atMost: 9) {
          $0.u64(mark.time)
          $0.u8(mark.isCleared ? Self.isClearedFlag : 0)
        }
      }
      set(Key.retained, to: value)
    }
  }

  private static let isClearedFlag: UInt8 = 1

  // MARK: Values

  private func text(_ key: UInt64) -> String? { value(key).flatMap { String(validating: $0, as: UTF8.self) } }

  private mutating func setText(_ key: UInt64, _ text: String?) { set(key, to: text.map { Array($0.utf8) }) }

  private func read<Value>(_ key: UInt64, _ body: (inout WireReader) throws(WireError) -> Value) -> Value? {
    value(key).flatMap { Self.decode($0, body) }
  }

  private static func decode<Value>(
    _ bytes: [UInt8], _ body: (inout WireReader) throws(WireError) -> Value
  ) -> Value? {
    bytes.withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      return try? body(&reader)
    }
  }
}

extension WireReader {
  fileprivate mutating func attributeText() throws(WireError) -> String {
    try text(.attributeValue, limit: WireLimits.attributeBytes)
  }
}
