import GlueCore
import Testing

@testable import GlueModel

@Suite struct WireTests {
  private func decode(_ bytes: [UInt8]) -> Delta? { bytes.withUnsafeBytes { try? Delta(encoded: $0) } }

  @Test func everythingComesBack() {
    for seed in 0..<UInt64(200) {
      var history = RandomHistory(seed: seed)
      history.run(steps: 40)
      for delta in history.deltas + history.documents.map({ $0.state() }) {
        let bytes = delta.encoded()
        #expect(decode(bytes) == delta, "seed \(seed)")
        #expect(bytes.withUnsafeBytes { try? DotSet(encoded: UnsafeRawBufferPointer(rebasing: $0[0..<0])) } == nil)
        let covered = delta.covered.encoded()
        #expect(covered.withUnsafeBytes { try? DotSet(encoded: $0) } == delta.covered)
      }
      for document in history.documents {
        let bytes = document.context.encoded()
        #expect(bytes.withUnsafeBytes { try? CausalContext(encoded: $0) } == document.context)
      }
    }
  }

  /// Damaged and random bytes give a delta or an error; a delta can be merged, and what comes of it can be told and merged again.
  @Test func hostileBytesDoNoHarm() {
    var decoded = 0
    for seed in 0..<UInt64(100) {
      var history = RandomHistory(seed: seed)
      history.run(steps: 30)
      var document = history.documents[0]
      for _ in 0..<100 {
        var bytes: [UInt8]
        if history.below(4) == 0 || history.deltas.isEmpty {
          bytes = (0..<history.below(60)).map { _ in UInt8(history.below(256)) }
        } else {
          bytes = history.deltas[history.below(history.deltas.count)].encoded()
        }
        for _ in 0...history.below(3) where !bytes.isEmpty {
          let place = history.below(bytes.count)
          switch history.below(5) {
          case 0: bytes[place] ^= 1 << UInt8(history.below(8))
          case 1: bytes[place] = [0, 1, 0x7F, 0x80, 0xFF][history.below(5)]
          case 2: bytes.remove(at: place)
          case 3: bytes.insert(UInt8(history.below(256)), at: place)
          default: bytes.replaceSubrange(place..., with: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F])
          }
        }
        _ = bytes.withUnsafeBytes { try? CausalContext(encoded: $0) }
        guard let delta = decode(bytes) else { continue }
        decoded += 1
        #expect(decode(delta.encoded()) == delta, "seed \(seed)")
        _ = document.merge(delta)
        _ = document.read(.root)
        _ = document.missing(for: history.documents[1].context)
      }
      var other = Document(replica: ReplicaID(endpoint: EndpointID(98), number: 1))
      _ = other.merge(document.state())
      #expect(other.stateBytes() == document.stateBytes(), "seed \(seed)")
      _ = try? document.apply([.set(ModelPath(unchecked: "a"), 1)], at: .max)
      document.advanceGeneration()
    }
    #expect(decoded > 500)
  }

  /// What a few bytes claim costs neither time nor memory.
  @Test func hugeRangesAreNotGoneThrough() throws {
    let replica = ReplicaID(endpoint: EndpointID(1), number: 1)
    var document = Document(replica: replica)
    _ = try document.apply([.set(ModelPath(unchecked: "a"), 1)], at: 1)
    var covered = DotSet()
    covered.insert(1..<(Dot.maximumCounter + 1), of: replica)
    let delta = Delta(covered: covered, entries: [])
    let decoded = try #require(decode(delta.encoded()))
    #expect(document.merge(decoded).removed == [Dot(replica, 1)])
    #expect(document.read(.root) == nil)
    guard case .delta(let missing) = document.missing(for: CausalContext()) else {
      Issue.record("nothing in common")
      return
    }
    #expect(missing.encoded().count < 50)
    // The next change has a number beyond all that others take: it is refused by them, and nothing traps.
    _ = try document.apply([.set(ModelPath(unchecked: "a"), 1)], at: 2)
  }

  /// Paths are told by what differs from the one before, but not so that few bytes become much memory.
  @Test func longPathsStayInProportion() throws {
    let replica = ReplicaID(endpoint: EndpointID(1), number: 1)
    let long = Array(repeating: String(repeating: "x", count: 250), count: 4).joined(separator: "/")
    let entries = (0..<2_000).map { number in
      Entry(
        dot: Dot(replica, UInt64(number) + 1), time: 0, path: ModelPath(unchecked: "\(long)\(number % 10)"),
        content: .map)
    }
    let delta = Delta(entries: entries)
    let bytes = delta.encoded()
    #expect(decode(bytes) == delta)
    #expect(bytes.count > 2_000_000 / Delta.pathFactor - Delta.pathAllowance && bytes.count < 200_000)
    // Short paths next to each other cost what differs.
    let short = Delta(
      entries: (0..<2_000).map { number in
        Entry(
          dot: Dot(replica, UInt64(number) + 1), time: 1_000 + UInt64(number),
          path: ModelPath(unchecked: "rooms/kitchen/lamp\(1_000 + number)/on"), content: .value(true))
      })
    #expect(short.encoded().count < 2_000 * 15)
  }
}
