/// Rebuilds messages from units that come in order. Memory grows with the bytes received, never with the total declared.
///
///     idle ── first, last ──▶ whole (no copy) ──▶ idle
///     idle ── first ──▶ assembling ── middle ──▶ assembling ── last ──▶ assembled ──▶ idle
///     idle ── middle or last ──▶ orphan: the message's beginning was lost
///     assembling ── abandon ──▶ idle
public struct Reassembler {
  /// What a unit led to.
  public enum Outcome {
    /// The message was one unit; its body points to where the unit was read.
    case whole(UnsafeRawBufferPointer)
    /// The message is complete.
    case assembled(PayloadBuffer)
    /// More units are needed.
    case incomplete
    /// The unit belongs to a message whose beginning is missing.
    case orphan
  }

  /// Set aside for a message that needs several units: most fit, and a peer that only claims a large one gains no more.
  private static let firstAllocation: UInt64 = 64 << 10

  private var buffer: PayloadBuffer?
  private let spares: SpareBuffers?
  /// Bytes of the whole body, while assembling.
  public private(set) var totalBytes: UInt64 = 0

  /// Without a message under assembly.
  public init() { spares = nil }

  /// Without a message under assembly; takes buffers from spare ones.
  init(spares: SpareBuffers) { self.spares = spares }

  /// Bytes held.
  public var heldBytes: Int { buffer?.count ?? 0 }
  /// Whether a message is under assembly.
  public var isAssembling: Bool { buffer != nil }

  /// Takes the next unit. Throws if it contradicts those before it; the message should then be abandoned.
  public mutating func add(_ unit: Unit) throws(WireError) -> Outcome {
    if unit.flags.contains(.first) {
      guard buffer == nil else { throw .invalidValue(.unitFlags) }
      if unit.flags.contains(.last) { return .whole(unit.body) }
      guard unit.totalBytes > UInt64(unit.body.count) else { throw .invalidValue(.total) }
      let capacity = Int(min(unit.totalBytes, Self.firstAllocation))
      let buffer = spares?.take(capacity: capacity) ?? PayloadBuffer(capacity: capacity)
      buffer.append(unit.body)
      self.buffer = buffer
      totalBytes = unit.totalBytes
      return .incomplete
    }
    guard let buffer else { return .orphan }
    let sum = UInt64(buffer.count) + UInt64(unit.body.count)
    let isLast = unit.flags.contains(.last)
    guard isLast ? sum == totalBytes : sum < totalBytes else { throw .invalidValue(.total) }
    buffer.append(unit.body)
    guard isLast else { return .incomplete }
    abandon()
    spares?.keep(buffer)
    return .assembled(buffer)
  }

  /// Forgets the message under assembly.
  public mutating func abandon() {
    buffer = nil
    totalBytes = 0
  }
}
