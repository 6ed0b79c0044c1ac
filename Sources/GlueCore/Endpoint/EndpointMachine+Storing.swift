/// A store beside the memory: what is kept of others is written to it, and is there again at the next start (docs/store.md).
///
/// Whoever drives the machine writes. After every input, if ``hasToStore``, take ``nextStoreBatch()``, write it, and say
/// ``stored(_:at:)`` or ``storingFailed(_:)``. There is one batch at a time; what comes meanwhile makes the next one.
extension EndpointMachine {
  // MARK: From the store

  /// Takes over what was stored. To be called before the machine is used otherwise.
  public func restore(_ streams: [LoadedStream], at now: Timestamp) {
    for loaded in streams.sorted(by: { $0.stream.hash < $1.stream.hash }) {
      let origin = loaded.stream.origin
      guard !loaded.messages.isEmpty else {
        historyMemory.storing?.forget(loaded.stream.hash)
        continue
      }
      let info = StreamInfo(
        topic: loaded.stream.topic, type: loaded.stream.type, publisher: origin.publisher, publisherName: origin.name,
        incarnation: origin.incarnation, number: origin.number, isDirect: false)
      let stream = makeReceivedStream(
        info, isReliable: true, history: loaded.stream.history, epochMicroseconds: loaded.stream.epochMicroseconds,
        next: 0, subscribers: [], at: now)
      topics.received[info.hash] = stream
      stream.restore(loaded.messages, at: now)
    }
    forgetOldest(leaving: configuration.topics.rememberedStreams, at: now)
    noteKept(at: now)
  }

  // MARK: To the store

  /// Whether there may be something to write, and no batch is under way.
  public var hasToStore: Bool { historyMemory.storing?.hasWork ?? false }

  /// The next batch to be written. Nil if there is nothing to write, or a batch is under way.
  public func nextStoreBatch() -> StoreBatch? { historyMemory.storing?.nextBatch() }

  /// A batch has been written, and is safe: those who have published what is in it are told.
  public func stored(_ batch: UInt64, at now: Timestamp) {
    for part in historyMemory.storing?.stored(batch) ?? [] {
      inbox.counters.messagesStored += part.added.ranges.reduce(0) { $0 + UInt64($1.count) }
      guard let publisher = publisherSession(of: part.stream), let first = part.added.ranges.first else { continue }
      // With what it adjoins: whoever has missed a word gets it with the next one.
      tellStored(part.stream, from: first.lowerBound, to: publisher, at: now)
    }
  }

  /// A batch could not be written. What is in it comes again.
  public func storingFailed(_ batch: UInt64) { historyMemory.storing?.failed(batch) }

  // MARK: Telling publishers

  /// Tells a new peer what is stored of what it has published.
  func tellStored(to session: Session, of streams: [ReceivedStream], at now: Timestamp) {
    guard historyMemory.storing != nil else { return }
    for stream in streams { tellStored(stream.kept, from: 0, to: session, at: now) }
  }

  private func publisherSession(of kept: KeptHistory) -> Session? {
    let origin = kept.facts.origin
    guard let session = sessionsByPeer[origin.publisher], session.peer.incarnation == origin.incarnation else {
      return nil
    }
    return session
  }

  private func tellStored(_ stream: KeptHistory, from sequence: UInt64, to session: Session, at now: Timestamp) {
    // Whoever does not acknowledge what it is told is told later, with what comes then.
    guard let store = historyMemory.storing?.store,
      !isDrowning(session, beyond: configuration.topics.controlBytes, at: now)
    else { return }
    let news = stream.cursor.stored.ranges.filter { $0.upperBound > sequence }
    guard !news.isEmpty else { return }
    session.send(
      .stored(store, news.map { StoredRange(stream: stream.hash, first: $0.lowerBound, end: $0.upperBound) }), at: now)
    makeReady(session, at: now)
  }

  // MARK: Being told

  /// A peer has stored messages of this endpoint.
  func receive(_ ranges: [StoredRange], in store: StoreID, of session: Session, at now: Timestamp) {
    guard store != .memory else { return noteHeld(ranges, by: session.peer.id) }
    // Nobody speaks for more than one store: a peer could make up as many as it likes.
    guard session.store == nil || session.store == store else {
      inbox.counters.framesMalformed += 1
      return
    }
    session.store = store
    for range in ranges {
      guard let publication = topics.ownStreams[range.stream].flatMap({ topics.publications[$0] }) else { continue }
      let end = min(range.end, publication.stream.log.endSequence)
      guard range.first < end else { continue }
      publication.copies.note(range.first..<end, in: store)
      events.append(.stored(publication.id))
    }
  }

  /// How many stores have, as far as they have told, all messages of a publication with these sequence numbers. Nil when the
  /// publication is over: nobody counts any more.
  public func storedCount(of publication: PublicationID, _ sequences: Range<UInt64>) -> Int? {
    topics.publications[publication.rawValue]?.copies.count(of: sequences)
  }
}
