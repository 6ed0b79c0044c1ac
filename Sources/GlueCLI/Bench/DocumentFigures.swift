import Foundation
import Glue
import GlueModel

/// What a document of so many keys, written by so many replicas, costs.
struct DocumentFigures {
  /// A figure and how it is shown.
  struct Row {
    let name: String
    let unit: String
    let decimals: Int

    init(_ name: String, _ unit: String, _ decimals: Int) {
      self.name = name
      self.unit = unit
      self.decimals = decimals
    }
  }

  static let ofKeys = [
    Row("set an existing key", "µs", 2), Row("set a new key", "µs", 2), Row("increment", "µs", 2),
    Row("add to a set", "µs", 2), Row("delete a key", "µs", 2), Row("read a path", "µs", 2),
    Row("merge one change", "µs", 2), Row("digest for STATUS", "µs", 3), Row("what a peer lacks: 1 change", "µs", 2),
    Row("what a peer lacks: 100 changes", "µs", 1), Row("merge the whole state", "ms", 1),
    Row("encode the whole state", "ms", 1), Row("decode the whole state", "ms", 1),
    Row("the whole state, for each key", "bytes", 1), Row("memory for each key", "bytes", 0),
    Row("delta: an existing key", "bytes", 0), Row("delta: a new key", "bytes", 0), Row("delta: increment", "bytes", 0),
    Row("delta: add to a set", "bytes", 0), Row("delta: delete a key", "bytes", 0),
  ]

  static let ofReplicas = [
    Row("set an existing key", "µs", 2), Row("merge one change", "µs", 2), Row("digest for STATUS", "µs", 3),
    Row("what a peer lacks: 1 change", "µs", 2), Row("what a peer lacks: 100 changes", "µs", 1),
    Row("encode the context", "µs", 2), Row("decode the context", "µs", 2), Row("context in NEED", "bytes", 0),
    Row("delta: an existing key", "bytes", 0),
  ]

  private static let rounds = 5
  /// Counters and sets that are changed in turns.
  private static let places = 1_000

  /// By the names of the rows.
  private(set) var values: [String: Double] = [:]
  private let keys: Int
  private let replicas: Int
  private let count: Int
  private var document: Document
  private var time: UInt64 = 1_790_000_000_000_000

  init(keys: Int, replicas: Int, count: Int) throws {
    self.keys = keys
    self.replicas = replicas
    self.count = count
    document = Document(replica: Self.replica(0), limits: Self.limits)
    let before = Self.residentBytes()
    try fill()
    if let before, let after = Self.residentBytes() {
      values["memory for each key"] = Double(after - before) / Double(keys)
    }
  }

  private static let limits = {
    var limits = DocumentLimits()
    limits.keys = 10_000_000
    return limits
  }()

  private static func replica(_ number: Int) -> ReplicaID {
    // Spread as random ones are.
    ReplicaID(endpoint: EndpointID(1), number: UInt64(number) &* 0x9E37_79B9_7F4A_7C15 &+ 1)
  }

  /// A path of 20 bytes, up to a million of them.
  private static func path(_ index: Int) -> ModelPath {
    let (room, lamp) = (String(index / 100), String(index % 100))
    let text = "rooms/" + String(repeating: "0", count: 5 - room.count) + room + "/lamp"
    return (try? ModelPath(text + String(repeating: "0", count: 4 - lamp.count) + lamp)) ?? .root
  }

  /// Fills the document; each replica writes its part of the keys.
  private mutating func fill() throws {
    for writer in 0..<replicas {
      let share = (keys * writer / replicas)..<(keys * (writer + 1) / replicas)
      // The first one's is the document itself: its memory is measured.
      var other = Document(replica: Self.replica(writer), limits: Self.limits)
      if writer == 0 { swap(&other, &document) }
      for index in share {
        time += 1
        let applied = try other.apply([.set(Self.path(index), .int(Int64(index)))], at: time)
        if writer > 0, let applied { _ = document.merge(applied.delta) }
      }
      if writer == 0 { swap(&other, &document) }
    }
  }

  private mutating func apply(_ edit: ModelEdit) throws -> Applied {
    time += 1
    guard let applied = try document.apply([edit], at: time) else { throw CommandFailure("\(edit) changed nothing") }
    return applied
  }

  // MARK: Measuring

  mutating func measure() throws {
    // A stride that is prime to any number of keys: places as good as random, and all different.
    let keys = keys
    let stride = 7_919 * 104_729
    let existing = (0..<count).map { Self.path($0 * stride % keys) }
    let new = (0..<(count * Self.rounds)).map {
      (try? ModelPath("new/\($0 * stride % (count * Self.rounds))/value")) ?? .root
    }
    let counters = (0..<Self.places).map { (try? ModelPath("counters/\($0)")) ?? .root }
    let sets = (0..<Self.places).map { (try? ModelPath("sets/\($0)")) ?? .root }

    if replicas == 1 { try measureState() }
    let before = document.context
    for index in 0..<100 { try change(.set(existing[index * 31 % count], .int(-1)), "delta: an existing key") }
    let hundred = document.context
    try change(.set(existing[0], .int(-2)), "delta: an existing key")
    measureMissing(before, "what a peer lacks: 100 changes", count: max(1, count / 100))
    measureMissing(hundred, "what a peer lacks: 1 change", count: max(1, count / 10))
    try measureContext()
    measureReading(existing)

    try measureEdits("set an existing key", "delta: an existing key") {
      .set(existing[$0 % existing.count], .int(Int64($0)))
    }
    try measureMerging(existing)
    try measureEdits("increment", "delta: increment") { .increment(counters[$0 % counters.count], 1) }
    try measureEdits("add to a set", "delta: add to a set") { .add(sets[$0 % sets.count], .int(Int64($0))) }
    try measureEdits("set a new key", "delta: a new key") { .set(new[$0], 1) }
    try measureBytes("delta: delete a key") { .delete(new[$0]) }
    try measureEdits("delete a key", nil) { .delete(new[$0]) }
  }

  private mutating func change(_ edit: ModelEdit, _ bytes: String) throws {
    let delta = try apply(edit).delta
    values[bytes] = Double(delta.encoded().count)
  }

  /// Each round goes on with the numbers of the one before.
  private mutating func measureEdits(_ name: String, _ bytes: String?, _ edit: (Int) -> ModelEdit) throws {
    var times: [Double] = []
    for round in 0..<Self.rounds {
      let edits = (0..<count).map { edit(round * count + $0) }
      let start = Clocks.processorSeconds()
      for edit in edits {
        time += 1
        _ = try document.apply([edit], at: time)
      }
      times.append(microseconds(since: start, count))
    }
    values[name] = Percentiles(times).at(0.5)
    if let bytes { try measureBytes(bytes, edit) }
  }

  /// The bytes of one more such change, made to a copy.
  private mutating func measureBytes(_ name: String, _ edit: (Int) -> ModelEdit) throws {
    var copy = document
    if let applied = try copy.apply([edit(0)], at: time + 1) { values[name] = Double(applied.delta.encoded().count) }
  }

  private mutating func measureMissing(_ context: CausalContext, _ name: String, count: Int) {
    values[name] = median {
      let start = Clocks.processorSeconds()
      for _ in 0..<count { if case .needsReconciliation = document.missing(for: context) { return .nan } }
      return microseconds(since: start, count)
    }
  }

  private mutating func measureContext() throws {
    let context = document.context
    let bytes = context.encoded()
    values["context in NEED"] = Double(bytes.count)
    values["encode the context"] = median {
      let start = Clocks.processorSeconds()
      for _ in 0..<100 { _ = context.encoded() }
      return microseconds(since: start, 100)
    }
    values["decode the context"] = median {
      let start = Clocks.processorSeconds()
      for _ in 0..<100 { _ = bytes.withUnsafeBytes { try? CausalContext(encoded: $0) } }
      return microseconds(since: start, 100)
    }
    var sum: UInt64 = 0
    values["digest for STATUS"] = median {
      let start = Clocks.processorSeconds()
      for _ in 0..<100 { sum &+= document.digest }
      return microseconds(since: start, 100)
    }
    if sum == 1 { throw CommandFailure("the digests are not computed") }
  }

  private mutating func measureReading(_ paths: [ModelPath]) {
    var found = 0
    values["read a path"] = median {
      let start = Clocks.processorSeconds()
      for path in paths { if document.read(path) != nil { found += 1 } }
      return microseconds(since: start, paths.count)
    }
    if found == 0 { values["read a path"] = nil }
  }

  /// Changes of another replica that has seen all.
  private mutating func measureMerging(_ paths: [ModelPath]) throws {
    var other = Document(replica: Self.replica(replicas), limits: Self.limits)
    _ = other.merge(document.state())
    var times: [Double] = []
    for _ in 0..<Self.rounds {
      var deltas: [[UInt8]] = []
      for path in paths {
        time += 1
        if let applied = try other.apply([.set(path, 5)], at: time) { deltas.append(applied.delta.encoded()) }
      }
      let start = Clocks.processorSeconds()
      for bytes in deltas {
        bytes.withUnsafeBytes { if let delta = try? Delta(encoded: $0) { _ = document.merge(delta) } }
      }
      times.append(microseconds(since: start, paths.count))
    }
    values["merge one change"] = Percentiles(times).at(0.5)
  }

  private mutating func measureState() throws {
    let bytes = document.state().encoded()
    let state = try bytes.withUnsafeBytes { try Delta(encoded: $0) }
    values["the whole state, for each key"] = Double(bytes.count) / Double(document.keyCount)
    values["encode the whole state"] = median {
      let start = Clocks.processorSeconds()
      _ = document.state().encoded()
      return microseconds(since: start, 1_000)
    }
    values["decode the whole state"] = median {
      let start = Clocks.processorSeconds()
      _ = bytes.withUnsafeBytes { try? Delta(encoded: $0) }
      return microseconds(since: start, 1_000)
    }
    values["merge the whole state"] = median {
      var newcomer = Document(replica: Self.replica(replicas + 1), limits: Self.limits)
      let start = Clocks.processorSeconds()
      _ = newcomer.merge(state)
      return microseconds(since: start, 1_000)
    }
  }

  private func median(_ round: () -> Double) -> Double { Percentiles((0..<Self.rounds).map { _ in round() }).at(0.5) }

  private func microseconds(since start: Double, _ count: Int) -> Double {
    (Clocks.processorSeconds() - start) * 1e6 / Double(count)
  }

  /// What this process has in memory; nil where the system does not say it in this way.
  private static func residentBytes() -> Int? {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
      let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return nil }
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}
