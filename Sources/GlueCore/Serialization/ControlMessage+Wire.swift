extension ControlMessage {
  private enum Code: UInt8 {
    case subscribe = 0x01
    case unsubscribe = 0x02
    case interest = 0x03
    case open = 0x04
    case close = 0x05
    case mismatch = 0x06
    case introduce = 0x07
    case refused = 0x08
    case have = 0x09
    case fetch = 0x0A
    case answered = 0x0B
    case stored = 0x0C
  }

  private static let asksFlag: UInt8 = 1
  private static let isAllFlag: UInt8 = 2

  private static let hasTypeFlag: UInt8 = 1

  /// Reads the body of a message of stream 0. An unknown type below `0x80` gives nil and is to be skipped; one of `0x80`
  /// and above throws ``WireError/mustUnderstand(type:)``. Bytes beyond the known fields are skipped.
  public static func read(from reader: inout WireReader) throws(WireError) -> ControlMessage? {
    let number = try reader.u8()
    guard let code = Code(rawValue: number) else {
      if number < 0x80 { return nil }
      throw .mustUnderstand(type: number)
    }
    switch code {
    case .subscribe:
      let subscription = try reader.varint()
      let filter = try reader.name(.filter)
      let type = try reader.u8() & Self.hasTypeFlag != 0 ? try reader.text(.type) : nil
      return .subscribe(
        subscription: subscription, filter: filter, type: type, attributes: try Attributes(from: &reader))
    case .unsubscribe:
      return .unsubscribe(subscription: try reader.varint())
    case .interest:
      return .interest(version: try reader.varint())
    case .open:
      return .open(try StreamOpening(from: &reader))
    case .close:
      return .close(stream: try reader.varint(), position: try reader.position())
    case .mismatch:
      return .mismatch(
        subscription: try reader.varint(), topic: try reader.name(.topic), publisherType: try reader.text(.type),
        subscriberType: try reader.text(.type),
        // They came later: without them the message ends here.
        attributes: reader.remaining > 0 ? try Attributes(from: &reader) : Attributes())
    case .introduce:
      return .introduce(
        Introduction(
          endpoint: try reader.endpointID(), incarnation: try reader.incarnation(),
          heldMilliseconds: try reader.varint(), locators: try reader.locators(),
          // It came later: without it the message ends here.
          hops: reader.remaining > 0 ? try reader.u8() : 0))
    case .refused:
      let code = try reader.u8()
      let number = try reader.varint()
      switch Code(rawValue: code) {
      case .open: return .refused(.stream(number))
      case .subscribe: return .refused(.subscription(number))
      case .fetch: return .refused(.fetch(number))
      default: throw .invalidValue(.refused)
      }
    case .have:
      let flags = try reader.u8()
      return .have(
        try reader.holdings(), asks: flags & Self.asksFlag != 0, isAll: flags & Self.isAllFlag != 0)
    case .fetch:
      return .fetch(try StreamFetch(from: &reader))
    case .answered:
      return .answered(subscription: try reader.varint(), omitted: try reader.varint())
    case .stored:
      return .stored(StoreID(rawValue: try reader.u64()), try reader.storedRanges())
    }
  }

  /// Writes the body of a message of stream 0.
  public func write(to writer: inout WireWriter) {
    switch self {
    case .subscribe(let subscription, let filter, let type, let attributes):
      writer.u8(Code.subscribe.rawValue)
      writer.varint(subscription)
      writer.text(filter)
      writer.u8(type == nil ? 0 : Self.hasTypeFlag)
      if let type { writer.text(type) }
      attributes.write(to: &writer)
    case .unsubscribe(let subscription):
      writer.u8(Code.unsubscribe.rawValue)
      writer.varint(subscription)
    case .interest(let version):
      writer.u8(Code.interest.rawValue)
      writer.varint(version)
    case .open(let opening):
      writer.u8(Code.open.rawValue)
      opening.write(to: &writer)
    case .close(let stream, let position):
      writer.u8(Code.close.rawValue)
      writer.varint(stream)
      writer.varint(position)
    case .mismatch(let subscription, let topic, let publisherType, let subscriberType, let attributes):
      writer.u8(Code.mismatch.rawValue)
      writer.varint(subscription)
      writer.text(topic)
      writer.text(publisherType)
      writer.text(subscriberType)
      if !attributes.isEmpty { attributes.write(to: &writer) }
    case .introduce(let introduction):
      writer.u8(Code.introduce.rawValue)
      writer.u64(introduction.endpoint.rawValue)
      writer.u64(introduction.incarnation.rawValue)
      writer.varint(introduction.heldMilliseconds)
      writer.locators(introduction.locators)
      if introduction.hops > 0 { writer.u8(introduction.hops) }
    case .refused(let request):
      writer.u8(Code.refused.rawValue)
      switch request {
      case .stream(let number):
        writer.u8(Code.open.rawValue)
        writer.varint(number)
      case .subscription(let number):
        writer.u8(Code.subscribe.rawValue)
        writer.varint(number)
      case .fetch(let number):
        writer.u8(Code.fetch.rawValue)
        writer.varint(number)
      }
    case .have(let holdings, let asks, let isAll):
      writer.u8(Code.have.rawValue)
      writer.u8((asks ? Self.asksFlag : 0) | (isAll ? Self.isAllFlag : 0))
      writer.holdings(holdings)
    case .fetch(let fetch):
      writer.u8(Code.fetch.rawValue)
      fetch.write(to: &writer)
    case .answered(let subscription, let omitted):
      writer.u8(Code.answered.rawValue)
      writer.varint(subscription)
      writer.varint(omitted)
    case .stored(let store, let ranges):
      writer.u8(Code.stored.rawValue)
      writer.u64(store.rawValue)
      writer.storedRanges(ranges)
    }
  }

  /// The message as bytes; empty if its attributes exceed the limits, see ``Attributes/isWithinLimits``.
  public func encoded() -> [UInt8] {
    WireWriter.encode(atMost: byteBound, write)
  }

  /// At least as many bytes as ``write(to:)`` writes.
  private var byteBound: Int {
    // 64 exceeds all fixed fields, numbers and counts of any message; a locator takes at most 20.
    switch self {
    case .subscribe(_, let filter, let type, let attributes):
      64 + filter.utf8.count + (type?.utf8.count ?? 0) + attributes.byteCount
    case .open(let opening):
      64 + opening.topic.utf8.count + (opening.type?.utf8.count ?? 0) + opening.attributes.byteCount
    case .mismatch(_, let topic, let publisherType, let subscriberType, let attributes):
      64 + topic.utf8.count + publisherType.utf8.count + subscriberType.utf8.count + attributes.byteCount
    case .introduce(let introduction): 64 + 20 * introduction.locators.count
    case .have(let holdings, _, _): 64 + 28 * holdings.count
    case .stored(_, let ranges): 64 + 28 * ranges.count
    case .unsubscribe, .interest, .close, .refused, .fetch, .answered: 64
    }
  }
}

extension StreamOpening: FrameBody {
  private enum Bits {
    static let hasType: UInt8 = 1
    static let isReliable: UInt8 = 2
  }

  /// Reads the fields of an OPEN.
  public init(from reader: inout WireReader) throws(WireError) {
    stream = try reader.varint()
    topic = try reader.name(.topic)
    let flags = try reader.u8()
    type = flags & Bits.hasType != 0 ? try reader.text(.type) : nil
    isReliable = flags & Bits.isReliable != 0
    epochMicroseconds = try reader.u64()
    position = try reader.position()
    sequence = try reader.position(.sequence)
    guard sequence <= position else { throw .invalidValue(.sequence) }
    attributes = try Attributes(from: &reader)
  }

  /// Writes the fields of an OPEN.
  public func write(to writer: inout WireWriter) {
    writer.varint(stream)
    writer.text(topic)
    writer.u8((type == nil ? 0 : Bits.hasType) | (isReliable ? Bits.isReliable : 0))
    if let type { writer.text(type) }
    writer.u64(epochMicroseconds)
    writer.varint(position)
    writer.varint(sequence)
    attributes.write(to: &writer)
  }
}

extension WireReader {
  fileprivate mutating func holdings() throws(WireError) -> [StreamHolding] {
    let count = try varint()
    guard count <= StreamHolding.maximumCount else { throw .tooLong(.holdings, limit: StreamHolding.maximumCount) }
    var holdings: [StreamHolding] = []
    for _ in 0..<count {
      let stream = StreamHash(rawValue: try u64())
      let first = try position(.sequence)
      let span = try varint()
      guard span <= WireLimits.position - first else { throw .invalidValue(.sequence) }
      holdings.append(StreamHolding(stream: stream, first: first, end: first + span))
    }
    return holdings
  }

  fileprivate mutating func storedRanges() throws(WireError) -> [StoredRange] {
    let count = try varint()
    guard count <= StoredRange.maximumCount else { throw .tooLong(.stored, limit: StoredRange.maximumCount) }
    var ranges: [StoredRange] = []
    for _ in 0..<count {
      let stream = StreamHash(rawValue: try u64())
      let first = try position(.sequence)
      let span = try varint()
      guard span > 0, span <= WireLimits.position - first else { throw .invalidValue(.sequence) }
      ranges.append(StoredRange(stream: stream, first: first, end: first + span))
    }
    return ranges
  }
}

extension WireWriter {
  fileprivate mutating func holdings(_ holdings: [StreamHolding]) {
    varint(UInt64(holdings.count))
    for holding in holdings {
      u64(holding.stream.rawValue)
      varint(holding.first)
      varint(holding.end - holding.first)
    }
  }

  fileprivate mutating func storedRanges(_ ranges: [StoredRange]) {
    varint(UInt64(ranges.count))
    for range in ranges {
      u64(range.stream.rawValue)
      varint(range.first)
      varint(range.end - range.first)
    }
  }
}

extension StreamFetch: FrameBody {
  private enum Bits {
    static let hasFrom: UInt8 = 1
    static let hasBelow: UInt8 = 2
  }

  /// Reads the fields of a FETCH.
  public init(from reader: inout WireReader) throws(WireError) {
    request = try reader.varint()
    stream = StreamHash(rawValue: try reader.u64())
    let flags = try reader.u8()
    from = flags & Bits.hasFrom != 0 ? try reader.position(.sequence) : nil
    below = flags & Bits.hasBelow != 0 ? try reader.position(.sequence) : nil
    if let from, let below, from >= below { throw .invalidValue(.sequence) }
  }

  /// Writes the fields of a FETCH.
  public func write(to writer: inout WireWriter) {
    writer.varint(request)
    writer.u64(stream.rawValue)
    writer.u8((from == nil ? 0 : Bits.hasFrom) | (below == nil ? 0 : Bits.hasBelow))
    if let from { writer.varint(from) }
    if let below { writer.varint(below) }
  }
}
