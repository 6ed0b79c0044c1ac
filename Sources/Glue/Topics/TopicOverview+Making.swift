import GlueCore

extension TopicOverview {
  /// Joins what the endpoints have answered.
  ///
  /// - Parameters:
  ///   - filter: What was asked about.
  ///   - first: The answers at the beginning of a measurement; empty without one.
  ///   - last: The answers at its end, this endpoint's own first.
  init(of filter: String, first: [TopicSurvey], last: [TopicSurvey]) {
    let present = Set(last.filter(\.isPresent).map(Life.init))
    var streams: [TopicKey: [Life: Findings]] = [:]
    var names: [TopicKey: String] = [:]
    // Whoever has left meanwhile has said something before.
    for (surveys, isLast) in [(first, false), (last, true)] {
      for survey in surveys {
        for answer in survey.answers {
          let topic = TopicKey(answer.topic)
          names[topic] = answer.topic
          let party = answer.origin.map { Party(id: $0.publisher, name: $0.name, incarnation: $0.incarnation) }
          streams[topic, default: [:]][Life(party ?? Party(survey)), default: Findings(party ?? Party(survey))]
            .note(answer, by: Party(survey), isOwn: party == nil, isLast: isLast)
        }
      }
    }
    let subscriptions = last.sorted { Party($0) < Party($1) }.flatMap { survey in
      survey.subscriptions.map { Subscription(party: Party(survey), filter: $0.filter, type: $0.type) }
    }
    let index = FilterIndex<Int>()
    for (number, subscription) in subscriptions.enumerated() {
      index.insert(number, under: subscription.filter)
      guard !TopicName.hasWildcards(subscription.filter),
        TopicName.matches(filter: filter, topic: subscription.filter)
      else { continue }
      names[TopicKey(subscription.filter)] = subscription.filter
    }
    var matched: Set<Int> = []
    topics = names.sorted { $0.value < $1.value }.map { key, name in
      let matching = index.matches(name).sorted()
      matched.formUnion(matching)
      let publishers = (streams[key] ?? [:]).map { $1.publisher(isPresent: present.contains($0)) }
      return Topic(
        name: name,
        publishers: publishers.sorted { ($0.isPresent ? 0 : 1, $0.party) < ($1.isPresent ? 0 : 1, $1.party) },
        subscriptions: matching.map { subscriptions[$0] })
    }
    // Of a filter that matches more than was asked for it is not known whether it matches nothing.
    unmatched = subscriptions.enumerated().filter { number, subscription in
      !matched.contains(number) && TopicName.hasWildcards(subscription.filter)
        && TopicName.covers(filter, subscription.filter)
    }.map(\.element)
    let peers = last.dropFirst().filter(\.isPresent)
    self.peers = peers.count
    incomplete = peers.filter { !$0.hasToldSubscriptions || $0.omitted != 0 }.map(Party.init)
  }

  /// Names a life of an endpoint; others may know it by an older name.
  private struct Life: Hashable {
    let id: EndpointID
    let incarnation: Incarnation

    init(_ party: Party) {
      id = party.id
      incarnation = party.incarnation
    }

    init(_ survey: TopicSurvey) { self.init(Party(survey)) }
  }

  /// What was said of one publisher's messages on a topic.
  private struct Findings {
    /// The shortest time over which a rate says something.
    static let shortestMeasurement = Nanoseconds.milliseconds(100)

    let party: Party
    var type: String?
    var history: HistoryPolicy?
    /// The publisher's own answers at the beginning and at the end.
    var first: TopicAnswer?
    var last: TopicAnswer?
    var holders: [Life: Holder] = [:]

    init(_ party: Party) { self.party = party }

    mutating func note(_ answer: TopicAnswer, by party: Party, isOwn: Bool, isLast: Bool) {
      type = answer.type
      history = answer.history ?? history
      if isOwn {
        if isLast { last = answer } else { first = answer }
      } else if isLast, let held = answer.held {
        holders[Life(party)] = Holder(party: party, held: held)
      }
    }

    func publisher(isPresent: Bool) -> Publisher {
      let rates = isPresent ? rates : nil
      return Publisher(
        party: party, isPresent: isPresent, type: type, history: history,
        published: (last ?? first)?.published, messagesPerSecond: rates?.messages, bytesPerSecond: rates?.bytes,
        kept: isPresent ? (last ?? first)?.held : nil, holders: holders.values.sorted { $0.party < $1.party })
    }

    private var rates: (messages: Double, bytes: Double)? {
      guard let first, let last, let before = first.published, let after = last.published,
        after.messages >= before.messages, after.bytes >= before.bytes
      else { return nil }
      let span = last.arrivedAt.since(first.arrivedAt)
      guard span >= Self.shortestMeasurement else { return nil }
      let seconds = Double(span.count) / 1e9
      return (Double(after.messages - before.messages) / seconds, Double(after.bytes - before.bytes) / seconds)
    }
  }
}

extension TopicOverview.Party: Comparable {
  init(_ survey: TopicSurvey) {
    self.init(id: survey.id, name: survey.name, incarnation: survey.incarnation)
  }

  /// Orders by endpoint ID, then by life.
  public static func < (one: Self, other: Self) -> Bool { (one.id, one.incarnation) < (other.id, other.incarnation) }
}
