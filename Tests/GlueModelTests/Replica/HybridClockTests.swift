import GlueCore
import Testing

@testable import GlueModel

/// Dates and clocks: what wrong clocks may do, and what they must not.
@Suite struct HybridClockTests {
  static let hour: UInt64 = 3_600_000_000
  static let today: UInt64 = 1_790_000_000_000_000

  /// A host's time: so many seconds after the beginning, with a wall clock that is wrong by so many microseconds.
  func time(_ seconds: UInt64, off: Int64 = 0) -> ReplicaTime {
    ReplicaTime(
      now: Timestamp(nanoseconds: 1_000_000_000) + .seconds(seconds),
      wallMicroseconds: UInt64(Int64(Self.today + seconds * 1_000_000) + off))
  }

  @Test func followsTheWallClockAndNeverRepeats() {
    var clock = HybridClock()
    #expect(clock.next(at: time(0)) == Self.today)
    #expect(clock.next(at: time(0)) == Self.today + 1)
    #expect(clock.next(at: time(5)) == Self.today + 5_000_000)
  }

  @Test func aWallClockThatRunsBackwardIsNotFollowed() {
    var clock = HybridClock()
    let first = clock.next(at: time(0))
    #expect(clock.next(at: time(1, off: -Int64(Self.hour) / 2)) == first + 1)
  }

  @Test func whatWasSeenIsEarlierThanWhatIsWritten() {
    var clock = HybridClock()
    clock.observe(Self.today + 30_000_000, at: time(0))
    #expect(clock.next(at: time(0)) == Self.today + 30_000_001)
  }

  @Test func aTimeBeyondAllReasonDoesNotRaiseTheClock() {
    var clock = HybridClock()
    clock.observe(Self.today + 2 * Self.hour, at: time(0))
    clock.observe(.max, at: time(0))
    #expect(clock.next(at: time(0)) == Self.today)
  }

  @Test func whoIsAheadOfMostUsesTheirTime() {
    var clock = HybridClock()
    let ahead = time(0, off: Int64(Self.hour))
    #expect(clock.boundedWall(at: ahead) == Self.today + Self.hour)
    for (peer, off) in [(2, 0), (3, 200_000)] as [(UInt64, UInt64)] {
      let lead = clock.learn(wall: Self.today + off, of: EndpointID(peer), at: ahead)
      #expect(HybridClock.isSkew(lead))
    }
    // Of the clocks 0 s, 0.2 s and an hour ahead the one in the middle; ten seconds later it shows ten seconds more.
    #expect(clock.boundedWall(at: ahead) == Self.today + 200_000)
    #expect(clock.boundedWall(at: time(10, off: Int64(Self.hour))) == Self.today + 10_200_000)
    clock.forget(EndpointID(2))
    clock.forget(EndpointID(3))
    #expect(clock.boundedWall(at: ahead) == Self.today + Self.hour)
  }

  @Test func oneWrongPeerOfManyDoesNotMatter() {
    var clock = HybridClock()
    clock.learn(wall: 0, of: EndpointID(2), at: time(0))
    clock.learn(wall: Self.today, of: EndpointID(3), at: time(0))
    #expect(clock.boundedWall(at: time(0)) == Self.today)
    clock.learn(wall: .max, of: EndpointID(4), at: time(0))
    #expect(clock.boundedWall(at: time(0)) == Self.today)
  }

  @Test func smallDifferencesAndDriftAreNoSkew() {
    var clock = HybridClock()
    let lead = clock.learn(wall: Self.today - 900_000, of: EndpointID(2), at: time(0))
    #expect(!HybridClock.isSkew(lead))
    #expect(clock.boundedWall(at: time(0)) == Self.today)
    // A reading of a day ago may be off by 8.6 s.
    #expect(clock.boundedWall(at: time(86_400, off: 8_000_000)) == Self.today + 86_400_000_000 + 8_000_000)
    #expect(clock.boundedWall(at: time(86_400, off: 20_000_000)) < Self.today + 86_400_000_000)
  }

  @Test func whoIsIn1970BelievesTheOthers() {
    var clock = HybridClock()
    let early = time(0, off: -Int64(Self.today))
    clock.observe(Self.today + 5, at: early)
    #expect(clock.next(at: early) == 1)
    for peer in 2...3 as ClosedRange<UInt64> { clock.learn(wall: Self.today, of: EndpointID(peer), at: early) }
    clock.observe(Self.today + 5, at: early)
    #expect(clock.next(at: early) == Self.today + 6)
  }

  @Test func aClockThatWasFarAheadIsPutRight() {
    var clock = HybridClock(last: Self.today + 100 * Self.hour)
    #expect(clock.next(at: time(0)) == Self.today)
    // Within reason it goes on.
    var other = HybridClock(last: Self.today + 1_000_000)
    #expect(other.next(at: time(0)) == Self.today + 1_000_001)
  }

  @Test func nothingOverflowsAtTheEndsOfTime() {
    for wall in [0, 1, .max, .max - 1, 1 << 63] as [UInt64] {
      for last in [0, .max] as [UInt64] {
        for now in [0, .max] as [UInt64] {
          var clock = HybridClock(last: last)
          let time = ReplicaTime(now: Timestamp(nanoseconds: now), wallMicroseconds: wall)
          for (peer, other) in [(2, 0), (3, .max)] as [(UInt64, UInt64)] {
            clock.learn(wall: other, of: EndpointID(peer), at: time)
          }
          clock.observe(.max, at: time)
          _ = clock.next(at: time)
          _ = clock.next(at: ReplicaTime(now: Timestamp(nanoseconds: .max), wallMicroseconds: .max))
        }
      }
    }
  }
}
