/// Sizes that the wire format fixes. See docs/protocol.md.
public enum WireLimits {
  /// Bytes of the largest UDP payload over IPv4.
  public static let datagramBytes = 65_507
  /// Bytes every path is taken to carry before it has been probed.
  public static let baseDatagramBytes = 1_200
  /// Bytes that passing on a datagram adds to it: a short header, a RELAY frame's fields, and a seal.
  public static let relayBytes = 57
  /// Bytes that a path by way of others is taken to carry before it has been probed.
  public static let relayedBaseBytes = baseDatagramBytes - relayBytes
  /// How often a datagram may be passed on.
  public static let relayHops: UInt8 = 8
  /// Bytes of the long header without extensions.
  public static let longHeaderBytes = 40
  /// Bytes of the short header.
  public static let shortHeaderBytes = 9
  /// Bytes of a reset datagram.
  public static let resetBytes = 5
  /// Bytes of a frame's type and length.
  public static let frameHeaderBytes = 3
  /// Bytes of the longest name, topic, filter or type.
  public static let nameBytes = 256
  /// Highest position and sequence number. The sum of any two does not overflow.
  public static let position: UInt64 = 1 << 62
  /// Most locators in one list.
  public static let locators = 32
  /// Most endpoint IDs that one announcement lists as heard.
  public static let heard = 32
  /// Most attributes in one list.
  public static let attributes = 256
  /// Most bytes of one list of attributes, its count included.
  public static let attributeBytes = 65_536
  /// Least bytes of a datagram that holds an ANNOUNCE.
  public static let announceDatagramBytes = 128
  /// Least bytes of a datagram that holds a CHALLENGE.
  public static let challengeDatagramBytes = 76
}

/// The header of datagrams outside sessions (docs/protocol.md §2.1).
public struct LongHeader: Equatable, Sendable {
  /// The network's tag: in an open network, the network ID.
  public var networkTag: UInt64
  /// The sender.
  public var sender: EndpointID
  /// The sender's incarnation.
  public var incarnation: Incarnation
  /// The sender's number of this datagram.
  public var packetNumber: UInt64
  /// How the body is sealed; nil in an open network.
  public var seal: Seal?

  /// What a sealed datagram tells of its key.
  public struct Seal: Equatable, Sendable {
    /// The suite AES-256-GCM.
    public static let aesGCM: UInt8 = 1
    /// The number of the AEAD.
    public var suite: UInt8
    /// Which of the network's keys, 1 … 255.
    public var keyEpoch: UInt8
    /// With the incarnation, what the sender's key is derived from.
    public var salt: UInt64

    /// All fields.
    public init(suite: UInt8, keyEpoch: UInt8, salt: UInt64) {
      self.suite = suite
      self.keyEpoch = keyEpoch
      self.salt = salt
    }
  }

  /// All fields of an unrelayed datagram.
  public init(
    networkTag: UInt64, sender: EndpointID, incarnation: Incarnation, packetNumber: UInt64, seal: Seal? = nil
  ) {
    self.networkTag = networkTag
    self.sender = sender
    self.incarnation = incarnation
    self.packetNumber = packetNumber
    self.seal = seal
  }

  /// Bytes that ``write(to:)`` writes.
  public var byteCount: Int { WireLimits.longHeaderBytes + (seal == nil ? 0 : Self.keySaltBytes) }
}

/// The header of datagrams within a session (docs/protocol.md §2.2).
public struct ShortHeader: Equatable, Sendable {
  /// Whether the receiver is to acknowledge at once.
  public var acknowledgeNow: Bool
  /// Whether this goes to a group: `connection` is then the sender's tag.
  public var isGroup: Bool
  /// The session ID that the receiver chose, or the sender's tag.
  public var connection: UInt32
  /// The low 32 bits of the packet number.
  public var packetNumber: UInt32
  /// Whether the body is sealed.
  public var isSealed: Bool
  /// Which of the network's keys: the number modulo 4.
  public var keyEpoch: UInt8

  /// All fields.
  public init(
    connection: UInt32, packetNumber: UInt32, acknowledgeNow: Bool = false, isGroup: Bool = false,
    isSealed: Bool = false, keyEpoch: UInt8 = 0
  ) {
    self.connection = connection
    self.packetNumber = packetNumber
    self.acknowledgeNow = acknowledgeNow
    self.isGroup = isGroup
    self.isSealed = isSealed
    self.keyEpoch = keyEpoch & 3
  }
}

/// The header of a datagram, whatever its form.
public enum DatagramHeader: Equatable, Sendable {
  /// Outside a session.
  case long(LongHeader)
  /// Within a session.
  case short(ShortHeader)
  /// A reset that echoes the connection field of the datagram it answers.
  case reset(connection: UInt32)
}

/// The types of frames (docs/protocol.md §3).
public enum FrameType: UInt8, CaseIterable, Sendable {
  case pad = 0x00
  case announce = 0x01
  case challenge = 0x02
  case answer = 0x03
  case welcome = 0x04
  case clash = 0x05
  case bye = 0x10
  case ack = 0x11
  case mtuProbe = 0x12
  case mtuReply = 0x13
  case relay = 0x14
  case groupAck = 0x15
  case data = 0x20
  case status = 0x21
  case heartbeat = 0x22
  case gap = 0x23
}
