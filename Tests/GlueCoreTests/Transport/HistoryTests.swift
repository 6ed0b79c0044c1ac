import Testing

@testable import GlueCore

/// What a publisher keeps for those who come later.
@Suite struct HistoryTests {
  private func advertise(_ pair: Pair, _ history: HistoryPolicy) throws -> PublicationID {
    try pair.machines[0].advertise("t", options: PublicationOptions(history: history), at: pair.now)
  }

  private func subscribe(_ pair: Pair, _ history: HistoryRequest) throws {
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(history: history), at: pair.now)
    pair.settle()
  }

  private func numbers(_ pair: Pair) -> [UInt64] { pair.received[1].map(\.sequence) }

  @Test(arguments: [
    (HistoryPolicy.last(5), HistoryRequest.all, 5), (.last(5), .last(3), 3), (.last(5), .last(100), 5),
    (.last(5), .none, 0),
    (.last(0), .all, 0), (.none, .all, 0), (.untilExpiry, .all, 0),
  ])
  func aLateJoinerGetsWhatItAsksForOfWhatIsKept(policy: HistoryPolicy, request: HistoryRequest, count: Int) throws {
    let pair = Pair()
    let publication = try advertise(pair, policy)
    for number in 0..<20 { try pair.publish([UInt8(number)], on: publication) }
    pair.settle()
    try subscribe(pair, request)
    #expect(numbers(pair) == Array(20 - UInt64(count)..<20))
    try pair.publish([20], on: publication)
    pair.settle()
    #expect(numbers(pair) == Array(20 - UInt64(count)...20))
    #expect(pair.received[1].map { UInt64($0.payload[0]) } == numbers(pair))
    #expect(pair.losses.isEmpty)
  }

  @Test func messagesAreKeptUntilTheyExpire() throws {
    let pair = Pair()
    let publication = try advertise(pair, .untilExpiry)
    for number in 0..<10 as Range<UInt8> {
      try pair.publish([number], on: publication, lifetime: number < 5 ? .seconds(2) : .seconds(20))
    }
    #expect(pair.machines[0].bufferedBytes > 0)
    pair.run(for: .seconds(5))
    try subscribe(pair, .all)
    #expect(numbers(pair) == Array(5..<10))
    pair.run(for: .seconds(30))
    #expect(pair.machines[0].bufferedBytes == 0)
    #expect(pair.machines[1].bufferedBytes == 0)
  }

  @Test func aSubscriptionGetsWhatWasPublishedSinceItBegan() throws {
    let pair = Pair()
    let publication = try advertise(pair, .last(100))
    try pair.publish([0], on: publication)
    pair.settle()
    // It subscribes before the two meet again.
    for index in [0, 1] {
      pair.machines[index].removeSession(with: pair.peer(of: index), reason: .expired, at: pair.now)
    }
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.run(for: .milliseconds(100))
    try pair.publish([1], on: publication)
    try pair.publish([2], on: publication)
    pair.renumber()
    pair.connect()
    #expect(numbers(pair) == [1, 2])
  }

  @Test func whoMeetsAgainGetsWhatItMissed() throws {
    let pair = Pair()
    let publication = try advertise(pair, .last(100))
    try subscribe(pair, .none)
    for number in 0..<10 as Range<UInt8> { try pair.publish([number], on: publication) }
    pair.settle()
    for index in [0, 1] {
      pair.machines[index].removeSession(with: pair.peer(of: index), reason: .expired, at: pair.now)
    }
    for number in 10..<50 as Range<UInt8> { try pair.publish([number], on: publication) }
    pair.run(for: .seconds(20))
    pair.renumber()
    pair.connect()
    for number in 50..<60 as Range<UInt8> { try pair.publish([number], on: publication) }
    pair.settle()
    #expect(numbers(pair) == Array(0..<60))
    #expect(pair.losses.isEmpty)
  }

  @Test func whatIsNoLongerKeptIsReportedAsLost() throws {
    let pair = Pair()
    let publication = try advertise(pair, .last(10))
    try subscribe(pair, .none)
    try pair.publish([0], on: publication)
    pair.settle()
    for index in [0, 1] {
      pair.machines[index].removeSession(with: pair.peer(of: index), reason: .expired, at: pair.now)
    }
    for number in 1..<50 as Range<UInt8> { try pair.publish([number], on: publication) }
    pair.renumber()
    pair.connect()
    #expect(numbers(pair) == [0] + Array(40..<50))
    #expect(pair.losses.map(\.sequences) == [1..<40])
    #expect(pair.losses.map(\.reason) == [.evicted])
  }

  @Test func alsoATopicThatKeepsNothingReportsWhatWasMissed() throws {
    let pair = Pair()
    let publication = try advertise(pair, .none)
    try subscribe(pair, .none)
    try pair.publish([0], on: publication)
    pair.settle()
    for index in [0, 1] {
      pair.machines[index].removeSession(with: pair.peer(of: index), reason: .expired, at: pair.now)
    }
    try pair.publish([1], on: publication)
    try pair.publish([2], on: publication)
    pair.renumber()
    pair.connect()
    try pair.publish([3], on: publication)
    pair.settle()
    #expect(numbers(pair) == [0, 3])
    #expect(pair.losses.map(\.sequences) == [1..<3])
  }

  @Test func historyDoesNotHoldUpThePublisher() throws {
    let pair = Pair { $0.transport.sendBufferBytes = 100_000 }
    let publication = try advertise(pair, .last(1_000))
    for number in 0..<500 { try pair.publish(pattern(1_000, seed: number), on: publication) }
    #expect(pair.machines[0].bufferedBytes <= 100_000)
    try subscribe(pair, .all)
    let kept = numbers(pair)
    #expect(kept.count >= 40 && kept.last == 499)
    #expect(kept == Array(kept[0]...499))
  }

  @Test func aReceiptDoesNotWaitForWhoCameLater() throws {
    let pair = Pair()
    let publication = try advertise(pair, .last(100))
    for number in 0..<10 as Range<UInt8> { try pair.publish([number], on: publication) }
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(history: .all), at: pair.now)
    pair.run(for: .seconds(5), until: { pair.machines[0].matchedSubscribers(of: publication) == 1 })
    pair.drops = { sender, _ in sender == 1 }
    #expect(pair.machines[0].isAcknowledged(publication, below: 10))
    try pair.publish([10], on: publication)
    #expect(!pair.machines[0].isAcknowledged(publication, below: 11))
    pair.drops = { _, _ in false }
    pair.settle()
    #expect(pair.machines[0].isAcknowledged(publication, below: 11))
    #expect(numbers(pair) == Array(0...10))
  }

  @Test func aSecondSubscriptionGetsWhatIsKeptHere() throws {
    let pair = Pair()
    let publication = try advertise(pair, .last(100))
    try subscribe(pair, .none)
    for number in 0..<10 as Range<UInt8> { try pair.publish(pattern(700, seed: Int(number)), on: publication) }
    pair.settle()
    let second = try pair.machines[1].subscribe("t", options: SubscriptionOptions(history: .last(4)), at: pair.now)
    pair.settle()
    try pair.publish([10], on: publication)
    pair.settle()
    let own = pair.received[1].filter { $0.subscription == second }
    #expect(own.map(\.sequence) == Array(6...10))
    #expect(own.dropLast().map(\.payload) == (6..<10).map { pattern(700, seed: $0) })
    // The publisher's own subscriptions too.
    let atHome = try pair.machines[0].subscribe("t", options: SubscriptionOptions(history: .last(2)), at: pair.now)
    pair.drain(0)
    #expect(pair.received[0].map(\.sequence) == [9, 10])
    #expect(pair.received[0].allSatisfy { $0.subscription == atHome })
  }

  @Test func aPublicationThatWasClosedKeepsUntilItsHistoryIsOver() throws {
    let pair = Pair()
    let publication = try advertise(pair, .untilExpiry)
    try pair.publish([0], on: publication, lifetime: .seconds(5))
    pair.machines[0].withdraw(publication, at: pair.now)
    pair.run(for: .seconds(2))
    try subscribe(pair, .all)
    #expect(numbers(pair) == [0])
    pair.run(for: .seconds(10))
    #expect(pair.machines[0].openPublications == 0)
  }

  /// A peer may open its stream again at a lower position. What is held for others does not go back: they may have been there.
  @Test func whatIsKeptNeverGoesBack() throws {
    let info = StreamInfo(
      topic: "t", type: nil, publisher: EndpointID(1), publisherName: "p", incarnation: Incarnation(2), number: 2,
      isDirect: false)
    let stream = ReceivedStream(
      info: info, isReliable: true, history: .last(10), epochMicroseconds: 0, next: 0,
      subscribers: [ReceivedStream.Subscriber(id: SubscriptionID(rawValue: 1), holdsBackPublisher: false)],
      memory: HistoryMemory(limitBytes: 10_000),
      budget: ReceiveBudget(assemblyLimit: 10_000, reorderLimit: 10_000), windowBytes: 10_000,
      maximumMessageBytes: 1_000, at: Timestamp(nanoseconds: 0))
    let inbox = Inbox()
    for (sequence, position) in [(0, 1_000), (1, 1), (2, 1_001), (3, 1_002)] as [(UInt64, UInt64)] {
      let message = ArrivedMessage(
        sequence: sequence, position: position, units: 1, body: UnsafeRawBufferPointer(start: nil, count: 0),
        hasAttributes: false, time: 0, publishedAt: Timestamp(nanoseconds: 0))
      try stream.take(message, at: Timestamp(nanoseconds: 1), into: inbox)
    }
    #expect(inbox.deliveries.map(\.sequence) == [0, 1, 2, 3])
    let log = try #require(stream.kept.stream?.log)
    #expect(log.first == 1_000 && log.end >= 1_001)
  }

  /// Readers may have let go of the first part of a message. Nobody begins in the middle of it, nor before.
  @Test func nobodyBeginsInTheMiddleOfAMessage() {
    let stream = OutboundStream(
      number: 2, isReliable: true, epoch: Timestamp(nanoseconds: 0), limitBytes: 100_000, history: .untilExpiry)
    for _ in 0..<2 {
      pattern(2_000, seed: 1).withUnsafeBytes {
        _ = stream.log.append(
          $0, attributes: UnsafeRawBufferPointer(start: nil, count: 0), time: 0, lifetime: .seconds(10),
          published: Timestamp(nanoseconds: 5), expires: Timestamp(nanoseconds: 1_000_000_000))
      }
    }
    let second = stream.log.message(at: 0).end
    stream.log.release(below: 1)
    for request in [HistoryRequest.none, .all, .last(5)] {
      #expect(stream.start(for: request, began: Timestamp(nanoseconds: 0)) == second)
    }
    #expect(stream.keptSequences == 1..<2)
  }

  /// What was asked for may expire while it is being sent, with all that the log held. The reader is told that it has ended.
  @Test func whatIsAskedForMayEndOnTheWay() throws {
    let log = SendLog()
    for _ in 0..<3 {
      pattern(100, seed: 1).withUnsafeBytes {
        _ = log.append(
          $0, attributes: UnsafeRawBufferPointer(start: nil, count: 0), time: 0, lifetime: nil,
          published: Timestamp(nanoseconds: 0), expires: .distantFuture)
      }
    }
    let held = log.bytes(from: 0, to: 3)
    #expect(held > 300)
    log.release(below: 1)
    #expect(log.bytes(from: 0, to: 3) == held / 3 * 2)
    log.restart(at: 10, sequence: 5)
    #expect(log.bytes(from: 1, to: 2) == 0)
    #expect(log.bytes(from: 1, to: 20) == 0)
  }

  private func numbers(_ pair: Pair, of subscription: SubscriptionID) -> [UInt64] {
    pair.received[1].filter { $0.subscription == subscription }.map(\.sequence)
  }

  /// It began where the first of its subscriptions wanted to begin that the publisher heard of.
  @Test(arguments: [true, false]) func whereAPeerBeginsDependsOnAllItsSubscriptions(isAllFirst: Bool) throws {
    let pair = Pair()
    let publication = try advertise(pair, .last(5))
    for number in 0..<20 { try pair.publish([UInt8(number)], on: publication) }
    for index in [0, 1] {
      pair.machines[index].removeSession(with: pair.peer(of: index), reason: .expired, at: pair.now)
    }
    for request in isAllFirst ? [HistoryRequest.all, .none] : [.none, .all] {
      _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(history: request), at: pair.now)
    }
    pair.renumber()
    pair.connect()
    #expect(Set(numbers(pair)) == Set(15..<20))
  }

  /// Each gets the past from what is kept here or from others, and disturbs nobody.
  @Test func laterSubscriptionsCatchUp() throws {
    let pair = Pair()
    let publication = try advertise(pair, .last(5))
    let machine = pair.machines[1]
    let first = try machine.subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    for number in 0..<20 { try pair.publish([UInt8(number)], on: publication) }
    pair.settle()
    let later = try [HistoryRequest.all, .last(3), .all, .none].map { request in
      try machine.subscribe("t", options: SubscriptionOptions(history: request), at: pair.now)
    }
    pair.settle()
    try pair.publish([20], on: publication)
    pair.settle()
    #expect(numbers(pair, of: first) == Array(0...20))
    #expect(later.map { numbers(pair, of: $0) } == [Array(15...20), Array(17...20), Array(15...20), [20]])
    #expect(pair.losses.isEmpty)
    #expect(machine.topics.received.values.allSatisfy { $0.late.isEmpty && $0.subscribers.count == 5 })
  }

  /// What it had not got counted as news, so that it was asked again at once, some thousand times a second.
  @Test func whoHasNothingIsAskedOnce() throws {
    let pair = Pair()
    let publication = try advertise(pair, .untilExpiry)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    for number in 0..<20 { try pair.publish([UInt8(number)], on: publication) }
    pair.settle()
    let before = pair.machines[1].topics.nextRequest
    let later = try pair.machines[1].subscribe("t", options: SubscriptionOptions(history: .all), at: pair.now)
    pair.run(for: .seconds(3))
    #expect(pair.machines[1].topics.nextRequest == before + 1)
    try pair.publish([20], on: publication)
    pair.settle()
    #expect(numbers(pair, of: later) == [20])
  }
}
