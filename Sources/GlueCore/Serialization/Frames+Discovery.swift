import GlueAddress

/// CHALLENGE: prove that you receive where you send from (docs/protocol.md §4.2).
public struct Challenge: Equatable, Sendable {
  /// Opaque to everybody but its sender.
  public var token: UInt64
  /// With that token.
  public init(token: UInt64) { self.token = token }
}

/// ANSWER: the token of a challenge, returned (docs/protocol.md §4.2).
public struct Answer: Equatable, Sendable {
  /// The token of the challenge.
  public var token: UInt64
  /// The incarnation from whose datagram the challenge came.
  public var incarnation: Incarnation
  /// All fields.
  public init(token: UInt64, incarnation: Incarnation) {
    self.token = token
    self.incarnation = incarnation
  }
}

extension Challenge: FrameBody {
  /// Reads the body.
  public init(from reader: inout WireReader) throws(WireError) { token = try reader.u64() }
  /// Writes the body.
  public func write(to writer: inout WireWriter) { writer.u64(token) }
}

extension Answer: FrameBody {
  /// Reads the body.
  public init(from reader: inout WireReader) throws(WireError) {
    token = try reader.u64()
    incarnation = try reader.incarnation()
  }
  /// Writes the body.
  public func write(to writer: inout WireWriter) {
    writer.u64(token)
    writer.u64(incarnation.rawValue)
  }
}

extension Announcement: FrameBody {
  private static let leavingFlag: UInt8 = 1
  private static let hearsYouFlag: UInt8 = 2

  /// Reads the body.
  public init(from reader: inout WireReader) throws(WireError) {
    let flags = try reader.u8()
    isLeaving = flags & Self.leavingFlag != 0
    hearsYou = flags & Self.hearsYouFlag != 0
    minimumVersion = try reader.u8()
    maximumVersion = try reader.u8()
    capabilities = Capabilities(rawValue: try reader.u32())
    intervalMilliseconds = try reader.varint()
    leaseTenths = try reader.varint()
    uptimeMilliseconds = try reader.varint()
    interestVersion = try reader.varint()
    name = try reader.name(.name)
    locators = try reader.locators()
    let count = try reader.varint()
    guard count <= UInt64(WireLimits.heard) else { throw .tooLong(.heard, limit: WireLimits.heard) }
    for _ in 0..<count { heard.append(try reader.endpointID()) }
    attributes = try Attributes(from: &reader)
  }

  /// Writes the body. Of the locators and the IDs heard, the first ``WireLimits/locators`` and ``WireLimits/heard``.
  public func write(to writer: inout WireWriter) {
    writer.u8((isLeaving ? Self.leavingFlag : 0) | (hearsYou ? Self.hearsYouFlag : 0))
    writer.u8(minimumVersion)
    writer.u8(maximumVersion)
    writer.u32(capabilities.rawValue)
    writer.varint(intervalMilliseconds)
    writer.varint(leaseTenths)
    writer.varint(uptimeMilliseconds)
    writer.varint(interestVersion)
    writer.text(name)
    writer.locators(locators)
    let heard = heard.prefix(WireLimits.heard)
    writer.varint(count: heard.count)
    for id in heard { writer.u64(id.rawValue) }
    attributes.write(to: &writer)
  }
}

extension Welcome: FrameBody {
  private static let acceptsGroupTagFlag: UInt8 = 1

  /// Reads the body.
  public init(from reader: inout WireReader) throws(WireError) {
    session = try reader.u32()
    guard session != 0 else { throw .invalidValue(.session) }
    yourSession = try reader.u32()
    addressee = try reader.incarnation()
    receiveBufferBytes = try reader.varint()
    acceptsGroupTag = try reader.u8() & Self.acceptsGroupTagFlag != 0
    announcement = try Announcement(from: &reader)
  }

  /// Writes the body.
  public func write(to writer: inout WireWriter) {
    writer.u32(session)
    writer.u32(yourSession)
    writer.u64(addressee.rawValue)
    writer.varint(receiveBufferBytes)
    writer.u8(acceptsGroupTag ? Self.acceptsGroupTagFlag : 0)
    announcement.write(to: &writer)
  }
}

extension Clash: FrameBody {
  /// Reads the body.
  public init(from reader: inout WireReader) throws(WireError) {
    guard let kind = Kind(rawValue: try reader.u8()) else { throw .invalidValue(.clashKind) }
    self.kind = kind
    token = try reader.u64()
    holder = try reader.endpointID()
    incarnation = try reader.incarnation()
    uptimeMilliseconds = try reader.varint()
    name = try reader.name(.name)
  }

  /// Writes the body.
  public func write(to writer: inout WireWriter) {
    writer.u8(kind.rawValue)
    writer.u64(token)
    writer.u64(holder.rawValue)
    writer.u64(incarnation.rawValue)
    writer.varint(uptimeMilliseconds)
    writer.text(name)
  }
}

// MARK: Locators

/// What a locator is for. Those for anything but data are skipped.
private let dataLocatorKind: UInt8 = 0

extension WireReader {
  /// A list of locators. Those of an unknown kind are read and left out; an unknown family is an error.
  mutating func locators() throws(WireError) -> [SocketAddress] {
    let count = try varint()
    guard count <= UInt64(WireLimits.locators) else { throw .tooLong(.locators, limit: WireLimits.locators) }
    var locators: [SocketAddress] = []
    for _ in 0..<count {
      guard let family = IPAddress.Family(rawValue: try u8()) else { throw .invalidValue(.locatorFamily) }
      let kind = try u8()
      let port = try u16()
      let ip: IPAddress
      switch family {
      case .v4: ip = IPAddress(v4: try u32().byteSwapped)
      case .v6:
        let high = try u64().byteSwapped
        ip = IPAddress(v6High: high, low: try u64().byteSwapped)
      }
      if kind == dataLocatorKind { locators.append(SocketAddress(ip: ip, port: port)) }
    }
    return locators
  }
}

extension WireWriter {
  /// A list of locators, the first ``WireLimits/locators`` of them. Scopes do not travel.
  mutating func locators(_ locators: [SocketAddress]) {
    let locators = locators.prefix(WireLimits.locators)
    varint(count: locators.count)
    for locator in locators {
      u8(locator.ip.family.rawValue)
      u8(dataLocatorKind)
      u16(locator.port)
      switch locator.ip.family {
      case .v4: u32(UInt32(truncatingIfNeeded: locator.ip.low).byteSwapped)
      case .v6:
        u64(locator.ip.high.byteSwapped)
        u64(locator.ip.low.byteSwapped)
      }
    }
  }
}
