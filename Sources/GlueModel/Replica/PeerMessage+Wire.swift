import GlueCore

/// ```
/// byte 0     version of the protocol of models: 1
/// byte 1     kind: 0 DELTA (on the delta topic), 1 STATUS, 2 NEED, 3 MISSING, 4 RECONCILE, 5 FINISH, 6 REFUSED, 7 PART,
///            8 CONFIRM, 9 CONFIRMED
///
/// DELTA      delta
/// STATUS     flags (1: asks, 2: has a context, 4: is transient), instance u64, wall clock u64, digest u64, context
/// NEED       request u64, context
/// MISSING    request u64, digest u64, delta
/// RECONCILE  request u64, bytes of the context varint, context (if any), ranges
/// FINISH     request u64, bytes of the dots varint, wanted dots, delta
/// REFUSED    request u64
/// PART       number varint, index varint, count varint, bytes
/// CONFIRM    dots
/// CONFIRMED  dots
/// ```
/// What is last goes on to the end of the message.
extension PeerMessage {
  static let version: UInt8 = 1
  static let headerBytes = 2

  enum Kind: UInt8 {
    case delta, status, need, missing, reconcile, finish, refused, part, confirm, confirmed
  }

  private enum Flag {
    static let asks: UInt8 = 1
    static let hasContext: UInt8 = 2
    static let isTransient: UInt8 = 4
    static let all = asks | hasContext | isTransient
  }

  /// What the first bytes of a message say.
  enum Header: Equatable {
    case kind(Kind)
    case otherVersion(UInt8)
  }

  static func writeHeader(_ kind: Kind, to writer: inout WireWriter) {
    writer.u8(version)
    writer.u8(kind.rawValue)
  }

  static func header(reading reader: inout WireReader) throws(WireError) -> Header {
    let version = try reader.u8()
    guard version == Self.version else { return .otherVersion(version) }
    guard let kind = Kind(rawValue: try reader.u8()) else { throw .invalidValue(.modelMessage) }
    return .kind(kind)
  }

  /// The message as bytes.
  func encoded() -> [UInt8] {
    switch self {
    case .status(let status):
      Self.encode(.status, tail: status.context?.encoded() ?? []) { writer in
        writer.u8(
          (status.asks ? Flag.asks : 0) | (status.context == nil ? 0 : Flag.hasContext)
            | (status.isTransient ? Flag.isTransient : 0))
        writer.u64(status.instance)
        writer.u64(status.wallMicroseconds)
        writer.u64(status.digest)
      }
    case .need(let request, let context):
      Self.encode(.need, tail: context.encoded()) { $0.u64(request) }
    case .missing(let request, let digest, let delta):
      Self.encode(.missing, tail: delta.encoded()) { writer in
        writer.u64(request)
        writer.u64(digest)
      }
    case .reconcile(let request, let context, let ranges):
      Self.encode(.reconcile, context?.encoded() ?? [], tail: ReconciliationRange.encode(ranges)) { $0.u64(request) }
    case .finish(let request, let wanted, let delta):
      Self.encode(.finish, wanted.encoded(), tail: delta.encoded()) { $0.u64(request) }
    case .refused(let request):
      Self.encode(.refused) { $0.u64(request) }
    case .confirm(let dots): Self.encode(.confirm, tail: dots.encoded()) { _ in }
    case .confirmed(let dots): Self.encode(.confirmed, tail: dots.encoded()) { _ in }
    }
  }

  /// A transaction as it goes to the delta topic.
  static func encoded(_ delta: Delta) -> [UInt8] { encode(.delta, tail: delta.encoded()) { _ in } }

  private static func encode(
    _ kind: Kind, _ counted: [UInt8]? = nil, tail: [UInt8] = [], _ body: (inout WireWriter) -> Void
  ) -> [UInt8] {
    // The longest fixed part is STATUS'; a count has at most 10 bytes.
    WireWriter.encode(atMost: headerBytes + 25 + 10 + (counted?.count ?? 0) + tail.count) { writer in
      writeHeader(kind, to: &writer)
      body(&writer)
      if let counted { writer.countedBytes(counted) }
      writer.bytes(tail)
    }
  }

  /// The message of this kind, which is one to a peer.
  ///
  /// - Throws: ``WireError`` if the bytes are no such message. The counts in them size no allocation.
  init(_ kind: Kind, reading reader: inout WireReader) throws(WireError) {
    switch kind {
    case .status:
      let flags = try reader.u8()
      guard flags & ~Flag.all == 0 else { throw .invalidValue(.modelMessage) }
      self = .status(
        ReplicaStatus(
          asks: flags & Flag.asks != 0, instance: try reader.u64(), wallMicroseconds: try reader.u64(),
          digest: try reader.u64(),
          context: flags & Flag.hasContext == 0 ? nil : try CausalContext(encoded: reader.rest()),
          isTransient: flags & Flag.isTransient != 0))
    case .need: self = .need(request: try reader.u64(), try CausalContext(encoded: reader.rest()))
    case .missing:
      self = .missing(request: try reader.u64(), digest: try reader.u64(), try Delta(encoded: reader.rest()))
    case .reconcile:
      let request = try reader.u64()
      guard reader.remaining <= ReplicaConfiguration.reconcileBytes else {
        throw .tooLong(.modelMessage, limit: ReplicaConfiguration.reconcileBytes)
      }
      let context = try reader.countedBytes()
      self = .reconcile(
        request: request, context.isEmpty ? nil : try CausalContext(encoded: context),
        try ReconciliationRange.decode(&reader))
    case .finish:
      self = .finish(
        request: try reader.u64(), wanted: try DotSet(encoded: reader.countedBytes()),
        try Delta(encoded: reader.rest()))
    case .refused: self = .refused(request: try reader.u64())
    case .confirm: self = .confirm(try DotSet(encoded: reader.rest()))
    case .confirmed: self = .confirmed(try DotSet(encoded: reader.rest()))
    case .delta, .part: throw .invalidValue(.modelMessage)
    }
    guard reader.isAtEnd else { throw .invalidValue(.modelMessage) }
  }
}
