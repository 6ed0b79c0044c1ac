import Testing

@testable import GlueCore

/// Topics that retain their last value, between two endpoints.
@Suite struct RetainedTests {
  private let options = PublicationOptions(history: .retained)

  private func advertise(_ pair: Pair, _ index: Int = 0) throws -> PublicationID {
    let id = try pair.machines[index].advertise("t", options: options, at: pair.now)
    pair.settle()
    return id
  }

  @discardableResult
  private func subscribe(_ pair: Pair, _ history: HistoryRequest = .retained, _ index: Int = 1) throws -> SubscriptionID
  {
    let id = try pair.machines[index].subscribe("t", options: SubscriptionOptions(history: history), at: pair.now)
    pair.settle()
    return id
  }

  private func publish(
    _ value: UInt8, on publication: PublicationID, of pair: Pair, _ index: Int = 0, clears: Bool = false,
    settles: Bool = true
  ) throws {
    _ = try (clears ? [] : [value]).withUnsafeBytes {
      try pair.machines[index].publish(
        $0, on: publication, attributes: clears ? .clearing : Attributes(), at: pair.now)
    }
    pair.drain(index)
    if settles { pair.settle() }
  }

  /// What a subscription, or all of an endpoint, got: values, and nil for a clear.
  private func values(_ pair: Pair, _ id: SubscriptionID? = nil, at index: Int = 1) -> [UInt8?] {
    pair.received[index].filter { id == nil || $0.subscription == id }.map(\.payload.first)
  }

  private func superseded(_ pair: Pair, _ index: Int) -> UInt64 {
    pair.machines[index].counters.first { $0.name == "messages_superseded" }!.value
  }

  @Test(arguments: [
    (HistoryRequest.retained, 1), (.all, 1), (.last(5), 1), (.last(0), 0), (.none, 0),
  ])
  func aLateJoinerGetsOneValue(request: HistoryRequest, count: Int) throws {
    let pair = Pair()
    let publication = try advertise(pair)
    for value in 0..<5 as Range<UInt8> { try publish(value, on: publication, of: pair) }
    try subscribe(pair, request)
    #expect(values(pair) == [4].suffix(count))
    try publish(5, on: publication, of: pair)
    #expect(values(pair) == [4, 5].suffix(count + 1))
    #expect(pair.losses.isEmpty)
  }

  @Test func whoAsksForRetainedValuesGetsNothingOfOtherTopics() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(history: .last(5)), at: pair.now)
    try pair.publish([1], on: publication)
    pair.settle()
    try subscribe(pair, .retained)
    try pair.publish([2], on: publication)
    pair.settle()
    // Nor does one that comes when the endpoint has the topic already.
    let later = try subscribe(pair, .retained)
    try pair.publish([3], on: publication)
    pair.settle()
    #expect(values(pair).compactMap(\.self).sorted() == [2, 3, 3])
    #expect(values(pair, later) == [3])
  }

  @Test func aConnectedSubscriberGetsEveryValue() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    try subscribe(pair)
    for value in 0..<100 as Range<UInt8> { try publish(value, on: publication, of: pair, settles: false) }
    pair.settle()
    #expect(values(pair) == Array(0..<100))
    #expect(superseded(pair, 1) == 0)
  }

  /// An hour passes by, and a thousand values take no more memory than one.
  @Test func oneValueIsKept() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    try subscribe(pair)
    try publish(0, on: publication, of: pair)
    let bytes = pair.machines.map(\.bufferedBytes)
    for _ in 0..<1_000 { try publish(1, on: publication, of: pair, settles: false) }
    pair.run(for: .seconds(3_600))
    #expect(pair.machines.map(\.bufferedBytes) == bytes)
    #expect(pair.machines.map { $0.retainedValuesHeld(of: "t") } == [1, 1])
  }

  @Test func whoMeetsAgainGetsTheLastValueOnlyAndNoLoss() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    try subscribe(pair)
    try publish(0, on: publication, of: pair)
    for index in [0, 1] {
      pair.machines[index].removeSession(with: pair.peer(of: index), reason: .expired, at: pair.now)
    }
    for value in 1..<50 as Range<UInt8> { try publish(value, on: publication, of: pair, settles: false) }
    pair.run(for: .seconds(20))
    pair.renumber()
    pair.connect()
    #expect(values(pair) == [0, 49])
    #expect(pair.losses.isEmpty)
    #expect(superseded(pair, 1) == 48)
  }

  private func confirmations(_ pair: Pair) -> Int {
    pair.events[0].count { if case .stored = $0 { true } else { false } }
  }

  /// A topic that changes often costs its publisher few words that its values are held; the last one is confirmed all the same.
  @Test func confirmationsAreGathered() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    try subscribe(pair)
    for value in 0..<100 as Range<UInt8> {
      try publish(value, on: publication, of: pair, settles: false)
      pair.run(for: .milliseconds(1))
    }
    #expect((2...3).contains(confirmations(pair)))
    pair.settle()
    #expect((3...4).contains(confirmations(pair)))
    #expect(pair.machines[0].retention(of: publication, 99)?.holders == 1)
  }

  /// What could not be told while the publisher acknowledged nothing is told when it does.
  @Test func aConfirmationThatHasNoRoomComesLater() throws {
    let pair = Pair { $0.topics.controlBytes = 65_536 }
    let publication = try advertise(pair)
    try subscribe(pair)
    pair.drops = { sender, _ in sender == 1 }
    let name = String(repeating: "x", count: 240)
    for number in 0..<300 {
      _ = try pair.machines[1].subscribe("\(name)\(number)", options: SubscriptionOptions(), at: pair.now)
    }
    pair.drain(1)
    for value in 0..<3 as Range<UInt8> {
      try publish(value, on: publication, of: pair, settles: false)
      pair.run(for: .milliseconds(60))
    }
    #expect(values(pair) == [0, 1, 2])
    #expect(pair.machines[1].counters.first { $0.name == Limit.controlBytes.counterName }!.value > 0)
    pair.drops = { _, _ in false }
    pair.run(for: .seconds(5))
    #expect(pair.machines[0].retention(of: publication, 2)?.holders == 1)
  }

  // MARK: Several publishers

  @Test func theLaterValueOfTwoPublishersReplacesTheOther() throws {
    let pair = Pair()
    let first = try advertise(pair)
    try publish(1, on: first, of: pair)
    let second = try advertise(pair, 1)
    try publish(2, on: second, of: pair, 1)
    #expect(pair.machines[0].held("t", of: EndpointID(1), pair.machines[0].incarnation).isEmpty)
    #expect(pair.machines.map { $0.retainedValuesHeld(of: "t") } == [1, 1])
    for index in [0, 1] { try subscribe(pair, .retained, index) }
    #expect(values(pair, at: 0) == [2])
    #expect(values(pair, at: 1) == [2])
    // And back again.
    try publish(3, on: first, of: pair)
    #expect(pair.machines[1].held("t", of: EndpointID(2), pair.machines[1].incarnation).isEmpty)
    #expect(values(pair, at: 0) == [2, 3])
    #expect(values(pair, at: 1) == [2, 3])
  }

  @Test func aLowerValueIsPassedOverWithoutAWord() throws {
    let pair = Pair()
    let publications = try [0, 1].map { try advertise(pair, $0) }
    for index in [0, 1] { try subscribe(pair, .retained, index) }
    // At the same moment: that of the higher ID wins, and is all that the other one sees beside its own.
    try publish(1, on: publications[0], of: pair, settles: false)
    try publish(2, on: publications[1], of: pair, 1, settles: false)
    pair.settle()
    #expect(values(pair, at: 0) == [1, 2])
    #expect(values(pair, at: 1) == [2])
    #expect(superseded(pair, 1) == 1)
    #expect(pair.events.joined().allSatisfy { if case .loss = $0 { false } else { true } })
    #expect(pair.machines[0].retention(of: publications[0], 0) == .init(holders: 0, isSuperseded: true))
    #expect(pair.machines[1].retention(of: publications[1], 0) == .init(holders: 1, isSuperseded: false))
  }

  @Test func aPublisherListensAsLongAsItPublishes() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    let other = try advertise(pair, 1)
    #expect(pair.machines[0].matchedSubscribers(of: publication) == 1)
    try publish(1, on: publication, of: pair)
    #expect(pair.received[0].isEmpty && pair.received[1].isEmpty, "nobody subscribes")
    // It has the value still.
    pair.machines[0].withdraw(publication, at: pair.now)
    pair.run(for: .seconds(3))
    #expect(pair.machines[0].openPublications == 1)
    try publish(2, on: other, of: pair, 1)
    pair.run(for: .seconds(3))
    #expect(pair.machines[0].openPublications == 0)
    #expect(pair.machines[1].matchedSubscribers(of: other) == 0)
    #expect(pair.machines[0].bufferedBytes == 0)
    #expect(pair.machines[0].retainedValue(of: "t") == nil, "what is known of a topic goes with its last stream")
  }

  // MARK: Clearing

  @Test func aClearIsDeliveredToThoseWhoHadTheValueAndToNobodyElse() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    let early = try subscribe(pair)
    try publish(1, on: publication, of: pair)
    try publish(0, on: publication, of: pair, clears: true)
    let late = try subscribe(pair)
    let own = try subscribe(pair, .all, 0)
    #expect(values(pair, early) == [1, nil])
    #expect(values(pair, late) == [])
    #expect(values(pair, own, at: 0) == [])
    try publish(2, on: publication, of: pair)
    #expect(values(pair, early) == [1, nil, 2])
    #expect(values(pair, late) == [2])
    #expect(values(pair, own, at: 0) == [2])
  }

  @Test func whoMeetsAClearForTheFirstTimeHearsNothingOfIt() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    try publish(1, on: publication, of: pair)
    try publish(0, on: publication, of: pair, clears: true)
    try subscribe(pair)
    #expect(values(pair) == [])
    #expect(pair.machines[1].retainedValue(of: "t")?.isCleared == true, "but it remembers")
    #expect(pair.machines[1].retainedValuesHeld(of: "t") == 1)
  }

  @Test func aClearLivesForAWeek() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    try subscribe(pair)
    var lifetimes: [Nanoseconds?] = []
    pair.takes = { delivery in lifetimes.append(delivery.expiresAt.map { $0.since(delivery.publishedAt) }) }
    try publish(1, on: publication, of: pair)
    try publish(0, on: publication, of: pair, clears: true)
    #expect(lifetimes == [nil, .seconds(7 * 24 * 3_600)])
  }

  @Test func onlyWhatIsRetainedCanBeCleared() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(history: .last(1)), at: pair.now)
    #expect(throws: EndpointError.notRetained(topic: "t")) {
      try publish(0, on: publication, of: pair, clears: true)
    }
  }

  // MARK: Holders

  @Test func aValueIsRetainedWhenSomebodyElseHoldsIt() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    try publish(1, on: publication, of: pair)
    #expect(pair.machines[0].retention(of: publication, 0) == .init(holders: 0, isSuperseded: false))
    try subscribe(pair)
    #expect(pair.machines[0].retention(of: publication, 0) == .init(holders: 1, isSuperseded: false))
    #expect(pair.events[0].contains { if case .stored(publication) = $0 { true } else { false } })
    try publish(2, on: publication, of: pair)
    #expect(pair.machines[0].retention(of: publication, 0)?.holders == 1, "a later one counts as well")
    #expect(pair.machines[0].retention(of: publication, 1)?.holders == 1)
    #expect(pair.machines[0].retention(of: publication, 2)?.holders == 0)
    // A store counts as what it is, too, when it is one.
    #expect(pair.machines[0].storedCount(of: publication, 0..<2) == 0)
  }

  @Test func whoHasNoRoomForAValueDoesNotConfirmIt() throws {
    let pair = Pair { $0.topics.historyBytes = 0 }
    let publication = try advertise(pair)
    let early = try subscribe(pair)
    try publish(1, on: publication, of: pair)
    #expect(pair.machines[0].retention(of: publication, 0)?.holders == 0)
    // A later subscription gets it from the publisher.
    let late = try subscribe(pair)
    #expect(values(pair, early) == [1])
    #expect(values(pair, late) == [1])
    try publish(2, on: publication, of: pair)
    #expect(values(pair, early) == [1, 2])
    #expect(values(pair, late) == [1, 2])
  }

  @Test func aLaterSubscriptionGetsWhatTheFirstOneDidNotWant() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    try publish(1, on: publication, of: pair)
    let first = try subscribe(pair, .none)
    let second = try subscribe(pair)
    #expect(values(pair, first) == [])
    #expect(values(pair, second) == [1])
    try publish(2, on: publication, of: pair)
    #expect(values(pair, first) == [2])
    #expect(values(pair, second) == [1, 2])
  }

  @Test func ordinaryMessagesAreNotConfirmed() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(history: .last(5)), at: pair.now)
    try subscribe(pair)
    try pair.publish([1], on: publication)
    pair.settle()
    #expect(pair.machines[0].retention(of: publication, 0) == nil)
    #expect(!pair.events[0].contains { if case .stored = $0 { true } else { false } })
  }

  @Test func whatIsConfirmedIsToldAgainToAPublisherThatIsMetAgain() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    try subscribe(pair)
    // The holder gets it; what it says of it is lost with the session.
    pair.drops = { index, _ in index == 1 }
    try publish(1, on: publication, of: pair)
    #expect(pair.machines[0].retention(of: publication, 0)?.holders == 0)
    for index in [0, 1] {
      pair.machines[index].removeSession(with: pair.peer(of: index), reason: .expired, at: pair.now)
    }
    pair.drops = { _, _ in false }
    pair.renumber()
    pair.connect()
    #expect(pair.machines[0].retention(of: publication, 0)?.holders == 1)
  }

  // MARK: Before publishing

  @Test func aPublisherKnowsWhenItHasHeardOfTheValue() throws {
    let pair = Pair()
    let other = try advertise(pair, 1)
    try publish(1, on: other, of: pair, 1)
    let publication = try pair.machines[0].advertise("t", options: options, at: pair.now)
    #expect(!pair.machines[0].knowsValue(of: publication))
    pair.drain(0)
    pair.run(for: .seconds(1), until: { pair.machines[0].knowsValue(of: publication) })
    #expect(pair.machines[0].knowsValue(of: publication))
    #expect(pair.machines[0].retainedValue(of: "t")?.stamp.publisher == EndpointID(2))
  }

  /// The next life of an endpoint is told by those who hold it what the one before has published.
  @Test func aPublisherThatIsBackHearsOfItsOwnValue() throws {
    let pair = Pair()
    let first = try advertise(pair)
    try subscribe(pair)
    try publish(1, on: first, of: pair)
    try pair.restart(0)
    let second = try pair.machines[0].advertise("t", options: options, at: pair.now)
    pair.run(for: .seconds(1), until: { pair.machines[0].knowsValue(of: second) })
    #expect(pair.machines[0].retainedValue(of: "t") != nil)
    try publish(2, on: second, of: pair)
    #expect(values(pair) == [1, 2])
    #expect(pair.machines[1].retainedValuesHeld(of: "t") == 1)
  }

  // MARK: On disk

  /// The two values come from two lives of a publisher, so that they are in two streams.
  @Test func aStoreLetsGoOfAValueOnlyWithTheNextOne() throws {
    let disk = SimulatedDisk()
    let id = disk.id
    let pair = Pair { if $0.id == EndpointID(2) { $0.store = id } }
    let first = try advertise(pair)
    try subscribe(pair, .all)
    try publish(1, on: first, of: pair)
    let stored = try #require(pair.machines[1].nextStoreBatch())
    disk.write(stored)
    pair.machines[1].stored(stored.number, at: pair.now)
    try pair.restart(0)
    let second = try advertise(pair)
    try publish(2, on: second, of: pair)
    let batch = try #require(pair.machines[1].nextStoreBatch())
    let order = batch.writes.compactMap { write -> String? in
      switch write {
      case .message: "message"
      case .forget, .forgetStream: "forget"
      case .stream: nil
      }
    }
    #expect(order == ["message", "forget"])
    // It fails: the first one is on the disk still, and comes back alone.
    pair.machines[1].storingFailed(batch.number)
    #expect(disk.load(at: pair.now).flatMap(\.messages).count == 1)
    while let batch = pair.machines[1].nextStoreBatch() {
      disk.write(batch)
      pair.machines[1].stored(batch.number, at: pair.now)
    }
    #expect(disk.load(at: pair.now).flatMap(\.messages).map(\.message.body.last) == [2])
  }

  @Test func ofSeveralValuesOnADiskTheHighestIsTakenOver() throws {
    let disk = SimulatedDisk()
    let id = disk.id
    let pair = Pair { if $0.id == EndpointID(2) { $0.store = id } }
    for value in 1...2 as ClosedRange<UInt8> {
      if value == 2 { try pair.restart(0) }
      let publication = try advertise(pair)
      if value == 1 { try subscribe(pair, .all) }
      try publish(value, on: publication, of: pair)
      while let batch = pair.machines[1].nextStoreBatch() {
        // Nothing is let go.
        let writes = batch.writes.filter { if case .forget = $0 { false } else { true } }
        disk.write(StoreBatch(number: batch.number, writes: writes))
        pair.machines[1].stored(batch.number, at: pair.now)
      }
    }
    #expect(disk.load(at: pair.now).flatMap(\.messages).count == 2)
    try pair.restart(0)
    pair.restart(1) {
      $0.store = id
    } before: { machine in
      machine.restore(disk.load(at: pair.now), at: pair.now)
    }
    #expect(pair.machines[1].retainedValuesHeld(of: "t") == 1)
    try subscribe(pair, .retained)
    #expect(values(pair) == [2])
    while let batch = pair.machines[1].nextStoreBatch() {
      disk.write(batch)
      pair.machines[1].stored(batch.number, at: pair.now)
    }
    #expect(disk.load(at: pair.now).flatMap(\.messages).map(\.message.body.last) == [2])
  }

  /// What is let go in the store waits until what replaces it is stored. Two that replaced each other in turn, the last value of which
  /// could not be kept, must not wait for each other for ever.
  @Test func valuesThatReplaceEachOtherAreStored() {
    let memory = HistoryMemory(limitBytes: 1 << 20, store: StoreID(rawValue: 1))
    let topic = RetainedTopics().topic(named: "t")
    let infos = [2, 3].map { number in
      StreamInfo(
        topic: "t", type: nil, publisher: EndpointID(1), publisherName: "p", incarnation: Incarnation(2),
        number: number,
        isDirect: false)
    }
    let kept = infos.map { info in
      KeptHistory(
        of: StoredStream(
          origin: StreamOrigin(
            publisher: info.publisher, incarnation: info.incarnation, name: "p", number: info.number),
          topic: "t", type: nil, epochMicroseconds: 0, history: .retained),
        memory: memory)
    }
    for (time, index, sequence) in [(1, 0, 0), (2, 1, 0), (3, 0, 1)] as [(UInt64, Int, UInt64)] {
      topic.raise(
        to: RetainedValue(RetainedMark(time: time), of: infos[index], sequence: sequence), in: kept[index])
      let message = ArrivedMessage(
        sequence: sequence, position: 0, units: 1, body: UnsafeRawBufferPointer(start: nil, count: 0),
        hasAttributes: false, time: 0, publishedAt: Timestamp(nanoseconds: 0))
      // The last one has the position of one before it.
      #expect(kept[index].keep(message, at: Timestamp(nanoseconds: 1)) == (time < 3))
    }
    var writes: [StoreWrite] = []
    while let batch = memory.storing?.nextBatch() {
      writes += batch.writes
      _ = memory.storing?.stored(batch.number)
    }
    #expect(!writes.isEmpty)
    #expect(kept.allSatisfy { !$0.mustOutlast })
  }

  @Test func afterTheEndOfTimeNothingIsPublished() throws {
    let pair = Pair()
    var attributes = Attributes()
    attributes.retained = RetainedMark(time: WireLimits.position)
    let publication = try advertise(pair)
    let listening = try advertise(pair, 1)
    let machine = pair.machines[0]
    // As a peer whose clock is wrong would date it.
    let value = RetainedValue(
      RetainedMark(time: WireLimits.position), of: machine.topics.publications.elements[0].value.info, sequence: 0)
    pair.machines[1].topics.retained["t"]?.raise(
      to: value, in: OutboundStream(number: 9, isReliable: true, epoch: pair.now, limitBytes: 100, history: .retained))
    #expect(throws: EndpointError.notRetained(topic: "u")) {
      let other = try machine.advertise("u", options: PublicationOptions(), at: pair.now)
      _ = try machine.publish(
        UnsafeRawBufferPointer(start: nil, count: 0), on: other, attributes: attributes, at: pair.now)
    }
    try publish(1, on: publication, of: pair)
    // Its ID is higher: one value may follow, and then no more.
    try publish(2, on: listening, of: pair, 1)
    #expect(throws: EndpointError.finalValue(topic: "t")) { try publish(3, on: listening, of: pair, 1) }
  }

  @Test func whoIsGoneHoldsNothing() throws {
    let pair = Pair()
    let publication = try advertise(pair)
    try subscribe(pair)
    try publish(1, on: publication, of: pair)
    #expect(pair.machines[0].retention(of: publication, 0)?.holders == 1)
    pair.machines[0].removeSession(with: pair.peer(of: 0), reason: .expired, at: pair.now)
    #expect(pair.machines[0].retention(of: publication, 0)?.holders == 0)
  }
}
