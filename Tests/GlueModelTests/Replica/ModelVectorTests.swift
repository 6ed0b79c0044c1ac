import GlueCore
import GlueFuzz
import Testing

@testable import GlueModel

/// The vectors of kind `model`: each decodes to what stands here, and that encodes to its bytes. That the bytes are what the document says,
/// `scripts/check-vectors` checks.
@Suite struct ModelVectorTests {
  private static let a = ReplicaID(endpoint: EndpointID(7), number: 0x1122_3344_5566_7788)
  private static let b = ReplicaID(endpoint: EndpointID(9), number: 2, generation: 1)
  private static let time: UInt64 = 1_790_000_000_000_000

  private static func path(_ text: String) -> ModelPath { ModelPath(unchecked: text) }

  private static func entry(_ dot: Dot, _ path: String, _ content: EntryContent, time: UInt64 = time) -> Entry {
    Entry(dot: dot, time: time, path: ModelPath(unchecked: path), content: content)
  }

  private static func dots(_ parts: (ReplicaID, [Range<UInt64>])...) -> DotSet {
    var set = DotSet()
    for (replica, ranges) in parts { for range in ranges { set.insert(range, of: replica) } }
    return set
  }

  private static let context = CausalContext(generation: 1, seen: dots((a, [1..<6, 8..<10]), (b, [1..<301])))

  /// One change, as all are told of it.
  private static let transaction = Delta(
    operation: .init(replica: a, counters: 10..<12, time: time), covered: dots((a, [3..<4])),
    entries: [
      entry(Dot(a, 10), "lights/kitchen/on", .value(true)),
      entry(Dot(a, 11), "lights/kitchen/level", .value(-256)),
    ])

  /// Entries of all kinds, removed dots and a generation.
  private static let everything = Delta(
    generation: 1, covered: dots((a, [1..<10]), (b, [5..<6, 8..<9])),
    entries: [
      entry(Dot(a, 2), "count", .amount(-75, folds: 3)),
      entry(Dot(a, 4), "count", .amount(.max, folds: 0), time: time - 5),
      entry(Dot(a, 5), "empty", .map),
      entry(Dot(a, 8), "lit", .element("hall")),
      entry(Dot(a, 9), "lit", .element([nil, false, [.int(.min), 1.5]])),
      entry(Dot(b, 5), "lit/values", .value(.bytes([0, 0xFF])), time: .max),
      entry(Dot(b, 8), "lit/values", .value(.double(-.infinity)), time: 0),
    ])

  private static let ranges = [
    ReconciliationRange(upper: Dot(a, 5), content: .equal),
    ReconciliationRange(upper: Dot(a, 100), content: .fingerprint(0x4567_89AB_CDEF)),
    ReconciliationRange(
      upper: nil,
      content: .members([
        LiveDot(dot: Dot(a, 100), folds: 0), LiveDot(dot: Dot(a, 103), folds: 0), LiveDot(dot: Dot(a, 104), folds: 2),
        LiveDot(dot: Dot(b, 1), folds: 0),
      ])),
  ]

  private static let status = ReplicaStatus(
    asks: true, instance: 0x0102_0304_0506_0708, wallMicroseconds: time, digest: 0xF0E0_D0C0_B0A0_9080, context: nil)

  private static let messages: [(name: String, bytes: [UInt8])] = [
    ("model: delta", PeerMessage.encoded(transaction)),
    (
      "model: delta that leaves nothing",
      PeerMessage.encoded(
        Delta(operation: .init(replica: b, counters: 1..<2, time: 5), covered: dots((a, [7..<8])), entries: []))
    ),
    ("model: status that asks", PeerMessage.status(status).encoded()),
    (
      "model: status with a context",
      PeerMessage.status(
        ReplicaStatus(asks: false, instance: 1, wallMicroseconds: 0, digest: context.digest, context: context)
      ).encoded()
    ),
    (
      "model: status of one that leaves",
      PeerMessage.status(
        ReplicaStatus(asks: false, instance: 1, wallMicroseconds: 0, digest: 2, context: nil, isTransient: true)
      ).encoded()
    ),
    ("model: need of a newcomer", PeerMessage.need(request: 1, CausalContext()).encoded()),
    ("model: need", PeerMessage.need(request: .max, context).encoded()),
    ("model: missing, nothing", PeerMessage.missing(request: 1, digest: 2, Delta(entries: [])).encoded()),
    ("model: missing, entries of all kinds", PeerMessage.missing(request: 1, digest: 2, everything).encoded()),
    (
      "model: missing, removals only",
      PeerMessage.missing(request: 1, digest: 2, Delta(covered: dots((a, [4..<5, 6..<9])), entries: [])).encoded()
    ),
    ("model: reconcile, the first", PeerMessage.reconcile(request: 3, context, ranges).encoded()),
    (
      "model: reconcile, equal",
      PeerMessage.reconcile(request: 3, nil, [ReconciliationRange(upper: nil, content: .equal)]).encoded()
    ),
    ("model: finish", PeerMessage.finish(request: 3, wanted: dots((b, [5..<6])), transaction).encoded()),
    ("model: refused", PeerMessage.refused(request: 3).encoded()),
    ("model: part", MessagePart(number: 300, index: 1, count: 2, bytes: [1, 2, 3]).encoded()),
    ("model: confirm", PeerMessage.confirm(dots((b, [5..<6]))).encoded()),
    ("model: confirmed", PeerMessage.confirmed(dots((b, [5..<6]))).encoded()),
  ]

  @Test func everyMessageHasItsBytes() throws {
    let vectors = try Corpus().modelVectors.filter { $0.error == nil }
    #expect(vectors.map(\.name) == Self.messages.map(\.name))
    for (vector, message) in zip(vectors, Self.messages) {
      #expect(vector.bytes == message.bytes, "\(vector.name)")
      #expect(vector.bytes.withUnsafeBytes { ReplicaMachine.reencoded($0) } == vector.bytes, "\(vector.name)")
    }
  }

  @Test func messagesComeBack() throws {
    try expect("model: missing, entries of all kinds", .missing(request: 1, digest: 2, Self.everything))
    try expect("model: reconcile, the first", .reconcile(request: 3, Self.context, Self.ranges))
    try expect("model: finish", .finish(request: 3, wanted: Self.dots((Self.b, [5..<6])), Self.transaction))
    try expect("model: need", .need(request: .max, Self.context))
    try expect("model: status that asks", .status(Self.status))
  }

  private func expect(_ name: String, _ message: PeerMessage) throws {
    let vector = try #require(try Corpus().modelVectors.first { $0.name == name })
    let decoded = try vector.bytes.withUnsafeBytes { bytes in
      var reader = WireReader(bytes)
      guard case .kind(let kind) = try PeerMessage.header(reading: &reader) else { throw WireError.truncated }
      return try PeerMessage(kind, reading: &reader)
    }
    #expect(decoded == message)
  }

  @Test func invalidOnesAreRefused() throws {
    let vectors = try Corpus().modelVectors.filter { $0.error != nil }
    #expect(vectors.count >= 12)
    for vector in vectors {
      #expect(error(of: vector.bytes) == vector.error, "\(vector.name)")
      #expect(vector.bytes.withUnsafeBytes { ReplicaMachine.reencoded($0) } == nil, "\(vector.name)")
    }
  }

  /// The error class of the document.
  private func error(of bytes: [UInt8]) -> String? {
    do {
      try bytes.withUnsafeBytes { bytes in
        var reader = WireReader(bytes)
        switch try PeerMessage.header(reading: &reader) {
        case .otherVersion: throw WireError.mustUnderstand(type: 0)
        case .kind(.delta): _ = try Delta(encoded: reader.rest())
        case .kind(.part): _ = try MessagePart(reading: &reader)
        case .kind(let kind): _ = try PeerMessage(kind, reading: &reader)
        }
      }
      return nil
    } catch let error as WireError {
      switch error {
      case .truncated: return "truncated"
      case .varintOverflow: return "varintOverflow"
      case .invalidUTF8: return "invalidUTF8"
      case .invalidValue: return "invalidValue"
      case .tooLong: return "tooLong"
      case .mustUnderstand: return "unknownVersion"
      }
    } catch {
      return "\(error)"
    }
  }
}
