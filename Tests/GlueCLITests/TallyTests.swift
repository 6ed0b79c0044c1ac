import Testing

@testable import GlueCLI

@Suite struct TallyTests {
  private func tally(_ sequences: [UInt64]) -> StreamTally {
    var tally = StreamTally(first: sequences[0])
    for sequence in sequences.dropFirst() { tally.add(sequence) }
    return tally
  }

  @Test func everythingInOrder() {
    let tally = tally([5, 6, 7])
    #expect([tally.received, tally.lost, tally.duplicates, tally.outOfOrder] == [3, 0, 0, 0])
  }

  @Test func aGapIsLostUntilItIsFilled() {
    var tally = tally([0, 4])
    #expect(tally.lost == 3)
    tally.add(2)
    #expect([tally.received, tally.lost, tally.duplicates, tally.outOfOrder] == [3, 2, 0, 1])
    tally.add(2)
    tally.add(1)
    tally.add(3)
    #expect([tally.received, tally.lost, tally.duplicates, tally.outOfOrder] == [5, 0, 1, 3])
  }

  @Test func whatComesBeforeTheFirstIsOutOfOrder() {
    var tally = tally([5, 2])
    #expect([tally.received, tally.lost, tally.duplicates, tally.outOfOrder] == [2, 2, 0, 1])
    tally.add(2)
    #expect(tally.duplicates == 1)
  }

  @Test func streamsAreCountedApart() {
    var tally = Tally()
    for topic in ["a", "b"] {
      for incarnation: UInt64 in [1, 2] {
        tally.add(topic: topic, publisher: 1, incarnation: incarnation, sequence: 0, size: 10)
      }
    }
    #expect([tally.received, tally.lost, tally.duplicates, tally.bytes] == [4, 0, 0, 40])
  }

  @Test func percentilesAreValuesThatOccurred() {
    let values = Percentiles([3, 1, 2, 4])
    #expect([values.at(0.5), values.at(0.75), values.at(0.99), values.maximum] == [2, 3, 4, 4])
    #expect(Percentiles([]).at(0.5) == 0)
  }
}
