/// MTU_PROBE and MTU_REPLY: the size that a path carries (docs/protocol.md §5.5).
public struct MTUProbe: Equatable, Sendable {
  /// Bytes of the probing datagram, as UDP payload.
  public var datagramBytes: UInt16
  /// With that size.
  public init(datagramBytes: UInt16) { self.datagramBytes = datagramBytes }
}

extension MTUProbe: FrameBody {
  /// Reads the body.
  public init(from reader: inout WireReader) throws(WireError) { datagramBytes = try reader.u16() }
  /// Writes the body.
  public func write(to writer: inout WireWriter) { writer.u16(datagramBytes) }
}

extension ByeReason: FrameBody {
  /// Reads the body of a BYE. An unknown reason counts as leaving.
  public init(from reader: inout WireReader) throws(WireError) {
    self = ByeReason(rawValue: try reader.u8()) ?? .leaving
  }
  /// Writes the body of a BYE.
  public func write(to writer: inout WireWriter) { writer.u8(rawValue) }
}

extension Ack: FrameBody {
  /// Reads the body.
  public init(from reader: inout WireReader) throws(WireError) {
    largest = try reader.varint()
    delayMicroseconds = try reader.varint()
    count = try reader.varint()
  }
  /// Writes the body.
  public func write(to writer: inout WireWriter) {
    writer.varint(largest)
    writer.varint(delayMicroseconds)
    writer.varint(count)
  }
}

extension DataHeader: FrameBody {
  /// Reads the fields and leaves the reader at the first unit.
  @inline(__always)
  public init(from reader: inout WireReader) throws(WireError) {
    stream = try reader.varint()
    position = try reader.position()
    lag = try reader.varint()
    guard lag <= position else { throw .invalidValue(.lag) }
    ageMicroseconds = try reader.varint()
  }
  /// Writes the fields before the units.
  @inline(__always)
  public func write(to writer: inout WireWriter) {
    writer.varint(stream)
    writer.varint(position)
    writer.varint(lag)
    writer.varint(ageMicroseconds)
  }
  /// How many bytes ``write(to:)`` writes.
  @inline(__always)
  public var byteCount: Int {
    WireWriter.varintBytes(stream) + WireWriter.varintBytes(position) + WireWriter.varintBytes(lag)
      + WireWriter.varintBytes(ageMicroseconds)
  }
}

extension Heartbeat: FrameBody {
  /// Reads the body.
  public init(from reader: inout WireReader) throws(WireError) {
    stream = try reader.varint()
    first = try reader.position()
    end = try reader.position(.end)
    guard first <= end else { throw .invalidValue(.end) }
  }
  /// Writes the body.
  public func write(to writer: inout WireWriter) {
    writer.varint(stream)
    writer.varint(first)
    writer.varint(end)
  }
}

extension Gap: FrameBody {
  /// Reads the body.
  public init(from reader: inout WireReader) throws(WireError) {
    stream = try reader.varint()
    position = try reader.position()
    count = try reader.position(.gapCount)
    guard count >= 1, position + count <= WireLimits.position else { throw .invalidValue(.gapCount) }
    nextSequence = try reader.position(.sequence)
    // Every message has at least one position.
    guard nextSequence <= position + count else { throw .invalidValue(.sequence) }
    // A newer sender's reason must not stall the stream.
    reason = Reason(rawValue: try reader.u8()) ?? .dropped
  }
  /// Writes the body.
  public func write(to writer: inout WireWriter) {
    writer.varint(stream)
    writer.varint(position)
    writer.varint(count)
    writer.varint(nextSequence)
    writer.u8(reason.rawValue)
  }
}

// MARK: STATUS

/// A STATUS in place: as ``Status``, but its ranges are walked where they lie, without allocation.
public struct StatusView {
  /// The addressee's number of the stream.
  public let stream: UInt64
  /// All positions below were received or skipped.
  public let next: UInt64
  /// Bytes of units that may be outstanding beyond `next`.
  public let windowBytes: UInt64
  /// The missing ranges: ascending, none empty, none touching another.
  public let missing: MissingRanges

  /// Reads the body and checks all of its ranges.
  public init(from reader: inout WireReader) throws(WireError) {
    stream = try reader.varint()
    next = try reader.position()
    windowBytes = try reader.varint()
    let count = try reader.varint()
    guard count <= UInt64(Status.maximumMissing) else { throw .tooLong(.missing, limit: Status.maximumMissing) }
    missing = MissingRanges(reader: reader, end: next, count: Int(count))
    var ranges = missing
    for index in 0..<Int(count) { _ = try ranges.read(isFirst: index == 0) }
    reader = ranges.reader
  }

  /// The missing ranges of a STATUS, one after the other.
  public struct MissingRanges: Sequence, IteratorProtocol {
    fileprivate var reader: WireReader
    fileprivate var end: UInt64
    fileprivate var isFirst = true
    /// Ranges not yet walked.
    public private(set) var count: Int

    fileprivate init(reader: WireReader, end: UInt64, count: Int) {
      self.reader = reader
      self.end = end
      self.count = count
    }

    /// The next range; nil after the last.
    public mutating func next() -> Range<UInt64>? {
      guard count > 0 else { return nil }
      count -= 1
      defer { isFirst = false }
      // Checked when the view was made.
      return try? read(isFirst: isFirst)
    }

    fileprivate mutating func read(isFirst: Bool) throws(WireError) -> Range<UInt64> {
      let distance = try reader.position(.missing)
      guard isFirst || distance > 0 else { throw .invalidValue(.missing) }
      let length = try reader.position(.missing)
      let start = end + distance  // neither exceeds 2⁶²
      guard length > 0, start <= WireLimits.position, start + length <= WireLimits.position else {
        throw .invalidValue(.missing)
      }
      end = start + length
      return start..<end
    }
  }
}

extension Status: FrameBody {
  /// Reads the body.
  public init(from reader: inout WireReader) throws(WireError) {
    let view = try StatusView(from: &reader)
    self.init(stream: view.stream, next: view.next, windowBytes: view.windowBytes, missing: Array(view.missing))
  }

  /// Writes the body, with the first ``maximumMissing`` of the ranges. Fails if they do not ascend from `next`.
  public func write(to writer: inout WireWriter) {
    writer.varint(stream)
    writer.varint(next)
    writer.varint(windowBytes)
    let ranges = missing.prefix(Self.maximumMissing)
    writer.varint(count: ranges.count)
    var end = next
    for (index, range) in ranges.enumerated() {
      guard !range.isEmpty, index == 0 ? range.lowerBound >= end : range.lowerBound > end else { return writer.fail() }
      writer.varint(range.lowerBound - end)
      writer.varint(range.upperBound - range.lowerBound)
      end = range.upperBound
    }
  }
}
