import GlueCore
import GlueNetwork
import Synchronization
import Testing

@testable import Glue

@Suite("Bursts of messages")
struct BurstTests {
  private func state() -> DriverState {
    DriverState(
      machine: EndpointMachine(
        configuration: EndpointConfiguration(id: EndpointID(1), name: "one"), incarnation: Incarnation(1), keySalt: 1,
        seed: 1, now: .now, wallMicroseconds: 0))
  }

  @Test("Sending is left to the thread that publishes, unless it pauses or small messages have gathered for long")
  func whoSends() {
    var state = state()
    let now = Timestamp(nanoseconds: 1_000_000_000)
    state.phase = .running
    state.lastSubmission = now
    var isLeft = state.isLeftToCaller(at: now)
    #expect(!isLeft, "no burst")
    state.isBursting = true
    isLeft = state.isLeftToCaller(at: now)
    #expect(isLeft)
    isLeft = state.isLeftToCaller(at: now + Driver.burstInterval)
    #expect(!isLeft, "it pauses")

    state.gatheredSince = now
    state.gatheredBytes = 100
    let later = now + Driver.burstHold * 2
    state.lastSubmission = later
    isLeft = state.isLeftToCaller(at: now + Driver.burstHold)
    #expect(isLeft)
    isLeft = state.isLeftToCaller(at: later)
    #expect(!isLeft, "some have waited for long")
    state.gatheredBytes = Driver.burstBytes
    isLeft = state.isLeftToCaller(at: later)
    #expect(isLeft, "its next message sends them")

    for phase in [DriverState.Phase.ready, .leaving, .closing, .closed] {
      state.phase = phase
      isLeft = state.isLeftToCaller(at: later)
      #expect(!isLeft, "nobody publishes any more")
    }
  }

  @Test("A burst goes on after a short interruption or two, and ends by a long one or several")
  func interruptions() {
    var state = state()
    let short = Driver.burstInterval
    func note(_ count: Int, after pause: Nanoseconds) {
      for _ in 0..<count { state.noteMessage(after: pause) }
    }
    note(1, after: short)
    #expect(state.burstLength == 0)
    note(Driver.burstStart, after: .zero)
    #expect(state.burstLength == Driver.burstStart)
    note(Driver.mostInterruptions, after: short)
    note(Driver.burstStart, after: .zero)
    note(Driver.mostInterruptions, after: short)
    #expect(state.burstLength == Driver.burstStart * 2 + Driver.mostInterruptions * 2)
    note(1, after: .zero)
    note(1, after: short)
    #expect(state.burstLength == 0, "pairs of messages are none")
    note(Driver.burstStart, after: .zero)
    note(1, after: Driver.longestInterruption)
    #expect(state.burstLength == 0, "it is over")
    note(Driver.burstStart - 1, after: .zero)
    note(1, after: short)
    #expect(state.burstLength == 0, "it had not begun")
  }

  @Test(
    "What a burst leaves behind is sent, also when nothing follows", .timeLimit(.minutes(5)), arguments: [8, 70_000])
  func ends(size: Int) async throws {
    let network = LoopbackNetwork()
    let (here, there) = (try await network.start("here"), try await network.start("there"))
    let count = Atomic(0)
    try there.subscribe(to: "t") { _ in count.add(1, ordering: .relaxed) }
    let publication = try here.publication("t")
    try await publication.awaitSubscribers(1, timeout: .seconds(10))
    let payload = [UInt8](repeating: 1, count: size)
    var published = 0
    for length in [1, 15, 16, 17, 20, 100, 1_000] {
      for _ in 0..<length where try publication.tryPublish(payload) == nil { try await publication.publish(payload) }
      published += length
      // Nobody waits for a receipt, which would send what is left.
      let expected = published
      try await eventually("all are there") { count.load(ordering: .relaxed) == expected }
    }
    for endpoint in [here, there] { await endpoint.shutdown() }
  }
}
