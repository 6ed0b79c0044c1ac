import GlueCore

/// Which entry of the log, from 1.
public typealias LogIndex = UInt64

/// A period with at most one leader, from 1 (Raft paper §5.1).
public typealias Term = UInt64

/// One quorum model from its founding on. Another one of the same name has another identity. Random, 128 bits.
public struct ClusterID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The upper half.
  public var high: UInt64
  /// The lower half.
  public var low: UInt64

  /// Joins the halves.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Orders by the number.
  public static func < (a: ClusterID, b: ClusterID) -> Bool { (a.high, a.low) < (b.high, b.low) }

  /// 32 hexadecimal digits.
  public var description: String {
    [high, low].map { number in
      let digits = String(number, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }
}

/// One storage: random, written when it is made, never 0. Whoever lost his storage has another one.
public struct StorageID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The number.
  public var number: UInt64

  /// Takes a number.
  public init(_ number: UInt64) { self.number = number }

  /// Orders by number.
  public static func < (a: StorageID, b: StorageID) -> Bool { a.number < b.number }

  /// Hexadecimal digits.
  public var description: String { String(number, radix: 16) }
}

/// A member of a quorum: an endpoint *with the storage in which it remembers its votes*. An endpoint that comes back without that storage is
/// somebody else, who is no member and has no vote.
public struct MemberID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The endpoint.
  public var endpoint: EndpointID
  /// Its storage.
  public var storage: StorageID

  /// Joins the parts.
  public init(_ endpoint: EndpointID, _ storage: StorageID) {
    self.endpoint = endpoint
    self.storage = storage
  }

  /// Orders by endpoint, then storage.
  public static func < (a: MemberID, b: MemberID) -> Bool {
    a.endpoint == b.endpoint ? a.storage < b.storage : a.endpoint < b.endpoint
  }

  /// As in `7.1f3a`.
  public var description: String { "\(endpoint).\(storage)" }
}
