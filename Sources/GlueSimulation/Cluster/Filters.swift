import GlueCore

/// Whether an MQTT filter matches a topic, written apart from the core's own matching so that one can judge the other.
package func filterMatches(_ filter: String, _ topic: String) -> Bool {
  let filterLevels = filter.split(separator: "/", omittingEmptySubsequences: false)
  let topicLevels = topic.split(separator: "/", omittingEmptySubsequences: false)
  if topic.hasPrefix("$"), filterLevels[0] == "+" || filterLevels[0] == "#" { return false }
  for (index, level) in filterLevels.enumerated() {
    if level == "#" { return true }
    guard index < topicLevels.count, level == "+" || level == topicLevels[index] else { return false }
  }
  return filterLevels.count == topicLevels.count
}

/// A topic of a run.
package struct SimulatedTopic: Sendable {
  /// Its name.
  package var name: String
  /// Its type, if it has one.
  package var type: String?
  /// How it is carried.
  package var reliability: Reliability
  /// What is kept of it.
  package var history: HistoryPolicy

  /// All fields.
  package init(
    _ name: String, type: String? = nil, reliability: Reliability = .reliable, history: HistoryPolicy = .none
  ) {
    self.name = name
    self.type = type
    self.reliability = reliability
    self.history = history
  }
}
