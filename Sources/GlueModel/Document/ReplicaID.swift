import GlueCore

/// Who writes: one opening of a model by one endpoint.
///
/// The identity belongs to an incarnation, also where there is a disk: whoever lost a write that others have seen would otherwise
/// give its number to another one.
public struct ReplicaID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The endpoint that opened the model.
  public var endpoint: EndpointID
  /// Random, new at every opening.
  public var number: UInt64
  /// The generation of the context in which this identity began to write.
  public var generation: UInt32

  /// Joins the parts.
  public init(endpoint: EndpointID, number: UInt64, generation: UInt32 = 0) {
    self.endpoint = endpoint
    self.number = number
    self.generation = generation
  }

  /// Orders by endpoint, number, generation.
  public static func < (a: ReplicaID, b: ReplicaID) -> Bool {
    if a.endpoint != b.endpoint { return a.endpoint < b.endpoint }
    if a.number != b.number { return a.number < b.number }
    return a.generation < b.generation
  }

  /// As in `7.1f3a.0`.
  public var description: String { "\(endpoint).\(String(number, radix: 16)).\(generation)" }
}

/// One change: the so-many-th of a replica. Nothing else ever gets the same dot.
public struct Dot: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Counters end here, so that the one after it can be computed.
  public static let maximumCounter: UInt64 = 1 << 62

  /// Who made the change.
  public var replica: ReplicaID
  /// Which of its changes, from 1.
  public var counter: UInt64

  /// Joins the parts.
  public init(_ replica: ReplicaID, _ counter: UInt64) {
    self.replica = replica
    self.counter = counter
  }

  /// Orders by replica, then counter.
  public static func < (a: Dot, b: Dot) -> Bool {
    a.replica == b.replica ? a.counter < b.counter : a.replica < b.replica
  }

  /// As in `7.1f3a.0:12`.
  public var description: String { "\(replica):\(counter)" }
}
