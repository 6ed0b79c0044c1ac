import Testing

@testable import GlueCore

/// When what has arrived is acknowledged: everything here is virtual time.
@Suite struct AcknowledgementTests {
  private let pair = Pair()

  private func advertise(_ topics: String...) throws -> [PublicationID] {
    let publications = try topics.map {
      try pair.machines[0].advertise($0, options: PublicationOptions(), at: pair.now)
    }
    for topic in topics { _ = try pair.machines[1].subscribe(topic, options: SubscriptionOptions(), at: pair.now) }
    pair.settle()
    return publications
  }

  /// Counts the datagrams of the subscriber while something happens.
  private func answers(during body: () throws -> Void) rethrows -> Int {
    var answers = 0
    pair.drops = { sender, _ in
      if sender == 1 { answers += 1 }
      return false
    }
    try body()
    pair.drops = { _, _ in false }
    return answers
  }

  private func probes() throws -> UInt64 {
    try #require(pair.machines[0].counters.first { $0.name == "probe_timeouts" }).value
  }

  /// How long it takes until all is acknowledged that was published.
  private func settling() -> Nanoseconds {
    let start = pair.now
    pair.run(for: .seconds(1), until: { pair.machines[0].isAllAcknowledged })
    return pair.now.since(start)
  }

  @Test func whatComesSteadilyIsAcknowledgedWithin20MillisecondsAndItsLastAfter5() throws {
    let publication = try advertise("t")[0]
    let before = try probes()
    var longest = Nanoseconds.zero
    var confirmedAt = pair.now
    let answers = try answers {
      for _ in 0..<200 {
        try pair.publish(pattern(64, seed: 1), on: publication)
        pair.run(for: .milliseconds(1))
        if pair.machines[0].isAllAcknowledged { confirmedAt = pair.now }
        longest = max(longest, pair.now.since(confirmedAt))
      }
    }
    #expect((10...14).contains(answers))
    #expect(longest <= .milliseconds(20))
    #expect(settling() <= .milliseconds(5))
    #expect(try probes() == before)
  }

  /// What keeps coming of one stream must not put off what another waits for.
  @Test func oneOfManyStreamsIsAcknowledgedAsSoonAsIfItWereAlone() throws {
    let publications = try advertise("steady", "lone")
    let before = try probes()
    for round in 0..<200 {
      if round % 20 == 10 { try pair.publish(pattern(64, seed: 2), on: publications[1]) }
      try pair.publish(pattern(64, seed: 1), on: publications[0])
      pair.run(for: .milliseconds(1))
    }
    #expect(settling() <= .milliseconds(6))
    #expect(try probes() == before)
    #expect(pair.received[1].count == 210)
  }

  /// Best-effort data says nothing about what a reliable stream waits for.
  @Test func bestEffortDataPutsOffNothing() throws {
    let lone = try advertise("lone")[0]
    let noise = try pair.machines[0].advertise(
      "noise", options: PublicationOptions(reliability: .bestEffort), at: pair.now)
    _ = try pair.machines[1].subscribe("noise", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    let before = try probes()
    for round in 0..<200 {
      if round % 20 == 10 { try pair.publish(pattern(64, seed: 2), on: lone) }
      try pair.publish(pattern(64, seed: 1), on: noise)
      pair.run(for: .milliseconds(1))
    }
    #expect(try probes() == before)
    #expect(pair.received[1].count == 210)
  }

  /// A delay longer than round trips and loss may go unmeasured is not made longer still.
  @Test(arguments: [0, 1, 15, 100] as [UInt64])
  func otherDelaysAreKept(milliseconds: UInt64) throws {
    let delay = Nanoseconds.milliseconds(milliseconds)
    let pair = Pair { $0.transport.acknowledgementDelay = delay }
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    var answers = 0
    pair.drops = { sender, _ in
      if sender == 1 { answers += 1 }
      return false
    }
    for _ in 0..<200 {
      try pair.publish(pattern(8, seed: 1), on: publication)
      pair.run(for: .milliseconds(1))
    }
    let expected: ClosedRange<Int> =
      switch milliseconds {
      case 0: 200...200
      case 1: 45...100
      case 15: 9...14
      default: 2...5
      }
    #expect(expected.contains(answers), "\(answers)")
  }

  /// A publication that may hold little must not stand still until an acknowledgement comes.
  @Test func aSmallSendBufferIsEmptiedInTime() throws {
    let pair = Pair { $0.transport.sendBufferBytes = 8_192 }
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    for _ in 0..<200 {
      try pair.publish(pattern(1_024, seed: 1), on: publication)
      pair.run(for: .milliseconds(1))
    }
    #expect(pair.received[1].count == 200)
  }

  /// Memory of the publisher waits for acknowledgements.
  @Test func muchThatComesSteadilyIsAcknowledgedAsSoonAsBefore() throws {
    let publication = try advertise("t")[0]
    let answers = try answers {
      for _ in 0..<200 {
        try pair.publish(pattern(8_000, seed: 1), on: publication)
        pair.run(for: .milliseconds(1))
      }
    }
    #expect(answers >= 30)
  }

  /// What was published into nothing arrives soon once it can, although its publisher never paused.
  @Test func whatNobodyGotArrivesSoonOnceItCan() throws {
    let publication = try advertise("t")[0]
    pair.drops = { _, _ in true }
    for _ in 0..<100 {
      try pair.publish(pattern(64, seed: 1), on: publication)
      pair.run(for: .milliseconds(1))
    }
    pair.drops = { _, _ in false }
    pair.run(for: .milliseconds(20), until: { pair.received[1].count == 100 })
    #expect(pair.received[1].count == 100)
  }
}
