import GlueCore

@testable import GlueModel

/// Several replicas that change few paths in all ways, from a seed, and merge some of each other's deltas meanwhile.
struct RandomHistory {
  static let paths = ["a", "a/b", "a/b/c", "a/d", "b", "b/a", "c"].map { ModelPath(unchecked: $0) }

  var generator: SeededGenerator
  var documents: [Document]
  /// Every transaction, in the order in which they were made.
  var deltas: [Delta] = []
  var time: UInt64 = 1_000
  /// Merges only what follows on what is there, as a replica does.
  let isCausal: Bool

  init(seed: UInt64, replicas: Int? = nil, isCausal: Bool = false, limits: DocumentLimits = DocumentLimits()) {
    var generator = SeededGenerator(seed: seed)
    let count = replicas ?? 2 + Int(generator.next() % 4)
    documents = (0..<count).map {
      Document(replica: ReplicaID(endpoint: EndpointID(UInt64($0) / 2 + 1), number: UInt64($0)), limits: limits)
    }
    self.generator = generator
    self.isCausal = isCausal
  }

  mutating func below(_ bound: Int) -> Int { Int(generator.next() % UInt64(bound)) }

  mutating func randomEdit() -> ModelEdit {
    let path = Self.paths[below(Self.paths.count)]
    let value = ModelValue.int(Int64(below(3)))
    switch below(12) {
    case 0, 1, 2: return .set(path, value)
    case 3, 4: return .delete(path)
    case 5, 6: return .add(path, value)
    case 7: return .remove(path, value)
    case 8, 9, 10: return .increment(path, Int64(below(7)) - 3)
    default: return .makeMap(path)
    }
  }

  /// A change somewhere. Several writers have the same time at times.
  mutating func edit() -> (document: Int, edits: [ModelEdit], applied: Applied?) {
    let index = below(documents.count)
    let edits = (0..<(below(4) == 0 ? 1 + below(3) : 1)).map { _ in randomEdit() }
    time += UInt64(below(2))
    let applied = try? documents[index].apply(edits, at: time)
    if let applied { deltas.append(applied.delta) }
    return (index, edits, applied)
  }

  /// Merges any earlier transaction anywhere. nil if that one may not be merged there yet.
  mutating func deliver() -> (document: Int, delta: Delta, merged: Merged)? {
    guard !deltas.isEmpty else { return nil }
    let index = below(documents.count)
    let delta = deltas[below(deltas.count)]
    guard !isCausal || documents[index].follows(delta) else { return nil }
    return (index, delta, documents[index].merge(delta))
  }

  /// Changes and deliveries in turn.
  mutating func run(steps: Int) {
    for _ in 0..<steps {
      if below(3) == 0 { _ = edit() } else { _ = deliver() }
    }
  }

  /// Every document merges every delta, in an order of its own.
  mutating func settle() {
    for index in documents.indices {
      for delta in deltas.shuffled(using: &generator) { _ = documents[index].merge(delta) }
    }
  }
}

extension Document {
  /// Whether a transaction is the next of its replica, and all that it removes has been seen.
  func follows(_ delta: Delta) -> Bool {
    guard let operation = delta.operation else { return false }
    return context.seen[operation.replica].firstMissing >= operation.counters.lowerBound
      && context.covers(CausalContext(seen: delta.dependencies))
  }
}
