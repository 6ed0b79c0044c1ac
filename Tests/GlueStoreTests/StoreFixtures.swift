import Foundation
import GlueCore
import GlueStore

/// A directory for one test, deleted with this object.
final class TemporaryDirectory {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("glue-store-\(UUID())").path
  /// For a store; not made yet.
  var store: String { path + "/store" }
  /// The store's database.
  var database: String { store + "/" + SQLiteStore.fileName }

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Bytes of all files of the store.
  func bytesOnDisk() throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: store).reduce(0) { sum, name in
      let attributes = try FileManager.default.attributesOfItem(atPath: store + "/" + name)
      return sum + ((attributes[.size] as? NSNumber)?.intValue ?? 0)
    }
  }
}

/// Bytes without a pattern, the same for the same seed (SplitMix64).
struct Noise {
  private var state: UInt64
  init(seed: Int) { state = UInt64(seed) }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
      return UInt8(truncatingIfNeeded: mixed ^ mixed >> 31)
    }
  }
}

extension StoreClock {
  /// Two boots of a host whose wall clock is right: the first begins at 1,000,000 s, the second at 2,000,000 s.
  static func first(_ seconds: Double) -> StoreClock { .boot("first", began: 1_000_000, seconds) }
  static func second(_ seconds: Double) -> StoreClock { .boot("second", began: 2_000_000, seconds) }

  private static func boot(_ id: String, began: Double, _ seconds: Double) -> StoreClock {
    StoreClock(
      bootID: id, boot: .seconds(seconds), wallMicroseconds: UInt64(((began + seconds) * 1_000_000).rounded()))
  }
}

extension Timestamp {
  static func seconds(_ seconds: Double) -> Timestamp {
    Timestamp(nanoseconds: UInt64((seconds * 1_000_000_000).rounded()))
  }
}

extension StoredStream {
  static func sample(
    publisher: UInt64 = 1, number: UInt64 = 1, topic: String = "a/b", type: String? = nil,
    history: HistoryPolicy = .untilExpiry
  ) -> StoredStream {
    StoredStream(
      origin: StreamOrigin(publisher: EndpointID(publisher), incarnation: Incarnation(9), name: "here", number: number),
      topic: topic, type: type, epochMicroseconds: 5, history: history)
  }
}

extension StoredMessage {
  static func sample(_ sequence: UInt64, at seconds: Double = 100, lifetime: Double? = nil, body: [UInt8] = [1, 2, 3])
    -> StoredMessage
  {
    StoredMessage(
      sequence: sequence, position: sequence &+ 1, timeMicroseconds: sequence &+ 2,
      lifetimeMicroseconds: lifetime.map { UInt64(($0 * 1_000_000).rounded()) }, publishedAt: .seconds(seconds),
      hasAttributes: sequence % 2 == 0, body: body)
  }
}

extension SQLiteStore {
  /// Writes as one batch.
  func write(_ writes: [StoreWrite], at clock: StoreClock = .first(100)) throws(StoreError) {
    try write(StoreBatch(number: 1, writes: writes), clock: clock)
  }

  /// The sequence numbers of a stream's messages.
  func sequences(of stream: StoredStream, at clock: StoreClock = .first(100)) throws -> [UInt64]? {
    try load(now: clock).streams.first { $0.stream == stream }?.messages.map(\.message.sequence)
  }
}
