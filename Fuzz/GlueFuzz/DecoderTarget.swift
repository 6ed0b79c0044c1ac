import GlueAddress
import GlueCore

/// Every decoder of the core, fed with every input. Whatever decodes must encode, and decode to the same again.
public struct DecoderTarget: FuzzTarget {
  /// The name on the command line.
  public static let name = "decoder"

  private let corpus: Corpus

  /// Begins from a corpus.
  public init(corpus: Corpus) {
    self.corpus = corpus
  }

  // MARK: Input

  /// Random bytes, a damaged vector, or a datagram put together from damaged frames whose lengths are right.
  public mutating func makeInput(_ input: inout [UInt8], using generator: inout SplitMix64) {
    switch generator.below(8) {
    case 0:
      for _ in 0..<generator.below(200) { input.append(generator.byte()) }
    case 1, 2, 3:
      input = corpus.inputs[generator.below(corpus.inputs.count)]
      damage(&input, using: &generator)
    default:
      input = corpus.headers[generator.below(corpus.headers.count)]
      if generator.below(8) == 0 { damage(&input, using: &generator) }
      for _ in 0...generator.below(4) {
        var (type, body) = corpus.frames[generator.below(corpus.frames.count)]
        if generator.below(8) == 0 { type = generator.byte() }
        if generator.below(4) != 0 { damage(&body, using: &generator) }
        body = Array(body.prefix(Int(UInt16.max)))
        input.append(type)
        input.append(UInt8(truncatingIfNeeded: body.count))
        input.append(UInt8(truncatingIfNeeded: body.count >> 8))
        input += body
      }
    }
  }

  private func damage(_ bytes: inout [UInt8], using generator: inout SplitMix64) {
    let donor = corpus.inputs[generator.below(corpus.inputs.count)]
    for _ in 0...generator.below(4) { Mutator.mutate(&bytes, donor: donor, using: &generator) }
  }

  // MARK: Execution

  /// Decodes the input as everything it could be.
  public mutating func execute(_ input: UnsafeRawBufferPointer) -> String? {
    do throws(Violation) {
      var reader = WireReader(input)
      if let header = try? DatagramHeader.read(from: &reader) {
        try checkHeader(header)
        try walk(FrameReader(reader))
      } else {
        try walk(FrameReader(input))
      }
      for type in FrameType.allCases { try decode(type, input) }
      try checkControl(input)
      try roundTrip(StreamOpening.self, input)
      try checkAttributes(input)
      return nil
    } catch {
      return error.description
    }
  }

  private struct Violation: Error { var description: String }

  private func walk(_ frames: FrameReader) throws(Violation) {
    var frames = frames
    while let frame = (try? frames.next()) ?? nil {
      guard let type = frame.known else { continue }
      try decode(type, frame.body)
    }
  }

  private func decode(_ type: FrameType, _ body: UnsafeRawBufferPointer) throws(Violation) {
    switch type {
    case .pad: break
    case .announce: try roundTrip(Announcement.self, body)
    case .challenge: try roundTrip(Challenge.self, body)
    case .answer: try roundTrip(Answer.self, body)
    case .welcome: try roundTrip(Welcome.self, body)
    case .clash: try roundTrip(Clash.self, body)
    case .bye: try roundTrip(ByeReason.self, body)
    case .ack, .groupAck: try roundTrip(Ack.self, body)
    case .mtuProbe, .mtuReply: try roundTrip(MTUProbe.self, body)
    case .relay: try roundTrip(RelayHeader.self, body)
    case .data: try checkUnits(body)
    case .status: try checkStatus(body)
    case .heartbeat: try roundTrip(Heartbeat.self, body)
    case .gap: try roundTrip(Gap.self, body)
    }
  }

  // MARK: Invariants

  private func checkHeader(_ header: DatagramHeader) throws(Violation) {
    let bytes = encode { writer in
      switch header {
      case .long(let header): header.write(to: &writer)
      case .short(let header): header.write(to: &writer)
      case .reset(let connection): DatagramHeader.writeReset(connection: connection, to: &writer)
      }
    }
    let again = bytes?.withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      return try? DatagramHeader.read(from: &reader)
    }
    guard again == header else { throw Violation(description: "\(header) became \(String(describing: again))") }
  }

  @discardableResult
  private func roundTrip<Body: FrameBody & Equatable>(
    _: Body.Type, _ body: UnsafeRawBufferPointer
  ) throws(Violation) -> Body? {
    var reader = WireReader(body)
    guard let value = try? Body(from: &reader) else { return nil }
    guard reader.offset + reader.remaining == body.count, reader.remaining >= 0 else {
      throw Violation(description: "\(Body.self): the reader left its buffer")
    }
    let again = encode(value.write)?.withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      let value = try? Body(from: &reader)
      return reader.isAtEnd ? value : nil
    }
    guard again == value else { throw Violation(description: "\(value) became \(String(describing: again))") }
    return value
  }

  private func checkUnits(_ body: UnsafeRawBufferPointer) throws(Violation) {
    var reader = WireReader(body)
    guard (try? DataHeader(from: &reader)) != nil else { return }
    try roundTrip(DataHeader.self, body)
    var units = UnitReader(reader)
    while let unit = (try? units.next()) ?? nil {
      guard let bytes = encode(unit.write) else { throw Violation(description: "\(unit) cannot be encoded") }
      let headerBytes = unit.headerBytes(length: unit.body.count)
      let isSame = bytes.withUnsafeBytes { bytes in
        var units = UnitReader(bytes)
        guard let again = (try? units.next()) ?? nil else { return false }
        return again.timeMicroseconds == unit.timeMicroseconds && again.totalBytes == unit.totalBytes
          && again.lifetimeMicroseconds == unit.lifetimeMicroseconds && again.body.elementsEqual(unit.body)
      }
      guard isSame, bytes.count == headerBytes + unit.body.count else {
        throw Violation(description: "a unit changed: \(unit)")
      }
    }
  }

  private func checkStatus(_ body: UnsafeRawBufferPointer) throws(Violation) {
    guard let status = try roundTrip(Status.self, body) else { return }
    var reader = WireReader(body)
    let missing = (try? StatusView(from: &reader)).map { Array($0.missing) }
    guard missing == status.missing, status.missing.count <= Status.maximumMissing else {
      throw Violation(description: "the view of \(status) has \(String(describing: missing))")
    }
    var end = status.next
    for (index, range) in status.missing.enumerated() {
      guard !range.isEmpty, index == 0 ? range.lowerBound >= end : range.lowerBound > end else {
        throw Violation(description: "\(status) does not ascend")
      }
      end = range.upperBound
    }
  }

  private func checkControl(_ input: UnsafeRawBufferPointer) throws(Violation) {
    var reader = WireReader(input)
    guard let message = (try? ControlMessage.read(from: &reader)) ?? nil else { return }
    let again = message.encoded().withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      return (try? ControlMessage.read(from: &reader)) ?? nil
    }
    guard again == message else { throw Violation(description: "\(message) became \(String(describing: again))") }
  }

  private func checkAttributes(_ input: UnsafeRawBufferPointer) throws(Violation) {
    guard let attributes = try roundTrip(Attributes.self, input) else { return }
    guard attributes.encoded().count == attributes.byteCount else {
      throw Violation(description: "\(attributes) has another size than it says")
    }
    var copy = Attributes()
    copy.contentEncoding = attributes.contentEncoding
    copy.correlationID = attributes.correlationID
    copy.replyTo = attributes.replyTo
    copy.priority = attributes.priority
    copy.compression = attributes.compression
    copy.userProperties = attributes.userProperties
    copy.signature = attributes.signature
    copy.schemaHash = attributes.schemaHash
    copy.shareGroup = attributes.shareGroup
    copy.rateLimit = attributes.rateLimit
    copy.will = attributes.will
    guard copy.userProperties == attributes.userProperties, copy.will == attributes.will,
      copy.schemaHash == attributes.schemaHash, copy.rateLimit == attributes.rateLimit
    else { throw Violation(description: "\(attributes) changed when copied key by key") }
  }

  /// What the closure writes; nil if it fails.
  private func encode(_ body: (inout WireWriter) -> Void) -> [UInt8]? {
    withUnsafeTemporaryAllocation(byteCount: WireLimits.attributeBytes + 8_192, alignment: 1) { buffer in
      var writer = WireWriter(buffer)
      body(&writer)
      return writer.hasFailed ? nil : Array(writer.written)
    }
  }
}
