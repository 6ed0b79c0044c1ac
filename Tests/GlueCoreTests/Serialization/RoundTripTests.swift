import GlueAddress
import GlueCore
import GlueFuzz
import Testing

/// Values with every field away from its default, and at the limits: they come back from bytes as they were, and no cut
/// of those bytes is taken for a value, nor traps.
@Suite struct RoundTripTests {
  static let announcement: Announcement = {
    var announcement = Announcement(name: String(repeating: "ñ", count: 128))
    announcement.isLeaving = true
    announcement.hearsYou = true
    announcement.maximumVersion = 3
    announcement.capabilities = [.history, .groupData]
    announcement.intervalMilliseconds = .max
    announcement.leaseTenths = 1 << 35
    announcement.uptimeMilliseconds = 16_384
    announcement.interestVersion = 127
    announcement.locators = [
      SocketAddress(ip: IPAddress(v4: 0xC0A8_0102), port: .max),
      SocketAddress(ip: IPAddress(v6High: 0xFE80_0000_0000_0000, low: 0x0123_4567_89AB_CDEF), port: 0),
    ]
    announcement.heard = (1...32).map { EndpointID($0 &* 0x9E37_79B9_7F4A_7C15) }
    announcement.attributes.will = Attributes.Will(topic: "gone", payload: [0, 255])
    announcement.attributes.set(.max, to: [])
    return announcement
  }()

  @Test func announcements() { check(Self.announcement) }
  @Test func challengesAndAnswers() {
    check(Challenge(token: .max))
    check(Answer(token: 1 << 63, incarnation: Incarnation(.max)))
  }
  @Test(arguments: [false, true]) func welcomes(acceptsGroupTag: Bool) {
    check(
      Welcome(
        session: .max, yourSession: 1, addressee: Incarnation(3), receiveBufferBytes: 1 << 40,
        acceptsGroupTag: acceptsGroupTag,
        announcement: Self.announcement))
  }
  @Test(arguments: [Clash.Kind.endpointID, .name]) func clashes(kind: Clash.Kind) {
    check(
      Clash(
        kind: kind, token: 5, holder: EndpointID(6), incarnation: Incarnation(7), uptimeMilliseconds: .max, name: "x"))
  }
  @Test(arguments: [ByeReason.leaving, .lostClash]) func byes(reason: ByeReason) { check(reason) }
  @Test func acks() { check(Ack(largest: .max, delayMicroseconds: 300, count: 1)) }
  @Test func probes() { check(MTUProbe(datagramBytes: 65_507)) }
  @Test func dataHeaders() {
    let header = DataHeader(
      stream: .max, position: WireLimits.position, lag: WireLimits.position, ageMicroseconds: .max)
    check(header)
    #expect([UInt8].written { header.write(to: &$0) }?.count == header.byteCount)
  }
  @Test func statuses() {
    let starts: [UInt64] = (0..<64).map { $0 * 1_000_000 + 7 }
    let ranges = starts.map { $0..<($0 + 500_000) }
    check(Status(stream: 300, next: 7, windowBytes: .max, missing: ranges))
    check(Status(stream: 0, next: WireLimits.position, windowBytes: 0))
  }
  @Test func heartbeats() { check(Heartbeat(stream: 1, first: 0, end: WireLimits.position)) }
  @Test(arguments: [Gap.Reason.expired, .evicted, .dropped, .neverOffered]) func gaps(reason: Gap.Reason) {
    check(Gap(stream: 1, position: 9, count: WireLimits.position - 9, nextSequence: 1 << 50, reason: reason))
  }

  @Test func attributes() throws {
    var attributes = Attributes()
    for key in 0..<UInt64(WireLimits.attributes) { attributes.set(key, to: [UInt8](repeating: 7, count: Int(key) % 5)) }
    check(attributes)
    // A value so long that the list has exactly as many bytes as it may.
    attributes = Attributes([.init(key: 1, value: [UInt8](repeating: 1, count: WireLimits.attributeBytes - 5))])
    #expect(attributes.byteCount == WireLimits.attributeBytes)
    #expect(try attributes.encoded().read { (r) throws(WireError) in try Attributes(from: &r) } == attributes)
    #expect(attributes.encoded().count == attributes.byteCount)
  }

  @Test(arguments: [
    ControlMessage.subscribe(subscription: .max, filter: "#", type: nil, attributes: Attributes()),
    .subscribe(subscription: 1, filter: "a/+", type: "", attributes: announcement.attributes),
    .unsubscribe(subscription: 1 << 14), .interest(version: .max),
    .open(
      StreamOpening(
        stream: 2, topic: "t", type: "T", isReliable: true, epochMicroseconds: .max, position: WireLimits.position,
        sequence: 3, attributes: announcement.attributes)),
    .close(stream: .max, position: WireLimits.position),
    .mismatch(subscription: 1, topic: "t", publisherType: "", subscriberType: String(repeating: "t", count: 256)),
    .introduce(
      Introduction(
        endpoint: EndpointID(1), incarnation: Incarnation(2), heldMilliseconds: 3, locators: announcement.locators)),
    .refused(.stream(.max)), .refused(.subscription(1)), .refused(.fetch(2)),
    .have(
      [StreamHolding(stream: StreamHash(rawValue: .max), first: 1, end: WireLimits.position)], asks: true, isAll: true),
    .fetch(StreamFetch(request: .max, stream: StreamHash(rawValue: 1), from: 2, below: WireLimits.position)),
    .fetch(StreamFetch(request: 0, stream: StreamHash(rawValue: 0), from: nil, below: nil)),
    .answered(subscription: .max, omitted: 1 << 14),
    .stored(
      StoreID(rawValue: .max), [StoredRange(stream: StreamHash(rawValue: .max), first: 1, end: WireLimits.position)]),
  ]) func controlMessages(_ message: ControlMessage) throws {
    let bytes = message.encoded()
    let read = { (r: inout WireReader) throws(WireError) in try ControlMessage.read(from: &r) }
    #expect(try bytes.read(read) == message)
    for count in 0..<bytes.count {
      #expect(throws: WireError.truncated) { try Array(bytes[..<count]).read(read) }
    }
  }

  @Test func introductionsTellHops() throws {
    let introduction = ControlMessage.introduce(
      Introduction(
        endpoint: EndpointID(.max), incarnation: Incarnation(.max), heldMilliseconds: .max, locators: [], hops: .max))
    let read = { (r: inout WireReader) throws(WireError) in try ControlMessage.read(from: &r) }
    #expect(try introduction.encoded().read(read) == introduction)
  }

  @Test func relays() throws {
    let header = RelayHeader(
      hopsLeft: 8, destination: RelayedEndpoint(id: EndpointID(.max), tag: .max),
      origin: RelayedEndpoint(id: EndpointID(1), tag: 0), heldMicroseconds: .max)
    let bytes = try #require([UInt8].written { header.write(to: &$0) })
    #expect(bytes.count == 29)
    let read = { (r: inout WireReader) throws(WireError) in try RelayHeader(from: &r) }
    #expect(try bytes.read(read) == header)
    for count in 0..<bytes.count {
      #expect(throws: WireError.truncated) { try Array(bytes[..<count]).read(read) }
    }
  }

  @Test func answersToInquiriesHaveAttributes() throws {
    var attributes = Attributes()
    attributes.historyPolicy = .last(3)
    attributes.origin = StreamOrigin(
      publisher: EndpointID(1), incarnation: Incarnation(2), name: String(repeating: "n", count: 256), number: .max)
    attributes.held = HeldMessages(first: 1, end: WireLimits.position, bytes: .max)
    attributes.published = PublishedMessages(messages: WireLimits.position, bytes: .max)
    let answer = ControlMessage.mismatch(
      subscription: .max, topic: "t", publisherType: "T", subscriberType: "?", attributes: attributes)
    let read = { (r: inout WireReader) throws(WireError) in try ControlMessage.read(from: &r) }
    #expect(try answer.encoded().read(read) == answer)
    #expect(attributes.held == HeldMessages(first: 1, end: WireLimits.position, bytes: .max))
    #expect(attributes.published == PublishedMessages(messages: WireLimits.position, bytes: .max))
    // More than there are numbers.
    attributes.set(Attributes.Key.held, to: [2] + [UInt8](repeating: 0x80, count: 8) + [0x40, 0])
    #expect(attributes.held == nil)
  }

  @Test func datagramHeaders() throws {
    let headers: [DatagramHeader] = [
      .long(
        LongHeader(networkTag: .max, sender: EndpointID(.max), incarnation: Incarnation(1), packetNumber: 1 << 63)),
      .short(ShortHeader(connection: .max, packetNumber: .max, acknowledgeNow: true, isGroup: true)),
      .short(ShortHeader(connection: 0, packetNumber: 0)), .reset(connection: 0xDEAD_BEEF),
    ]
    for header in headers {
      let bytes = try #require([UInt8].written { header.write(to: &$0) })
      let read = { (r: inout WireReader) throws(DatagramError) in try DatagramHeader.read(from: &r) }
      #expect(try bytes.read(read) == header)
      for count in 0..<bytes.count {
        #expect(throws: DatagramError.truncated) { try Array(bytes[..<count]).read(read) }
      }
    }
  }

  @Test func unitsOfEveryShape() throws {
    let shapes: [(Unit.Flags, UInt64?)] = [
      ([.first, .last], nil), ([.first, .last, .attributes], 0), (.first, nil), (.first, .max), ([], nil), (.last, nil),
    ]
    for length in [0, 1, 127, 128, 456, 457, 912, 1_100] {
      let body = [UInt8](repeating: 9, count: length)
      for (flags, lifetime) in shapes {
        let bytes = [UInt8].written { writer in
          Unit.writeHeader(
            to: &writer, flags: flags, length: length, timeMicroseconds: 1 << 20, lifetimeMicroseconds: lifetime,
            totalBytes: 1 << 24)
          writer.bytes(body)
        }
        let encoded = try #require(bytes)
        try encoded.withUnsafeBytes { (buffer) throws in
          var reader = UnitReader(buffer)
          guard flags.contains(.last) || [456, 912].contains(length) else {
            #expect(throws: WireError.invalidValue(.unitLength)) { try reader.next() }
            return
          }
          let unit = try reader.next()
          #expect(unit.map { $0.headerBytes(length: length) + length } == encoded.count)
          #expect(unit?.fragments == (length <= 456 ? 1 : length == 457 || length == 912 ? 2 : 3))
          let isFirst = flags.contains(.first)
          #expect(unit?.flags.subtracting(.lifetime) == flags)
          #expect(unit?.lifetimeMicroseconds == lifetime)
          #expect(unit?.timeMicroseconds == (isFirst ? 1 << 20 : 0))
          #expect(unit?.totalBytes == (!isFirst ? 0 : flags.contains(.last) ? UInt64(length) : 1 << 24))
          #expect(unit?.body.elementsEqual(body) == true)
          let end = try reader.next()
          #expect(end == nil)
          for count in 1..<encoded.count {
            var cut = UnitReader(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            #expect(throws: WireError.truncated) { try cut.next() }
          }
        }
      }
    }
  }

  /// The value comes back; every cut of its bytes throws; bytes after it stay unread.
  private func check<Body: FrameBody & Equatable>(_ value: Body, location: SourceLocation = #_sourceLocation) {
    guard let bytes = [UInt8].written({ value.write(to: &$0) }) else {
      Issue.record("cannot be written: \(value)", sourceLocation: location)
      return
    }
    let read = { (r: inout WireReader) throws(WireError) in try Body(from: &r) }
    #expect((try? bytes.read(read)) == value, sourceLocation: location)
    for count in 0..<bytes.count {
      #expect(throws: WireError.truncated, sourceLocation: location) { try Array(bytes[..<count]).read(read) }
    }
    let remaining = try? (bytes + [1, 2, 3]).read { (r) throws(WireError) in
      _ = try Body(from: &r)
      return r.remaining
    }
    #expect(remaining == 3, sourceLocation: location)
    for room in 0..<bytes.count {
      #expect([UInt8].written(room: room) { value.write(to: &$0) } == nil, sourceLocation: location)
    }
  }
}
