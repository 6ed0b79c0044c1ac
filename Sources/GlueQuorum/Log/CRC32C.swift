/// The checksum of iSCSI (RFC 3720 §12.1), eight bytes at a time with tables (Kounavis and Berry, 2005).
package enum CRC32C {
  private static let tables: [[UInt32]] = {
    var tables: [[UInt32]] = [
      (0..<256).map { index in
        var value = UInt32(index)
        for _ in 0..<8 { value = value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82F6_3B78 }
        return value
      }
    ]
    for table in 1..<8 {
      tables.append((0..<256).map { tables[table - 1][$0] >> 8 ^ tables[0][Int(tables[table - 1][$0] & 0xFF)] })
    }
    return tables
  }()

  private static let flat: [UInt32] = tables.flatMap { $0 }

  /// The checksum of bytes that follow others with that checksum.
  static func checksum(_ bytes: UnsafeRawBufferPointer, after previous: UInt32 = 0) -> UInt32 {
    flat.withUnsafeBufferPointer { table in
      var value = ~previous
      var offset = 0
      while offset + 8 <= bytes.count {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) ^ UInt64(value)
        // Unrolled: as a loop it takes many times as long without optimization.
        let (low, high) = (UInt32(truncatingIfNeeded: word), UInt32(truncatingIfNeeded: word >> 32))
        let first = table[0x700 + Int(low & 0xFF)] ^ table[0x600 + Int(low >> 8 & 0xFF)]
        let second = table[0x500 + Int(low >> 16 & 0xFF)] ^ table[0x400 + Int(low >> 24)]
        let third = table[0x300 + Int(high & 0xFF)] ^ table[0x200 + Int(high >> 8 & 0xFF)]
        let fourth = table[0x100 + Int(high >> 16 & 0xFF)] ^ table[Int(high >> 24)]
        value = first ^ second ^ third ^ fourth
        offset += 8
      }
      while offset < bytes.count {
        value = value >> 8 ^ table[Int((value ^ UInt32(bytes[offset])) & 0xFF)]
        offset += 1
      }
      return ~value
    }
  }

  /// The checksum of bytes that follow others with that checksum.
  package static func checksum(_ bytes: some Sequence<UInt8>, after previous: UInt32 = 0) -> UInt32 {
    Array(bytes).withUnsafeBytes { checksum($0, after: previous) }
  }
}
