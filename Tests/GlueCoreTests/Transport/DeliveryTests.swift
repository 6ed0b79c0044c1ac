import Testing

@testable import GlueCore

struct SmallGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    var z = state ^ (state >> 33)
    z = z &* 0xFF51_AFD7_ED55_8CCD
    return z ^ (z >> 33)
  }
}

@Suite struct DeliveryTests {
  @Test func aMessageReachesASubscriberOnce() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("a/b", options: PublicationOptions(type: "T"), at: pair.now)
    _ = try pair.machines[1].subscribe("a/+", options: SubscriptionOptions(type: "T"), at: pair.now)
    pair.settle()
    #expect(pair.machines[0].matchedSubscribers(of: publication) == 1)
    try pair.publish([1, 2, 3], on: publication)
    pair.run(for: .microseconds(150))
    #expect(pair.received[1].map(\.payload) == [[1, 2, 3]])
    pair.settle()
    #expect(pair.received[1].count == 1)
    #expect(pair.machines[0].isAcknowledged(publication, below: 1))
    #expect(pair.machines[0].bufferedBytes == 0)
  }

  @Test(.apart, arguments: [0, 1, 456, 457, 1_000, 65_536, 1 << 20, 16 << 20])
  func messagesOfEverySizeArrive(size: Int) throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("#", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    let payload = pattern(size, seed: size)
    try pair.publish(payload, on: publication)
    pair.run(for: .seconds(20), until: { pair.received[1].count == 1 })
    #expect(pair.received[1].first?.payload == payload)
  }

  @Test(arguments: [UInt64(1), 2, 3, 4])
  func lossCostsNothingButTime(seed: UInt64) throws {
    let pair = Pair()
    var generator = SmallGenerator(state: seed)
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    pair.drops = { _, _ in UInt64.random(in: 0..<100, using: &generator) < 20 }
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.run(for: .seconds(5), until: { pair.machines[0].matchedSubscribers(of: publication) == 1 })
    var sent: [[UInt8]] = []
    for number in 0..<300 {
      let payload = pattern(number % 10 == 0 ? 20_000 : 64, seed: number)
      sent.append(payload)
      try pair.publish(payload, on: publication)
      pair.run(for: .milliseconds(3))
    }
    pair.run(for: .seconds(30), until: { pair.received[1].count == sent.count })
    #expect(pair.received[1].map(\.payload) == sent)
    #expect(pair.received[1].map(\.sequence) == (0..<300).map { UInt64($0) })
    #expect(pair.losses.isEmpty)
    pair.drops = { _, _ in false }
    pair.settle()
    #expect(pair.machines[0].bufferedBytes == 0 && pair.machines[1].bufferedBytes == 0)
  }

  @Test func reorderingAndDuplicationAreInvisible() throws {
    let pair = Pair()
    var generator = SmallGenerator(state: 9)
    pair.extraDelay = { _ in .microseconds(UInt64.random(in: 0..<3_000, using: &generator)) }
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    for number in 0..<500 {
      try pair.publish(pattern(200, seed: number), on: publication)
      pair.run(for: .microseconds(200))
    }
    pair.settle()
    #expect(pair.received[1].map(\.sequence) == (0..<500).map { UInt64($0) })
  }

  @Test func expiredMessagesAreReportedNotDelivered() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    pair.drops = { _, _ in true }
    for number in 0..<5 { try pair.publish([UInt8(number)], on: publication, lifetime: .milliseconds(50)) }
    try pair.publish([99], on: publication)
    pair.run(for: .milliseconds(100))
    pair.drops = { _, _ in false }
    pair.settle()
    #expect(pair.received[1].map(\.payload) == [[99]])
    #expect(pair.losses.map(\.sequences) == [0..<5])
    #expect(pair.losses.map(\.reason) == [.expired])
  }

  @Test func theLastMessageOfABurstIsRepeatedSoon() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    pair.drops = { _, _ in true }
    try pair.publish([1], on: publication)
    pair.drops = { _, _ in false }
    pair.run(for: .milliseconds(15))
    #expect(pair.received[1].count == 1)
  }

  @Test func aSlowReaderIsReportedWhenRoomIsMade() throws {
    let pair = Pair { $0.transport.sendBufferBytes = 10_000 }
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    pair.drops = { _, _ in true }
    var refused = 0
    for number in 0..<100 {
      let payload = pattern(400, seed: number)
      let result = try payload.withUnsafeBytes { try pair.machines[0].publish($0, on: publication, at: pair.now) }
      guard result == .full else { continue }
      refused += 1
      _ = try payload.withUnsafeBytes {
        try pair.machines[0].publish($0, on: publication, whenFull: .dropOldest, at: pair.now)
      }
    }
    // The reader lags from the first refusal on, and no longer holds up the publisher.
    #expect(refused == 1)
    pair.drain(0)
    pair.drops = { _, _ in false }
    pair.run(for: .seconds(3))
    let lost = pair.losses.reduce(0) { $0 + $1.sequences.count }
    #expect(lost + pair.received[1].count == 100)
    #expect(pair.received[1].last?.sequence == 99)
    #expect(pair.losses.allSatisfy { $0.reason == .dropped || $0.reason == .evicted })
  }

  @Test func aSubscriberThatDoesNotConsumeHoldsThePublisherBack() throws {
    let pair = Pair {
      $0.transport.streamWindowBytes = 50_000
      $0.transport.sendBufferBytes = 100_000
    }
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(holdsBackPublisher: true), at: pair.now)
    pair.settle()
    var admitted = 0
    for _ in 0..<1_000 {
      let payload = pattern(1_000, seed: 1)
      let result = try payload.withUnsafeBytes { try pair.machines[0].publish($0, on: publication, at: pair.now) }
      if result == .full { break }
      admitted += 1
      pair.drain(0)
      pair.run(for: .milliseconds(1))
    }
    pair.run(for: .seconds(2))
    #expect(admitted < 200)
    #expect(pair.received[1].count < 80)
    let stream = try #require(pair.machines[1].topics.received.values.first?.info)
    // Consumes as it goes: everything arrives.
    var consumed = 0
    for _ in 0..<500 where pair.received[1].count < admitted || consumed < admitted {
      let fresh = pair.received[1].count - consumed
      pair.machines[1].consumed(fresh * 1_000, of: stream, at: pair.now)
      consumed += fresh
      pair.drain(1)
      pair.run(for: .milliseconds(20))
    }
    #expect(pair.received[1].count == admitted)
    #expect(pair.losses.isEmpty)
  }

  @Test func bestEffortLosesAndSaysSo() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise(
      "t", options: PublicationOptions(reliability: .bestEffort), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    var count = 0
    pair.drops = { sender, _ in
      guard sender == 0 else { return false }
      count += 1
      return count % 3 == 0
    }
    for number in 0..<99 {
      try pair.publish(pattern(number % 7 == 0 ? 3_000 : 50, seed: number), on: publication)
      pair.run(for: .milliseconds(1))
    }
    pair.drops = { _, _ in false }
    try pair.publish([1], on: publication)
    pair.settle()
    let lost = pair.losses.reduce(0) { $0 + $1.sequences.count }
    #expect(lost > 10)
    #expect(lost + pair.received[1].count == 100)
  }

  @Test func typesMustAgree() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(type: "A"), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(type: "B"), at: pair.now)
    pair.settle()
    #expect(pair.machines[0].matchedSubscribers(of: publication) == 0)
    for events in pair.events {
      let mismatches = events.compactMap { if case .typeMismatch(let mismatch) = $0 { mismatch } else { nil } }
      #expect(
        mismatches == [
          TypeMismatch(
            topic: "t", publisherType: "A", subscriberType: "B", publisher: EndpointID(1), subscriber: EndpointID(2))
        ])
    }
  }

  @Test func unsubscribingEndsTheTraffic() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    let subscription = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    try pair.publish([1], on: publication)
    pair.settle()
    pair.machines[1].unsubscribe(subscription, at: pair.now)
    pair.settle()
    #expect(pair.machines[0].matchedSubscribers(of: publication) == 0)
    let before = pair.bytes
    try pair.publish([2], on: publication)
    pair.settle()
    #expect(pair.bytes == before)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    try pair.publish([3], on: publication)
    pair.settle()
    #expect(pair.received[1].map(\.payload) == [[1], [3]])
  }

  @Test func anEndpointHearsItself() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    let first = try pair.machines[0].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    let second = try pair.machines[0].subscribe("#", options: SubscriptionOptions(), at: pair.now)
    try pair.publish([1], on: publication)
    #expect(pair.received[0].map(\.subscription) == [first, second])
  }

  @Test func directMessagesArriveInOrder() throws {
    let pair = Pair()
    for number in 0..<50 {
      let payload = pattern(1_000, seed: number)
      _ = try payload.withUnsafeBytes { try pair.machines[0].send($0, to: EndpointID(2), at: pair.now) }
    }
    pair.settle()
    #expect(pair.received[1].map(\.sequence) == (0..<50).map { UInt64($0) })
  }

  @Test func aPublisherThatIsGoneLeavesNoSilentHole() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    var count = 0
    pair.drops = { _, _ in
      count += 1
      return count == 2
    }
    for number in 0..<4 { try pair.publish([UInt8(number)], on: publication) }
    pair.run(for: .microseconds(120))
    pair.machines[1].removeSession(with: pair.peer(of: 1), reason: .expired, at: pair.now)
    pair.drain(1)
    #expect(pair.received[1].map(\.sequence) == [0, 2, 3])
    #expect(pair.losses.first?.sequences == 1..<2)
    #expect(pair.losses.first?.reason == .publisherGone)
  }

  @Test func theWireOverheadOfALoneSmallMessageIsBounded() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    var sizes: [Int] = []
    pair.drops = { sender, bytes in
      if sender == 0 { sizes.append(bytes.count) }
      return false
    }
    try pair.publish(pattern(64, seed: 1), on: publication)
    #expect(sizes.count == 1 && sizes[0] + 28 <= 120, "\(sizes)")
  }
}
