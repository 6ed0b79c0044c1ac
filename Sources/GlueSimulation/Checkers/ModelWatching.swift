import GlueModel

/// Whoever has read a model and then follows its changes knows what it shows: each change tells what was shown before and what is shown now.
package struct ModelWatching {
  /// How often it was checked.
  package private(set) var checks: UInt64 = 0

  /// A leaf but for what can change of it. Long values are compared and not hashed.
  private struct Place: Hashable {
    var path: ModelPath
    /// Of a set.
    var element: ModelValue?

    init(_ path: ModelPath, _ content: ModelContent) {
      self.path = path
      if case .element(let element) = content { self.element = element }
    }
  }

  /// What those who watch each opening know.
  private var mirrors: [Opening: [Place: ModelContent]] = [:]

  /// Nobody watches yet.
  package init() {}

  /// Somebody reads everything, and watches from now on.
  package mutating func began(_ opening: Opening, with leaves: [ModelLeaf]) {
    mirrors[opening] = [:]
    for leaf in leaves { mirrors[opening]![Place(leaf.path, leaf.content)] = leaf.content }
  }

  /// Nobody watches any more.
  package mutating func ended(_ opening: Opening) { mirrors[opening] = nil }

  /// A transaction's changes are told.
  package mutating func told(_ changes: [ModelChange], at opening: Opening) -> String? {
    for change in changes {
      checks += 1
      guard let old = change.old else { continue }
      guard mirrors[opening]?[Place(change.path, old)] == old else {
        return "opening \(opening) tells that \(change.path) showed \(old), which it did not"
      }
      mirrors[opening]?[Place(change.path, old)] = nil
    }
    for change in changes {
      guard let new = change.new else { continue }
      guard mirrors[opening]?[Place(change.path, new)] == nil else {
        return "opening \(opening) tells that \(change.path) shows \(new) now, and not that it showed something else"
      }
      mirrors[opening]?[Place(change.path, new)] = new
    }
    return nil
  }

  /// All changes so far have been told, and this is shown.
  package mutating func shows(_ leaves: [ModelLeaf], at opening: Opening) -> String? {
    checks += 1
    guard let mirror = mirrors[opening] else { return nil }
    let wrong = leaves.first { mirror[Place($0.path, $0.content)] != $0.content }
    if let wrong { return "opening \(opening) shows at \(wrong.path) something else than its changes told" }
    guard mirror.count != leaves.count else { return nil }
    return "opening \(opening) shows \(leaves.count) leaves, and its changes told of \(mirror.count)"
  }
}
