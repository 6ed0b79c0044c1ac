/// Finds, for a topic, everything that was filed under a matching filter: a tree of levels, so that the cost depends on the
/// depth of the topic and the number of matches, not on the number of filters.
package struct FilterIndex<Value: Equatable> {
  private final class Node {
    var children: [TopicKey: Node] = [:]
    /// The child for `+`.
    var single: Node?
    /// Values under a filter that ends here.
    var values: [Value] = []
    /// Values under a filter that ends with `#` below here.
    var rest: [Value] = []
    var isEmpty: Bool { children.isEmpty && single == nil && values.isEmpty && rest.isEmpty }
  }

  private let root = Node()

  /// An empty one.
  package init() {}

  /// Files a value under a valid filter.
  package func insert(_ value: Value, under filter: String) {
    var node = root
    for level in Self.levels(of: filter) {
      if level == "#" {
        node.rest.append(value)
        return
      }
      if level == "+" {
        let child = node.single ?? Node()
        node.single = child
        node = child
      } else {
        let child = node.children[TopicKey(level)] ?? Node()
        node.children[TopicKey(level)] = child
        node = child
      }
    }
    node.values.append(value)
  }

  /// Removes a value from under a filter.
  func remove(_ value: Value, from filter: String) {
    remove(value, levels: Self.levels(of: filter)[...], at: root)
  }

  private func remove(_ value: Value, levels: ArraySlice<String>, at node: Node) {
    guard let level = levels.first else {
      if let index = node.values.firstIndex(of: value) { node.values.remove(at: index) }
      return
    }
    switch level {
    case "#":
      if let index = node.rest.firstIndex(of: value) { node.rest.remove(at: index) }
    case "+":
      guard let child = node.single else { return }
      remove(value, levels: levels.dropFirst(), at: child)
      if child.isEmpty { node.single = nil }
    default:
      guard let child = node.children[TopicKey(level)] else { return }
      remove(value, levels: levels.dropFirst(), at: child)
      if child.isEmpty { node.children[TopicKey(level)] = nil }
    }
  }

  /// The values under all filters that match the topic, in no particular order but the same for the same history.
  package func matches(_ topic: String) -> [Value] {
    var found: [Value] = []
    collect(Self.levels(of: topic)[...], at: root, isFirst: true, isInternal: topic.utf8.first == 0x24, into: &found)
    return found
  }

  private func collect(
    _ levels: ArraySlice<String>, at node: Node, isFirst: Bool, isInternal: Bool, into found: inout [Value]
  ) {
    let wildcardsApply = !(isFirst && isInternal)
    if wildcardsApply { found += node.rest }
    guard let level = levels.first else {
      found += node.values
      return
    }
    if let child = node.children[TopicKey(level)] {
      collect(levels.dropFirst(), at: child, isFirst: false, isInternal: isInternal, into: &found)
    }
    if wildcardsApply, let child = node.single {
      collect(levels.dropFirst(), at: child, isFirst: false, isInternal: isInternal, into: &found)
    }
  }

  private static func levels(of text: String) -> [String] {
    text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { String(Substring($0)) }
  }
}
