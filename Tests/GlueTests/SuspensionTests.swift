import GlueCore
import GlueNetwork
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

  @Test("A datagram that was written too long ago is not sent, and what was in it is repeated", .timeLimit(.minutes(5)))
  func overdueDatagrams() async throws {
    let network = LoopbackNetwork()
    let (here, there) = (try await network.start("here"), try await network.start("there"))
    let received = Collected<UInt64>()
    try there.subscribe(to: "t") { received.append($0.sequence) }
    let publication = try here.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    let driver = here.driver
    try await eventually("nobody else sends") {
      driver.lock.withLock { state in
        guard !state.isSending else { return false }
        state.isSending = true
        return true
      }
    }
    _ = try publication.tryPublish([1])
    let isAny = driver.lock.withLock { driver.fillBatch(&$0, at: .now) }
    #expect(isAny)
    driver.sendBatch.deadline = MonotonicClock.nowNanoseconds()
    if driver.sendBatches(rounds: .max) { driver.poller.wake() }
    #expect(here.counter("driver.sendOverdue") > 0)
    try await eventually("it is there") { received.all == [0] }
    for endpoint in [here, there] { await endpoint.shutdown() }
  }
}
