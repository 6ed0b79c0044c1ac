/// Who publishes, wants and holds what: endpoints ask each other, without subscribing to anything (docs/protocol.md §7).
///
///     SUBSCRIBE with *inquiry* ──▶ MISMATCH for each topic that matches, ANSWERED
extension EndpointMachine {
  /// What is known of an endpoint's topics.
  package struct TopicSurvey: Sendable {
    package var id: EndpointID
    package var name: String
    package var incarnation: Incarnation
    /// Whether it is this endpoint or a peer now.
    package var isPresent: Bool
    /// How many topics it left out; nil as long as it has not said that its answers are all.
    package var omitted: UInt64?
    /// Whether it has told all its subscriptions.
    package var hasToldSubscriptions: Bool
    /// What it subscribes to; inquiries are no subscriptions.
    package var subscriptions: [(filter: String, type: String?)]
    package var answers: [TopicAnswer]
  }

  // MARK: Asking

  /// Asks all peers, now and later, what there is that matches a filter. Nobody is sent any data for it, nor counts it as a
  /// subscription. It ends with ``unsubscribe(_:at:)``.
  package func inquire(about filter: String, at now: Timestamp) throws(EndpointError) -> SubscriptionID {
    // Publishers that do not know inquiries take it for a subscription to a type that no topic has.
    var options = SubscriptionOptions(type: "glue inquiry")
    options.isInquiry = true
    return try subscribe(filter, options: options, at: now)
  }

  /// Whether all peers have said everything.
  package func isAnswered(_ inquiry: SubscriptionID) -> Bool {
    sessions.values.allSatisfy { session in
      session.knowsInterest && topics.inquiries[inquiry]?[respondent(session)]?.omitted != nil
    }
  }

  /// What was answered so far: by this endpoint itself, then by the others by endpoint ID, those that have gone since among them.
  package func survey(_ inquiry: SubscriptionID, at now: Timestamp) -> [TopicSurvey] {
    guard let filter = topics.subscriptions[inquiry]?.filter else { return [] }
    let own = TopicSurvey(
      id: configuration.id, name: configuration.name, incarnation: incarnation, isPresent: true, omitted: 0,
      hasToldSubscriptions: true,
      subscriptions: topics.subscriptions.values.filter { !$0.options.isInquiry && !$0.options.isListener }.map {
        ($0.filter, $0.options.type)
      },
      answers: topicAnswers(matching: filter, at: now))
    var respondents = topics.inquiries[inquiry]?.respondents ?? [:]
    var others = sessions.values.map { session in
      let answers = respondents.removeValue(forKey: respondent(session))
      return TopicSurvey(
        id: session.peer.id, name: session.peer.name, incarnation: session.peer.incarnation, isPresent: true,
        omitted: answers?.omitted, hasToldSubscriptions: session.knowsInterest,
        subscriptions: session.subscriptions.values.filter { !$0.isInquiry }.map { ($0.filter, $0.type) },
        answers: answers.map { Array($0.answers.values) } ?? [])
    }
    others += respondents.map { peer, answers in
      TopicSurvey(
        id: peer.id, name: answers.name, incarnation: peer.incarnation, isPresent: false, omitted: answers.omitted,
        hasToldSubscriptions: false, subscriptions: [], answers: Array(answers.answers.values))
    }
    return [own] + others.sorted { ($0.id, $0.incarnation) < ($1.id, $1.incarnation) }
  }

  func receive(_ answer: TopicAnswer, to inquiry: SubscriptionID, of session: Session) {
    let limit = configuration.topics.inquiryAnswers
    if !topics.inquiries[inquiry, default: Inquiry()].note(answer, of: session.peer, limit: limit) {
      reach(.inquiryAnswers, at: answer.arrivedAt)
    }
  }

  /// A peer has said everything.
  func receiveAnswered(_ inquiry: SubscriptionID, omitted: UInt64, of session: Session, at now: Timestamp) {
    guard topics.subscriptions[inquiry]?.options.isInquiry ?? false else { return }
    let limit = configuration.topics.inquiryAnswers
    guard topics.inquiries[inquiry, default: Inquiry()].noteEnd(omitted: omitted, of: session.peer, limit: limit) else {
      return reach(.inquiryAnswers, at: now)
    }
    events.append(.inquiryAnswered(inquiry, by: session.peer.id))
  }

  private func respondent(_ session: Session) -> Inquiry.Respondent {
    Inquiry.Respondent(id: session.peer.id, incarnation: session.peer.incarnation)
  }

  // MARK: Answering

  /// Answers a peer's inquiry. Where there is more than it may ask for, or than it acknowledges, the rest is left out.
  func answer(_ inquiry: RemoteSubscription, _ number: UInt64, of session: Session, at now: Timestamp) {
    var omitted: UInt64 = 0
    for answer in topicAnswers(matching: inquiry.filter, at: now)
    where !send(answer, to: inquiry, number, of: session, at: now) {
      omitted += 1
    }
    session.send(.answered(subscription: number, omitted: omitted), at: now)
    makeReady(session, at: now)
  }

  /// Tells a peer that has an inquiry of a topic that is published since.
  func answer(
    _ inquiry: RemoteSubscription, _ number: UInt64, with publication: LocalPublication, of session: Session,
    at now: Timestamp
  ) {
    if send(answer(of: publication, at: now), to: inquiry, number, of: session, at: now) { makeReady(session, at: now) }
  }

  private func send(
    _ answer: TopicAnswer, to inquiry: RemoteSubscription, _ number: UInt64, of session: Session, at now: Timestamp
  ) -> Bool {
    guard session.mismatches.take(at: now),
      session.control.stream.log.byteCount <= configuration.topics.controlBytes
    else { return false }
    var attributes = Attributes()
    attributes.historyPolicy = answer.history
    attributes.origin = answer.origin
    attributes.held = answer.held
    attributes.published = answer.published
    session.send(
      .mismatch(
        subscription: number, topic: answer.topic, publisherType: answer.type ?? "", subscriberType: inquiry.type ?? "",
        attributes: attributes),
      at: now)
    return true
  }

  // MARK: What there is here

  /// What this endpoint publishes, and what it holds of publishers that are not there; in a stable order.
  private func topicAnswers(matching filter: String, at now: Timestamp) -> [TopicAnswer] {
    var answers: [TopicAnswer] = []
    if TopicName.hasWildcards(filter) {
      for publication in topics.publications.values
      where TopicName.matches(filter: filter, topic: publication.topic) {
        answers.append(answer(of: publication, at: now))
      }
    } else if let publication = topics.publicationsByTopic[TopicKey(filter)] {
      answers.append(answer(of: publication, at: now))
    }
    let held = topics.received.values.filter {
      !$0.kept.sequences.isEmpty && !isPublisherPresent(of: $0)
        && TopicName.matches(filter: filter, topic: $0.info.topic)
    }
    for stream in held.sorted(by: { $0.hash < $1.hash }) {
      stream.kept.trim(at: now)
      guard let held = HeldMessages(stream.kept.sequences, bytes: stream.kept.stream?.log.byteCount ?? 0) else {
        continue
      }
      let info = stream.info
      answers.append(
        TopicAnswer(
          topic: info.topic, type: info.type,
          origin: StreamOrigin(
            publisher: info.publisher, incarnation: info.incarnation, name: info.publisherName, number: info.number),
          history: stream.history, held: held, arrivedAt: now))
    }
    return answers
  }

  private func answer(of publication: LocalPublication, at now: Timestamp) -> TopicAnswer {
    let stream = publication.stream
    stream.trimHistory(at: now)
    return TopicAnswer(
      topic: publication.topic, type: publication.options.type, history: stream.history,
      held: HeldMessages(stream.keptSequences, bytes: stream.keptBytes),
      published: PublishedMessages(messages: stream.log.endSequence, bytes: publication.publishedBytes), arrivedAt: now)
  }
}

extension HeldMessages {
  /// Nil if there are none.
  init?(_ sequences: Range<UInt64>, bytes: Int) {
    guard !sequences.isEmpty else { return nil }
    self.init(first: sequences.lowerBound, end: sequences.upperBound, bytes: UInt64(max(0, bytes)))
  }
}
