extension Document {
  /// The changes that make a path show something, and none where it shows that already: who writes one member of a structure leaves the others to
  /// others. A counter is brought to the sum, a set to the elements.
  ///
  /// - Throws: ``ModelError/invalidPath(_:problem:)`` if something would be too deep, or a level is none.
  public func edits(writing node: ModelNode, at path: ModelPath) throws(ModelError) -> [ModelEdit] {
    var edits: [ModelEdit] = []
    try write(node, over: read(path), at: path, into: &edits)
    return edits
  }

  private func write(
    _ node: ModelNode, over old: ModelNode?, at path: ModelPath, into edits: inout [ModelEdit]
  ) throws(ModelError) {
    guard node != old else { return }
    switch node {
    case .value(let value): return edits.append(.set(path, value))
    case .concurrent(let values):
      if let value = values.first { edits.append(.set(path, value)) }
      return
    case .counter, .set, .map: break
    }
    // Another kind makes room.
    if let old, old.kind != node.kind { edits.append(.delete(path)) }
    switch (node, old) {
    case (.counter(let sum), .counter(let before)): edits.append(.increment(path, sum &- before))
    case (.counter(let sum), _): edits.append(.increment(path, sum))
    case (.set(let elements), _):
      var before: [ModelValue] = []
      if case .set(let elements)? = old { before = elements }
      let (old, new) = (Set(before), Set(elements))
      for element in before where !new.contains(element) { edits.append(.remove(path, element)) }
      for element in elements where !old.contains(element) { edits.append(.add(path, element)) }
    case (.map(let children), _):
      var before: [ModelNode.Child] = []
      if case .map(let children)? = old { before = children }
      if children.isEmpty, !path.isRoot { edits.append(.makeMap(path)) }
      // By their bytes: texts that look the same are different levels.
      let new = Set(children.map { Array($0.level.utf8) })
      let old = Dictionary(before.map { (Array($0.level.utf8), $0.node) }, uniquingKeysWith: { first, _ in first })
      for child in before where !new.contains(Array(child.level.utf8)) {
        edits.append(.delete(try path.appending(child.level)))
      }
      for child in children {
        try write(child.node, over: old[Array(child.level.utf8)], at: try path.appending(child.level), into: &edits)
      }
    case (.value, _), (.concurrent, _): break
    }
  }
}
