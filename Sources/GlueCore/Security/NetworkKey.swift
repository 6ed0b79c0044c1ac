import Crypto

/// A secret that the endpoints of a network share: 32 random bytes. Whoever has it can take part (docs/security.md).
public struct NetworkKey: Equatable, Sendable {
  /// Bytes of a key.
  public static let byteCount = 32

  private let secret: SymmetricKey
  /// The number by which headers name the key: 1 … 255. It follows from the key, so that nobody has to hand out numbers;
  /// two keys may share one, and then both are tried.
  public let epoch: UInt8

  /// Nil unless there are exactly 32 bytes.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    secret = SymmetricKey(data: bytes)
    epoch = Self.derive(from: secret, salt: [], info: Array("glue epoch".utf8), bytes: 1).withUnsafeBytes {
      max(1, $0[0])
    }
  }

  /// 64 bits that follow from the key, and from which the key does not follow: two hosts can compare what they have without
  /// showing it. For example `3f0c-91ab-77e2-05d4`.
  public var fingerprint: String {
    let bytes = Self.derive(from: secret, salt: [], info: Array("glue key fingerprint".utf8), bytes: 8)
      .withUnsafeBytes { Array($0) }
    let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] + digits[$0 + 1] }.joined(separator: "-")
  }

  /// What marks datagrams as sealed with this key in a network: the lower half follows from the network ID alone, so that
  /// an endpoint with another key can say so; the upper half from the key too.
  func tag(networkID: UInt64) -> UInt64 {
    let info = Array("glue network tag".utf8) + Self.bytes(of: networkID)
    let keyed = Self.derive(from: secret, salt: [], info: info, bytes: 4).withUnsafeBytes {
      $0.loadUnaligned(as: UInt32.self).littleEndian
    }
    return UInt64(keyed) << 32 | UInt64(Self.hint(of: networkID))
  }

  /// The lower half of the tag.
  static func hint(of networkID: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: networkID ^ networkID >> 32) }

  /// The key that one incarnation of a sender seals its datagrams with.
  func senderKey(id: EndpointID, incarnation: Incarnation, salt: UInt64) -> SymmetricKey {
    Self.derive(
      from: secret, salt: Self.bytes(of: incarnation.rawValue) + Self.bytes(of: salt),
      info: Self.bytes(of: id.rawValue) + [epoch], bytes: Self.byteCount)
  }

  private static func derive(from secret: SymmetricKey, salt: [UInt8], info: [UInt8], bytes: Int) -> SymmetricKey {
    HKDF<SHA256>.deriveKey(inputKeyMaterial: secret, salt: salt, info: info, outputByteCount: bytes)
  }

  private static func bytes(of number: UInt64) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }
}

extension NetworkKey: CustomStringConvertible, CustomReflectable {
  /// Never the secret: keys end up in logs.
  public var description: String { "NetworkKey(epoch \(epoch))" }
  /// Without the secret.
  public var customMirror: Mirror { Mirror(self, children: ["epoch": epoch]) }
}
