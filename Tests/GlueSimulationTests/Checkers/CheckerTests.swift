import GlueAddress
import GlueCore
import GlueSimulation
import Testing

// Each checker is shown a trace that breaks its invariant, and one that does not.

private let stream = StreamKey(publisher: 0, topic: 0)
private let subscription = SubscriptionKey(life: 1, number: 1)
private func at(_ milliseconds: UInt64) -> Timestamp { Timestamp(nanoseconds: milliseconds * 1_000_000) }

@Suite struct IntegrityTests {
  @Test func noticesOtherBytesAndUnpublishedNumbers() {
    var checker = Integrity()
    #expect(checker.published(stream, sequence: 0, digest: 7) == nil)
    #expect(checker.delivered(stream, sequence: 0, digest: 7) == nil)
    #expect(checker.delivered(stream, sequence: 0, digest: 8) != nil)
    #expect(checker.delivered(stream, sequence: 1, digest: 7) != nil)
    #expect(checker.delivered(StreamKey(publisher: 5, topic: 0), sequence: 0, digest: 7) != nil)
    #expect(checker.published(stream, sequence: 2, digest: 7) != nil)
  }
}

@Suite struct AtMostOnceTests {
  @Test func noticesASecondDeliveryToOneSubscription() {
    var checker = AtMostOnce()
    #expect(checker.delivered(to: subscription, stream, sequence: 4) == nil)
    #expect(checker.delivered(to: SubscriptionKey(life: 1, number: 2), stream, sequence: 4) == nil)
    #expect(checker.delivered(to: subscription, StreamKey(publisher: 2, topic: 0), sequence: 4) == nil)
    #expect(checker.delivered(to: subscription, stream, sequence: 4) != nil)
  }
}

@Suite struct OrderTests {
  private func delivering(_ numbers: [UInt64]) -> Order {
    var checker = Order()
    for number in numbers { #expect(checker.delivered(to: subscription, stream, sequence: number) == nil) }
    return checker
  }

  @Test func noticesAStepBack() {
    var checker = delivering([3, 4])
    #expect(checker.delivered(to: subscription, stream, sequence: 3) != nil)
  }

  @Test func noticesASkipWithoutAReport() {
    var checker = delivering([3, 6])
    #expect(checker.endOfTurn() != nil)
  }

  @Test func takesAReportAfterTheDeliveryOfTheSameTurn() {
    var checker = delivering([3, 6])
    #expect(checker.lost(to: subscription, stream, 4..<6) == nil)
    #expect(checker.endOfTurn() == nil)
  }

  @Test func takesAReportBeforeTheDelivery() {
    var checker = delivering([3])
    #expect(checker.lost(to: subscription, stream, 4..<6) == nil)
    #expect(checker.delivered(to: subscription, stream, sequence: 6) == nil)
    #expect(checker.endOfTurn() == nil)
  }

  @Test func noticesAReportThatCoversTooLittleOrTooMuch() {
    var short = delivering([3, 6])
    #expect(short.lost(to: subscription, stream, 4..<5) == nil)
    #expect(short.endOfTurn() != nil)
    var long = delivering([3, 6])
    #expect(long.lost(to: subscription, stream, 4..<7) != nil)
  }

  @Test func noticesTheDeliveryOfWhatWasReportedLostAndTheReportOfWhatWasDelivered() {
    var checker = delivering([3])
    #expect(checker.lost(to: subscription, stream, 4..<6) == nil)
    #expect(checker.delivered(to: subscription, stream, sequence: 5) != nil)
    var other = delivering([3, 4, 5])
    #expect(other.lost(to: subscription, stream, 4..<5) != nil)
  }

  @Test func theEndOfASessionExcusesASkipButNoStepBack() {
    var checker = delivering([3])
    checker.disconnected(subscriber: 1, publisher: 0)
    #expect(checker.delivered(to: subscription, stream, sequence: 9) == nil)
    #expect(checker.endOfTurn() == nil)
    checker.disconnected(subscriber: 1, publisher: 0)
    #expect(checker.delivered(to: subscription, stream, sequence: 9) != nil)
  }

  @Test func lossesBeforeTheFirstDeliveryMayBeToldAfterIt() {
    var checker = delivering([5])
    #expect(checker.lost(to: subscription, stream, 2..<4) == nil)
    #expect(checker.lost(to: subscription, stream, 4..<5) == nil)
    #expect(checker.endOfTurn() == nil)
  }
}

@Suite struct EventualDeliveryTests {
  @Test func noticesWhatIsOwedAtTheDeadline() {
    var ledger = DeliveryLedger()
    var checker = EventualDelivery()
    ledger.published(stream, sequence: 0, readers: [1, 2])
    ledger.published(stream, sequence: 1, readers: [1])
    #expect(ledger.arrived(stream, sequence: 0, at: 1) == true)
    #expect(ledger.arrived(stream, sequence: 0, at: 2) == true)
    #expect(ledger.arrived(stream, sequence: 0, at: 2) == false)
    let verdict1 = checker.deadline(ledger, publishedBefore: at(100)) { _, number in at(number * 50) }
    #expect(verdict1 != nil)
    let verdict2 = checker.deadline(ledger, publishedBefore: at(50)) { _, number in at(number * 50) }
    #expect(verdict2 == nil)
    ledger.lost(stream, 1..<2, at: 1)
    let verdict3 = checker.deadline(ledger, publishedBefore: at(100)) { _, _ in at(0) }
    #expect(verdict3 == nil)
  }

  @Test func whoIsGoneIsOwedNothing() {
    var ledger = DeliveryLedger()
    var checker = EventualDelivery()
    ledger.published(stream, sequence: 0, readers: [1, 2, 3])
    ledger.disconnected(1, 0)
    ledger.ended(2)
    ledger.unsubscribed(stream, reader: 3)
    let verdict4 = checker.deadline(ledger, publishedBefore: at(100)) { _, _ in at(0) }
    #expect(verdict4 == nil)
  }

  @Test func noticesAProbeThatDidNotArrive() {
    var checker = EventualDelivery()
    #expect(checker.probe(stream, missing: [], of: 3) == nil)
    #expect(checker.probe(stream, missing: [2], of: 3) != nil)
  }
}

@Suite struct AcknowledgementTests {
  @Test func noticesAnAcknowledgementOfWhatDidNotArrive() {
    var ledger = DeliveryLedger()
    var checker = Acknowledgement()
    ledger.published(stream, sequence: 0, readers: [1])
    checker.published(stream, sequence: 0, position: 2, readers: [1])
    checker.acknowledged(stream, below: 1)
    #expect(checker.endOfTurn(ledger) == nil)
    checker.acknowledged(stream, below: 2)
    #expect(checker.endOfTurn(ledger) != nil)
  }

  @Test func whatIsExcusedInTheSameTurnIsExcused() {
    var ledger = DeliveryLedger()
    var checker = Acknowledgement()
    ledger.published(stream, sequence: 0, readers: [1])
    checker.published(stream, sequence: 0, position: 1, readers: [1])
    checker.acknowledged(stream, below: 1)
    ledger.disconnected(0, 1)
    #expect(checker.endOfTurn(ledger) == nil)
    #expect(checker.checks == 1)
  }
}

@Suite struct ExpiryTests {
  @Test func noticesALateDeliveryBeyondTheErrorOfTheDelay() {
    var checker = Expiry()
    func verdict(_ now: UInt64, delay: UInt64) -> String? {
      checker.delivered(
        stream, sequence: 0, publishedAt: at(1_000), lifetime: .milliseconds(100), at: at(now),
        delay: .milliseconds(delay))
    }
    #expect(verdict(1_099, delay: 0) == nil)
    #expect(verdict(1_110, delay: 0) != nil)
    #expect(verdict(1_110, delay: 20) == nil)
  }
}

@Suite struct InterestOnlyTests {
  @Test func noticesDataForWhoNeverAskedOrNoLongerAsks() {
    var checker = InterestOnly()
    checker.subscribed(host: 1, topics: [0])
    #expect(checker.sent(topic: 0, by: 0, to: 1, isSettled: false) == nil)
    #expect(checker.sent(topic: 1, by: 0, to: 1, isSettled: false) != nil)
    checker.unsubscribed(host: 1, topics: [0])
    #expect(checker.sent(topic: 0, by: 0, to: 1, isSettled: false) == nil)
    #expect(checker.sent(topic: 0, by: 0, to: 1, isSettled: true) != nil)
  }
}

@Suite struct IsolationTests {
  @Test func noticesASlowDeliveryOnASoundPath() {
    var checker = Isolation()
    #expect(checker.delivered(stream, sequence: 0, to: 1, after: .milliseconds(20)) == nil)
    #expect(checker.delivered(stream, sequence: 0, to: 1, after: .milliseconds(2_000)) != nil)
  }
}

@Suite struct BoundsTests {
  @Test func bufferCapsNoticesTooManyBytes() {
    var checker = BufferCaps()
    #expect(checker.sampled(0, bytes: 10, cap: 10) == nil)
    #expect(checker.sampled(0, bytes: 11, cap: 10) != nil)
  }

  @Test func boundedRepetitionNoticesRepetitionsWithoutLoss() {
    var checker = BoundedRepetition()
    for _ in 0..<100 {
      checker.sent(by: 0, connection: 1, stream: 2, position: 0, units: 4, bytes: 1_000)
    }
    #expect(checker.repeatedBytes == 99_000)
    #expect(checker.finished(troubledBytes: 40_000, disturbances: 0) == nil)
    #expect(checker.finished(troubledBytes: 1_000, disturbances: 1) != nil)
  }

  @Test func boundedRepetitionTellsStreamsApart() {
    var checker = BoundedRepetition()
    checker.sent(by: 0, connection: 1, stream: 2, position: 0, units: 4, bytes: 1_000)
    checker.sent(by: 0, connection: 1, stream: 3, position: 0, units: 4, bytes: 1_000)
    checker.sent(by: 0, connection: 2, stream: 2, position: 0, units: 4, bytes: 1_000)
    checker.sent(by: 0, connection: 1, stream: 2, position: 4, units: 1, bytes: 1_000)
    #expect(checker.repeatedBytes == 0)
  }

  @Test func announcementRateNoticesAChatterbox() {
    var checker = AnnouncementRate()
    var verdicts: [String?] = []
    for number in 0..<12 as Range<UInt64> {
      verdicts.append(checker.announced(0, uptime: .milliseconds(number), interval: .seconds(1)))
    }
    #expect(verdicts[7] == nil)
    #expect(verdicts[8] != nil)
    #expect(checker.announced(1, uptime: .seconds(100), interval: .seconds(1)) == nil)
  }

  @Test func quietNetworkNoticesEverythingButAnnouncements() {
    var checker = QuietNetwork()
    #expect(checker.sent(.announce, by: 0) == nil)
    #expect(checker.sent(.pad, by: 0) == nil)
    #expect(checker.sent(.heartbeat, by: 0) != nil)
    #expect(checker.sent(nil, by: 0) != nil)
  }

  @Test func unprovenStateNoticesGhostsAndFullTables() {
    var checker = UnprovenState()
    #expect(checker.sampled(0, entries: 320, cap: 320, ghosts: 0) == nil)
    #expect(checker.sampled(0, entries: 321, cap: 320, ghosts: 0) != nil)
    #expect(checker.sampled(0, entries: 0, cap: 320, ghosts: 1) != nil)
  }

  @Test func amplificationNoticesMoreBytesThanCame() {
    var checker = Amplification()
    let address = SocketAddress(ip: IPAddress(v4: 0x0A42_0001), port: 1_024)
    checker.received(0, from: address, bytes: 128)
    #expect(checker.sent(0, to: address, bytes: 76) == nil)
    #expect(checker.sent(1, to: address, bytes: 76) != nil)
    #expect(checker.sent(0, to: address, bytes: 76) != nil)
  }
}

@Suite struct MembershipTests {
  private func sample(_ checker: inout WholeSessions, _ second: UInt64, isHalf: Bool, isSound: Bool = true) -> String? {
    checker.sampled(0, 1, isHalf: isHalf, isSound: isSound, lease: .seconds(5), at: at(second * 1_000))
  }

  @Test func wholeSessionsNoticesAHalfThatLasts() {
    var checker = WholeSessions()
    #expect(sample(&checker, 0, isHalf: true) == nil)
    #expect(sample(&checker, 11, isHalf: true) == nil)
    #expect(sample(&checker, 12, isHalf: true) != nil)
  }

  @Test func wholeSessionsForgivesWhatHealsOrCannot() {
    var healed = WholeSessions()
    #expect(sample(&healed, 0, isHalf: true) == nil)
    #expect(sample(&healed, 6, isHalf: false) == nil)
    #expect(sample(&healed, 12, isHalf: true) == nil)
    var broken = WholeSessions()
    #expect(sample(&broken, 0, isHalf: true) == nil)
    #expect(sample(&broken, 30, isHalf: true, isSound: false) == nil)
    #expect(sample(&broken, 31, isHalf: true) == nil)
  }

  private func contender(_ life: Life, from start: UInt64, to end: UInt64? = nil) -> OneHolder.Contender {
    OneHolder.Contender(life: life, startedAt: at(start * 1_000), endedAt: end.map { at($0 * 1_000) })
  }

  @Test func oneHolderNoticesTheWrongWinner() {
    var checker = OneHolder()
    let old = contender(0, from: 1)
    let young = contender(1, from: 20)
    let dead = contender(2, from: 0, to: 5)
    func verdict(_ loser: OneHolder.Contender, _ holder: OneHolder.Contender?) -> String? {
      checker.defeated(loser, by: holder, grace: .seconds(10), at: at(30_000))
    }
    #expect(verdict(young, old) == nil)
    #expect(verdict(old, young) != nil)
    #expect(verdict(young, dead) != nil)
    #expect(verdict(young, nil) != nil)
  }

  @Test func oneHolderNoticesTwoHolders() {
    var checker = OneHolder()
    #expect(checker.settled([3], what: "ID 1") == nil)
    #expect(checker.settled([3, 4], what: "ID 1") != nil)
  }

  @Test func convergenceNoticesTwoThatAThirdOneKnows() {
    var checker = Convergence()
    func sample(_ second: UInt64, isKnown: Bool = false, hasWay: Bool = true) -> String? {
      checker.sampled(0, 1, isKnown: isKnown, hasWay: hasWay, patience: .seconds(5), at: at(second * 1_000))
    }
    #expect(sample(0) == nil && sample(5) == nil && sample(6) != nil)
    #expect(sample(10) == nil && sample(12, isKnown: true) == nil && sample(16) == nil)
    #expect(sample(18, hasWay: false) == nil && sample(22) == nil)
    #expect(checker.checks > 0)
  }

  @Test func convergenceNoticesStrangersAndGhosts() {
    var checker = Convergence()
    #expect(checker.settled(0, knows: [1, 2], of: [0, 1, 2]) == nil)
    #expect(checker.settled(0, knows: [1], of: [0, 1, 2]) != nil)
    #expect(checker.settled(0, knows: [1, 2, 9], of: [0, 1, 2]) != nil)
  }
}

@Suite struct RelayingTests {
  private let header = RelayHeader(
    hopsLeft: 8, destination: RelayedEndpoint(id: EndpointID(2), tag: 2),
    origin: RelayedEndpoint(id: EndpointID(1), tag: 1))

  @Test func noticesHopsThatAreNotCounted() {
    var checker = Relaying()
    let key = Relaying.Key(header, digest: 7)
    #expect(checker.sent(key, hopsLeft: 8, by: 0, host: 0, isNeedless: false, at: at(1)) == nil)
    #expect(checker.passedOn(key, hopsLeft: 7, by: 1) == nil)
    #expect(checker.passedOn(key, hopsLeft: 7, by: 2) != nil)
    #expect(checker.original(of: key)?.sentAt == at(1))
    // Of what was not seen before nothing is known.
    #expect(checker.passedOn(Relaying.Key(header, digest: 8), hopsLeft: 8, by: 1) == nil)
  }

  @Test func noticesWhatIsNotNeeded() {
    var checker = Relaying()
    let verdict = checker.sent(
      Relaying.Key(header, digest: 7), hopsLeft: 8, by: 0, host: 0, isNeedless: true, at: at(1))
    #expect(verdict != nil)
  }
}

@Suite struct MulticastToldTests {
  private func sample(
    _ checker: inout MulticastTold, _ second: UInt64, isBlocked: Bool = false, isClogged: Bool = false,
    isSound: Bool = false
  ) -> String? {
    checker.sampled(
      0, isBlocked: isBlocked, isClogged: isClogged, isSound: isSound, patience: .seconds(20), at: at(second * 1_000))
  }

  @Test func multicastToldNoticesSilenceAboutAWall() {
    var checker = MulticastTold()
    #expect(sample(&checker, 0, isBlocked: true) == nil)
    #expect(sample(&checker, 20, isBlocked: true) == nil)
    #expect(sample(&checker, 21, isBlocked: true) != nil)
    checker.told(0, isBroken: true)
    #expect(sample(&checker, 22, isBlocked: true) == nil)
    checker.told(0, isBroken: false)
    #expect(sample(&checker, 23) == nil)
    #expect(sample(&checker, 24, isBlocked: true) == nil)
    // Who has lost what it knew cannot tell.
    checker.disturbed(0)
    #expect(sample(&checker, 50, isBlocked: true) == nil)
    #expect(sample(&checker, 51) == nil)
    #expect(sample(&checker, 52, isBlocked: true) == nil)
    #expect(sample(&checker, 73, isBlocked: true) != nil)
  }

  /// What was sent before the wall was there is heard when its way is free.
  @Test func multicastToldWaitsForWhatIsOnItsWay() {
    var checker = MulticastTold()
    #expect(sample(&checker, 0, isBlocked: true) == nil)
    #expect(sample(&checker, 15, isBlocked: true, isClogged: true) == nil)
    #expect(sample(&checker, 35, isBlocked: true) == nil)
    #expect(sample(&checker, 36, isBlocked: true) != nil)
  }

  /// Copies that an attacker sends do pass, or say what was so before; afterwards a wall is one again.
  @Test func multicastToldWaitsForTheEndOfReplays() {
    var checker = MulticastTold()
    #expect(sample(&checker, 0, isBlocked: true) == nil)
    checker.misled(at: at(5_000))
    #expect(sample(&checker, 21, isBlocked: true) == nil)
    checker.misled(at: at(22_000))
    #expect(sample(&checker, 42, isBlocked: true) == nil)
    #expect(checker.checks == 0)
    #expect(sample(&checker, 43, isBlocked: true) != nil)
    // What works is called so all the same.
    checker.told(0, isBroken: true)
    checker.misled(at: at(44_000))
    #expect(sample(&checker, 44, isSound: true) != nil)
  }

  @Test func multicastToldNoticesAFalseAlarm() {
    var checker = MulticastTold()
    #expect(sample(&checker, 0, isSound: true) == nil)
    checker.told(0, isBroken: true)
    #expect(sample(&checker, 1) == nil)
    #expect(sample(&checker, 2, isSound: true) != nil)
    checker.told(0, isBroken: false)
    #expect(sample(&checker, 3, isSound: true) == nil)
  }
}

@Suite struct RetainedCheckerTests {
  private func stamp(_ time: UInt64, _ publisher: UInt64 = 1) -> RetainedStamp {
    RetainedStamp(time: time, publisher: EndpointID(publisher), incarnation: Incarnation(1))
  }

  private func deliver(_ checker: inout Retained, _ stamp: RetainedStamp, isCleared: Bool = false) -> String? {
    let mark = RetainedMark(time: stamp.time, isCleared: isCleared)
    return checker.delivered(mark, of: stream, as: stamp, to: subscription)
  }

  private func settled(_ checker: inout Retained, _ stamp: RetainedStamp, isCleared: Bool = false) -> String? {
    checker.settled(subscription, topic: 0, highest: stamp, isCleared: isCleared)
  }

  @Test func noticesALowerValueAfterAHigherOne() {
    var checker = Retained()
    #expect(deliver(&checker, stamp(5, 1)) == nil)
    #expect(deliver(&checker, stamp(5, 2)) == nil)
    #expect(deliver(&checker, stamp(5, 2)) != nil)
    #expect(deliver(&checker, stamp(5, 1)) != nil)
    #expect(deliver(&checker, stamp(4, 3)) != nil)
    #expect(deliver(&checker, stamp(6, 1), isCleared: true) == nil)
    #expect(deliver(&checker, stamp(5, 9)) != nil)
    #expect(checker.delivered(nil, of: stream, as: stamp(0), to: subscription) != nil)
  }

  @Test func noticesWhoLacksTheHighestValue() {
    var checker = Retained()
    #expect(settled(&checker, stamp(5)) != nil)
    #expect(settled(&checker, stamp(5), isCleared: true) == nil)
    #expect(deliver(&checker, stamp(5)) == nil)
    #expect(settled(&checker, stamp(5)) == nil)
    #expect(settled(&checker, stamp(4)) == nil)
    #expect(settled(&checker, stamp(6)) != nil)
    #expect(settled(&checker, stamp(6), isCleared: true) != nil)
    #expect(deliver(&checker, stamp(6), isCleared: true) == nil)
    #expect(settled(&checker, stamp(7), isCleared: true) == nil)
    #expect(settled(&checker, stamp(7)) != nil)
    #expect(checker.held(1, by: 0, topic: 0) == nil)
    #expect(checker.held(2, by: 0, topic: 0) != nil)
  }
}
