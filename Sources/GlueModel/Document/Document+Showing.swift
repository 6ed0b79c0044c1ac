import GlueCore

/// What a node shows.
///
/// Entries at one path are concurrent, or parts of one counter or set. If they are of several kinds, the kind of the latest is
/// shown; a map is as late as the latest entry in it.
extension Document {
  /// The order of entries: by time, then by dot, so that no two are equal.
  struct Rank: Comparable {
    var time: UInt64
    var dot: Dot

    static func < (a: Rank, b: Rank) -> Bool { a.time == b.time ? a.dot < b.dot : a.time < b.time }
  }

  typealias Index = EntryTree.Index

  func rank(of entry: Index) -> Rank { Rank(time: tree.entries[Int(entry)].time, dot: tree.dot(of: entry)) }

  /// The kinds at a node, each with the rank of its latest entry if `ranked`.
  private func kinds(at node: Index, ranked: Bool) -> [(kind: ModelKind, rank: Rank?)] {
    var kinds: [(kind: ModelKind, rank: Rank?)] = []
    func add(_ kind: ModelKind, _ rank: Rank?) {
      guard let index = kinds.firstIndex(where: { $0.kind == kind }) else { return kinds.append((kind, rank)) }
      if let rank, kinds[index].rank.map({ $0 < rank }) ?? true { kinds[index].rank = rank }
    }
    tree.forEachEntry(of: node) { add(tree.entries[Int($0)].content.kind, ranked ? rank(of: $0) : nil) }
    if !ranked {
      if tree.nodes[Int(node)].elementEntries > 0 { add(.set, nil) }
      if tree.nodes[Int(node)].entriesBelow > 0 { add(.map, nil) }
      return kinds
    }
    tree.nodes[Int(node)].children.forEach { child in
      let kind = tree.nodes[Int(child.node)].key.shownIn
      tree.forEachNode(under: child.node) { tree.forEachEntry(of: $0) { add(kind, rank(of: $0)) } }
      return true
    }
    return kinds
  }

  /// What is shown of a node; nil if there is nothing.
  func shownKind(of node: Index) -> ModelKind? {
    if node == EntryTree.root || !hasOwnContent(node) { return tree.nodes[Int(node)].entriesBelow == 0 ? nil : .map }
    if let entry = onlyEntry(of: node) { return tree.entries[Int(entry)].content.kind }
    let kinds = kinds(at: node, ranked: false)
    if kinds.count == 1 { return kinds[0].kind }
    return self.kinds(at: node, ranked: true).max { ($0.rank ?? .lowest) < ($1.rank ?? .lowest) }?.kind
  }

  /// The entry of a node that has one and nothing below, as nearly all have.
  private func onlyEntry(of node: Index) -> Index? {
    let first = tree.nodes[Int(node)].firstEntry
    guard first != EntryTree.none, tree.entries[Int(first)].next == EntryTree.none, tree.nodes[Int(node)].isLeaf else {
      return nil
    }
    return first
  }

  /// Whether there is something at a node that could hide the paths below it: entries, or elements.
  func hasOwnContent(_ node: Index) -> Bool {
    tree.nodes[Int(node)].firstEntry != EntryTree.none || tree.nodes[Int(node)].elementEntries > 0
  }

  /// Whether something else than that it is a map stands at a node itself.
  func hasContentOfAnotherKind(_ node: Index) -> Bool {
    if tree.nodes[Int(node)].elementEntries > 0 { return true }
    var found = false
    tree.forEachEntry(of: node) { entry in
      if case .map = tree.entries[Int(entry)].content { return }
      found = true
    }
    return found
  }

  /// The values at a node, the latest first.
  func values(at node: Index) -> [(entry: Index, value: ModelValue)] {
    var values: [(entry: Index, value: ModelValue)] = []
    tree.forEachEntry(of: node) { entry in
      if case .value(let value) = tree.entries[Int(entry)].content { values.append((entry, value)) }
    }
    if values.count > 1 { values.sort { rank(of: $0.entry) > rank(of: $1.entry) } }
    return values
  }

  /// What the values at a node show: the policy decides if there are several.
  private func shownValue(at node: Index) -> ModelContent? {
    if let entry = onlyEntry(of: node), case .value(let value) = tree.entries[Int(entry)].content {
      return .value(value)
    }
    let values = values(at: node)
    guard values.count > 1 else { return values.first.map { .value($0.value) } }
    switch policies.policy(for: tree.path(of: node)) {
    case .lastWriter: return .value(values[0].value)
    case .keepAll: return .concurrent(values.map(\.value))
    case .merge(let merge): return .value(merge(values.map(\.value)))
    }
  }

  /// The sum of the counter at a node. It wraps where concurrent changes exceed 64 bits: that is commutative.
  func sum(at node: Index) -> Int64 {
    var sum: Int64 = 0
    tree.forEachEntry(of: node) { if case .amount(let amount, _) = tree.entries[Int($0)].content { sum &+= amount } }
    return sum
  }

  /// What a node shows by itself, if nothing above hides it.
  func content(at node: Index) -> ModelContent? {
    guard tree.nodes[Int(node)].firstEntry != EntryTree.none else { return nil }
    if case .element(let element) = tree.nodes[Int(node)].key {
      return element.withUnsafeBytes { (try? ModelValue(encoded: $0)).map { .element($0) } }
    }
    switch shownKind(of: node) {
    case .value: return shownValue(at: node)
    case .counter: return .counter(sum(at: node))
    case .map:
      var isMade = false
      tree.forEachEntry(of: node) { if tree.entries[Int($0)].content == .map { isMade = true } }
      return isMade ? .map : nil
    case .set, nil: return nil
    }
  }

  /// Kinds that were looked up: where many nodes are looked at, those above them are the same.
  typealias KnownKinds = [Index: ModelKind]

  /// Whether nothing above a node hides it.
  func isVisible(_ node: Index, known: inout KnownKinds) -> Bool {
    var child = node
    while child != EntryTree.root {
      let parent = tree.nodes[Int(child)].parent
      if parent != EntryTree.root, hasOwnContent(parent) {
        let kind = known[parent] ?? shownKind(of: parent)
        known[parent] = kind
        if kind != tree.nodes[Int(child)].key.shownIn { return false }
      }
      child = parent
    }
    return true
  }

  /// What a node shows by itself.
  func shown(at node: Index, known: inout KnownKinds) -> ModelContent? {
    // Most nodes that are looked at before a change are new, and what is above them may be much.
    guard let content = content(at: node), isVisible(node, known: &known) else { return nil }
    return content
  }

  /// Whether entries at a node, or it and the paths below it, are in conflict.
  func isInConflict(_ node: Index) -> Bool {
    guard hasOwnContent(node), onlyEntry(of: node) == nil else { return false }
    let kinds = kinds(at: node, ranked: false)
    return kinds.count > 1 || kinds.first?.kind == .value && values(at: node).count > 1
  }

  /// The latest entry at a node.
  func latestEntry(at node: Index) -> Index? {
    var latest: Index?
    tree.forEachEntry(of: node) { entry in
      if latest.map({ rank(of: $0) < rank(of: entry) }) ?? true { latest = entry }
    }
    return latest
  }

  /// The sides of a conflict, the latest first.
  func candidates(at node: Index) -> [ModelConflict.Candidate] {
    var sides: [(kind: ModelKind, value: ModelValue?, rank: Rank)] = values(at: node).map {
      (.value, $0.value, rank(of: $0.entry))
    }
    for (kind, rank) in kinds(at: node, ranked: true) where kind != .value {
      if let rank { sides.append((kind, nil, rank)) }
    }
    return sides.sorted { $0.rank > $1.rank }.map {
      ModelConflict.Candidate(kind: $0.kind, value: $0.value, writer: $0.rank.dot.replica.endpoint, time: $0.rank.time)
    }
  }
}

extension Document.Rank {
  fileprivate static let lowest = Self(time: 0, dot: Dot(ReplicaID(endpoint: EndpointID(0), number: 0), 0))
}
