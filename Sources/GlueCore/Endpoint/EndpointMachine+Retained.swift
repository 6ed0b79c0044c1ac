/// Topics that retain their last value (docs/history.md): everybody who receives such a topic keeps its value, the highest that he knows
/// of; publishers receive it too, so that what they publish is higher, and so that they give up what is not the highest any more.
extension EndpointMachine {
  /// How long it is remembered that a topic was cleared: as long as a cache may be away and still hold the value before. One
  /// that is away longer brings that back.
  public static let clearedLifetime = Nanoseconds.seconds(7 * 24 * 3_600)

  /// A value that is dated further ahead of this endpoint's wall clock is reported: one of the two clocks is wrong.
  private static let toleratedLead = Nanoseconds.seconds(1)
  /// The shortest time between two such reports.
  private static let leadReports = Nanoseconds.seconds(10)

  // MARK: Publishing

  /// Dates a value that is published now, if the topic retains its last one. Returns its mark.
  func date(
    _ attributes: inout Attributes, lifetime: inout Nanoseconds?, of publication: LocalPublication, at now: Timestamp
  ) throws(EndpointError) -> RetainedMark? {
    guard let retained = publication.retained else {
      if attributes.retained != nil { throw .notRetained(topic: publication.topic) }
      return nil
    }
    let time = retained.nextTime(wallMicroseconds: wallMicroseconds(at: now))
    let mark = RetainedMark(time: time, isCleared: attributes.retained?.isCleared ?? false)
    // After the last of all times there is none.
    let stamp = RetainedStamp(time: time, publisher: configuration.id, incarnation: incarnation)
    guard retained.admits(stamp) else { throw .finalValue(topic: publication.topic) }
    attributes.retained = mark
    if mark.isCleared { lifetime = Self.clearedLifetime }
    return mark
  }

  /// Subscribes to a topic that is about to be published here.
  func listen(to topic: String, at now: Timestamp) throws(EndpointError) -> SubscriptionID {
    var options = SubscriptionOptions(history: .retained)
    options.isListener = true
    return try subscribe(topic, options: options, at: now)
  }

  /// Has a publication share what is known of its topic.
  func retain(_ publication: LocalPublication, by listener: SubscriptionID) {
    publication.listener = listener
    let isKnown = topics.retained[publication.topic] != nil
    publication.retained = topics.retained.topic(named: publication.topic)
    guard isKnown else { return }
    for stream in received(of: publication) { stream.retaining.isOfPublishedTopic = true }
  }

  func endListening(_ listener: SubscriptionID, to publication: LocalPublication, at now: Timestamp) {
    unsubscribe(listener, at: now)
    for stream in received(of: publication) {
      stream.retaining.isOfPublishedTopic = false
      endIfUnwanted(stream)
    }
  }

  /// What others publish on the topic of a publication, in a stable order.
  private func received(of publication: LocalPublication) -> [ReceivedStream] {
    let key = TopicKey(publication.topic)
    return topics.received.values.filter { TopicKey($0.info.topic) == key }.sorted { $0.hash < $1.hash }
  }

  // MARK: Receiving

  /// Looks at the higher values that have come: whoever waits for one at this endpoint is told, and its publisher that it is held here.
  func drainNews(at now: Timestamp) {
    guard !inbox.news.isEmpty else { return }
    let news = inbox.news
    inbox.news.removeAll(keepingCapacity: true)
    for stream in news {
      stream.retaining.hasNews = false
      if let time = stream.retained?.value?.stamp.time { noteTime(time, of: stream.info, at: now) }
      if let own = topics.publicationsByTopic[TopicKey(stream.info.topic)] { events.append(.stored(own.id)) }
    }
    tellHeld(news, at: now)
  }

  /// A value is never refused for its time: those who have it and those who have not would never agree.
  private func noteTime(_ microseconds: UInt64, of stream: StreamInfo, at now: Timestamp) {
    let own = wallMicroseconds(at: now)
    let lead = Nanoseconds.microseconds(microseconds - min(microseconds, own))
    guard lead > Self.toleratedLead else { return }
    inbox.counters.timesAhead += 1
    if let last = timeAheadReportedAt, now < last + Self.leadReports { return }
    timeAheadReportedAt = now
    events.append(.timeAhead(stream, lead))
  }

  // MARK: Confirming

  /// How long the values of topics that change often are gathered, before their publishers are told that the last ones are held here.
  private static let heldGathering = Nanoseconds.milliseconds(50)

  /// Has publishers told that values of theirs are held here, in memory: they are there as long as this endpoint is.
  func tellHeld(_ streams: [ReceivedStream], at now: Timestamp) {
    for stream in streams where stream.retained != nil && !stream.retaining.isUntold {
      stream.retaining.isUntold = true
      untoldHeld.append(stream)
    }
    if heldGatheredUntil <= now { tellUntoldHeld(at: now) }
  }

  /// Tells what was gathered. Whoever does not acknowledge what it is told is told later.
  func tellUntoldHeld(at now: Timestamp) {
    guard !untoldHeld.isEmpty else { return }
    heldGatheredUntil = now + Self.heldGathering
    let untold = Dictionary(grouping: untoldHeld, by: \.info.publisher)
    untoldHeld.removeAll(keepingCapacity: true)
    for (publisher, streams) in untold.sorted(by: { $0.key < $1.key }) {
      let session = sessionsByPeer[publisher]
      if let session, isDrowning(session, beyond: configuration.topics.controlBytes, at: now) {
        untoldHeld += streams
        continue
      }
      for stream in streams { stream.retaining.isUntold = false }
      // Whoever is not there is told when it is met again.
      guard let session else { continue }
      var ranges = streams.filter { $0.info.incarnation == session.peer.incarnation }.compactMap { stream in
        stream.kept.sequences.last.map { StoredRange(stream: stream.hash, first: $0, end: $0 + 1) }
      }[...]
      while !ranges.isEmpty {
        session.send(.stored(.memory, Array(ranges.prefix(Self.rangesPerMessage))), at: now)
        ranges = ranges.dropFirst(Self.rangesPerMessage)
      }
      makeReady(session, at: now)
    }
  }

  /// When something is to be told that was gathered.
  var heldDue: Timestamp { untoldHeld.isEmpty ? .distantFuture : heldGatheredUntil }

  /// As many fit into a datagram of any path.
  private static let rangesPerMessage = 64

  /// A peer holds values of this endpoint's in its memory.
  func noteHeld(_ ranges: [StoredRange], by peer: EndpointID) {
    for range in ranges {
      guard let publication = topics.ownStreams[range.stream].flatMap({ topics.publications[$0] }),
        publication.retained != nil, range.end <= publication.stream.log.endSequence
      else { continue }
      if publication.holders.note(range.end - 1, heldBy: peer) { events.append(.stored(publication.id)) }
    }
  }

  /// Who holds a value of a topic.
  public struct Retention: Hashable, Sendable {
    /// How many others have confirmed that they hold it, or a later one of the same publication.
    public var holders: Int
    /// Whether another publisher's value is higher, so that nobody needs to hold this one.
    public var isSuperseded: Bool
  }

  /// Who holds a value of a publication, as far as they have told. Nil when the publication is over, or its topic retains nothing.
  public func retention(of publication: PublicationID, _ sequence: UInt64) -> Retention? {
    guard let publication = topics.publications[publication.rawValue], let retained = publication.retained else {
      return nil
    }
    return Retention(
      holders: publication.holders.count(of: sequence) { sessionsByPeer[$0] != nil },
      isSuperseded: retained.value.map { $0.stream != publication.info.hash } ?? false)
  }

  /// Whether everybody known has told which value of a publication's topic he holds, and it has arrived: what is published then is higher.
  public func knowsValue(of publication: PublicationID) -> Bool {
    guard let publication = topics.publications[publication.rawValue], publication.retained != nil else { return true }
    return topics.unknown.isEmpty && topics.unknownUnderWay.isEmpty
      && sessions.values.allSatisfy {
        $0.knowsInterest && $0.toldInterest == topics.interestVersion && $0.history.awaited == 0
      }
      && received(of: publication).allSatisfy { stream in
        stream.fetch == nil && !stream.isInLine && (!stream.isLive || stream.next >= stream.retaining.promisedEnd)
      }
  }
}

extension PublicationOptions {
  /// Whether the topic's last value is kept for ever. Of best-effort topics nothing is kept.
  var retainsLastValue: Bool { reliability == .reliable && history == .retained }
}
