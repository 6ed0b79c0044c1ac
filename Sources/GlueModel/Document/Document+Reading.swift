extension Document {
  /// Paths and set elements that hold something.
  public var keyCount: Int { tree.keyCount }
  /// Entries: more than keys where something was written concurrently, and of counters up to ``Document/partsPerCounter`` for each
  /// replica that changed it.
  public var entryCount: Int { tree.entryCount }

  /// What a path shows, with everything below it; nil for nothing. ``ModelPath/root`` shows everything.
  public func read(_ path: ModelPath) -> ModelNode? {
    var known = KnownKinds()
    guard let node = tree.node(at: path), isVisible(node, known: &known) else { return nil }
    return self.node(at: node)
  }

  /// Whether a path shows something, without a look at all that is below it.
  package func exists(_ path: ModelPath) -> Bool {
    var known = KnownKinds()
    guard let node = tree.node(at: path), isVisible(node, known: &known) else { return false }
    return shownKind(of: node) != nil
  }

  /// What a path shows by itself, without what is below it.
  package func content(at path: ModelPath) -> ModelContent? {
    var known = KnownKinds()
    return tree.node(at: path).flatMap { shown(at: $0, known: &known) }
  }

  private func node(at node: Index) -> ModelNode? {
    switch shownKind(of: node) {
    case nil: return nil
    case .value:
      return switch content(at: node) {
      case .value(let value): .value(value)
      case .concurrent(let values): .concurrent(values)
      case .counter, .element, .map, nil: nil
      }
    case .counter: return .counter(sum(at: node))
    case .set:
      var elements: [ModelValue] = []
      tree.nodes[Int(node)].children.forEach { child in
        if case .element(let element) = content(at: child.node) { elements.append(element) }
        return true
      }
      return .set(elements)
    case .map:
      var children: [ModelNode.Child] = []
      tree.nodes[Int(node)].children.forEach { child in
        if case .level(let level) = tree.nodes[Int(child.node)].key, let node = self.node(at: child.node) {
          children.append(ModelNode.Child(level: level, node: node))
        }
        return true
      }
      return .map(children)
    }
  }

  /// The leaves at a path and below, ascending level by level.
  public func leaves(under path: ModelPath) -> [ModelLeaf] {
    guard let node = tree.node(at: path) else { return [] }
    var leaves: [ModelLeaf] = []
    var known = KnownKinds()
    tree.forEachNode(under: node) {
      if let content = shown(at: $0, known: &known) {
        leaves.append(ModelLeaf(path: tree.path(of: $0), content: content))
      }
    }
    return leaves
  }

  /// The conflicts at a path and below, also those that are hidden by one above them.
  public func conflicts(under path: ModelPath) -> [ModelConflict] {
    guard let node = tree.node(at: path) else { return [] }
    var conflicts: [ModelConflict] = []
    tree.forEachNode(under: node) {
      guard $0 != EntryTree.root, isInConflict($0) else { return }
      if case .element = tree.nodes[Int($0)].key { return }
      conflicts.append(ModelConflict(path: tree.path(of: $0), candidates: candidates(at: $0)))
    }
    return conflicts
  }
}
