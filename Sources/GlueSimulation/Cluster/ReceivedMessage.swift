import GlueCore

/// A delivery, reduced to what the run has to know of it.
package struct ReceivedMessage {
  /// For whom; nil for a direct message.
  package var subscription: SubscriptionID?
  /// Of which stream.
  package var info: StreamInfo
  /// Its number.
  package var sequence: UInt64
  /// A hash of payload and attributes.
  package var digest: UInt64
  /// The first eight bytes of the payload.
  package var serial: UInt64
  /// Bytes of payload and attributes.
  package var bytes: Int
  /// When it was published, on the local clock.
  package var publishedAt: Timestamp
  /// When it expires on the local clock.
  package var expiresAt: Timestamp?
  /// What it says of itself as a value that its topic retains.
  package var mark: RetainedMark?

  init(_ delivery: Delivery) {
    subscription = delivery.subscription
    info = delivery.stream
    sequence = delivery.sequence
    digest = payloadDigest(delivery.payload, attributes: delivery.attributes)
    serial = delivery.payload.count >= 8 ? delivery.payload.loadUnaligned(as: UInt64.self) : 0
    bytes = delivery.payload.count + delivery.attributes.count
    publishedAt = delivery.publishedAt
    expiresAt = delivery.expiresAt
    var reader = WireReader(delivery.attributes)
    mark = delivery.attributes.isEmpty ? nil : (try? Attributes(from: &reader))?.retained
  }
}

/// A hash of a message's bytes.
package func payloadDigest(_ payload: UnsafeRawBufferPointer, attributes: UnsafeRawBufferPointer) -> UInt64 {
  digest(payload, from: digest(attributes, from: 0x9E37_79B9_7F4A_7C15))
}

private func digest(_ bytes: UnsafeRawBufferPointer, from seed: UInt64) -> UInt64 {
  var hash = seed ^ UInt64(bytes.count) &* 0xFF51_AFD7_ED55_8CCD
  var offset = 0
  while offset + 8 <= bytes.count {
    hash = (hash ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0xC4CE_B9FE_1A85_EC53
    hash ^= hash >> 31
    offset += 8
  }
  while offset < bytes.count {
    hash = (hash ^ UInt64(bytes[offset])) &* 0x0000_0100_0000_01B3
    offset += 1
  }
  return hash ^ hash >> 32
}

/// The payload of a message: its serial number, then bytes that follow from it.
package func makePayload(serial: UInt64, bytes count: Int) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
    let raw = UnsafeMutableRawBufferPointer(buffer)
    var offset = 0
    var word = serial
    while offset < count {
      for byte in 0..<min(8, count - offset) {
        raw[offset + byte] = UInt8(truncatingIfNeeded: word >> UInt64(byte * 8))
      }
      offset += 8
      word = (word &+ 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
    }
    initialized = count
  }
}
