import GlueAddress
import Testing

@testable import GlueCore

/// What heavy loss and reordering cost: everything here is virtual time.
@Suite struct LossTests {
  struct Course {
    var ages: [Nanoseconds] = []
    func percentile(_ percent: Int) -> Nanoseconds { ages.sorted()[ages.count * percent / 100] }
  }

  /// Publishes so many messages at a rate, with a share of all datagrams lost both ways, and notes when they arrive.
  private func publish(
    _ count: Int, bytes: Int, every gap: Nanoseconds, lossPercent: UInt64, on pair: Pair, seed: UInt64 = 7
  ) throws -> Course {
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    var generator = SmallGenerator(state: seed)
    pair.drops = { _, _ in UInt64.random(in: 0..<100, using: &generator) < lossPercent }
    var course = Course()
    var publishedAt: [Timestamp] = []
    func note() -> Bool {
      while course.ages.count < pair.received[1].count {
        let sequence = Int(pair.received[1][course.ages.count].sequence)
        course.ages.append(pair.now.since(publishedAt[sequence]))
      }
      return course.ages.count == count
    }
    let payload = pattern(bytes, seed: 1)
    for _ in 0..<count {
      publishedAt.append(pair.now)
      try pair.publish(payload, on: publication)
      pair.run(for: gap, until: { note() })
    }
    pair.run(for: .seconds(2), until: { note() })
    #expect(pair.received[1].map(\.sequence) == (0..<UInt64(count)).map { $0 })
    return course
  }

  private func counter(_ name: String, of machine: EndpointMachine) throws -> UInt64 {
    try #require(machine.counters.first { $0.name == name }).value
  }

  /// The receiver took the first round trip of its life for those to come, and waited twice as long after each request: the
  /// median was 400 ms at a round trip of 0.2 ms.
  @Test func smallMessagesAtAFifthLossAreRepairedSoon() throws {
    let course = try publish(1_000, bytes: 100, every: .milliseconds(2), lossPercent: 20, on: Pair())
    #expect(course.percentile(50) < .milliseconds(5))
    #expect(course.percentile(99) < .milliseconds(50))
  }

  /// Loss beyond a tenth shut the window almost; 64 KiB took a third of a second.
  @Test func largeMessagesAtAFifthLossAreRepairedSoon() throws {
    let course = try publish(60, bytes: 65_536, every: .milliseconds(50), lossPercent: 20, on: Pair())
    #expect(course.percentile(50) < .milliseconds(20))
    #expect(course.percentile(95) < .milliseconds(100))
  }

  /// With 10 ms of round trip the window that was left did not carry 64 KiB at 20 Hz.
  @Test func aLongerPathCarriesLargeMessagesAtAFifthLoss() throws {
    let pair = Pair(delay: .milliseconds(5))
    let course = try publish(60, bytes: 65_536, every: .milliseconds(50), lossPercent: 20, on: pair)
    #expect(course.percentile(50) < .milliseconds(150))
  }

  /// A probe was followed by another only after twice the time that an acknowledgement may take, though it asks for one at once.
  @Test func aLoneMessageThatIsLostTwiceArrivesSoon() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    var drops = 3
    pair.drops = { sender, _ in
      guard sender == 0, drops > 0 else { return false }
      drops -= 1
      return true
    }
    let start = pair.now
    try pair.publish([1], on: publication)
    pair.run(for: .seconds(1), until: { pair.received[1].count == 1 })
    #expect(pair.now.since(start) < .milliseconds(15))
  }

  /// Nothing follows the last part of a message that would tell of its loss; but its beginning says how long it is. The publisher
  /// asks after 5 ms and more.
  @Test(arguments: [1, 2, 40]) func theLostEndOfAMessageIsAskedFor(_ lost: Int) throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    let datagrams = 48
    var sent = 0
    pair.drops = { sender, _ in
      guard sender == 0 else { return false }
      sent += 1
      return sent > datagrams - lost && sent <= datagrams
    }
    let start = pair.now
    try pair.publish(pattern(65_536, seed: 1), on: publication)
    #expect(sent == datagrams)
    pair.run(for: .seconds(1), until: { pair.received[1].count == 1 })
    #expect(pair.now.since(start) < .milliseconds(3))
    #expect(try counter("fragments_repeated", of: pair.machines[0]) <= UInt64(lost * 4))
    #expect(try counter("probe_timeouts", of: pair.machines[0]) == 0)
  }

  /// What waits in the receiver's socket is not asked for.
  @Test(arguments: [true, false]) func theEndOfAMessageIsAwaitedInTheSocketToo(_ isCaughtUp: Bool) throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    var sent = 0
    pair.extraDelay = { sender in
      guard sender == 0 else { return .zero }
      sent += 1
      return sent > 20 ? .milliseconds(3) : .zero
    }
    pair.isCaughtUp = isCaughtUp
    try pair.publish(pattern(65_536, seed: 1), on: publication)
    pair.run(for: .milliseconds(4), until: { pair.received[1].count == 1 })
    #expect(pair.received[1].count == 1)
    #expect(try (counter("fragments_repeated", of: pair.machines[0]) == 0) == !isCaughtUp)
  }

  /// While the rest of a message comes after it was asked for, a hole in it is asked for as soon as any other.
  @Test func aHoleInTheRestIsAskedForLikeAnyOther() throws {
    let pair = Pair(delay: .milliseconds(50))
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    for number in 0..<30 {
      try pair.publish(pattern(65_536, seed: number), on: publication)
      pair.run(for: .milliseconds(500))
    }
    var sent = 0
    let start = pair.now
    pair.extraDelay = { sender in sender == 0 && sent > 10 && sent <= 48 ? .milliseconds(300) : .zero }
    pair.drops = { sender, _ in
      if sender == 0 { sent += 1 }
      // A hole, and what is repeated before the late ones come.
      return sender == 0 && (sent == 20 || (sent > 48 && pair.now.since(start) < .milliseconds(340)))
    }
    let before = pair.received[1].count
    try pair.publish(pattern(65_536, seed: 1), on: publication)
    pair.run(for: .seconds(3), until: { pair.received[1].count == before + 1 })
    // The late ones come after 350 ms; then it takes a round trip.
    #expect(pair.now.since(start) < .milliseconds(350 + 100 + 20))
    #expect(pair.now.since(start) >= .milliseconds(350 + 100))
  }

  /// Datagrams of 1,472 bytes arrive, if not all: that is no reason to send smaller ones.
  @Test func lossIsNotTakenForASmallerPath() throws {
    let pair = Pair()
    _ = try publish(60, bytes: 65_536, every: .milliseconds(50), lossPercent: 20, on: pair)
    #expect(try counter("path_fallbacks", of: pair.machines[0]) == 0)
  }

  /// Who only receives has nothing acknowledged that would tell how long an answer takes, but its requests.
  @Test func requestsMeasureRoundTrips() throws {
    let pair = Pair()
    let publication = try pair.machines[0].advertise("t", options: PublicationOptions(), at: pair.now)
    _ = try pair.machines[1].subscribe("t", options: SubscriptionOptions(), at: pair.now)
    pair.settle()
    pair.delay = .milliseconds(10)
    for number in 0..<200 {
      pair.drops = { sender, _ in sender == 0 && number % 4 == 0 }
      try pair.publish([UInt8(number)], on: publication)
      pair.drops = { _, _ in false }
      pair.run(for: .milliseconds(2))
    }
    let session = try #require(pair.machines[1].sessions.values.first)
    #expect(session.roundTrip.smoothed > .milliseconds(15))
    pair.settle()
    #expect(pair.received[1].count == 200)
  }

  /// Every second datagram takes a path that is longer by 5 ms. What was overtaken was asked for, and came twice.
  @Test func whatIsOvertakenIsNotRepeated() throws {
    let pair = Pair()
    var count = 0
    pair.extraDelay = { _ in
      count += 1
      return count % 2 == 0 ? .milliseconds(5) : .zero
    }
    _ = try publish(40, bytes: 65_536, every: .milliseconds(50), lossPercent: 0, on: pair)
    let fragments = 40 * Unit.fragments(bodyBytes: 65_536)
    let repeated = try counter("fragments_repeated", of: pair.machines[0])
    #expect(repeated < fragments / 4, "\(repeated) of \(fragments)")
  }
}

@Suite struct CongestionWindowTests {
  /// Rounds in which the window is used up, of 1 ms each; `lost` tells how many of so many datagrams are lost.
  private func window(after rounds: Int, lost: (Int) -> Int) -> CongestionWindow {
    var window = CongestionWindow(receiveBufferBytes: 1 << 20)
    var roundTrip = RoundTripEstimator(initial: .milliseconds(1))
    var now = Timestamp(nanoseconds: 0)
    let charge = CongestionWindow.charge(for: 1_472)
    for _ in 0..<rounds {
      var sent = 0
      while window.isOpen {
        window.sent(charge: charge)
        sent += 1
      }
      now = now + .milliseconds(1) + .microseconds(1)
      roundTrip.add(.milliseconds(1), at: now)
      window.acknowledged(
        charge: sent * charge, datagrams: sent, lost: UInt64(lost(sent)), roundTrip: roundTrip, at: now)
    }
    return window
  }

  @Test(arguments: [5, 8, 20, 30] as [UInt64])
  func lossByChanceDoesNotShutIt(percent: UInt64) {
    var generator = SmallGenerator(state: percent)
    let window = window(after: 1_000) { sent in
      (0..<sent).count { _ in UInt64.random(in: 0..<100, using: &generator) < percent }
    }
    #expect(window.bytes >= CongestionWindow.initialBytes, "\(window.bytes) bytes at \(percent) %")
  }

  /// A bottleneck without a queue: what exceeds 40 datagrams in a round trip is lost.
  @Test func lossByItsOwnDoingKeepsItSmall() {
    var most = 0
    var round = 0
    let window = window(after: 1_000) { sent in
      round += 1
      if round > 50 { most = max(most, sent) }
      return max(0, sent - 40)
    }
    #expect(most <= 60, "\(most) datagrams")
    #expect(window.bytes >= 20 * CongestionWindow.charge(for: 1_472))
  }

  /// Nothing of what everybody sends gets through but a hundredth, however little it is.
  @Test func lossOfAlmostAllIsNeverUsual() {
    let window = window(after: 1_000) { $0 * 99 / 100 }
    #expect(window.bytes <= CongestionWindow.initialBytes / 4)
  }
}

@Suite struct RoundTripEstimatorTests {
  @Test func pathsOfDifferentLengthAreNoQueue() {
    var estimator = RoundTripEstimator(initial: .milliseconds(10))
    for number in 0..<200 as Range<UInt64> {
      estimator.add(.microseconds(number % 2 == 0 ? 200 : 10_200), at: Timestamp(nanoseconds: number * 1_000_000))
    }
    #expect(estimator.queueing < CongestionWindow.queueingTarget)
  }

  @Test func aQueueShowsInRoundTripsThatStayLong() {
    var estimator = RoundTripEstimator(initial: .milliseconds(10))
    for number in 0..<200 as Range<UInt64> {
      estimator.add(.microseconds(number < 100 ? 200 : 20_000), at: Timestamp(nanoseconds: number * 1_000_000))
    }
    #expect(estimator.queueing > CongestionWindow.queueingTarget)
  }
}

@Suite struct ReorderingTests {
  private func reordering(every interval: UInt64 = 250_000, lateEvery period: UInt64, by delay: UInt64) -> Reordering {
    var reordering = Reordering()
    var arrivals: [(at: UInt64, number: UInt64)] = []
    for number in 0..<640 as Range<UInt64> {
      arrivals.append((number * interval + (number % period == 0 ? delay : 0), number))
    }
    var highest: UInt64 = 0
    for arrival in arrivals.sorted(by: { $0 < $1 }) {
      let isHighest = arrival.number >= highest
      highest = max(highest, arrival.number)
      reordering.note(arrival.number, isHighest: isHighest, at: Timestamp(nanoseconds: arrival.at))
    }
    return reordering
  }

  @Test func learnsHowLateDatagramsAre() {
    let reordering = reordering(lateEvery: 2, by: 5_000_000)
    #expect(reordering.isUsual)
    #expect(reordering.lateness >= .milliseconds(4) && reordering.lateness <= .milliseconds(6))
  }

  @Test func aLateDatagramNowAndThenIsNotUsual() {
    #expect(!reordering(lateEvery: 50, by: 5_000_000).isUsual)
    #expect(!reordering(lateEvery: 2, by: 0).isUsual)
  }

  /// It was then as late as the oldest note was old: a lost datagram was not asked for within seconds.
  @Test func ofSparseTrafficPatienceIsNoLonger() throws {
    let sparse = reordering(every: 100_000_000, lateEvery: 2, by: 1_050_000_000)
    #expect(sparse.isUsual)
    #expect(sparse.lateness == .milliseconds(32))
    let pair = Pair()
    let session = try #require(pair.machines[1].sessions.values.first)
    session.reordering = sparse
    #expect(session.patience == .milliseconds(36))
  }
}
