extension ModelChange {
  /// What a leaf is told by: its path, and in a set its element.
  private struct Key: Hashable {
    let path: ModelPath
    let element: ModelValue?

    init(_ path: ModelPath, _ content: ModelContent?) {
      self.path = path
      element = if case .element(let value)? = content { value } else { nil }
    }
  }

  /// One change for each leaf that is different after several, in the order of the first ones.
  package static func joined(_ changes: some Sequence<ModelChange>) -> [ModelChange] {
    var places: [Key: Int] = [:]
    var joined: [ModelChange] = []
    for change in changes {
      let key = Key(change.path, change.new ?? change.old)
      if let place = places[key] {
        joined[place] = ModelChange(
          path: change.path, old: joined[place].old, new: change.new, writer: change.writer, time: change.time,
          cause: change.cause)
      } else {
        places[key] = joined.count
        joined.append(change)
      }
    }
    return joined.filter { $0.old != $0.new || $0.cause == .merged }
  }

  /// What is different between two lists of leaves, as a change by somebody else of whom nothing is known.
  package static func between(_ old: [ModelLeaf], _ new: [ModelLeaf]) -> [ModelChange] {
    func change(_ path: ModelPath, _ old: ModelContent?, _ new: ModelContent?) -> ModelChange {
      ModelChange(path: path, old: old, new: new, writer: nil, time: nil, cause: .remote)
    }
    var olds: [Key: ModelContent] = [:]
    for leaf in old { olds[Key(leaf.path, leaf.content)] = leaf.content }
    var changes: [ModelChange] = []
    for leaf in new {
      let before = olds.removeValue(forKey: Key(leaf.path, leaf.content))
      if before != leaf.content { changes.append(change(leaf.path, before, leaf.content)) }
    }
    // In the order of the old list, so that it does not depend on that of a table.
    for leaf in old where olds[Key(leaf.path, leaf.content)] != nil {
      changes.append(change(leaf.path, leaf.content, nil))
    }
    return changes
  }
}
