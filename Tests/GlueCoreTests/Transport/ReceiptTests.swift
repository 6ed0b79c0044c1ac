import Testing

@testable import GlueCore

@Suite struct ReceiptTests {
  private func send(_ byte: UInt8, over pair: Pair, lifetime: Nanoseconds? = nil) throws -> UInt64 {
    let result = try [byte].withUnsafeBytes {
      try pair.machines[0].send($0, to: EndpointID(2), lifetime: lifetime, at: pair.now)
    }
    guard case .admitted(_, let position) = result else { throw EndpointError.unknownHandle }
    pair.drain(0)
    return position
  }

  /// Ends the session on both sides and begins another one.
  private func reconnect(_ pair: Pair) {
    for index in 0...1 {
      pair.machines[index].removeSession(with: pair.peer(of: index), reason: .expired, at: pair.now)
    }
    pair.renumber()
    pair.connect()
  }

  @Test func directMessagesOfAnEarlierSessionAreNotConfirmedByALaterOne() throws {
    let pair = Pair()
    let machine = pair.machines[0]
    let first = try #require(machine.session(with: EndpointID(2)))
    let confirmed = try send(1, over: pair)
    pair.settle()
    #expect(machine.directOutcome(in: first, endingAt: confirmed) == .acknowledged)
    pair.drops = { _, _ in true }
    let lost = try send(2, over: pair)
    #expect(machine.directOutcome(in: first, endingAt: lost) == .pending)
    #expect(!machine.isAllAcknowledged)
    reconnect(pair)
    pair.drops = { _, _ in false }
    #expect(machine.isAllAcknowledged)
    let second = try #require(machine.session(with: EndpointID(2)))
    for byte in 3..<9 as Range<UInt8> { _ = try send(byte, over: pair) }
    pair.settle()
    #expect(machine.directOutcome(in: first, endingAt: confirmed) == .acknowledged)
    #expect(machine.directOutcome(in: first, endingAt: lost) == .failed)
    #expect(machine.directOutcome(in: second, endingAt: lost) == .acknowledged)
    #expect(machine.directOutcome(in: 4_711, endingAt: 0) == .failed)
  }

  @Test func anExpiredDirectMessageIsNotConfirmed() throws {
    let pair = Pair()
    let session = try #require(pair.machines[0].session(with: EndpointID(2)))
    pair.drops = { _, _ in true }
    let expired = try send(1, over: pair, lifetime: .milliseconds(20))
    let alive = try send(2, over: pair)
    pair.run(for: .milliseconds(50))
    pair.drops = { _, _ in false }
    pair.settle()
    #expect(pair.received[1].map(\.payload) == [[2]])
    #expect(pair.machines[0].directOutcome(in: session, endingAt: expired) == .failed)
    #expect(pair.machines[0].directOutcome(in: session, endingAt: alive) == .acknowledged)
  }

  @Test func aReceiptOutlivesItsPublication() throws {
    let pair = Pair()
    let machine = pair.machines[0]
    let publication = try machine.advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    try pair.publish([1], on: publication)
    pair.settle()
    pair.drops = { _, _ in true }
    try pair.publish([2], on: publication)
    machine.withdraw(publication, at: pair.now)
    machine.removeSession(with: pair.peer(of: 0), reason: .expired, at: pair.now)
    #expect(machine.openPublications == 0)
    #expect(machine.unacknowledged(publication, below: 1).isEmpty)
    #expect(machine.unacknowledged(publication, below: 2) == [EndpointID(2)])
  }

  @Test func aRefusedStreamIsKnownToItsPublisher() throws {
    let pair = Pair { $0.topics.streamsPerPeer = 1 }
    let machine = pair.machines[0]
    let publications = try ["a", "b"].map { try machine.advertise($0, options: PublicationOptions(), at: pair.now) }
    _ = try pair.machines[1].subscribe("#", options: SubscriptionOptions(), at: pair.now)
    pair.drain(1)
    // Published before the refusal is known.
    pair.run(for: .seconds(1), until: { machine.matchedSubscribers(of: publications[1]) == 1 })
    try pair.publish([1], on: publications[1])
    try pair.publish([2], on: publications[0])
    pair.settle()
    #expect(publications.map { machine.matchedSubscribers(of: $0) } == [1, 0])
    let refusals = pair.events[0].compactMap {
      if case .publicationRefused(let topic, let peer) = $0 { "\(topic) \(peer)" } else { nil }
    }
    #expect(refusals == ["b 2"])
    #expect(machine.unacknowledged(publications[1], below: 1) == [EndpointID(2)])
    #expect(machine.isAllAcknowledged && machine.bufferedBytes == 0)
    let before = pair.datagrams
    try pair.publish([3], on: publications[1])
    pair.settle()
    #expect(pair.datagrams == before)
  }

  @Test func aRefusedSubscriptionIsKnownToItsSubscriber() throws {
    let pair = Pair { $0.topics.subscriptionsPerPeer = 1 }
    for filter in ["a", "b"] {
      _ = try pair.machines[1].subscribe(filter, options: SubscriptionOptions(), at: pair.now)
    }
    pair.settle()
    let refusals = pair.events[1].compactMap {
      if case .subscriptionRefused(let filter, let peer) = $0 { "\(filter) \(peer)" } else { nil }
    }
    #expect(refusals == ["b 1"])
  }

  @Test func nothingFollowsTheGoodbye() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    pair.drops = { _, _ in true }
    try pair.publish([1], on: publication)
    pair.machines[0].stop(at: pair.now)
    pair.drain(0)
    let before = pair.datagrams
    pair.run(for: .seconds(2))
    #expect(pair.datagrams == before)
  }

  @Test func namesAreEqualIfTheirBytesAre() throws {
    let composed = "caf\u{E9}"
    let decomposed = "cafe\u{301}"
    #expect(composed == decomposed)
    let pair = Pair()
    let one = try pair.machines[0].advertise(composed, options: PublicationOptions(), at: pair.now)
    let other = try pair.machines[0].advertise(decomposed, options: PublicationOptions(), at: pair.now)
    #expect(one != other)
    _ = try pair.machines[1].subscribe(decomposed, options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    #expect([one, other].map { pair.machines[0].matchedSubscribers(of: $0) } == [0, 1])
  }
}
