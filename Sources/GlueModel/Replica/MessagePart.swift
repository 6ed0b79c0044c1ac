import GlueCore

/// A part of a message that is too long for one.
struct MessagePart: Equatable, Sendable {
  /// Which message of the sender.
  var number: UInt64
  /// Which part, from 0.
  var index: UInt64
  /// How many there are, at least 2.
  var count: UInt64
  var bytes: [UInt8]

  /// How many parts a message has: 1 if it goes as it is.
  static func count(of message: [UInt8]) -> Int {
    max(1, (message.count + ReplicaConfiguration.partBytes - 1) / ReplicaConfiguration.partBytes)
  }

  /// What to send as the part with this index: the message itself if it needs no parts.
  static func cut(_ message: [UInt8], number: UInt64, index: Int) -> [UInt8] {
    let count = count(of: message)
    if count == 1 { return message }
    let start = index * ReplicaConfiguration.partBytes
    let end = min(message.count, start + ReplicaConfiguration.partBytes)
    return encode(message[start..<end], number: number, index: UInt64(index), count: UInt64(count))
  }

  /// The part as bytes.
  func encoded() -> [UInt8] { Self.encode(bytes[...], number: number, index: index, count: count) }

  private static func encode(_ bytes: ArraySlice<UInt8>, number: UInt64, index: UInt64, count: UInt64) -> [UInt8] {
    WireWriter.encode(atMost: bytes.count + PeerMessage.headerBytes + 3 * 10) { writer in
      PeerMessage.writeHeader(.part, to: &writer)
      writer.varint(number)
      writer.varint(index)
      writer.varint(count)
      bytes.withUnsafeBytes { writer.bytes($0) }
    }
  }
}

extension MessagePart {
  init(reading reader: inout WireReader) throws(WireError) {
    number = try reader.varint()
    index = try reader.varint()
    count = try reader.varint()
    guard count >= 2, index < count else { throw .invalidValue(.modelMessage) }
    bytes = Array(reader.rest())
    guard !bytes.isEmpty else { throw .truncated }
  }
}
