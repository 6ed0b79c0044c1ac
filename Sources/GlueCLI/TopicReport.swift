import Glue

/// An overview of topics as people and programs read it.
enum TopicReport {
  // MARK: For people

  /// Names in one cell; of more the number is shown.
  private static let namesShown = 3

  /// A table with a row for each publisher of each topic, then the subscriptions that match nothing.
  static func lines(_ overview: TopicOverview) -> [String] {
    var lines: [String] = []
    if !overview.topics.isEmpty {
      let header = ["TOPIC", "TYPE", "PUBLISHER", "MSG/S", "BYTES/S", "SENT", "HELD", "SUBSCRIBERS"]
      let rows = [header] + overview.topics.flatMap(rows)
      let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
      lines = rows.map { row in
        let cells = row.indices.map { column in
          rightAligned.contains(column)
            ? Format.right(row[column], widths[column]) : Format.left(row[column], widths[column])
        }
        return cells.joined(separator: "  ").trimmingTrailingSpaces
      }
    }
    lines += overview.unmatched.map { "no topic matches \($0.filter), to which \($0.party) subscribes".printable }
    lines.append("\(count(overview.topics.count, "topic")), \(count(overview.peers, "other endpoint"))")
    return lines
  }

  private static let rightAligned: Set<Int> = [3, 4, 5]

  private static func rows(_ topic: TopicOverview.Topic) -> [[String]] {
    guard !topic.publishers.isEmpty else {
      return [[topic.name.printable, "-", "-", "-", "-", "-", "-", names(topic.subscriptions)]]
    }
    return topic.publishers.enumerated().map { number, publisher in
      [
        number == 0 ? topic.name.printable : "", (publisher.type ?? "-").printable,
        "\(publisher.party)\(publisher.isPresent ? "" : ", gone")".printable,
        publisher.messagesPerSecond.map { Format.fixed($0, 1) } ?? "-",
        publisher.bytesPerSecond.map { Format.fixed($0, 0) } ?? "-",
        publisher.published.map { "\($0.messages)" } ?? "-", held(publisher), names(topic.subscriptions, of: publisher),
      ]
    }
  }

  private static func held(_ publisher: TopicOverview.Publisher) -> String {
    func what(_ held: HeldMessages) -> String { publisher.history == .retained ? "retained" : "\(held.count)" }
    var parts: [String] = []
    if let kept = publisher.kept { parts.append(what(kept)) }
    parts += publisher.holders.prefix(namesShown).map { "\(what($0.held)) by \($0.party)".printable }
    if publisher.holders.count > namesShown { parts.append("and \(publisher.holders.count - namesShown) more") }
    return parts.isEmpty ? "-" : parts.joined(separator: ", ")
  }

  /// Who gets what a publisher publishes, and who would if the type were the one he wants.
  private static func names(
    _ subscriptions: [TopicOverview.Subscription], of publisher: TopicOverview.Publisher? = nil
  ) -> String {
    var taking: [String: String] = [:]
    var order: [String] = []
    for subscription in subscriptions {
      let name = "\(subscription.party)"
      let takes = publisher.map(subscription.takes) ?? true
      if taking[name] == nil { order.append(name) }
      // One of his subscriptions suffices.
      if takes {
        taking[name] = name
      } else if taking[name] == nil {
        taking[name] = "\(name) wants \(subscription.type ?? "")"
      }
    }
    guard !order.isEmpty else { return "-" }
    let shown = order.prefix(namesShown).compactMap { taking[$0]?.printable }
    let rest = order.count - shown.count
    return (shown + (rest > 0 ? ["and \(rest) more"] : [])).joined(separator: ", ")
  }

  private static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

  // MARK: For programs

  /// An object for each topic on a line of its own, and one that sums up.
  static func jsonLines(_ overview: TopicOverview, seconds: Double) -> [String] {
    let topics = overview.topics.map { topic in
      var line = JSONLine()
      line.add("topic", topic.name)
      line.add("types", topic.types)
      line.add("publishers", topic.publishers.map(object))
      line.add("subscribers", topic.subscriptions.map(object))
      return line.line
    }
    var summary = JSONLine()
    summary.add("topics", overview.topics.count)
    summary.add("peers", overview.peers)
    summary.add("complete", overview.incomplete.isEmpty)
    summary.add("incomplete", overview.incomplete.map(object))
    summary.add("unmatched", overview.unmatched.map(object))
    summary.add("seconds", seconds)
    return topics + [summary.line]
  }

  private static func object(_ publisher: TopicOverview.Publisher) -> JSONLine {
    var line = object(publisher.party)
    line.add("present", publisher.isPresent)
    line.add("type", publisher.type)
    line.add("history", publisher.history.map(text))
    line.add("messages", publisher.published?.messages)
    line.add("bytes", publisher.published?.bytes)
    line.add("messagesPerSecond", publisher.messagesPerSecond)
    line.add("bytesPerSecond", publisher.bytesPerSecond)
    line.add("kept", publisher.kept.map { object($0) })
    line.add("holders", publisher.holders.map { object($0.held, object($0.party)) })
    return line
  }

  private static func object(_ subscription: TopicOverview.Subscription) -> JSONLine {
    var line = object(subscription.party)
    line.add("filter", subscription.filter)
    line.add("type", subscription.type)
    return line
  }

  private static func object(_ held: HeldMessages, _ line: JSONLine = JSONLine()) -> JSONLine {
    var line = line
    line.add("first", held.first)
    line.add("messages", held.count)
    line.add("bytes", held.bytes)
    return line
  }

  private static func object(_ party: TopicOverview.Party) -> JSONLine {
    var line = JSONLine()
    line.add("id", party.id.rawValue)
    line.add("name", party.name)
    line.add("incarnation", party.incarnation.rawValue)
    return line
  }

  /// As `glue pub --keep` takes it, or `--retain`.
  private static func text(_ policy: HistoryPolicy) -> String {
    switch policy {
    case .none: "none"
    case .untilExpiry: "expiry"
    case .last(let count): "\(count)"
    case .retained: "retained"
    }
  }
}

extension String {
  fileprivate var trimmingTrailingSpaces: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}
