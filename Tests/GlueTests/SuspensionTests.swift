import GlueCore
import Testing

@testable import Glue

/// How an endpoint notices that it was suspended. What it then does is tested with processes that are stopped (Tests/namespaces).
@Suite("Suspension")
struct SuspensionTests {
  private static let second: UInt64 = 1_000_000_000

  private static func seconds(_ n: Double) -> Timestamp { Timestamp(nanoseconds: UInt64(n * Double(second))) }

  @Test func whoComesByInTimeWasNotSuspended() {
    var watch = SuspensionWatch(at: Self.seconds(10))
    #expect(watch.wokeUp(after: Self.second, at: Self.seconds(10.3)) == nil)
    #expect(watch.wokeUp(after: Self.second, at: Self.seconds(11.3)) == nil)
    // Late, as it may happen on a busy machine.
    #expect(watch.wokeUp(after: Self.second, at: Self.seconds(14.3)) == nil)
    // A long wait is none.
    #expect(watch.wokeUp(after: 60 * Self.second, at: Self.seconds(74)) == nil)
  }

  @Test func whoComesByMuchLaterWas() {
    var watch = SuspensionWatch(at: Self.seconds(10))
    #expect(watch.wokeUp(after: Self.second, at: Self.seconds(21)) == .seconds(10))
    // Once.
    #expect(watch.wokeUp(after: Self.second, at: Self.seconds(22)) == nil)
    // While it did not wait at all.
    #expect(watch.wokeUp(after: 0, at: Self.seconds(30)) == .seconds(8))
  }

  @Test func whoWaitsForEverIsNeverLate() {
    var watch = SuspensionWatch(at: Self.seconds(10))
    #expect(watch.wokeUp(after: .max, at: Self.seconds(10_000)) == nil)
    #expect(watch.wokeUp(after: Self.second, at: Self.seconds(10_001)) == nil)
  }
}
