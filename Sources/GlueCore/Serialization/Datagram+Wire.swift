extension DatagramHeader {
  /// Reads the header of a datagram and leaves the reader at the first frame. The reader must be at the datagram's start.
  ///
  /// The checks come in the order of docs/protocol.md §2; the first that fails decides. Whether the network tag is one's
  /// own is for the caller to say.
  @inline(__always)
  public static func read(from reader: inout WireReader) throws(DatagramError) -> DatagramHeader {
    guard let flags = reader.peek(UInt8.self, at: 0) else { throw .truncated }
    if flags < 0x80 { return .long(try LongHeader(from: &reader)) }
    return try ShortHeader.read(flags, from: &reader)
  }

  /// Writes a reset, which is a whole datagram of 5 bytes (docs/protocol.md §5.6).
  public static func writeReset(connection: UInt32, to writer: inout WireWriter) {
    writer.u8(ShortHeader.Bits.short | ShortHeader.Bits.reset)
    writer.u32(connection)
  }
}

extension LongHeader {
  private static let magic: UInt16 = 0x4C47  // "GL", read as little-endian
  private static let version: UInt8 = 1

  private enum Bits {
    static let sealed: UInt8 = 1
    static let relayed: UInt8 = 2
    static let known: UInt8 = sealed | relayed
  }

  static let keySaltBytes = 8
  private static let relayBytes = 9

  /// Writes the header of an unrelayed datagram: 40 bytes, sealed 48.
  public func write(to writer: inout WireWriter) {
    writer.u16(Self.magic)
    writer.u8(Self.version)
    writer.u8(seal == nil ? 0 : Bits.sealed)
    writer.u8(seal?.suite ?? 0)
    writer.u8(seal?.keyEpoch ?? 0)
    writer.u16(UInt16(byteCount))
    writer.u64(networkTag)
    writer.u64(sender.rawValue)
    writer.u64(incarnation.rawValue)
    writer.u64(packetNumber)
    if let seal { writer.u64(seal.salt) }
  }

  /// Reads the header and skips its extension.
  fileprivate init(from reader: inout WireReader) throws(DatagramError) {
    // What follows the magic is another protocol's affair, and what follows the version another version's.
    guard let magic = reader.peek(UInt16.self, at: 0), let version = reader.peek(UInt8.self, at: 2) else {
      throw .truncated
    }
    guard magic == Self.magic else { throw .notGlue }
    guard version == Self.version else { throw .unknownVersion }
    guard let flags = reader.peek(UInt8.self, at: 3),
      let suite = reader.peek(UInt8.self, at: 4),
      let keyEpoch = reader.peek(UInt8.self, at: 5),
      let headerBytes = reader.peek(UInt16.self, at: 6),
      let networkTag = reader.peek(UInt64.self, at: 8),
      let sender = reader.peek(UInt64.self, at: 16),
      let incarnation = reader.peek(UInt64.self, at: 24),
      let packetNumber = reader.peek(UInt64.self, at: 32)
    else { throw .truncated }
    guard flags & ~Bits.known == 0 else { throw .unknownFlags }
    let isSealed = flags & Bits.sealed != 0
    let isRelayed = flags & Bits.relayed != 0
    let least = WireLimits.longHeaderBytes + (isSealed ? Self.keySaltBytes : 0) + (isRelayed ? Self.relayBytes : 0)
    guard Int(headerBytes) >= least else { throw .invalid }
    let salt = isSealed ? reader.peek(UInt64.self, at: 40) : 0
    guard let salt, reader.skip(Int(headerBytes)) else { throw .truncated }
    guard !isRelayed else { throw .relayed }
    guard (suite != 0) == isSealed, (keyEpoch != 0) == isSealed, sender != 0, incarnation != 0 else { throw .invalid }
    self.init(
      networkTag: networkTag, sender: EndpointID(sender), incarnation: Incarnation(incarnation),
      packetNumber: packetNumber, seal: isSealed ? Seal(suite: suite, keyEpoch: keyEpoch, salt: salt) : nil)
  }
}

extension ShortHeader {
  fileprivate enum Bits {
    static let short: UInt8 = 0x80
    static let group: UInt8 = 0x40
    static let sealed: UInt8 = 0x20
    static let acknowledgeNow: UInt8 = 0x10
    static let keyEpoch: UInt8 = 0x0C
    static let keyEpochShift: UInt8 = 2
    static let reserved: UInt8 = 0x02
    static let reset: UInt8 = 0x01
  }

  /// Bits of the first byte that only a datagram to a group has together: the four bytes behind it are its sender's tag.
  public static let groupBits: UInt8 = Bits.short | Bits.group

  /// Writes the 9 bytes of the header.
  @inline(__always)
  public func write(to writer: inout WireWriter) {
    var flags = Bits.short
    if isGroup { flags |= Bits.group }
    if acknowledgeNow { flags |= Bits.acknowledgeNow }
    if isSealed { flags |= Bits.sealed | keyEpoch << Bits.keyEpochShift }
    writer.u8(flags)
    writer.u32(connection)
    writer.u32(packetNumber)
  }

  /// Reads a short header or a reset.
  @inline(__always)
  fileprivate static func read(_ flags: UInt8, from reader: inout WireReader) throws(DatagramError) -> DatagramHeader {
    guard let connection = reader.peek(UInt32.self, at: 1) else { throw .truncated }
    guard flags & Bits.reserved == 0 else { throw .unknownFlags }
    if flags & Bits.reset != 0 {
      guard flags == Bits.short | Bits.reset, reader.remaining == WireLimits.resetBytes else { throw .invalid }
      _ = reader.skip(WireLimits.resetBytes)
      return .reset(connection: connection)
    }
    guard let packetNumber = reader.peek(UInt32.self, at: 5) else { throw .truncated }
    let isSealed = flags & Bits.sealed != 0
    guard isSealed || flags & Bits.keyEpoch == 0 else { throw .invalid }
    _ = reader.skip(WireLimits.shortHeaderBytes)
    return .short(
      ShortHeader(
        connection: connection, packetNumber: packetNumber, acknowledgeNow: flags & Bits.acknowledgeNow != 0,
        isGroup: flags & Bits.group != 0, isSealed: isSealed,
        keyEpoch: (flags & Bits.keyEpoch) >> Bits.keyEpochShift))
  }
}
