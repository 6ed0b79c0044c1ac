import Testing

@testable import GlueCore

/// Whether loss is taken for the path's own, or for that of what this endpoint sends.
@Suite struct LossTrialTests {
  private static let roundTrip = Nanoseconds.milliseconds(20)

  /// A trial that begins with a small window is at its end at once; what one sample loses there may be chance.
  @Test func oneSampleIsNoVerdict() {
    var trial = LossTrial()
    var window = 10_000
    let minimum = CongestionWindow.minimumBytes
    var datagrams = 0
    var verdict = LossTrial.Verdict.keep
    while datagrams < 2_000 {
      verdict = trial.note(
        datagrams: 32, lost: 7, window: window, minimumWindow: minimum, roundTrip: Self.roundTrip,
        at: Timestamp(nanoseconds: UInt64(datagrams) * 5_000_000))
      datagrams += 32
      if verdict == .shrink { window = max(minimum, window / 4 * 3) }
      if case .putBack = verdict { break }
    }
    #expect(verdict == .putBack(to: 10_000))
    // The sample that began it, one that shrank the window, and those that were sent with what was left.
    #expect(UInt64(datagrams) >= 2 * LossTrial.sampleDatagrams + LossTrial.judgedDatagrams, "\(datagrams)")
  }

  /// What was under way when the window became small tells of the large one.
  @Test func whatWasSentBeforeTellsNothing() {
    var trial = LossTrial()
    var window = 1_000_000
    var verdict = LossTrial.Verdict.keep
    for number in 0..<100 {
      verdict = trial.note(
        datagrams: 64, lost: 20, window: window, minimumWindow: CongestionWindow.minimumBytes,
        roundTrip: Self.roundTrip,
        at: Timestamp(nanoseconds: UInt64(number) * 100_000))
      if verdict == .shrink { window = window / 4 * 3 }
      if case .putBack = verdict { Issue.record("a verdict after \(number) samples, within a round trip") }
    }
    #expect(trial.isOnTrial)
  }

  /// A narrow path is no lossy one, though a few datagrams in a round trip are already too much for it.
  @Test(arguments: [5, 6, 9, 30])
  func narrowPathIsNotTakenForALossyOne(capacity: Int) {
    let narrow = send(capacity: capacity + capacity / 5 + 1, then: capacity, for: .seconds(10))
    // With the smallest window, of five datagrams, as much is lost as must be.
    let bound = capacity < 14 ? 0.35 : 0.2
    #expect(narrow.lost < bound, "\(narrow)")
    #expect(narrow.most <= max(20, capacity * 3 / 2), "\(narrow)")
  }

  @Test func lossyPathIsNotTakenForANarrowOne() {
    let lossy = send(capacity: 1_000_000, losing: 20, then: 1_000_000, for: .seconds(3))
    #expect(lossy.most > 1_000, "\(lossy)")
  }

  /// A path that passes so many datagrams in a round trip, and after two seconds another number, and drops the rest; and of the
  /// others so many in a hundred by chance. What became of them is told after a round trip, a few at a time.
  ///
  /// - Returns: the most datagrams under way, and the part of all that was lost, both after 2.2 s.
  private func send(
    capacity: Int, losing percent: UInt64 = 0, then later: Int, for time: Nanoseconds
  ) -> (most: Int, lost: Double) {
    let ticks = 200
    let tickTime = Self.roundTrip.count / UInt64(ticks)
    let charge = CongestionWindow.charge(for: 1_472)
    var generator = SmallGenerator(state: UInt64(capacity) + percent)
    var window = CongestionWindow(receiveBufferBytes: 8 << 20)
    var estimator = RoundTripEstimator(initial: Self.roundTrip)
    var underWay: [(until: Int, isLost: Bool)] = []
    var first = 0
    var told = (datagrams: 0, lost: 0)
    var room = 0.0
    var (most, sent, lost) = (0, 0, 0)
    for tick in 0..<Int(time.count / tickTime) {
      let now = Timestamp(nanoseconds: UInt64(tick + 1) * tickTime)
      while first < underWay.count, underWay[first].until <= tick {
        told.datagrams += 1
        if underWay[first].isLost { told.lost += 1 }
        first += 1
      }
      if told.datagrams >= 16 || told.datagrams > 0 && tick % 10 == 0 {
        estimator.add(Self.roundTrip, at: now)
        window.acknowledged(
          charge: told.datagrams * charge, datagrams: told.datagrams, lost: UInt64(told.lost), roundTrip: estimator,
          at: now)
        told = (0, 0)
      }
      let capacity = Double(tick < 100 * ticks ? capacity : later)
      room = min(room + capacity / Double(ticks), capacity)
      while window.isOpen {
        window.sent(charge: charge)
        let passes = room >= 1
        if passes { room -= 1 }
        let isLost = !passes || UInt64.random(in: 0..<100, using: &generator) < percent
        underWay.append((tick + ticks, isLost))
        guard tick > 110 * ticks else { continue }
        most = max(most, window.inFlight / charge)
        sent += 1
        if isLost { lost += 1 }
      }
    }
    return (most, Double(lost) / Double(max(1, sent)))
  }
}
