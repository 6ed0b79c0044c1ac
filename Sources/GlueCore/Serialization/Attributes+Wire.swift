extension Attributes: FrameBody {
  /// Reads a list.
  public init(from reader: inout WireReader) throws(WireError) {
    self.init()
    let start = reader.offset
    let count = try reader.varint()
    guard count <= UInt64(WireLimits.attributes) else {
      throw .tooLong(.attributes, limit: WireLimits.attributes)
    }
    for _ in 0..<count {
      let key = try reader.varint()
      let value = try reader.countedBytes()
      guard reader.offset - start <= WireLimits.attributeBytes else {
        throw .tooLong(.attributes, limit: WireLimits.attributeBytes)
      }
      entries.append(Entry(key: key, value: Array(value)))
    }
  }

  /// Writes the list. Fails if it exceeds the limits of docs/protocol.md §10.
  public func write(to writer: inout WireWriter) {
    let start = writer.count
    guard entries.count <= WireLimits.attributes else { return writer.fail() }
    writer.varint(count: entries.count)
    for entry in entries {
      writer.varint(entry.key)
      writer.countedBytes(entry.value)
    }
    if writer.count - start > WireLimits.attributeBytes { writer.fail() }
  }

  /// How many bytes ``write(to:)`` writes.
  public var byteCount: Int {
    entries.reduce(WireWriter.varintBytes(UInt64(entries.count))) { sum, entry in
      sum + WireWriter.varintBytes(entry.key) + WireWriter.varintBytes(UInt64(entry.value.count)) + entry.value.count
    }
  }

  /// Whether the list may be sent: no more attributes and bytes than docs/protocol.md §10 allows.
  public var isWithinLimits: Bool {
    entries.count <= WireLimits.attributes && byteCount <= WireLimits.attributeBytes
  }

  /// The list as bytes; empty if it exceeds the limits, see ``isWithinLimits``.
  public func encoded() -> [UInt8] { WireWriter.encode(atMost: byteCount, write) }
}
