/// The rules for topic names and filters: MQTT 5 §4.7 (docs/protocol.md §7).
public enum TopicName {
  /// Why a text is no topic name; nil if it is one.
  public static func problem(withTopic topic: String) -> String? {
    if let problem = commonProblem(topic) { return problem }
    for byte in topic.utf8 where byte == UInt8(ascii: "+") || byte == UInt8(ascii: "#") {
      return "a topic name has no wildcards + and #; those belong into filters"
    }
    return nil
  }

  /// Why a text is no filter; nil if it is one.
  public static func problem(withFilter filter: String) -> String? {
    if let problem = commonProblem(filter) { return problem }
    let levels = filter.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    for level in levels where level.count > 1 {
      if level.contains(UInt8(ascii: "+")) { return "+ must stand for a whole level, as in a/+/b" }
      if level.contains(UInt8(ascii: "#")) { return "# must stand for a whole level, as in a/#" }
    }
    for level in levels.dropLast() where level.elementsEqual("#".utf8) {
      return "# must be the last level, as in a/#"
    }
    return nil
  }

  private static func commonProblem(_ text: String) -> String? {
    if text.isEmpty { return "it is empty" }
    if text.utf8.count > WireLimits.nameBytes {
      return "it has \(text.utf8.count) bytes, the limit is \(WireLimits.nameBytes)"
    }
    if text.utf8.contains(0) { return "it contains NUL" }
    return nil
  }

  /// Whether a filter has wildcards.
  public static func hasWildcards(_ filter: String) -> Bool {
    filter.utf8.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }
  }

  /// Whether a valid filter matches a valid topic name. A wildcard in the first level does not match a topic that begins
  /// with `$`.
  public static func matches(filter: String, topic: String) -> Bool {
    let slash = UInt8(ascii: "/")
    let filterLevels = filter.utf8.split(separator: slash, omittingEmptySubsequences: false)
    let topicLevels = topic.utf8.split(separator: slash, omittingEmptySubsequences: false)
    let isInternal = topic.utf8.first == UInt8(ascii: "$")
    for (index, level) in filterLevels.enumerated() {
      let isWildcard = level.elementsEqual("#".utf8) || level.elementsEqual("+".utf8)
      if isWildcard, index == 0, isInternal { return false }
      // The parent level too: `a/#` matches `a`.
      if level.elementsEqual("#".utf8) { return true }
      guard index < topicLevels.count else { return false }
      guard isWildcard || level.elementsEqual(topicLevels[index]) else { return false }
    }
    return filterLevels.count == topicLevels.count
  }

  /// Whether a valid filter matches all topics that another one matches.
  package static func covers(_ filter: String, _ other: String) -> Bool {
    // Level by level, a wildcard is matched by itself or a larger one; what matches one level does not match the rest.
    matches(filter: filter, topic: other)
      && (filter.utf8.last == UInt8(ascii: "#") || other.utf8.last != UInt8(ascii: "#"))
  }
}

/// A topic name or level as a key. Names are equal if their bytes are, as everywhere in the protocol; `String` also takes
/// different spellings of the same characters for equal.
package struct TopicKey: Hashable, Sendable {
  private let text: String

  package init(_ text: String) { self.text = text }

  package static func == (one: TopicKey, other: TopicKey) -> Bool { one.text.utf8.elementsEqual(other.text.utf8) }

  package func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    hasher.combine(text.utf8.count)
  }
}
